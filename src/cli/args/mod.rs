//! The options, with the help that people read.

mod bench;
#[cfg(feature = "net")]
mod net;

pub use bench::{Bench, Network, Output, Suite};
#[cfg(feature = "net")]
pub use net::{
    Caller, Client as ClientCommand, Cluster as ClusterCommand, Config as ConfigCommand, Doctor, Infer as ClientInfer, Keygen, Log, Party,
};

use crate::protocol;
use clap::{Args as Options, Parser, Subcommand, ValueEnum};
use std::{num::NonZeroUsize, path::PathBuf};

/// Secure three-party inference of neural networks in compute shaders.
///
/// A model and its input are secret-shared among three parties, which compute on shares and learn nothing: all three in this
/// process, or each on a machine of its own (`party`, `client`). Semi-honest security with one corrupted party of three.
///
/// Exit codes: 0 success, 1 failure, 2 usage, 3 no such device or it failed, 4 peer or network, 5 a check failed.
#[derive(Debug, Parser)]
#[command(name = "trishade", version, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Classify handwritten digits or photographs with a trained network, both secret-shared, and show what it cost.
    Demo(Demo),
    /// Run private inference of an ONNX model on arrays or images.
    Infer(Infer),
    /// List the devices: adapters with backend, driver and limits, and the ring path that would be used.
    Devices(Devices),
    /// Run every kernel on a device and compare it bit for bit with the native one. Exit code 5 if one differs.
    Selftest(Selftest),
    /// Predict rounds, bytes and memory of a model, by layer and in all, without running it.
    Plan(Plan),
    /// Say whether a model can run: its operators, its costs, and on sample inputs whether its values fit. Exit code 5 if not.
    Check(Check),
    /// List the networks that the program knows, or write one as an ONNX file.
    #[command(subcommand)]
    Zoo(Zoo),
    /// Measure kernels, protocols and networks; masks and randomness are inside the clock.
    Bench(Bench),
    /// Make a key and a certificate for a party or a client, and print the certificate's fingerprint.
    #[cfg(feature = "net")]
    Keygen(Keygen),
    /// Write the files of a cluster of three parties.
    #[cfg(feature = "net")]
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Check configuration files.
    #[cfg(feature = "net")]
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Serve as one of three parties, until SIGTERM.
    #[cfg(feature = "net")]
    Party(Party),
    /// Use three parties as the owner of models or of inputs.
    #[cfg(feature = "net")]
    #[command(subcommand)]
    Client(ClientCommand),
    /// Dial the parties: round-trip time, bandwidth, clocks, certificates. Exit code 5 if something is wrong.
    #[cfg(feature = "net")]
    Doctor(Doctor),
}

/// The ends of a range, `LOW:HIGH`.
#[derive(Debug, Clone)]
pub struct InputRange(f32, f32);

impl std::str::FromStr for InputRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ends = text.split_once(':').and_then(|(low, high)| Some((low.trim().parse().ok()?, high.trim().parse().ok()?)));
        match ends {
            Some((low, high)) if low <= high => Ok(Self(low, high)),
            _ => Err("two numbers, the smaller first: LOW:HIGH, such as 0:1".into()),
        }
    }
}

impl From<InputRange> for std::ops::RangeInclusive<f32> {
    fn from(InputRange(low, high): InputRange) -> Self {
        low..=high
    }
}

/// How signs are computed: what comparisons, ReLU and max-pool cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sign {
    /// A tree: six rounds and 590 bits a ReLU.
    Six,
    /// A tree: five rounds and 654 bits a ReLU.
    Five,
    /// Four rounds and 1120 bits a ReLU, and many times the computing: long latencies, small tensors.
    Short,
    /// What ends first, tensor by tensor, on the network between the parties; `five` in one process.
    Auto,
}

impl From<Sign> for protocol::Sign {
    fn from(sign: Sign) -> Self {
        match sign {
            Sign::Six => Self::Six,
            Sign::Five => Self::Five,
            Sign::Short => Self::Short,
            Sign::Auto => Self::Auto,
        }
    }
}

/// Where and how precisely to compute.
#[derive(Debug, Options)]
pub struct Engine {
    /// `auto` (a hardware GPU if there is one, else the CPU), `cpu`, or a GPU by part of its name, index or backend. Software
    /// adapters such as `llvmpipe` only when named.
    #[arg(long, default_value = "auto", value_name = "NAME")]
    pub device: String,
    /// Fraction bits of the fixed-point numbers, 8 to 26: values stay below 2^(62-2F), so more bits mean a smaller range.
    #[arg(long, default_value_t = 20, value_name = "F")]
    pub fraction_bits: u32,
    /// Threads of the CPU device; 0 means one a core.
    #[arg(long, default_value_t = 0, value_name = "T")]
    pub threads: usize,
    /// Measure anew how the GPU multiplies best. It is measured when an adapter is first used and kept in the cache directory.
    #[arg(long)]
    pub retune: bool,
    /// How signs are computed.
    #[arg(long, value_enum, default_value = "auto")]
    pub sign: Sign,
    /// The most memory that the three parties may take in this process, as 8G or 500M: a run that needs more is refused before
    /// it starts. Default: what is free.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub max_memory: Option<u64>,
}

/// A number of bytes: 1000 of them are 1k, then M, G, T.
fn bytes(text: &str) -> Result<u64, String> {
    let bad = || format!("'{text}' is no number of bytes such as 500M or 8G");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_uppercase().trim_end_matches('B') {
        "" => 1u64,
        "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        _ => return Err(bad()),
    };
    digits.parse::<f64>().ok().filter(|n| *n > 0.0 && n.is_finite()).map(|n| (n * unit as f64) as u64).ok_or_else(bad)
}

/// What the demonstration shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shown {
    /// LeNet reads 100 handwritten digits.
    Lenet,
    /// SqueezeNet names what is on two photographs.
    Squeezenet,
}

#[derive(Debug, Options)]
pub struct Demo {
    /// Which trained network.
    #[arg(long, value_enum, default_value = "lenet")]
    pub model: Shown,
    #[command(flatten)]
    pub engine: Engine,
}

/// How inputs become numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preprocess {
    /// Take the numbers as they are.
    Raw,
    /// Divide by 255; of an image red, green, blue, or grey for a network of one channel.
    Unit,
    /// Images: red, green, blue divided by 255, less the mean of ImageNet, divided by its deviation.
    Imagenet,
    /// Images: blue, green, red from 0 to 255, less the mean of ImageNet.
    Caffe,
}

/// What the owner of the result learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reveal {
    /// All scores of each input.
    Logits,
    /// Only the index of the largest score.
    Argmax,
}

#[derive(Debug, Options)]
pub struct Infer {
    /// The network, an ONNX file; `zoo:NAME` is one with random weights.
    #[arg(long, value_name = "M.onnx")]
    pub model: PathBuf,
    /// The inputs: a .npy file of shape (N, C, H, W) or (N, features), f32 or u8; PNG or JPEG images, resized and cropped, or a
    /// folder of them, or of a folder for each class; an IDX file (MNIST); a .bin file of CIFAR.
    #[arg(long, value_name = "X", num_args = 1.., required = true)]
    pub input: Vec<PathBuf>,
    /// The true classes, a .npy or IDX file of N integers: prints the accuracy.
    #[arg(long, value_name = "Y")]
    pub labels: Option<PathBuf>,
    /// Names of the classes, one a line.
    #[arg(long, value_name = "FILE")]
    pub classes: Option<PathBuf>,
    /// Print so many of the best classes of each input.
    #[arg(long, default_value_t = 1, value_name = "K")]
    pub top: usize,
    /// Inputs in one run; the last batch may be smaller. Default: all at once, at most 128.
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Inputs of a micro-batch: pieces of a batch run side by side, so that one computes while messages of another travel.
    #[arg(long, value_name = "N")]
    pub micro_batch: Option<NonZeroUsize>,
    /// Compare on as few bits as the weights and inputs from LOW to HIGH need: proven from the weights, public from then on.
    #[arg(long, value_name = "LOW:HIGH", allow_hyphen_values = true)]
    pub range_bits: Option<InputRange>,
    /// Batches whose lead's part is done before the inputs are shared: it lies in memory until then, and its time is reported apart.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub prepare: usize,
    #[command(flatten)]
    pub engine: Engine,
    /// Default: `raw` for arrays of floats, else `unit`.
    #[arg(long, value_enum)]
    pub preprocess: Option<Preprocess>,
    /// What is revealed to the owner of the input.
    #[arg(long, value_enum, default_value = "logits")]
    pub reveal: Reveal,
    /// Print a table of the layers: time, rounds, bytes, and the share of the time.
    #[arg(long)]
    pub profile: bool,
    /// Write when each party worked on which layer, for chrome://tracing or Perfetto.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Print one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Options)]
pub struct Check {
    /// The network, an ONNX file; `zoo:NAME` is one with random weights.
    #[arg(value_name = "M.onnx")]
    pub model: PathBuf,
    /// Sample inputs, as those of `infer`: the network runs on them in the clear, and the bits that values need are shown.
    #[arg(long, value_name = "X", num_args = 1..)]
    pub calibrate: Vec<PathBuf>,
    /// Default: `raw` for arrays of floats, else `unit`.
    #[arg(long, value_enum)]
    pub preprocess: Option<Preprocess>,
    /// Fraction bits of the fixed-point numbers, 8 to 26.
    #[arg(long, default_value_t = 20, value_name = "F")]
    pub fraction_bits: u32,
    /// Inputs in one run.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub batch: usize,
    /// Print one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// What to do with the networks that the program knows.
#[derive(Debug, Subcommand)]
pub enum Zoo {
    /// Their names and sizes.
    List {
        /// Print one JSON array on standard output.
        #[arg(long)]
        json: bool,
    },
    /// Write one as an ONNX file.
    Export {
        /// Its name; one of the first twelve with `-max` at its end pools by maxima.
        name: String,
        /// A safetensors file with the weights, for a network whose layers have names. Default: random ones.
        #[arg(long, value_name = "W.safetensors")]
        weights: Option<PathBuf>,
        /// Where to.
        #[arg(short, long, value_name = "M.onnx")]
        output: PathBuf,
    },
}

#[derive(Debug, Options)]
pub struct Devices {
    /// Print one JSON array on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Options)]
pub struct Selftest {
    /// `auto` (the CPU and every hardware GPU), `cpu`, or a GPU by part of its name, index or backend.
    #[arg(long, default_value = "auto", value_name = "NAME")]
    pub device: String,
}

#[derive(Debug, Options)]
pub struct Plan {
    /// The network, an ONNX file; `zoo:NAME` is one with random weights.
    #[arg(long, value_name = "M.onnx")]
    pub model: PathBuf,
    /// Inputs in one run.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub batch: usize,
    /// Fraction bits of the fixed-point numbers, 8 to 26.
    #[arg(long, default_value_t = 20, value_name = "F")]
    pub fraction_bits: u32,
    /// How signs are computed.
    #[arg(long, value_enum, default_value = "auto")]
    pub sign: Sign,
    /// What lies between the parties: for `--sign auto`, and for the time on the network.
    #[arg(long, value_enum, default_value = "local")]
    pub net: Network,
    /// Run it on this device, on zeros, to know what the computing takes; with `--net`, also TLS and sockets.
    #[arg(long, value_name = "DEVICE")]
    pub measure: Option<String>,
    /// Compare on as few bits as the weights and inputs from LOW to HIGH need: proven from the weights, public from then on.
    #[arg(long, value_name = "LOW:HIGH", allow_hyphen_values = true)]
    pub range_bits: Option<InputRange>,
    /// Print one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}
