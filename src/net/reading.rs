//! What comes on a link: records, checked and put together as their bytes come.
//!
//! Magic, session, sequence and length are checked before there is room for a body; room is taken before memory is.

use super::{
    control::Control,
    fresh::Intake,
    link::{CHUNK, Link, broken},
    room::Held,
    secrets::{Id, grow},
    wire::{Header, Kind, RECORD_HEADER, clip, unpack},
};
use crate::{Error, Result};
use std::{
    io::{self, ErrorKind, Read},
    sync::atomic::Ordering,
};
use zeroize::Zeroizing;

/// What has come.
pub(super) enum Incoming {
    Control(Control),
    Parcels(Zeroizing<Vec<u8>>),
    Piece(Zeroizing<Vec<u8>>),
    Alive,
}

/// What is told of a record that has come.
type On<'a> = &'a mut dyn FnMut(Incoming, Option<Held>, &Link) -> Result<()>;

impl Link {
    /// Reads until something is wrong, and says what.
    pub(super) fn read_all(&self, sequence: u64, on: On<'_>) -> Error {
        let mut cipher = vec![0; 4 * CHUNK];
        let mut reading = Reading { session: [0; 16], sequence, head: [0; RECORD_HEADER], got: 0, body: None };
        // what came with the handshake
        let mut read = self.take(&mut reading, on);
        loop {
            if let Err(error) = read {
                return error;
            }
            let n = match (&self.0.tcp).read(&mut cipher) {
                Ok(0) => return reading.closed(),
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return broken(&e),
            };
            self.0.counted.received.fetch_add(n as u64, Ordering::Relaxed);
            self.0.heard.store(self.0.began.elapsed().as_millis() as u64, Ordering::Relaxed);
            read = self.decrypt(&cipher[..n], &mut reading, on);
        }
    }

    fn decrypt(&self, mut cipher: &[u8], reading: &mut Reading, on: On<'_>) -> Result<()> {
        while !cipher.is_empty() {
            {
                let mut tls = self.tls();
                // nothing is taken after the end of TLS
                if tls.read_tls(&mut cipher).map_err(|e| broken(&e))? == 0 {
                    return Err(reading.closed());
                }
                tls.process_new_packets().map_err(|e| broken(&io::Error::new(ErrorKind::InvalidData, e)))?;
            }
            self.take(reading, on)?;
        }
        Ok(())
    }

    /// Takes what has been decrypted; records that are complete are handed on.
    fn take(&self, reading: &mut Reading, on: On<'_>) -> Result<()> {
        loop {
            let read = {
                let mut tls = self.tls();
                let mut reader = tls.reader();
                match &mut reading.body {
                    None => reader.read(&mut reading.head[reading.got..]),
                    Some(body) => reader.read(&mut body.bytes[reading.got..]),
                }
            };
            match read {
                Ok(0) => return Err(reading.closed()),
                Ok(n) => reading.got += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(broken(&e)),
            }
            if reading.body.is_none() && reading.got == RECORD_HEADER {
                let header = Header::parse(&reading.head, self.0.options.limit)?;
                check(&header, header.kind, &reading.session, reading.sequence)?;
                reading.sequence += 1;
                reading.got = 0;
                reading.body = Some(Body::new(header, &self.0.options.intake)?);
            }
            if let Some(body) = &mut reading.body
                && body.bytes.len() == reading.got
                && !body.is_whole()
            {
                body.grow()?;
            }
            if let Some(Body { header, bytes, held }) = reading.body.take_if(|body| body.is_whole() && body.bytes.len() == reading.got) {
                reading.got = 0;
                let incoming = match header.kind {
                    Kind::Alive => Incoming::Alive,
                    Kind::Parcels => Incoming::Parcels(bytes),
                    Kind::Piece => Incoming::Piece(bytes),
                    Kind::Control => Incoming::Control(match unpack(&bytes)? {
                        Control::Refused { request, why, text } => Control::refused(request, why, &text),
                        control => control,
                    }),
                };
                match &incoming {
                    Incoming::Control(Control::Begin { session }) => reading.session = *session,
                    Incoming::Control(Control::Goodbye { text }) => {
                        return Err(Error::Peer(format!("has ended the connection: {}", clip(text))));
                    }
                    _ => {}
                }
                on(incoming, held, self)?;
            }
        }
    }
}

/// A record that is coming in.
struct Reading {
    session: Id,
    sequence: u64,
    head: [u8; RECORD_HEADER],
    /// Bytes of the head, or of the body.
    got: usize,
    body: Option<Body>,
}

impl Reading {
    /// The other side sends nothing more.
    fn closed(&self) -> Error {
        let within = if self.got > 0 || self.body.is_some() { " within a record" } else { "" };
        Error::Peer(format!("closed the connection{within}"))
    }
}

/// What comes after a head: bytes for which there is room, as many as have come or a part that comes next.
struct Body {
    header: Header,
    bytes: Zeroizing<Vec<u8>>,
    held: Option<Held>,
}

/// Bytes of a body for which there is room at once.
const AT_ONCE: u64 = 1 << 20;

/// A record takes more room than its body has bytes.
const RECORD: u64 = 256;

impl Body {
    fn new(header: Header, intake: &Intake) -> Result<Self> {
        let (first, held) = match intake {
            Intake::Free => (header.length, None),
            Intake::Waits(room) => (header.length, Some(room.wait(header.length + RECORD))),
            Intake::Refuses(room) => {
                let first = header.length.min(AT_ONCE);
                (first, Some(room.take(first + RECORD).ok_or_else(|| Self::refused(room.limit()))?))
            }
        };
        Ok(Self { header, bytes: Zeroizing::new(vec![0; first as usize]), held })
    }

    fn is_whole(&self) -> bool {
        self.bytes.len() as u64 == self.header.length
    }

    /// Room for as much again.
    fn grow(&mut self) -> Result<()> {
        let more = (self.header.length - self.bytes.len() as u64).min(self.bytes.len() as u64);
        if let Some(held) = &mut self.held
            && !held.grow(more)
        {
            return Err(Self::refused(self.header.length));
        }
        let length = self.bytes.len() + more as usize;
        grow(&mut self.bytes, length);
        self.bytes.resize(length, 0);
        Ok(())
    }

    fn refused(bytes: u64) -> Error {
        Error::Peer(format!("has more under way than it may: there is no room for {bytes} bytes"))
    }
}

pub(super) fn check(header: &Header, kind: Kind, session: &Id, sequence: u64) -> Result<()> {
    if header.kind != kind {
        return Err(Error::Peer(format!("sent {:?} before the two knew each other", header.kind)));
    }
    if header.sequence != sequence {
        let what = if header.sequence < sequence { "repeated" } else { "left out" };
        return Err(Error::Peer(format!("{what} a record: number {} came where {sequence} was due", header.sequence)));
    }
    if header.session != *session {
        return Err(Error::Peer("sent a record of another session".into()));
    }
    Ok(())
}
