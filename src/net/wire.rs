//! Records: what travels inside TLS. Nothing that comes is trusted; nothing is allocated for a length above the limit.
//!
//! A record is a header of 40 bytes (magic, kind, session, sequence, length) and a body. Bodies are control messages, or parcels:
//! frames of the requests under way, each with the request's number and its length before it.

use super::secrets::{Id, reserve};
use crate::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

/// Version of the protocol; both sides must speak the same.
pub(super) const VERSION: u16 = 2;

const MAGIC: u32 = u32::from_le_bytes(*b"TSN\x01");

/// Bytes of a record's header.
pub(super) const RECORD_HEADER: usize = 40;

/// Bytes before a parcel: request and length.
pub(super) const PARCEL_HEADER: usize = 24;

/// Bytes of a control message at most.
pub(super) const MAX_CONTROL: u64 = 64 << 20;

/// Bytes of a piece of an upload.
pub(super) const PIECE: usize = 1 << 20;

/// Content of a record's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// A [`Control`](super::control::Control).
    Control = 1,
    /// Frames between parties; or a client's shares, and a party's summands.
    Parcels = 2,
    /// Part of an upload.
    Piece = 3,
    /// Empty body: the sender is alive.
    Alive = 4,
}

/// The head of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) session: Id,
    pub(super) sequence: u64,
    pub(super) length: u64,
}

impl Header {
    pub(super) fn bytes(&self) -> [u8; RECORD_HEADER] {
        let mut bytes = [0; RECORD_HEADER];
        bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[4] = self.kind as u8;
        bytes[8..24].copy_from_slice(&self.session);
        bytes[24..32].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[32..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    /// Parses a header; `limit` bounds the body.
    pub(super) fn parse(bytes: &[u8; RECORD_HEADER], limit: u64) -> Result<Self> {
        let bad = |what: String| Err(Error::Peer(what));
        let part = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        if bytes[..4] != MAGIC.to_le_bytes() {
            return bad("sent garbage: no record of this version begins so".into());
        }
        let kind = match bytes[4] {
            1 => Kind::Control,
            2 => Kind::Parcels,
            3 => Kind::Piece,
            4 => Kind::Alive,
            other => return bad(format!("sent garbage: a record of kind {other}")),
        };
        let most = match kind {
            Kind::Control => limit.min(MAX_CONTROL),
            Kind::Parcels => limit,
            Kind::Piece => limit.min(PIECE as u64),
            Kind::Alive => 0,
        };
        let length = part(32);
        if length > most {
            return bad(format!("sent an oversized record: {length} bytes, at most {most} are taken"));
        }
        if bytes[5..8] != [0; 3] {
            return bad("sent garbage: a record's head has bits that this version does not know".into());
        }
        Ok(Self { kind, session: std::array::from_fn(|i| bytes[8 + i]), sequence: part(24), length })
    }
}

/// Bytes of a value as `postcard` writes them.
pub(super) fn pack<T: Serialize>(value: &T) -> Result<Zeroizing<Vec<u8>>> {
    let packed = postcard::to_io(value, Packed(Zeroizing::new(Vec::with_capacity(256))));
    packed.map(|packed| packed.0).map_err(|e| Error::Misuse(format!("a message cannot be written: {e}")))
}

/// Buffer that wipes what it leaves behind when it grows.
struct Packed(Zeroizing<Vec<u8>>);

impl std::io::Write for Packed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let twice = 2 * self.0.capacity();
            reserve(&mut self.0, needed.max(twice));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Parses a value, which must take all of the bytes.
pub(super) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(Error::Peer("sent garbage: a message with something after its end".into())),
        Err(e) => Err(Error::Peer(format!("sent garbage: a message that cannot be read ({e})"))),
    }
}

/// The parcels of a body.
pub(super) fn parcels(body: &[u8]) -> Result<Vec<(Id, &[u8])>> {
    let bad = || Error::Peer("sent garbage: parcels that do not fill their record".into());
    let (mut rest, mut parcels) = (body, Vec::new());
    while !rest.is_empty() {
        let (head, tail) = rest.split_at_checked(PARCEL_HEADER).ok_or_else(bad)?;
        let length = u64::from_le_bytes(std::array::from_fn(|i| head[16 + i]));
        let (parcel, tail) = usize::try_from(length).ok().and_then(|length| tail.split_at_checked(length)).ok_or_else(bad)?;
        parcels.push((std::array::from_fn(|i| head[i]), parcel));
        rest = tail;
    }
    Ok(parcels)
}

/// Header of a parcel: the request's number and the parcel's length.
pub(super) fn parcel_header(request: &Id, length: usize) -> [u8; PARCEL_HEADER] {
    let mut bytes = [0; PARCEL_HEADER];
    bytes[..16].copy_from_slice(request);
    bytes[16..].copy_from_slice(&(length as u64).to_le_bytes());
    bytes
}

/// Beginning of a number, for logs.
pub(super) fn short(id: &Id) -> String {
    id[..4].iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn headers_come_back(session in any::<Id>(), sequence in any::<u64>(), length in 0..1u64 << 20) {
            let header = Header { kind: Kind::Parcels, session, sequence, length };
            prop_assert_eq!(Header::parse(&header.bytes(), 1 << 20).unwrap(), header);
            prop_assert!(Header::parse(&header.bytes(), length).is_ok());
            prop_assert!(length == 0 || Header::parse(&header.bytes(), length - 1).is_err());
        }

        #[test]
        fn hostile_bytes_are_errors(bytes in proptest::collection::vec(any::<u8>(), 0..300), magic in any::<bool>()) {
            let mut bytes = bytes;
            if magic && bytes.len() > 4 {
                bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
            }
            let _ = parcels(&bytes);
            let _ = unpack::<crate::net::control::Control>(&bytes);
            let _ = unpack::<crate::nn::Program>(&bytes);
            if let Some(head) = bytes.first_chunk::<RECORD_HEADER>() {
                let _ = Header::parse(head, 1 << 20);
            }
        }

        #[test]
        fn parcels_come_back(parts in proptest::collection::vec((any::<Id>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..5)) {
            let body: Vec<u8> = parts.iter().flat_map(|(id, bytes)| [&parcel_header(id, bytes.len())[..], bytes].concat()).collect();
            let read: Vec<_> = parcels(&body).unwrap().into_iter().map(|(id, bytes)| (id, bytes.to_vec())).collect();
            prop_assert_eq!(read, parts);
        }
    }
}
