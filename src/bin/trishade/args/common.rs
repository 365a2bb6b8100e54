//! Options that several commands have.

use clap::{Args as Options, ValueEnum, builder::RangedU64ValueParser};
use std::path::{Path, PathBuf};
use trishade::{nn, party::Net, protocol};

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

/// The model of a command.
#[derive(Debug, Options)]
pub struct ModelChoice {
    #[command(flatten)]
    file: ModelFile,
    /// Extents of an input that the model leaves free, the batch first, as NAME=1,3,120,160 (without NAME= if there is one input);
    /// or one of them by its name, as height=120.
    #[arg(long, value_name = "NAME=1,3,H,W")]
    pub shape: Vec<NamedShape>,
}

/// The file of a model, given by its place or by name.
#[derive(Debug, Options)]
#[group(required = true, multiple = false)]
struct ModelFile {
    /// The network, an ONNX file; `zoo:NAME` is one with random weights.
    #[arg(value_name = "MODEL")]
    file: Option<PathBuf>,
    /// The same by name.
    #[arg(long = "model", value_name = "MODEL")]
    named: Option<PathBuf>,
}

impl ModelChoice {
    /// The path of the file, or `zoo:NAME`.
    pub fn path(&self) -> &Path {
        self.file.file.as_ref().or(self.file.named.as_ref()).expect("one of the two is required")
    }
}

/// Extents that a model leaves free: of an input, or of one extent.
#[derive(Debug, Clone)]
pub struct NamedShape {
    /// Whose; without a name those of the only input.
    pub name: Option<String>,
    /// The batch first.
    pub extents: Vec<usize>,
}

impl std::str::FromStr for NamedShape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, numbers) = text.rsplit_once('=').map_or((None, text), |(name, numbers)| (Some(name.to_owned()), numbers));
        let extents: Option<Vec<usize>> =
            numbers.split([',', 'x']).map(|extent| extent.trim().parse().ok().filter(|&extent| extent > 0)).collect();
        let extents = extents.ok_or("positive numbers, the batch first: NAME=1,3,120,160; or one for a free extent: height=120")?;
        Ok(Self { name, extents })
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
    /// The sign that ends first, tensor by tensor, on the network between the parties; `five` in one process.
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
    #[arg(long, default_value_t = 20, value_name = "F", value_parser = clap::value_parser!(u32).range(8..=26))]
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

/// A count of things of which there must be one.
pub fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
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

/// How inputs become numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preprocess {
    /// Take the numbers as they are; of an image red, green, blue, or grey for a network of one channel, from 0 to 255.
    Raw,
    /// Divide by 255.
    Unit,
    /// Images: red, green, blue divided by 255, less the mean of ImageNet, divided by its deviation.
    Imagenet,
    /// Images: blue, green, red from 0 to 255, less the mean of ImageNet.
    Caffe,
}

/// The part of the output that its owner learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reveal {
    /// All scores of each input.
    Logits,
    /// Only the index of the largest score.
    Argmax,
}

impl From<Reveal> for nn::Reveal {
    fn from(reveal: Reveal) -> Self {
        match reveal {
            Reveal::Logits => Self::Logits,
            Reveal::Argmax => Self::Argmax,
        }
    }
}

/// The network between the parties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NetworkChoice {
    /// Nothing is added.
    Local,
    /// 10 Gb/s and 0.2 ms, each link and way.
    Lan,
    /// 100 Mb/s and 40 ms, each link and way.
    Wan,
}

impl NetworkChoice {
    /// Latency and bandwidth, where something is added.
    pub fn figures(self) -> Option<Net> {
        match self {
            Self::Local => None,
            Self::Lan => Some(Net::LAN),
            Self::Wan => Some(Net::WAN),
        }
    }

    /// The same for links between machines.
    #[cfg(feature = "net")]
    pub fn shape(self) -> Option<trishade::net::config::LinkFigures> {
        let Net { latency_us, bits_per_second } = self.figures()?;
        Some(trishade::net::config::LinkFigures { latency_us, bits_per_second })
    }
}

/// Labels of an inference's inputs, and classes of its predictions.
#[derive(Debug, Options)]
pub struct Classes {
    /// The labels: a .npy or .npz file, an IDX file, or a table. Classes give the accuracy, other numbers the mean absolute and the root
    /// mean squared error. Default: those of the inputs' own files.
    #[arg(long, value_name = "Y")]
    pub labels: Option<PathBuf>,
    /// The column of a table that holds the labels, by its name, or by its number from 1. Default: one named label, class, target or y
    /// that the model does not take.
    #[arg(long, value_name = "NAME")]
    pub label_column: Option<String>,
    /// Names of the classes, one a line.
    #[arg(long, value_name = "FILE")]
    pub classes: Option<PathBuf>,
    /// Print so many of the best classes of each input.
    #[arg(long, default_value_t = 1, value_name = "K", value_parser = at_least_one())]
    pub top: usize,
}

/// The form of a file with results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One array.
    Npy,
    /// Arrays with names.
    Npz,
    /// A line an item.
    Csv,
    /// Names, shapes and numbers.
    Json,
}

/// A file for results, whose ending says its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultFile {
    pub path: PathBuf,
    pub form: Form,
}

impl std::str::FromStr for ResultFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = PathBuf::from(text);
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        let form = match ending.as_deref() {
            Some("npy") => Form::Npy,
            Some("npz") => Form::Npz,
            Some("csv") => Form::Csv,
            Some("json") => Form::Json,
            _ => return Err("the ending says the form: .npy, .npz, .csv or .json".into()),
        };
        Ok(Self { path, form })
    }
}
