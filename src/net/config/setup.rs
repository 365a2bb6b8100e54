//! The files of a party or of a client, read and found to fit each other.

use super::{
    cluster::{Cluster, at, read_text},
    party::PartyConfig,
};
use crate::{
    Error, Result,
    net::{
        identity::{Identity, read_secret},
        tls,
    },
};
use std::path::Path;
use zeroize::Zeroizing;

/// A party's files, read and found to fit each other.
#[derive(Debug, Clone)]
pub struct PartySetup {
    /// The party's own configuration.
    pub config: PartyConfig,
    /// The cluster's configuration.
    pub cluster: Cluster,
    /// The party's key and certificate.
    pub identity: Identity,
    /// Key of the shares that it keeps.
    pub store_key: Zeroizing<Vec<u8>>,
}

impl PartySetup {
    /// Reads `party.toml` and the files that it names.
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
    /// The cluster's configuration.
    pub cluster: Cluster,
    /// The client's key and certificate.
    pub identity: Identity,
}

impl ClientSetup {
    /// Reads and checks the files.
    pub fn open(cluster: &Path, certificate: &Path, key: &Path) -> Result<Self> {
        let setup = Self { cluster: Cluster::open(cluster)?, identity: Identity::open(certificate, key)? };
        if let Some(fault) = setup.identity.validity()?.fault() {
            return Err(Error::Input(format!("{}: {fault}; make a new one with `trishade keygen`", certificate.display())));
        }
        Ok(setup)
    }
}
