//! Three machines: parties that serve over TLS, and clients that own data or models.
//!
//! [`config`] and [`identity`] say who is who; `tls`, `fresh`, `link` and `reading` carry records (`wire`) with `control` messages;
//! `room` and `limits` bound what others can make this side hold; `secrets` agrees on keys; [`server`] is a party, [`client`] an owner;
//! [`store`] keeps shares of models.

mod asking;
pub mod client;
pub mod config;
mod control;
#[cfg(feature = "seeded")]
pub mod faults;
mod fresh;
#[cfg(feature = "seeded")]
pub mod fuzz;
pub mod identity;
mod limits;
mod link;
pub mod probe;
mod reading;
mod room;
mod secrets;
pub mod server;
pub mod setup;
pub mod store;
mod tls;
pub mod transport;
mod wire;

pub use asking::Asking;
pub use client::{Connection, Manners};
pub use config::{ClientSetup, Cluster, PartyConfig, PartySetup};
pub use control::{ModelFacts, Status, Why};
pub use identity::{Fingerprint, Generated, Identity};
pub use server::{Metrics, Server};
