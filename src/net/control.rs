//! Control messages: everything that is no tensor.

use super::{
    secrets::{Contribution, Id},
    wire::clip,
};
use crate::nn::Reveal;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

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
    /// To its lead: a request that was prepared has been answered here.
    Answered { request: Id },
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

impl Control {
    pub(super) fn refused(request: Option<Id>, why: Why, text: &str) -> Self {
        Self::Refused { request, why, text: clip(text) }
    }
}
