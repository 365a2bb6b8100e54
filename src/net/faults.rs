//! Parties that misbehave on purpose (feature `seeded`): for the tests of what the others do then.

use super::{
    ClientSetup,
    config::Limits,
    fresh::{Fresh, Options},
    tls,
    wire::{Control, Hello},
};
use crate::{Error, Result};
use std::sync::atomic::{AtomicI64, Ordering};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// All connections of the party break.
    Stop,
    /// Nothing is sent any more, not even that the party is alive; the connections stay open.
    Stall,
    /// Bytes that are no record, inside TLS.
    Garbage,
    /// Bytes that are no TLS.
    RawGarbage,
    /// A record that ends too soon.
    Truncated,
    /// A record that says it is huge.
    Oversized,
    /// A record with the number of the one before.
    Repeated,
    /// A record of another session.
    Replayed,
}

/// When it goes wrong: before the frame of this number, counted over all links of a party, whose frames have records of their own.
#[derive(Debug)]
pub struct Plan {
    fault: Fault,
    left: AtomicI64,
}

impl Plan {
    /// Goes wrong after so many frames.
    pub fn new(fault: Fault, after: u32) -> Self {
        Self { fault, left: AtomicI64::new(i64::from(after)) }
    }

    /// Whether it has come to that.
    pub fn happened(&self) -> bool {
        self.left.load(Ordering::Relaxed) < 0
    }

    pub(super) fn due(&self, parcels: bool) -> Option<Fault> {
        if parcels && !self.happened() && self.left.fetch_sub(1, Ordering::Relaxed) > 0 {
            return None;
        }
        self.happened().then_some(self.fault)
    }
}

/// Says HELLO with any version and as any party, and gives back why the party refuses.
pub fn hello(setup: &ClientSetup, number: usize, version: u16, party: Option<u8>) -> Result<()> {
    let peer = &setup.cluster.party[number];
    let options = Options::new(&Limits { connect_seconds: 3.0, ..Limits::default() }, None);
    let mut fresh = Fresh::dial(&peer.address, tls::dialler(&setup.identity, peer.certificate)?, &options)?;
    let cluster = setup.cluster.hash()?;
    fresh.send(&Control::Hello(Hello {
        version,
        program: "another".into(),
        party,
        probe: false,
        prepares: false,
        cluster,
        clock: 0,
        contribution: None,
    }))?;
    match fresh.receive()? {
        Control::Refused { text, .. } => Err(Error::Peer(format!("party {number} refused: {text}"))),
        _ => Ok(()),
    }
}
