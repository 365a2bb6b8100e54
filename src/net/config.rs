//! `cluster.toml`, the same everywhere and without secrets; `party.toml`, of one party; `client.toml`, of an owner.

pub use super::limits::Limits;

use super::{Fingerprint, Identity, identity::read_secret, secrets::sha256, tls};
use crate::{Error, Result, fixed::Fixed, party::Net, protocol::Sign};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// What all three parties and all clients must have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Bits of the ring: 64.
    #[serde(default = "ring_bits")]
    pub ring_bits: u32,
    /// Fraction bits of fixed-point numbers.
    pub fraction_bits: u32,
    /// How signs are computed.
    #[serde(default)]
    pub sign: SignChoice,
    /// The network between the parties, as `sign = "auto"` is to see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// The three parties, in the order of their numbers.
    pub party: Vec<Peer>,
    /// Who may ask, and for what.
    #[serde(default)]
    pub client: Vec<Client>,
}

/// As the command line's `--sign`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignChoice {
    /// The tree of six rounds.
    Six,
    /// The tree of five.
    Five,
    /// The short one.
    Short,
    /// By the network.
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
pub struct Network {
    /// One way, in microseconds.
    pub latency_us: u64,
    /// Bits a second.
    pub bits_per_second: u64,
}

impl From<Network> for Net {
    fn from(Network { latency_us, bits_per_second }: Network) -> Self {
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
    /// For logs.
    pub name: String,
    /// Its certificate.
    pub certificate: Fingerprint,
    /// Whether it may upload models.
    #[serde(default)]
    pub upload: bool,
    /// Models that it may ask for, by name; one with `*` at its end stands for all that begin so.
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
        Ok(cluster)
    }

    /// As a file.
    pub fn to_text(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Input(e.to_string()))
    }

    /// What all must have in common, whatever the text looks like.
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

    /// [`Error::Model`] if a program is not for this cluster's fraction bits.
    pub(super) fn suits(&self, program: &crate::nn::Program) -> Result<()> {
        let (own, found) = (self.fixed()?.fraction_bits(), program.fixed().fraction_bits());
        match own == found {
            true => Ok(()),
            false => Err(Error::Model(format!("the model has {found} fraction bits, cluster.toml {own}"))),
        }
    }

    /// Fixed-point numbers.
    pub fn fixed(&self) -> Result<Fixed> {
        Fixed::new(self.fraction_bits)
    }
}

/// What one party alone knows.
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
    /// Where it listens.
    pub listen: SocketAddr,
    /// The folder of the shares that it keeps.
    pub store: PathBuf,
    /// The key of those shares, mode 0600.
    pub store_key: PathBuf,
    /// As `--device`.
    #[serde(default = "auto")]
    pub device: String,
    /// Threads of the CPU device; 0 means one a core.
    #[serde(default)]
    pub threads: usize,
    /// Bytes that models and requests under way may hold on the device, as a dry run foresees them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Requests to come whose lead's part is done in idle time, where this party leads.
    #[serde(default)]
    pub prepare: usize,
    /// Where Prometheus reads: a loopback address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<SocketAddr>,
    /// What it bears with.
    #[serde(default)]
    pub limits: Limits,
    /// Makes the links of this party as slow as such a network, for trials on one machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Network>,
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
        if let Some(metrics) = config.metrics.filter(|metrics| !loopback(metrics.ip())) {
            return Err(Error::Input(format!("metrics = \"{metrics}\": a loopback address, such as 127.0.0.1:9300")));
        }
        if config.shape.is_some_and(|shape| shape.bits_per_second == 0) {
            return Err(Error::Input("shape: bits_per_second = 0".into()));
        }
        config.limits.check()?;
        Ok(config)
    }

    /// As a file.
    pub fn to_text(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Input(e.to_string()))
    }
}

fn loopback(ip: IpAddr) -> bool {
    ip.is_loopback()
}

/// A party's files, read and found to fit each other.
#[derive(Debug, Clone)]
pub struct PartySetup {
    /// Its own.
    pub config: PartyConfig,
    /// Everybody's.
    pub cluster: Cluster,
    /// Who it is.
    pub identity: Identity,
    /// The key of what it keeps.
    pub store_key: Zeroizing<Vec<u8>>,
}

impl PartySetup {
    /// Reads `party.toml` and all that it names.
    pub fn open(path: &Path) -> Result<Self> {
        let mut config = PartyConfig::parse(&read_text(path)?).map_err(|e| at(path, &e))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for file in [&mut config.cluster, &mut config.certificate, &mut config.key, &mut config.store, &mut config.store_key] {
            *file = folder.join(&*file);
        }
        let cluster = Cluster::open(&config.cluster)?;
        let identity = Identity::open(&config.certificate, &config.key)?;
        let (number, own) = (config.party, identity.fingerprint());
        if cluster.party[number].certificate != own {
            let (file, pinned) = (config.cluster.display(), cluster.party[number].certificate);
            return Err(Error::Input(format!("{}: the certificate of party {number} is {own}, but {file} pins {pinned}", path.display())));
        }
        if let Some(fault) = identity.validity()?.fault() {
            return Err(Error::Input(format!("{}: party {number}: {fault}; make a new one with `trishade keygen`", path.display())));
        }
        // the key must be the certificate's
        tls::listener(&identity, Vec::new()).map_err(|e| at(path, &e))?;
        let store_key = read_secret(&config.store_key)?;
        if store_key.len() != 32 {
            return Err(Error::File(format!("{}: a store key has 32 bytes, this has {}", config.store_key.display(), store_key.len())));
        }
        Ok(Self { config, cluster, identity, store_key })
    }
}

/// A client's files.
#[derive(Debug, Clone)]
pub struct ClientSetup {
    /// Everybody's.
    pub cluster: Cluster,
    /// Who it is.
    pub identity: Identity,
}

impl ClientSetup {
    /// Reads both.
    pub fn open(cluster: &Path, certificate: &Path, key: &Path) -> Result<Self> {
        let setup = Self { cluster: Cluster::open(cluster)?, identity: Identity::open(certificate, key)? };
        if let Some(fault) = setup.identity.validity()?.fault() {
            return Err(Error::Input(format!("{}: {fault}; make a new one with `trishade keygen`", certificate.display())));
        }
        Ok(setup)
    }
}

fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|e| Error::File(format!("{}: {e}", path.display())))
}

fn at(path: &Path, error: &Error) -> Error {
    Error::Input(format!("{}: {error}", path.display()))
}
