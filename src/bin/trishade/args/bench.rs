//! The options of `bench`.

use super::common::{NetworkChoice, at_least_one};
use clap::{Args as Options, ValueEnum};
use std::{num::NonZeroUsize, path::PathBuf};
use trishade::protocol;

/// The signs that a benchmark measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Signs {
    /// A tree of six rounds a ReLU.
    Six,
    /// A tree of five.
    Five,
    /// Four rounds a ReLU.
    Short,
    /// The sign that ends first on this network.
    Auto,
    /// A row for each of the above.
    All,
}

impl Signs {
    pub fn each(self) -> Vec<protocol::Sign> {
        use protocol::Sign::{Auto, Five, Short, Six};
        match self {
            Self::Six => vec![Six],
            Self::Five => vec![Five],
            Self::Short => vec![Short],
            Self::Auto => vec![Auto],
            Self::All => vec![Six, Five, Short, Auto],
        }
    }
}

/// The cases that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// The device's own rates, beside a bare kernel that shares no code with the engine.
    Peak,
    /// Single protocols, three parties.
    Micro,
    /// Whole networks, three parties.
    Models,
}

/// How measurements are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A Markdown table.
    Md,
    /// Comma-separated values.
    Csv,
    /// One JSON object with the devices' facts: what --compare reads.
    Json,
    /// A JSON object a line.
    Jsonl,
}

#[derive(Debug, Options)]
pub struct Bench {
    /// Default: all suites.
    #[arg(value_enum)]
    pub suite: Option<Suite>,
    /// `auto`, `cpu`, a GPU by part of its name, index or backend, or `all`: the CPU and every hardware GPU.
    #[arg(long, default_value = "auto", value_name = "NAME")]
    pub device: String,
    /// Network between the parties.
    #[arg(long, value_enum, default_value = "local")]
    pub net: NetworkChoice,
    /// How signs are computed; `all` measures cases with signs by each.
    #[arg(long, value_enum, default_value = "auto")]
    pub sign: Signs,
    /// Threads of the CPU device; 0 means one a core.
    #[arg(long, default_value_t = 0, value_name = "T")]
    pub threads: usize,
    /// Measure anew how the GPU multiplies best. It is measured when an adapter is first used and kept in the cache directory.
    #[arg(long)]
    pub retune: bool,
    /// Inputs of a micro-batch of the suite `models`. Default: a batch is not cut.
    #[arg(long, value_name = "N")]
    pub micro_batch: Option<NonZeroUsize>,
    /// Only cases with this text in their name or shape.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Repetitions after the warm-up.
    #[arg(short, default_value_t = 5, value_name = "R", value_parser = at_least_one())]
    pub repetitions: usize,
    /// How the measurements are printed on standard output.
    #[arg(short, value_enum, default_value = "md")]
    pub output: Output,
    /// Compare the scores of the suite `models` with the fixed-point reference, which takes its time on one core.
    #[arg(long)]
    pub verify: bool,
    /// Print also how the medians have changed since an earlier run's `-o json`.
    #[arg(long, value_name = "OLD.json")]
    pub compare: Option<PathBuf>,
}
