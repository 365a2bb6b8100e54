//! The client of a command line: its files, its timeout, its network.

use crate::args::Caller;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use trishade::{
    Result,
    net::{ClientOptions, ClientSetup},
};

/// Parties that are started in the same script as their client.
const STARTING: Duration = Duration::from_secs(5);

/// The identity and the options of a client.
pub fn open(caller: &Caller) -> Result<(ClientSetup, ClientOptions)> {
    let beside = || caller.cluster.parent().unwrap_or(Path::new("")).join("owner");
    let stem = caller.identity.clone().unwrap_or_else(beside);
    let file = |end: &str| PathBuf::from(format!("{}.{end}", stem.display()));
    let setup = ClientSetup::open(&caller.cluster, &file("crt"), &file("key"))?;
    let shape = caller.net.shape();
    Ok((setup, ClientOptions { timeout: caller.timeout, shape, retry: STARTING, ..ClientOptions::default() }))
}
