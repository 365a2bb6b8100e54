//! How a command fails, and the exit code that says so.

use crate::terminal::escaped;
use std::fmt::{self, Display};
use trishade::Error;

/// The reason why a command did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// An error of the library.
    Library(Error),
    /// Arguments that do not go together, or name what there is not.
    Usage(String),
    /// A check of the program on itself or on a model that did not pass.
    Check(String),
}

impl Failure {
    /// 1 failure, 2 wrong usage, as clap has it, 3 no such device, 4 peer or network, 5 a check failed.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Check(_) => 5,
            Self::Library(Error::Device(_)) => 3,
            Self::Library(Error::Peer(_) | Error::OutOfStep(_)) => 4,
            Self::Library(_) => 1,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Library(error) => f.write_str(&escaped(&error.to_string())),
            Self::Usage(report) | Self::Check(report) => f.write_str(report),
        }
    }
}
