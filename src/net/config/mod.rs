//! Configuration: `cluster.toml`, the same everywhere; `party.toml`, of one party; and the files of a client.

mod cluster;
mod party;
mod setup;

pub use super::limits::Limits;
pub use cluster::{Client, Cluster, LinkFigures, Peer, SignChoice};
pub use party::PartyConfig;
pub use setup::{ClientSetup, PartySetup};
