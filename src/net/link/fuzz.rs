//! Entry point of a fuzz target: bytes that have been decrypted, read as by a link.

use super::{
    options::InboundPolicy,
    reader::{Incoming, read_plain},
    records::RecordAssembler,
};
use crate::{
    Result,
    net::{budget::Budget, wire::parcels},
};

/// Reads records with a budget of a mebibyte for their bodies, and the parcels in them.
pub fn read_records(bytes: &[u8]) -> Result<()> {
    let records = RecordAssembler::new(0, 1 << 22, InboundPolicy::Reject(Budget::new(1 << 20)));
    read_plain(bytes, records, &mut |incoming, _| match incoming {
        Incoming::Parcels(body) => parcels(&body).map(drop),
        _ => Ok(()),
    })
}
