//! The command line: `demo`, `infer`, `check`, `plan`, `zoo`, `bench`, `devices`, `selftest`; `party`, `client` and what belongs to them.

mod args;
mod bench;
mod check;
mod demo;
mod devices;
mod engine;
mod infer;
mod inputs;
mod memory;
#[cfg(feature = "net")]
mod network;
mod npy;
mod paint;
mod plan;
mod selftest;
#[cfg(feature = "gpu")]
mod tuning;
mod zoo;

use crate::Error;
use args::{Args, Command};
use clap::Parser;
use std::process::ExitCode;

/// A check of the program on itself that did not pass: exit code 5.
#[derive(Debug)]
pub(crate) struct CheckFailed(pub(crate) String);

/// What a command ends with.
#[derive(Debug)]
pub(crate) enum Failure {
    Engine(Error),
    Check(CheckFailed),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

/// Runs the program; exit codes: 0, 1 failure, 2 usage, 3 no device, 4 peer or network, 5 a check failed.
pub fn run() -> ExitCode {
    let args = Args::parse();
    let ended = match &args.command {
        Command::Demo(options) => demo::run(options),
        Command::Infer(options) => infer::run(options),
        Command::Devices(options) => devices::run(options),
        Command::Selftest(options) => selftest::run(options),
        Command::Plan(options) => plan::run(options),
        Command::Check(options) => check::run(options),
        Command::Zoo(options) => zoo::run(options),
        Command::Bench(options) => bench::run(options),
        #[cfg(feature = "net")]
        Command::Keygen(options) => network::keygen(options),
        #[cfg(feature = "net")]
        Command::Cluster(command) => network::cluster(command),
        #[cfg(feature = "net")]
        Command::Config(command) => network::config(command),
        #[cfg(feature = "net")]
        Command::Party(options) => network::party(options),
        #[cfg(feature = "net")]
        Command::Client(command) => network::client(command),
        #[cfg(feature = "net")]
        Command::Doctor(options) => network::doctor(options),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Check(CheckFailed(what))) => {
            paint::complain(&what);
            ExitCode::from(5)
        }
        Err(Failure::Engine(error)) => {
            paint::complain(&error.to_string());
            ExitCode::from(match error {
                Error::Device(_) => 3,
                Error::Peer(_) | Error::OutOfStep(_) => 4,
                _ => 1,
            })
        }
    }
}
