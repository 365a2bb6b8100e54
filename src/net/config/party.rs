//! `party.toml`: the configuration of one party.

use super::cluster::LinkFigures;
use crate::{Error, Result, net::limits::Limits};
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, path::PathBuf};

/// Configuration of one party.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartyConfig {
    /// Its number.
    pub party: usize,
    /// The cluster's file; paths are seen from this file's folder.
    pub cluster: PathBuf,
    /// Its certificate, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM, mode 0600.
    pub key: PathBuf,
    /// Address on which it listens.
    pub listen: SocketAddr,
    /// The folder of the shares that it keeps.
    pub store: PathBuf,
    /// The key of those shares, mode 0600.
    pub store_key: PathBuf,
    /// Device, as `--device`.
    #[serde(default = "auto")]
    pub device: String,
    /// Threads of the CPU device; 0 means one a core.
    #[serde(default)]
    pub threads: usize,
    /// Bytes that models and requests under way may hold on the device, as a shape-only run foresees them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Requests to come that this party, as their lead, preprocesses in idle time.
    #[serde(default)]
    pub prepare: usize,
    /// Address on which Prometheus reads: a loopback address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<SocketAddr>,
    /// Resource limits.
    #[serde(default)]
    pub limits: Limits,
    /// Makes the links of this party as slow as such a network, for trials on one machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<LinkFigures>,
}

fn auto() -> String {
    "auto".into()
}

impl PartyConfig {
    /// Parses and checks a text.
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|e| Error::Input(e.to_string()))?;
        if config.party > 2 {
            return Err(Error::Input(format!("party = {}: the parties are 0, 1 and 2", config.party)));
        }
        if let Some(metrics) = config.metrics.filter(|metrics| !metrics.ip().is_loopback()) {
            return Err(Error::Input(format!("metrics = \"{metrics}\": it must be a loopback address, such as 127.0.0.1:9300")));
        }
        if config.shape.is_some_and(|shape| shape.bits_per_second == 0) {
            return Err(Error::Input("shape: bits_per_second = 0".into()));
        }
        config.limits.check()?;
        Ok(config)
    }

    /// Text of the file.
    pub fn to_text(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Input(e.to_string()))
    }
}
