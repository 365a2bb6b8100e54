//! `trishade keygen`, `cluster`, `config`: keys and files of parties and clients.

use crate::{
    args::{ClusterCommand, ConfigCommand, Keygen},
    failure::Failure,
    terminal,
};
use trishade::{
    Error,
    net::{Cluster, Identity, PartySetup, config::Limits, setup},
};

pub fn keygen(options: &Keygen) -> Result<(), Failure> {
    let file = |end: &str| options.dir.join(format!("{}.{end}", options.name));
    let made = Identity::generate(&options.name, options.days)?;
    made.write(&file("crt"), &file("key"))?;
    if options.store {
        setup::store_key(&file("store.key"))?;
    }
    terminal::print(&format!("certificate = \"{}\"", made.fingerprint));
    terminal::say(&format!("{} and {} written; the line above goes into cluster.toml", file("key").display(), file("crt").display()));
    Ok(())
}

pub fn cluster(command: &ClusterCommand) -> Result<(), Failure> {
    let ClusterCommand::Init { dir, port, device, net, .. } = command;
    let next = |by| port.checked_add(by).ok_or_else(|| Error::Input(format!("--port {port}: there are no two ports after it")));
    let shape = net.shape();
    setup::local(dir, [*port, next(1)?, next(2)?], device, shape, &Limits::default())?;
    terminal::say(&format!("{}: cluster.toml, party0.toml, party1.toml, party2.toml, and the client `owner`. Next:", dir.display()));
    let dir = dir.display();
    for party in 0..3 {
        terminal::command(&format!("trishade party --config {dir}/party{party}.toml &"));
    }
    terminal::command(&format!("trishade client upload --cluster {dir}/cluster.toml --model MODEL.onnx --name NAME"));
    terminal::command(&format!("trishade client infer --cluster {dir}/cluster.toml --model-id NAME --input INPUTS.npy"));
    Ok(())
}

pub fn config(command: &ConfigCommand) -> Result<(), Failure> {
    let ConfigCommand::Check { files } = command;
    for file in files {
        let text = std::fs::read_to_string(file).map_err(|e| Error::File(format!("{}: {e}", file.display())))?;
        // a party's file says which one it is; a cluster's has a table of them
        let table: toml::Table = text.parse().map_err(|e| Error::Input(format!("{}: {e}", file.display())))?;
        let cluster = match table.get("party") {
            Some(toml::Value::Integer(_)) => {
                let setup = PartySetup::open(file)?;
                let days = setup.identity.validity()?.days_left();
                terminal::say(&format!("{}: party {}, certificate valid for {days} more days", file.display(), setup.config.party));
                setup.cluster
            }
            _ => Cluster::open(file)?,
        };
        let hash: String = cluster.hash()?[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        terminal::say(&format!(
            "{}: cluster {hash}, {} clients; this number must be the same everywhere",
            file.display(),
            cluster.client.len()
        ));
    }
    Ok(())
}
