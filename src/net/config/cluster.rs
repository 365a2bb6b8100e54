//! `cluster.toml`: the parties and clients of a cluster, the same everywhere and without secrets.

use crate::{
    Error, Result,
    fixed::Fixed,
    net::{identity::Fingerprint, secrets::sha256},
    party::Net,
    protocol::Sign,
    text::printable,
};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

/// Configuration that all three parties and all clients must have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Bits of the ring: 64.
    #[serde(default = "ring_bits")]
    pub ring_bits: u32,
    /// Fraction bits of fixed-point numbers.
    pub fraction_bits: u32,
    /// Way of computing signs.
    #[serde(default)]
    pub sign: SignChoice,
    /// The network between the parties, as `sign = "auto"` is to see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<LinkFigures>,
    /// The three parties, in the order of their numbers.
    pub party: Vec<Peer>,
    /// Clients, and what each may do.
    #[serde(default)]
    pub client: Vec<Client>,
}

/// Choice of sign, as the command line's `--sign`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignChoice {
    /// The tree of six rounds.
    Six,
    /// The tree of five.
    Five,
    /// The short sign.
    Short,
    /// The one that is fastest on the cluster's network.
    #[default]
    Auto,
}

impl From<SignChoice> for Sign {
    fn from(choice: SignChoice) -> Self {
        match choice {
            SignChoice::Six => Self::Six,
            SignChoice::Five => Self::Five,
            SignChoice::Short => Self::Short,
            SignChoice::Auto => Self::Auto,
        }
    }
}

/// Latency and bandwidth of each link, each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkFigures {
    /// One way, in microseconds.
    pub latency_us: u64,
    /// Bits a second.
    pub bits_per_second: u64,
}

impl From<LinkFigures> for Net {
    fn from(LinkFigures { latency_us, bits_per_second }: LinkFigures) -> Self {
        Self { latency_us, bits_per_second }
    }
}

/// A party as the others know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Host and port.
    pub address: String,
    /// Its certificate.
    pub certificate: Fingerprint,
}

/// An owner of data or of models, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Name, for logs: at most 100 bytes that can be shown.
    pub name: String,
    /// Its certificate.
    pub certificate: Fingerprint,
    /// Whether it may upload models.
    #[serde(default)]
    pub upload: bool,
    /// Models that it may use, by name; one with `*` at its end stands for all that begin so.
    #[serde(default)]
    pub models: Vec<String>,
}

impl Client {
    /// Whether it may ask for a model of this name.
    pub fn may_use(&self, model: &str) -> bool {
        self.models.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => model.starts_with(beginning),
            None => model == pattern,
        })
    }
}

fn ring_bits() -> u32 {
    64
}

impl Cluster {
    /// Reads and checks a file.
    pub fn open(path: &Path) -> Result<Self> {
        Self::parse(&read_text(path)?).map_err(|e| at(path, &e))
    }

    /// Parses and checks a text.
    pub fn parse(text: &str) -> Result<Self> {
        let cluster: Self = toml::from_str(text).map_err(|e| Error::Input(e.to_string()))?;
        let bad = |what: String| Err(Error::Input(what));
        if cluster.ring_bits != 64 {
            return bad(format!("ring_bits = {}: this version computes modulo 2^64", cluster.ring_bits));
        }
        Fixed::new(cluster.fraction_bits)?;
        if cluster.party.len() != 3 {
            return bad(format!("{} entries [[party]]: there are three parties", cluster.party.len()));
        }
        if let Some(net) = cluster.network
            && net.bits_per_second == 0
        {
            return bad("network: bits_per_second = 0".into());
        }
        let mut seen = Vec::new();
        let parties = cluster.party.iter().enumerate().map(|(i, party)| (format!("party {i}"), party.certificate));
        let clients = cluster.client.iter().map(|client| (format!("client '{}'", client.name), client.certificate));
        for (who, certificate) in parties.chain(clients) {
            if let Some((other, _)) = seen.iter().find(|(_, c)| *c == certificate) {
                return bad(format!("{who} has the same certificate as {other}"));
            }
            seen.push((who, certificate));
        }
        for (i, party) in cluster.party.iter().enumerate() {
            if !party.address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
                return bad(format!("party {i}: address '{}' is not host:port", party.address));
            }
        }
        if let Some(client) = cluster.client.iter().find(|client| client.name.is_empty()) {
            return bad(format!("a client without a name ({})", client.certificate));
        }
        if let Some(client) = cluster.client.iter().find(|client| client.name.len() > 100 || printable(&client.name) != client.name) {
            return bad(format!(
                "client '{}': a name for logs has at most 100 bytes, and none that cannot be shown",
                printable(&client.name)
            ));
        }
        Ok(cluster)
    }

    /// Text of the file.
    pub fn to_text(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Input(e.to_string()))
    }

    /// SHA-256 of the configuration, whatever the file's layout.
    pub fn hash(&self) -> Result<[u8; 32]> {
        Ok(sha256(&[self.to_text()?.as_bytes()]))
    }

    /// The party of a certificate.
    pub fn party_of(&self, certificate: Fingerprint) -> Option<usize> {
        self.party.iter().position(|party| party.certificate == certificate)
    }

    /// The client of a certificate.
    pub fn client_of(&self, certificate: Fingerprint) -> Option<&Client> {
        self.client.iter().find(|client| client.certificate == certificate)
    }

    /// Fixed-point numbers.
    pub fn fixed(&self) -> Result<Fixed> {
        Fixed::new(self.fraction_bits)
    }
}

/// Text of a file.
pub fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|e| Error::File(format!("{}: {e}", path.display())))
}

/// Error with the file that it is about.
pub fn at(path: &Path, error: &Error) -> Error {
    Error::Input(format!("{}: {error}", path.display()))
}
