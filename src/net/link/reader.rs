//! Reader of a link: the thread that receives, decrypts and hands on records until something is wrong.

use super::{
    records::{Record, RecordAssembler},
    socket::{CHUNK, Socket, failure},
};
use crate::{
    Error, Result,
    net::{budget::Permit, control::Control, wire::Kind},
};
use std::convert::Infallible;
use zeroize::Zeroizing;

/// Content of an inbound record.
pub enum Incoming {
    /// A control message.
    Control(Control),
    /// Parcels, as they lie in the record.
    Parcels(Zeroizing<Vec<u8>>),
    /// A piece of an upload.
    Piece(Zeroizing<Vec<u8>>),
    /// The other side is alive.
    Alive,
}

/// Handler of inbound records, with the permit for the memory that each takes; its error ends the link.
pub type Handler<'a> = dyn FnMut(Incoming, Option<Permit>) -> Result<()> + Send + 'a;

/// Reads records until something is wrong: the reason.
pub fn run(socket: &Socket, mut records: RecordAssembler, handler: &mut Handler<'_>) -> Error {
    let Err(error) = read(socket, &mut records, handler);
    error
}

fn read(socket: &Socket, records: &mut RecordAssembler, handler: &mut Handler<'_>) -> Result<Infallible> {
    let mut cipher = vec![0; 4 * CHUNK];
    // what came with the handshake
    assemble(socket, records, handler)?;
    loop {
        let n = socket.receive(&mut cipher).map_err(|e| failure(&e))?;
        if n == 0 {
            return Err(records.closed());
        }
        let mut rest = &cipher[..n];
        while !rest.is_empty() {
            if !socket.decrypt(&mut rest)? {
                return Err(records.closed());
            }
            assemble(socket, records, handler)?;
        }
    }
}

/// Hands on the records of which all bytes have been decrypted.
fn assemble(socket: &Socket, records: &mut RecordAssembler, handler: &mut Handler<'_>) -> Result<()> {
    while let Some(n) = socket.plain(records.buffer())? {
        if n == 0 {
            return Err(records.closed());
        }
        advance(n, records, handler)?;
    }
    Ok(())
}

/// Accounts for `n` decrypted bytes, and hands on the record that they complete, if they do.
fn advance(n: usize, records: &mut RecordAssembler, handler: &mut Handler<'_>) -> Result<()> {
    let Some(Record { kind, body, permit }) = records.advance(n)? else { return Ok(()) };
    let incoming = parse(kind, body)?;
    match &incoming {
        Incoming::Control(Control::BeginSession { session }) => records.begin_session(*session),
        Incoming::Control(Control::Goodbye { text }) => {
            return Err(Error::Peer(format!("has ended the connection: {text}")));
        }
        _ => {}
    }
    handler(incoming, permit)
}

/// Reads the records of bytes that have been decrypted, as [`run`] does of a socket: for fuzz targets.
#[cfg(feature = "internals")]
pub fn read_plain(mut bytes: &[u8], mut records: RecordAssembler, handler: &mut Handler<'_>) -> Result<()> {
    while !bytes.is_empty() {
        let buffer = records.buffer();
        let (part, rest) = bytes.split_at(buffer.len().min(bytes.len()));
        buffer[..part.len()].copy_from_slice(part);
        advance(part.len(), &mut records, handler)?;
        bytes = rest;
    }
    Ok(())
}

fn parse(kind: Kind, body: Zeroizing<Vec<u8>>) -> Result<Incoming> {
    Ok(match kind {
        Kind::Alive => Incoming::Alive,
        Kind::Parcels => Incoming::Parcels(body),
        Kind::Piece => Incoming::Piece(body),
        Kind::Control => Incoming::Control(Control::read(&body)?),
    })
}
