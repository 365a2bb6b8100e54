//! Misbehaving client (feature `seeded`): does on purpose what no client does that means well, for tests of what parties do then.

use super::connection::{introduce, introduction};
use crate::{
    Error, Result,
    net::{
        config::{ClientSetup, Limits},
        control::{Control, Hello, InferRequest, Upload},
        link::{Handshake, LinkOptions, failure},
        meaning::Meaning,
        secrets::{Id, random},
        tls,
        wire::{Header, Kind, pack, parcel_header},
    },
    nn::{Program, Reveal},
};
use std::{
    io::{ErrorKind, Read, Write},
    time::{Duration, Instant},
};

/// Client that misbehaves after a proper HELLO.
pub struct MisbehavingClient(Handshake);

impl MisbehavingClient {
    /// Connects to a party as a client does.
    pub fn connect(setup: &ClientSetup, number: usize) -> Result<Self> {
        let mut handshake = introduce(setup, number, &options(20.0), false)?.handshake;
        handshake.tls.set_buffer_limit(None);
        Ok(Self(handshake))
    }

    /// Says HELLO with any version and as any party; the reason if the party refuses.
    pub fn hello(setup: &ClientSetup, number: usize, version: u16, party: Option<u8>) -> Result<()> {
        let peer = &setup.cluster.party[number];
        let mut handshake = Handshake::dial(&peer.address, tls::dialler(&setup.identity, peer.certificate)?, &options(3.0))?;
        let hello = introduction(setup, false)?.hello();
        handshake.send(&Control::Hello(Hello { version, party, ..hello }))?;
        match handshake.receive()? {
            Control::Refused { text, .. } => Err(Error::Peer(format!("party {number} refused: {text}"))),
            _ => Ok(()),
        }
    }

    /// Asks for a model without its shares.
    pub fn ask(&mut self, model: &str) -> Result<()> {
        self.request(model).map(drop)
    }

    /// Asks for a model and sends these bytes as shares.
    pub fn ask_with(&mut self, model: &str, shares: &[u8]) -> Result<()> {
        let request = self.request(model)?;
        let parcel = [&parcel_header(&request, shares.len())[..], shares].concat();
        let header = self.header(parcel.len() as u64);
        self.0.sent += 1;
        self.write(&[&header.bytes()[..], &parcel].concat())
    }

    /// Announces an upload of a program whose shares mean other things, by their fields in order; the reason if the party refuses.
    pub fn upload(&mut self, setup: &ClientSetup, name: &str, program: &Program, change: impl Fn(&mut [u32; 5])) -> Result<()> {
        let Meaning { program_format, share_format, ring_bits, fraction_bits, range_bits } = Meaning::of(program, &setup.cluster);
        let mut fields = [program_format, share_format, ring_bits, fraction_bits, range_bits];
        change(&mut fields);
        let [program_format, share_format, ring_bits, fraction_bits, range_bits] = fields;
        let meaning = Meaning { program_format, share_format, ring_bits, fraction_bits, range_bits };
        let (architecture, number) = (pack(program)?.to_vec(), *random::<16>()?);
        self.0.send(&Control::Upload(Upload { name: name.into(), meaning, architecture, uploaded: 0, number, bytes: 66 }))?;
        match self.0.receive()? {
            Control::Refused { text, .. } => Err(Error::Peer(text)),
            _ => Ok(()),
        }
    }

    /// Numbers the model whose upload was announced; the reason if the party refuses.
    pub fn number(&mut self, version: u32) -> Result<()> {
        self.0.send(&Control::Number { version })?;
        self.0.send(&Control::Echo { bytes: Vec::new() })?;
        match self.0.receive()? {
            Control::Refused { text, .. } => Err(Error::Peer(text)),
            _ => Ok(()),
        }
    }

    /// Says HELLO with a program's version that is a text of any kind; the reason if the party refuses.
    pub fn hello_from(setup: &ClientSetup, number: usize, program: &str) -> Result<()> {
        let peer = &setup.cluster.party[number];
        let mut handshake = Handshake::dial(&peer.address, tls::dialler(&setup.identity, peer.certificate)?, &options(3.0))?;
        let hello = introduction(setup, false)?.hello();
        handshake.send(&Control::Hello(Hello { version: 0, program: program.into(), ..hello }))?;
        match handshake.receive()? {
            Control::Refused { text, .. } => Err(Error::Peer(text)),
            _ => Ok(()),
        }
    }

    /// Ends the connection with these words.
    pub fn end(mut self, text: &str) -> Result<()> {
        self.0.send(&Control::Goodbye { text: text.into() })
    }

    /// Announces a record of so many bytes, and sends some.
    pub fn promise(&mut self, length: u64, sent: usize) -> Result<()> {
        let header = self.header(length);
        self.write(&header.bytes())?;
        self.write(&vec![0; sent])
    }

    /// Ends TLS, and goes on sending.
    pub fn outlive_tls(&mut self) -> Result<()> {
        self.0.tls.send_close_notify();
        self.write(&[])?;
        std::thread::sleep(Duration::from_millis(50));
        self.0.tcp.write_all(&[1; 100]).map_err(|e| failure(&e))
    }

    /// Asks for echoes that it never reads, at most so many, until the party takes no more; their number.
    pub fn echoes(&mut self, size: usize, most: usize) -> usize {
        (0..most).take_while(|_| self.0.send(&Control::Echo { bytes: vec![7; size] }).is_ok()).count()
    }

    /// Text of the next reply, which is a refusal.
    pub fn refusal(&mut self) -> Result<String> {
        match self.0.receive()? {
            Control::Refused { text, .. } => Ok(text),
            _ => Err(Error::Peer("answered with something else".into())),
        }
    }

    /// Reads to the end of the connection; false if it does not come in this time.
    pub fn is_cut_off(&self, within: Duration) -> bool {
        let mut rest = [0; 4096];
        let began = Instant::now();
        while began.elapsed() < within {
            // a socket without a time-out fails the test by its duration
            let _ = self.0.tcp.set_read_timeout(Some(within));
            match (&self.0.tcp).read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(e) => return !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            }
        }
        false
    }

    fn request(&mut self, model: &str) -> Result<Id> {
        let request = *random::<16>()?;
        self.0.send(&Control::Infer(InferRequest {
            request,
            model: model.into(),
            count: 1,
            reveal: Reveal::Logits,
            lead: 0,
            preprocessed: false,
            timeout: 10_000,
        }))?;
        Ok(request)
    }

    fn header(&self, length: u64) -> Header {
        Header { kind: Kind::Parcels, session: [0; 16], sequence: self.0.sent, length }
    }

    fn write(&mut self, plain: &[u8]) -> Result<()> {
        self.0.tls.writer().write_all(plain).map_err(|e| failure(&e))?;
        while self.0.tls.wants_write() {
            self.0.tls.write_tls(&mut self.0.tcp).map_err(|e| failure(&e))?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for MisbehavingClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MisbehavingClient")
    }
}

fn options(connect_seconds: f64) -> LinkOptions {
    LinkOptions::new(&Limits { connect_seconds, ..Limits::default() }, None)
}
