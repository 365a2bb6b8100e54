//! Three machines: parties that serve over TLS, and clients that own data or models.
//!
//! A client opens a [`Connection`] with its [`ClientSetup`]; a party starts a [`Server`] with its [`PartySetup`]. The documentation
//! (`docs/architecture.md`, "Parties on sockets") shows the files and what they use of each other.

mod budget;
mod client;
pub mod config;
mod control;
#[cfg(feature = "internals")]
pub mod fuzz;
mod hello;
pub mod identity;
mod limits;
mod link;
mod meaning;
mod model_id;
mod sealed_file;
mod secrets;
mod server;
pub mod setup;
pub mod store;
mod tls;
pub mod transport;
mod wire;

#[cfg(feature = "seeded")]
pub use client::MisbehavingClient;
pub use client::{ClientOptions, Connection, InferOptions, InferProgress, PartyReport, UploadOptions, UploadStage, probe};
pub use config::{ClientSetup, Cluster, PartyConfig, PartySetup};
pub use control::{ModelFacts, RefusalReason, Status};
pub use identity::{Fingerprint, Generated, Identity};
#[cfg(feature = "seeded")]
pub use link::{Fault, FaultPlan};
pub use server::{Metrics, Server};
