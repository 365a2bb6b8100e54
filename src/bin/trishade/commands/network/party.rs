//! `trishade party`: one of three parties, until a signal ends it.

use super::log;
use crate::{args::Party, engine, failure::Failure, memory};
use std::time::Duration;
use trishade::{
    Error,
    device::Device,
    net::{PartySetup, Server},
};

pub fn run(options: &Party) -> Result<(), Failure> {
    let mut setup = PartySetup::open(&options.config)?;
    setup.config.prepare = options.prepare.unwrap_or(setup.config.prepare);
    log::start(options.log);
    let device = engine::device(&setup.config.device, setup.config.threads, false)?;
    if matches!(device, Device::Cpu(_)) {
        setup.config.memory = setup.config.memory.or_else(memory::available);
    }
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT])
        .map_err(|e| Error::Device(format!("signals cannot be caught: {e}")))?;
    let server = Server::start(setup, device)?;
    let signal = loop {
        if let Some(signal) = signals.pending().next() {
            break signal;
        }
        if server.is_broken() {
            return Err(Error::Device("a thread of the party has failed; the log says which".into()).into());
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    tracing::info!(signal, "stopping");
    server.stop();
    Ok(())
}
