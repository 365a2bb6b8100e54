//! The command line: from arguments to a command, from how it ended to an exit code.
//!
//! [`args`] holds the options, `commands` one file for each command; the other modules are what commands share. A command may
//! import these, and these import no command. The library is used as any other program would use it.

mod answers;
mod args;
mod commands;
mod engine;
mod failure;
mod files;
mod hardware;
mod inputs;
mod memory;
mod npy;
mod npz;
mod outputs;
mod progress;
#[cfg(feature = "net")]
mod seeded;
mod terminal;
#[cfg(feature = "gpu")]
mod tuning;

use args::{Args, Command};
use clap::Parser;
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(all(target_os = "linux", feature = "gpu"))]
    quiet_vulkan();
    match run(&Args::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal::complain(&failure.to_string());
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Without this variable a layer of Mesa's writes complaints to standard error whenever adapters are listed. No socket lies below a file.
#[cfg(all(target_os = "linux", feature = "gpu"))]
#[allow(unsafe_code, reason = "other threads may read the environment; there is none yet")]
fn quiet_vulkan() {
    const FOLDER: &str = "XDG_RUNTIME_DIR";
    if std::env::var_os(FOLDER).is_none() {
        // SAFETY: the first thing that the program does, on its only thread
        unsafe { std::env::set_var(FOLDER, "/dev/null") };
    }
}

fn run(command: &Command) -> Result<(), Failure> {
    #[cfg(feature = "net")]
    seeded::check(command)?;
    match command {
        Command::Demo(options) => commands::demo::run(options),
        Command::Infer(options) => commands::infer::run(options),
        Command::Devices(options) => commands::devices::run(options),
        Command::Selftest(options) => commands::selftest::run(options),
        Command::Plan(options) => commands::plan::run(options),
        Command::Check(options) => commands::check::run(options),
        Command::Zoo(options) => commands::zoo::run(options),
        Command::Bench(options) => commands::bench::run(options),
        #[cfg(feature = "net")]
        Command::Keygen(options) => commands::network::setup::keygen(options),
        #[cfg(feature = "net")]
        Command::Cluster(command) => commands::network::setup::cluster(command),
        #[cfg(feature = "net")]
        Command::Config(command) => commands::network::setup::config(command),
        #[cfg(feature = "net")]
        Command::Party(options) => commands::network::party::run(options),
        #[cfg(feature = "net")]
        Command::Client(command) => commands::network::client::run(command),
        #[cfg(feature = "net")]
        Command::Doctor(options) => commands::network::doctor::run(options),
    }
}
