//! Setup of three parties and an owner on one machine: the files that they need.

use super::{
    config::{Client, Cluster, Limits, LinkFigures, PartyConfig, Peer, SignChoice},
    identity::{Generated, Identity, write_secret},
    secrets::random,
};
use crate::{Error, Result};
use std::{fs, net::SocketAddr, path::Path};

/// Days for which certificates are valid.
pub const DAYS: u32 = 825;

/// Writes `cluster.toml`, and for each party `party0.toml` with its key, certificate and the key of its store; and a client that
/// may do everything, `owner`. Nothing that is there is overwritten: that is an error.
pub fn local(folder: &Path, ports: [u16; 3], device: &str, shape: Option<LinkFigures>, limits: &Limits) -> Result<()> {
    let at = |path: &Path, e: std::io::Error| Error::File(format!("{}: {e}", path.display()));
    fs::create_dir_all(folder).map_err(|e| at(folder, e))?;
    let made = |name: &str| -> Result<Generated> {
        let generated = Identity::generate(name, DAYS)?;
        generated.write(&folder.join(format!("{name}.crt")), &folder.join(format!("{name}.key")))?;
        Ok(generated)
    };
    // three parties share this machine's cores
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(3));
    let mut party = Vec::new();
    for (number, port) in ports.into_iter().enumerate() {
        let name = format!("party{number}");
        party.push(Peer { address: format!("127.0.0.1:{port}"), certificate: made(&name)?.fingerprint });
        store_key(&folder.join(format!("{name}.store.key")))?;
        let config = PartyConfig {
            party: number,
            cluster: "cluster.toml".into(),
            certificate: format!("{name}.crt").into(),
            key: format!("{name}.key").into(),
            listen: SocketAddr::from(([127, 0, 0, 1], port)),
            store: format!("{name}.store").into(),
            store_key: format!("{name}.store.key").into(),
            device: device.into(),
            threads,
            memory: None,
            prepare: 0,
            metrics: None,
            limits: limits.clone(),
            shape,
        };
        write_new(&folder.join(format!("{name}.toml")), &config.to_text()?)?;
    }
    let owner = Client { name: "owner".into(), certificate: made("owner")?.fingerprint, upload: true, models: vec!["*".into()] };
    let cluster = Cluster { ring_bits: 64, fraction_bits: 20, sign: SignChoice::Auto, network: shape, party, client: vec![owner] };
    let text = cluster.to_text()?;
    Cluster::parse(&text)?;
    write_new(&folder.join("cluster.toml"), &text)
}

/// Writes the key of a store.
pub fn store_key(path: &Path) -> Result<()> {
    write_secret(path, &*random::<32>()?)
}

fn write_new(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    let written = fs::File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|e| Error::File(format!("{}: {e}", path.display())))
}
