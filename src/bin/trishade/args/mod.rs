//! The commands, with the help that people read. Their options stand beside: of models and devices, of `bench`, of parties.

mod bench;
mod common;
mod models;
#[cfg(feature = "net")]
mod net;

pub use bench::{Bench, Output, Suite};
pub use common::{Classes, Engine, Form, InputRange, ModelChoice, NamedShape, NetworkChoice, Preprocess, ResultFile, Reveal};
pub use models::{Check, Demo, Devices, Infer, Plan, Selftest, Shown, Zoo};
#[cfg(feature = "net")]
pub use net::{
    Caller, Client as ClientCommand, Cluster as ClusterCommand, Config as ConfigCommand, Doctor, Infer as ClientInfer, Keygen, Log, Party,
};

use clap::{Parser, Subcommand};

/// The version; a program for tests says so.
const VERSION: &str = if cfg!(feature = "seeded") {
    concat!(env!("CARGO_PKG_VERSION"), " (built with the feature `seeded`: for tests only, its keys may be known to anybody)")
} else {
    env!("CARGO_PKG_VERSION")
};

/// Secure three-party inference of neural networks in compute shaders.
///
/// A model and its input are secret-shared among three parties, which compute on shares and learn nothing: all three in this
/// process, or each on a machine of its own (`party`, `client`). Semi-honest security with one corrupted party of three.
///
/// Exit codes: 0 success, 1 failure, 2 usage, 3 no such device or it failed, 4 peer or network, 5 a check failed.
#[derive(Debug, Parser)]
#[command(name = "trishade", version = VERSION, max_term_width = 80)]
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
