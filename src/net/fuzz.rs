//! Entry points of fuzz targets: each reads bytes of a peer or client as the program does, and says what came of it.

use super::{
    control::Control,
    hello::{Introduction, mismatch},
    link::read_records,
    wire::{Header, Kind, pack, parcel_header, unpack},
};
use crate::{Error, Result, nn::Program};

/// Reads records one after another as a link does, and the body of each by its kind.
pub fn records(bytes: &[u8]) -> Result<()> {
    read_records(bytes)
}

/// Reads a HELLO and compares it with this side's.
pub fn hello(bytes: &[u8]) -> Result<()> {
    match unpack(bytes)? {
        Control::Hello(hello) => mismatch(&hello, &[0; 32]).map_or(Ok(()), |what| Err(Error::Peer(what))),
        _ => Err(Error::Peer("did not begin with HELLO".into())),
    }
}

/// Reads a control message, and gives the bytes that this side would write for it.
pub fn control(bytes: &[u8]) -> Result<Vec<u8>> {
    let control: Control = unpack(bytes)?;
    pack(&control).map(|packed| packed.to_vec())
}

/// Reads a program, which checks it; then what is asked of one that passed, without a model.
pub fn architecture(bytes: &[u8]) -> Result<()> {
    let program: Program = unpack(bytes)?;
    program.input_shapes(3)?;
    program.revealed(3, crate::nn::Reveal::Logits)?;
    Ok(())
}

/// A program as it is sent.
pub fn architecture_bytes(program: &Program) -> Result<Vec<u8>> {
    pack(program).map(|packed| packed.to_vec())
}

/// HELLOs as parties and clients send them.
pub fn hellos() -> Vec<Vec<u8>> {
    let hello = |party, probe| Introduction { party, probe, cluster: [0; 32], preprocesses: true, contribution: None }.hello();
    let hellos = [hello(Some(1), false), hello(None, false), hello(Some(2), true)].map(Control::Hello);
    hellos.iter().filter_map(|hello| pack(hello).ok()).map(|packed| packed.to_vec()).collect()
}

/// A record for each kind and body, in sequence.
pub fn record_bytes(bodies: &[Vec<u8>]) -> Vec<u8> {
    let record = |(sequence, body): (usize, &Vec<u8>)| {
        let parcel = [&parcel_header(&[7; 16], body.len())[..], body].concat();
        let (kind, body) = match sequence % 3 {
            0 => (Kind::Control, body),
            1 => (Kind::Parcels, &parcel),
            _ => (Kind::Piece, body),
        };
        let header = Header { kind, session: [0; 16], sequence: sequence as u64, length: body.len() as u64 };
        [&header.bytes()[..], body].concat()
    };
    bodies.iter().enumerate().flat_map(record).collect()
}
