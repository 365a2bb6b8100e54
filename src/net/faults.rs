//! Parties that misbehave on purpose (feature `seeded`): for the tests of what the others do then.

use super::{
    ClientSetup,
    client::meet,
    config::Limits,
    control::{Ask, Control, Hello},
    fresh::{Fresh, Options},
    link::{Link, broken},
    secrets::random,
    tls,
    wire::{Header, Kind, parcel_header},
};
use crate::{Error, Result, nn::Reveal};
use std::io::{Read, Write};
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

impl Link {
    /// A fault that is due comes instead of the record, or before it.
    pub(super) fn sabotage(&self, header: Header) -> Option<Header> {
        let plan = match &self.0.options.fault {
            Some(plan) => plan,
            None => return Some(header),
        };
        match plan.due(header.kind == Kind::Parcels) {
            None => return Some(header),
            Some(Fault::Stop) => self.kill(Error::Peer("stopped on purpose".into())),
            Some(Fault::Stall) => {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            Some(Fault::Garbage) => {
                let _ = self.encrypt(&[0xa5; 400], &mut Vec::new());
            }
            Some(Fault::RawGarbage) => {
                let _ = self.send(&[0x16; 400]);
            }
            Some(Fault::Truncated) => {
                let _ = self.encrypt(&Header { length: header.length + 1000, ..header }.bytes(), &mut Vec::new());
                self.kill(Error::Peer("stopped on purpose".into()));
            }
            Some(Fault::Oversized) => {
                let _ = self.encrypt(&Header { length: u64::MAX / 2, ..header }.bytes(), &mut Vec::new());
            }
            Some(Fault::Repeated) => return Some(Header { sequence: header.sequence.saturating_sub(1), ..header }),
            Some(Fault::Replayed) => return Some(Header { session: header.session.map(|byte| !byte), ..header }),
        }
        None
    }
}

/// A client that knows no manners.
pub struct Rude(Fresh);

impl Rude {
    /// Meets a party as a client does.
    pub fn meet(setup: &ClientSetup, number: usize) -> Result<Self> {
        let limits = Limits { connect_seconds: 20.0, ..Limits::default() };
        let mut fresh = meet(setup, number, &Options::new(&limits, None), false)?.fresh;
        fresh.tls.set_buffer_limit(None);
        Ok(Self(fresh))
    }

    /// Asks for a model without its shares.
    pub fn ask(&mut self, model: &str) -> Result<()> {
        let (request, reveal) = (*random::<16>()?, Reveal::Logits);
        self.0.send(&Control::Ask(Ask { request, model: model.into(), count: 1, reveal, lead: 0, ahead: false, patience: 10_000 }))
    }

    /// Asks for a model and sends these bytes as shares.
    pub fn ask_with(&mut self, model: &str, shares: &[u8]) -> Result<()> {
        let (request, reveal) = (*random::<16>()?, Reveal::Logits);
        self.0.send(&Control::Ask(Ask { request, model: model.into(), count: 1, reveal, lead: 0, ahead: false, patience: 10_000 }))?;
        let parcel = [&parcel_header(&request, shares.len())[..], shares].concat();
        self.0.sequences[0] += 1;
        let header = Header { kind: Kind::Parcels, session: [0; 16], sequence: self.0.sequences[0] - 1, length: parcel.len() as u64 };
        self.write(&[&header.bytes()[..], &parcel].concat())
    }

    /// Says that a record of so many bytes comes, and sends some.
    pub fn promise(&mut self, length: u64, sent: usize) -> Result<()> {
        let header = Header { kind: Kind::Parcels, session: [0; 16], sequence: self.0.sequences[0], length };
        self.write(&header.bytes())?;
        self.write(&vec![0; sent])
    }

    /// Ends TLS, and goes on sending.
    pub fn outlive_tls(&mut self) -> Result<()> {
        self.0.tls.send_close_notify();
        self.write(&[])?;
        std::thread::sleep(std::time::Duration::from_millis(50));
        self.0.tcp.write_all(&[1; 100]).map_err(|e| broken(&e))
    }

    /// Wants bytes back that it never reads, until the party takes no more; how many it has sent.
    pub fn echoes(&mut self, size: usize, most: usize) -> usize {
        (0..most).take_while(|_| self.0.send(&Control::Echo { bytes: vec![7; size] }).is_ok()).count()
    }

    /// The next answer.
    pub fn refusal(&mut self) -> Result<String> {
        match self.0.receive()? {
            Control::Refused { text, .. } => Ok(text),
            _ => Err(Error::Peer("answered with something else".into())),
        }
    }

    /// Reads to the end of the connection; false if it does not come in this time.
    pub fn is_cut_off(&self, within: std::time::Duration) -> bool {
        let mut rest = [0; 4096];
        let began = std::time::Instant::now();
        while began.elapsed() < within {
            let _ = self.0.tcp.set_read_timeout(Some(within));
            match (&self.0.tcp).read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(e) => return !matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
            }
        }
        false
    }

    fn write(&mut self, plain: &[u8]) -> Result<()> {
        self.0.tls.writer().write_all(plain).map_err(|e| broken(&e))?;
        while self.0.tls.wants_write() {
            self.0.tls.write_tls(&mut self.0.tcp).map_err(|e| broken(&e))?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Rude {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rude")
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
