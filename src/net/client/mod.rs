//! Client: an owner of models or of data shares what it has among the three parties, and puts its results together.

mod connection;
mod infer;
#[cfg(feature = "seeded")]
mod misbehaving;
mod models;
mod probe;
mod upload;
mod waiting;

pub use connection::{ClientOptions, Connection};
pub use infer::{InferOptions, InferProgress};
#[cfg(feature = "seeded")]
pub use misbehaving::MisbehavingClient;
pub use probe::{PartyReport, probe};
pub use upload::{UploadOptions, UploadStage};
