//! Files of earlier formats: they still hold their names for their owners, and can be used no more.

use super::{Kept, Store, head_bytes};
use crate::net::{control::ModelFacts, identity::Fingerprint, secrets::Id, wire::unpack};

/// Head of a file of the first format.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct FirstHead {
    /// The upload.
    pub upload: FirstUpload,
    /// Certificate of the client that has uploaded it.
    pub owner: Fingerprint,
}

/// Upload of the first format.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct FirstUpload {
    /// Name.
    pub name: String,
    /// Architecture, in the format of its time.
    pub architecture: Vec<u8>,
    /// Seconds since 1970.
    pub uploaded: u64,
    /// Random number.
    pub number: Id,
    /// Bytes of shares.
    pub bytes: u64,
}

impl Store {
    /// Name and owner of a model of the first format.
    pub(super) fn read_earlier(&self, id: &str) -> Option<Kept> {
        let (_, mut reader) = self.reader(id).ok().filter(|(_, reader)| reader.format() == b'1')?;
        let FirstHead { upload, owner } = unpack(&head_bytes(&mut reader).ok()?).ok()?;
        let facts = ModelFacts { id: id.into(), version: 0, committed: true, uploaded: upload.uploaded, bytes: upload.bytes };
        (facts.name() == upload.name).then_some(Kept { facts, owner })
    }
}
