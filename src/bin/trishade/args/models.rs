//! The options of commands on models and devices in this process.

use super::common::{Classes, Engine, InputRange, ModelChoice, NetworkChoice, Preprocess, ResultFile, Reveal, Sign, at_least_one};
use clap::{Args as Options, Subcommand, ValueEnum};
use std::{num::NonZeroUsize, path::PathBuf};

/// The demonstration's network.
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

#[derive(Debug, Options)]
pub struct Infer {
    #[command(flatten)]
    pub model: ModelChoice,
    /// The inputs, known by what the files hold: a .npy array of shape (N, C, H, W) or (N, features); FILE.npz, of several arrays
    /// FILE.npz:NAME; a CSV table, a row an input; PNG, JPEG, WebP or BMP images, resized and cropped, or a folder of them, or of a
    /// folder for each class; an IDX file (MNIST); a .bin file of CIFAR. NAME=X for each input of a model with several, or one .npz
    /// file with arrays of their names.
    #[arg(long, value_name = "X", num_args = 1.., required = true)]
    pub input: Vec<PathBuf>,
    #[command(flatten)]
    pub classes: Classes,
    /// Inputs in one run; the last batch may be smaller. Default: all at once, at most 128.
    #[arg(long, value_name = "N", value_parser = at_least_one())]
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
    /// Do not look in the clear, before the private run, whether a value leaves the range of the fixed-point numbers.
    #[arg(long)]
    pub no_range_check: bool,
    #[command(flatten)]
    pub engine: Engine,
    /// Default: `unit` for images and for uint8 arrays of items with three extents, else `raw`.
    #[arg(long, value_enum)]
    pub preprocess: Option<Preprocess>,
    /// Output revealed to the owner of the input.
    #[arg(long, value_enum, default_value = "logits")]
    pub reveal: Reveal,
    /// Print a table of the layers: time, rounds, bytes, and the share of the time.
    #[arg(long)]
    pub profile: bool,
    /// Write when each party worked on which layer, for chrome://tracing or Perfetto.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Write the outputs to a file: one as .npy, all by their names as .npz, .csv (a line an input) or .json.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<ResultFile>,
    /// Print one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Options)]
pub struct Check {
    #[command(flatten)]
    pub model: ModelChoice,
    /// Sample inputs, as those of `infer`: the network runs on them in the clear, and the bits that values need are shown.
    #[arg(long, value_name = "X", num_args = 1..)]
    pub calibrate: Vec<PathBuf>,
    /// Default: `unit` for images and for uint8 arrays of items with three extents, else `raw`.
    #[arg(long, value_enum)]
    pub preprocess: Option<Preprocess>,
    /// Fraction bits of the fixed-point numbers, 8 to 26.
    #[arg(long, default_value_t = 20, value_name = "F", value_parser = clap::value_parser!(u32).range(8..=26))]
    pub fraction_bits: u32,
    /// The largest difference of a score from that of floats, as a part of the largest score, that passes with `--calibrate`.
    #[arg(long, default_value_t = 0.01, value_name = "T")]
    pub tolerance: f32,
    /// Inputs in one run.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = at_least_one())]
    pub batch: usize,
    /// Print one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Commands on the networks that the program knows.
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
    #[command(flatten)]
    pub model: ModelChoice,
    /// Inputs in one run.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = at_least_one())]
    pub batch: usize,
    /// Fraction bits of the fixed-point numbers, 8 to 26.
    #[arg(long, default_value_t = 20, value_name = "F", value_parser = clap::value_parser!(u32).range(8..=26))]
    pub fraction_bits: u32,
    /// How signs are computed.
    #[arg(long, value_enum, default_value = "auto")]
    pub sign: Sign,
    /// Network between the parties: for `--sign auto`, and for the time on the network.
    #[arg(long, value_enum, default_value = "local")]
    pub net: NetworkChoice,
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
