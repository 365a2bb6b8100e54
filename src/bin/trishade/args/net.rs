//! The options of parties on machines of their own, and of their clients.

use super::common::{Classes, InputRange, ModelChoice, NetworkChoice, Preprocess, ResultFile, Reveal};
use clap::{Args as Options, Subcommand, ValueEnum};
use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

#[derive(Debug, Options)]
pub struct Keygen {
    /// Whose: the files are NAME.key, which its owner alone can read, and NAME.crt.
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// Where to.
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub dir: PathBuf,
    /// How long the certificate is valid.
    #[arg(long, default_value_t = trishade::net::setup::DAYS, value_name = "DAYS")]
    pub days: u32,
    /// Also write NAME.store.key, with which a party encrypts the shares that it keeps.
    #[arg(long)]
    pub store: bool,
}

/// Commands on a cluster's files.
#[derive(Debug, Subcommand)]
pub enum Cluster {
    /// Write the files of a cluster.
    Init {
        /// Three parties on this machine and an owner, ready to run.
        #[arg(long, required = true)]
        local: bool,
        /// Where to.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Party 0 listens here, the others on the two ports after it.
        #[arg(long, default_value_t = 7300, value_name = "PORT")]
        port: u16,
        /// The parties' device.
        #[arg(long, default_value = "auto", value_name = "NAME")]
        device: String,
        /// Make the links as slow as such a network.
        #[arg(long, value_enum, default_value = "local")]
        net: NetworkChoice,
    },
}

/// Commands on configuration files.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Read cluster.toml or party.toml and all that it names, and say what is wrong.
    Check {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// How a party writes its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Log {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

#[derive(Debug, Options)]
pub struct Party {
    /// The party's own file.
    #[arg(long, value_name = "party.toml")]
    pub config: PathBuf,
    /// Do the lead's part of so many requests before they come, in idle time: as many as the last ones that this party led, of the
    /// same models and sizes. What it deals waits in the memory of another party. Default: `prepare` in the file, else none.
    #[arg(long, value_name = "N")]
    pub prepare: Option<usize>,
    /// How the log is written, on standard error. TRISHADE_LOG sets the level (default: info).
    #[arg(long, value_enum, default_value = "text")]
    pub log: Log,
}

/// A time in seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| format!("'{text}' is no number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
}

/// Who a client is, and where the parties are.
#[derive(Debug, Options)]
pub struct Caller {
    /// The cluster's file.
    #[arg(long, value_name = "cluster.toml")]
    pub cluster: PathBuf,
    /// The client's files without their endings: NAME.key and NAME.crt. Default: `owner` beside the cluster's file.
    #[arg(long, value_name = "NAME")]
    pub identity: Option<PathBuf>,
    /// Seconds until an answer must be there.
    #[arg(long, default_value = "600", value_name = "S", value_parser = seconds)]
    pub timeout: Duration,
    /// Make the links of this client as slow as such a network.
    #[arg(long, value_enum, default_value = "local")]
    pub net: NetworkChoice,
}

/// Requests of an owner to the parties.
#[derive(Debug, Subcommand)]
pub enum Client {
    /// Share a model's weights among the parties, which keep them; prints the model's id.
    #[command(override_usage = "trishade client upload [OPTIONS] --cluster <cluster.toml> <MODEL>")]
    Upload {
        #[command(flatten)]
        caller: Caller,
        #[command(flatten)]
        model: ModelChoice,
        /// The model's name. Default: that of the file.
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Compare on as few bits as the weights and inputs from LOW to HIGH need: proven from the weights, public from then on.
        /// Clients refuse inputs outside the range.
        #[arg(long, value_name = "LOW:HIGH", allow_hyphen_values = true)]
        range_bits: Option<InputRange>,
        /// Sample inputs, as those of `trishade infer`: the network runs on them in the clear, an overflow is an error, and the model
        /// carries the least and the greatest number of each input, an eighth further apart on each side. They are public, and
        /// clients refuse inputs beyond them.
        #[arg(long, value_name = "X", num_args = 1..)]
        calibrate: Vec<PathBuf>,
        /// How samples become numbers. Default: `raw` for arrays of floats, else `unit`.
        #[arg(long, value_enum)]
        preprocess: Option<Preprocess>,
    },
    /// List the models that the parties keep for this client.
    Models {
        #[command(flatten)]
        caller: Caller,
        /// Print one JSON array on standard output.
        #[arg(long)]
        json: bool,
    },
    /// Share inputs among the parties and receive what is revealed of the result.
    Infer(Box<Infer>),
}

#[derive(Debug, Options)]
#[command(override_usage = "trishade client infer [OPTIONS] --cluster <cluster.toml>\n       --model-id <ID> --input <X>...")]
pub struct Infer {
    #[command(flatten)]
    pub caller: Caller,
    /// The model's id, or its name: the newest that all parties keep.
    #[arg(long, value_name = "ID")]
    pub model_id: String,
    /// The inputs, as those of `trishade infer`.
    #[arg(long, value_name = "X", num_args = 1.., required = true)]
    pub input: Vec<PathBuf>,
    #[command(flatten)]
    pub classes: Classes,
    /// Inputs of one request.
    #[arg(long, default_value = "32", value_name = "N")]
    pub batch: NonZeroUsize,
    /// Requests under way at one time; the parties take turns to lead them.
    #[arg(long, default_value = "3", value_name = "N")]
    pub in_flight: NonZeroUsize,
    /// Default: `unit` for images and for uint8 arrays of items with three extents, else `raw`.
    #[arg(long, value_enum)]
    pub preprocess: Option<Preprocess>,
    /// Output revealed to the owner of the input.
    #[arg(long, value_enum, default_value = "logits")]
    pub reveal: Reveal,
    /// Write the outputs to a file: one as .npy, all by their names as .npz, .csv (a line an input) or .json.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<ResultFile>,
    /// Print one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Options)]
pub struct Doctor {
    #[command(flatten)]
    pub caller: Caller,
    /// Say what a run of this network would take on links such as the slowest found: an ONNX file, or `zoo:NAME`.
    #[arg(long, value_name = "M.onnx")]
    pub model: Option<PathBuf>,
    /// Print one JSON array on standard output.
    #[arg(long)]
    pub json: bool,
}
