//! Three machines: parties that serve over TLS, and clients that own data or models.
//!
//! [`config`] and [`identity`] say who is who; `tls`, `wire` and `link` carry records; `secrets` agrees on keys; [`server`] is a
//! party, [`client`] an owner; [`store`] keeps shares of models.

pub mod client;
pub mod config;
#[cfg(feature = "seeded")]
pub mod faults;
mod fresh;
pub mod identity;
mod link;
mod room;
mod secrets;
pub mod server;
pub mod setup;
pub mod store;
mod tls;
pub mod transport;
mod wire;

pub use client::{Asking, Connection, Manners};
pub use config::{ClientSetup, Cluster, PartyConfig, PartySetup};
pub use identity::{Fingerprint, Generated, Identity};
pub use server::{Metrics, Server};
pub use wire::{ModelFacts, Status, Why};
