//! Records: what travels inside TLS. Nothing that comes is trusted; nothing is allocated for a length above the limit.
//!
//! A record is a header of 40 bytes (magic, kind, session, sequence, length) and a body. Bodies are control messages, or parcels:
//! frames of the requests under way, each with the request's number and its length before it.

use super::secrets::{Contribution, Id, grow};
use crate::{Error, Result, nn::Reveal};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

/// Both sides must speak the same.
pub(super) const VERSION: u16 = 1;

const MAGIC: u32 = u32::from_le_bytes(*b"TSN\x01");

/// Bytes of a record's header.
pub(super) const RECORD_HEADER: usize = 40;

/// Bytes before a parcel: request and length.
pub(super) const PARCEL_HEADER: usize = 24;

/// Bytes of a control message at most, but for those that carry an architecture.
pub(super) const MOST_CONTROL: u64 = 64 << 20;

/// Bytes of a piece of an upload.
pub(super) const PIECE: usize = 1 << 20;

/// What a body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// A [`Control`].
    Control = 1,
    /// Frames between parties; or a client's shares, and a party's summands.
    Parcels = 2,
    /// Part of an upload.
    Piece = 3,
    /// Nothing: the sender is alive.
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
            Kind::Control => limit.min(MOST_CONTROL),
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

/// Why something did not happen, for programs; the text beside it is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Why {
    /// The certificate does not allow it.
    Unauthorised,
    /// Another program version, another `cluster.toml`, another party number.
    Mismatch,
    /// There is no such model here.
    NoSuchModel,
    /// What was asked for cannot be.
    BadRequest,
    /// More than a limit allows.
    TooMuch,
    /// The request's number was used before.
    Replayed,
    /// The parties were told different things.
    Disagree,
    /// It took too long.
    TimedOut,
    /// Who asked does not want it any more.
    Cancelled,
    /// A party was lost, or sent what cannot be.
    PeerLost,
    /// This party failed: its device, its disk.
    Failed,
    /// This party is being stopped.
    Stopping,
}

/// The first message of each side.
#[derive(Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) version: u16,
    pub(super) program: String,
    /// A party's number; none for a client.
    pub(super) party: Option<u8>,
    /// Only wants to measure the way.
    pub(super) probe: bool,
    /// Hash of `cluster.toml`.
    pub(super) cluster: [u8; 32],
    /// The sender's clock, in milliseconds since 1970.
    pub(super) clock: u64,
    /// Whether this party has tickets to give.
    pub(super) prepares: bool,
    /// For the key that both hold; of a client nothing.
    pub(super) contribution: Option<Secret>,
}

/// Bytes that are wiped when they are dropped, and never shown.
#[derive(Clone)]
pub(super) struct Secret(pub(super) Contribution);

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        (*self.0).serialize(to)
    }
}

impl<'d> Deserialize<'d> for Secret {
    fn deserialize<D: serde::Deserializer<'d>>(from: D) -> std::result::Result<Self, D::Error> {
        <[u8; 32]>::deserialize(from).map(|bytes| Self(Zeroizing::new(bytes)))
    }
}

/// What a client asks of each party, the same of all three.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ask {
    pub(super) request: Id,
    /// The model's whole id.
    pub(super) model: String,
    pub(super) count: u32,
    pub(super) reveal: Reveal,
    /// The party that leads.
    pub(super) lead: u8,
    /// The lead's part was done before, under a ticket.
    pub(super) ahead: bool,
    /// Milliseconds until the client gives up.
    pub(super) patience: u64,
}

/// What a party spent on a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Spent {
    pub(super) rounds: u32,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    /// By a lead before the request was there.
    pub(super) ahead: Ahead,
}

/// What a lead spent before a request was there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ahead {
    pub(super) bytes: u64,
    /// Of computing.
    pub(super) seconds: f64,
}

/// Requests for which a lead does the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Sort {
    /// The model's whole id.
    pub(super) model: String,
    pub(super) count: u32,
    pub(super) reveal: Reveal,
}

/// A request whose lead has done its part. It is for one client, once: inputs under the same seeds would tell their difference.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Ticket {
    pub(super) request: Id,
    /// The lead's share of the input: two seeds, which the lead has chosen.
    pub(super) share: SecretBytes,
}

/// Bytes that are wiped when they are dropped, and never shown.
#[derive(Clone, Default)]
pub(super) struct SecretBytes(pub(super) Zeroizing<Vec<u8>>);

impl Serialize for SecretBytes {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'d> Deserialize<'d> for SecretBytes {
    fn deserialize<D: serde::Deserializer<'d>>(from: D) -> std::result::Result<Self, D::Error> {
        Vec::deserialize(from).map(|bytes| Self(Zeroizing::new(bytes)))
    }
}

/// What a party says of a model that it keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// Name and part of a hash, `lenet@1f2e3d4c5b6a7988`.
    pub id: String,
    /// Seconds since 1970 when it was uploaded, by the owner's clock.
    pub uploaded: u64,
    /// Bytes that this party keeps of it.
    pub bytes: u64,
}

/// The head of an upload: what follows are so many bytes of shares, in pieces.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) name: String,
    /// The architecture, as `postcard` writes it.
    pub(super) architecture: Vec<u8>,
    pub(super) uploaded: u64,
    /// Random: two uploads of one model are two models.
    pub(super) number: Id,
    /// Bytes of this party's shares.
    pub(super) bytes: u64,
}

impl Upload {
    /// The id of the model, the same at all parties.
    pub(super) fn id(&self) -> String {
        let hash = super::secrets::sha256(&[self.name.as_bytes(), &self.architecture, &self.number]);
        hash[..8].iter().fold(format!("{}@", self.name), |id, byte| format!("{id}{byte:02x}"))
    }
}

/// What a party has to say of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its number.
    pub party: u8,
    /// Its device.
    pub device: String,
    /// Whether a session is on.
    pub session: bool,
    /// Requests under way.
    pub requests: u32,
    /// Requests to come whose lead, this party, has done its part.
    pub prepared: u32,
}

/// Everything that is no tensor.
#[derive(Serialize, Deserialize)]
pub(super) enum Control {
    /// The first of each side.
    Hello(Hello),
    /// Instead of a HELLO, or of what was asked for; or the end of a request.
    Refused { request: Option<Id>, why: Why, text: String },
    /// The number of a session, chosen by party 0.
    Begin { session: Id },
    /// A request has begun here, of this client in the order of `cluster.toml`; `digest` binds all that is public of it.
    Start { request: Id, client: u32, digest: [u8; 32] },
    /// To its second: a request to come, of which nobody knows the input yet. Its lead's messages follow, to be kept until it begins.
    Ahead { request: Id, digest: [u8; 32] },
    /// That were all of the lead's messages.
    Dealt { request: Id },
    /// They are here.
    Kept { request: Id },
    /// The end of the connection, in order.
    Goodbye { text: String },
    /// A request; a parcel with the shares follows.
    Ask(Ask),
    /// For so many requests of a sort: which of them are prepared?
    Tickets { sort: Sort, wanted: u32 },
    /// These.
    TicketsAre { sort: Sort, tickets: Vec<Ticket> },
    /// The client does not want it any more.
    Cancel { request: Id },
    /// A result; a parcel with the summands follows.
    Answer { request: Id, spent: Spent },
    /// Which models are there for this client?
    Models,
    /// These, and the architecture of each is asked for by name.
    ModelList(Vec<ModelFacts>),
    /// The architecture of a model?
    Architecture { id: String },
    /// This.
    ArchitectureIs { architecture: Vec<u8> },
    /// An upload begins.
    Upload(Upload),
    /// That was all, and this is its SHA-256.
    Sealed { digest: [u8; 32] },
    /// All of it is on disk here.
    Stored,
    /// It is on disk everywhere.
    Commit,
    /// It can be asked for.
    Committed,
    /// How is this party?
    Status,
    /// So.
    StatusIs(Status),
    /// Is sent back: for round-trip time and bandwidth.
    Echo { bytes: Vec<u8> },
    /// What came as an echo.
    Echoed { bytes: Vec<u8>, clock: u64 },
}

/// As `postcard` writes it.
pub(super) fn pack<T: Serialize>(value: &T) -> Result<Zeroizing<Vec<u8>>> {
    let packed = postcard::to_io(value, Packed(Zeroizing::new(Vec::with_capacity(256))));
    packed.map(|packed| packed.0).map_err(|e| Error::Misuse(format!("a message cannot be written: {e}")))
}

/// Grows without leaving anything behind.
struct Packed(Zeroizing<Vec<u8>>);

impl std::io::Write for Packed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let twice = 2 * self.0.capacity();
            grow(&mut self.0, needed.max(twice));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Bytes of a text for people that one side sends to the other.
const MOST_TEXT: usize = 500;

/// The beginning of a text.
pub(super) fn clip(text: &str) -> String {
    match text.len() <= MOST_TEXT {
        true => text.into(),
        false => format!("{}...", &text[..text.floor_char_boundary(MOST_TEXT)]),
    }
}

impl Control {
    pub(super) fn refused(request: Option<Id>, why: Why, text: &str) -> Self {
        Self::Refused { request, why, text: clip(text) }
    }
}

/// Parses all of the bytes.
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

/// What stands before a parcel.
pub(super) fn parcel_header(request: &Id, length: usize) -> [u8; PARCEL_HEADER] {
    let mut bytes = [0; PARCEL_HEADER];
    bytes[..16].copy_from_slice(request);
    bytes[16..].copy_from_slice(&(length as u64).to_le_bytes());
    bytes
}

/// The names that an uploaded model may have.
pub(super) fn check_name(name: &str) -> Result<()> {
    let fits =
        (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) && !name.starts_with('.');
    if fits {
        Ok(())
    } else {
        Err(Error::Input("a model's name is of 1 to 64 letters, digits, - _ and ., and does not begin with .".into()))
    }
}

/// The name of a model and part of a hash: an id, and a file's name.
pub(super) fn check_id(id: &str) -> Result<()> {
    let known = id
        .split_once('@')
        .is_some_and(|(name, hash)| check_name(name).is_ok() && hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()));
    if known { Ok(()) } else { Err(Error::Input("a model's id is its name, @ and 16 hexadecimal digits".into())) }
}

/// For logs: the beginning of a number.
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
            let _ = unpack::<Control>(&bytes);
            let _ = unpack::<crate::nn::Architecture>(&bytes);
            if let Some(head) = bytes.first_chunk::<RECORD_HEADER>() {
                let _ = Header::parse(head, 1 << 20);
            }
        }

        #[test]
        fn texts_are_clipped(text in ".{0,600}") {
            prop_assert!(clip(&text).len() <= MOST_TEXT + 3);
            prop_assert!(text.len() > MOST_TEXT || clip(&text) == text);
        }

        #[test]
        fn parcels_come_back(parts in proptest::collection::vec((any::<Id>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..5)) {
            let body: Vec<u8> = parts.iter().flat_map(|(id, bytes)| [&parcel_header(id, bytes.len())[..], bytes].concat()).collect();
            let read: Vec<_> = parcels(&body).unwrap().into_iter().map(|(id, bytes)| (id, bytes.to_vec())).collect();
            prop_assert_eq!(read, parts);
        }
    }
}
