//! Control messages: everything on a link that is no tensor.

use super::{
    meaning::Meaning,
    model_id::{id_of, name_in},
    secrets::{Contribution, Id},
    wire::unpack,
};
use crate::{Error, Result, nn::Reveal, text::printable};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Reason of a refusal, for programs; the text beside it is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RefusalReason {
    /// The certificate does not allow it.
    Unauthorised,
    /// Another program version, another `cluster.toml`, another party number.
    Mismatch,
    /// There is no such model here.
    NoSuchModel,
    /// The request cannot be served as it is.
    BadRequest,
    /// More than a limit allows.
    TooMuch,
    /// The request's number was used before.
    Replayed,
    /// The parties were told different things.
    Disagree,
    /// It took too long.
    TimedOut,
    /// The client does not want it any more.
    Cancelled,
    /// A party was lost, or broke the protocol.
    PeerLost,
    /// This party failed: its device, its disk.
    Failed,
    /// This party is being stopped.
    Stopping,
}

impl RefusalReason {
    /// Error of a client that was refused for this reason: [`Error::Input`] where the client can mend it.
    pub(super) fn error(self, text: &str) -> Error {
        match self {
            Self::Unauthorised | Self::NoSuchModel | Self::BadRequest | Self::TooMuch => Error::Input(format!("refused: {text}")),
            Self::Mismatch => Error::Peer(format!("refused: {text}")),
            _ => Error::Peer(format!("gave up ({self:?}): {text}")),
        }
    }
}

/// First message of each side of a connection.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) version: u16,
    pub(super) program: String,
    /// Number of a party; none for a client.
    pub(super) party: Option<u8>,
    /// The sender only measures the way.
    pub(super) probe: bool,
    /// Hash of `cluster.toml`.
    pub(super) cluster: [u8; 32],
    /// Clock of the sender, in milliseconds since 1970.
    pub(super) clock: u64,
    /// The party has preprocessing tokens to give.
    pub(super) preprocesses: bool,
    /// Contribution of a party to the key of the link; none from a client.
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

/// Request of a client, the same to each party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InferRequest {
    pub(super) request: Id,
    /// Id of the model.
    pub(super) model: String,
    /// Inputs.
    pub(super) count: u32,
    pub(super) reveal: Reveal,
    /// Number of the party that leads.
    pub(super) lead: u8,
    /// The lead's part is done already, under a preprocessing token.
    pub(super) preprocessed: bool,
    /// Milliseconds until the client gives up.
    pub(super) timeout: u64,
}

/// Cost of a request at one party.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RequestCost {
    pub(super) rounds: u32,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    /// Share of a lead in the offline phase.
    pub(super) preprocessing: PreprocessingCost,
}

/// Cost of the offline phase of a request at its lead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct PreprocessingCost {
    pub(super) bytes: u64,
    /// Seconds of computing.
    pub(super) seconds: f64,
}

/// Kind of a request: all requests of one kind have the same preprocessing and take the same memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct RequestKind {
    /// Id of the model.
    pub(super) model: String,
    /// Inputs.
    pub(super) count: u32,
    pub(super) reveal: Reveal,
}

impl RequestKind {
    /// Kind of a client's request.
    pub(super) fn of(request: &InferRequest) -> Self {
        Self { model: request.model.clone(), count: request.count, reveal: request.reveal }
    }
}

/// Preprocessing token: a request whose lead has done its part. It is for one client, once: two inputs shared under the same seeds
/// would tell their difference.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct PreprocessingToken {
    pub(super) request: Id,
    /// The lead's share of the input: two seeds, which the lead has drawn.
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

/// Description of a model that a party keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// Name and part of a hash, `lenet@1f2e3d4c5b6a7988`.
    pub id: String,
    /// Number among the models of its name, from 1 on; 0 if it was stored before parties numbered them.
    pub version: u32,
    /// Whether this party has heard that all three have stored it.
    pub committed: bool,
    /// Seconds since 1970 when it was uploaded, by the owner's clock: for people, nothing follows from it.
    pub uploaded: u64,
    /// Bytes that this party keeps of it.
    pub bytes: u64,
}

impl ModelFacts {
    /// Name in the id.
    pub fn name(&self) -> &str {
        name_in(&self.id)
    }
}

/// Announcement of an upload; `bytes` bytes of shares follow in pieces, once it is numbered.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) name: String,
    pub(super) meaning: Meaning,
    /// The architecture, as `postcard` writes it.
    pub(super) architecture: Vec<u8>,
    pub(super) uploaded: u64,
    /// Random number: two uploads of one model are two models.
    pub(super) number: Id,
    /// Bytes of this party's shares.
    pub(super) bytes: u64,
}

impl Upload {
    /// Id of the model, the same at all parties.
    pub(super) fn id(&self) -> String {
        id_of(&self.name, &self.architecture, &self.number)
    }
}

/// State of a party, for its operators and clients.
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
    /// Preprocessed requests, for which this party as their lead has tokens to give.
    pub prepared: u32,
}

/// Control message. The order of the variants is the wire format.
#[derive(Serialize, Deserialize)]
pub(super) enum Control {
    /// First message of each side.
    Hello(Hello),
    /// Refusal: of a HELLO, of what a client asked for, or of a request under way. From a party to a client or to a peer.
    Refused { request: Option<Id>, reason: RefusalReason, text: String },
    /// Number of a session, drawn by party 0. From each party on each link to a peer.
    BeginSession { session: Id },
    /// A request has begun at this party, for the client of this place in `cluster.toml`; `digest` binds all that is public of the
    /// request. From each party to its peers.
    RequestBegun { request: Id, client: u32, digest: [u8; 32] },
    /// Preprocessing of a request to come begins; the lead's messages follow and wait until the request begins. From a lead to
    /// its second.
    Prepare { request: Id, digest: [u8; 32] },
    /// End of the lead's messages in preprocessing. From a lead to its second.
    Prepared { request: Id },
    /// Reply to `Prepared`: all of the lead's messages are kept here. From a second to its lead.
    PreparedKept { request: Id },
    /// A preprocessed request has been answered here. From each of the pair to its lead.
    PreparedAnswered { request: Id },
    /// End of the connection, in order.
    Goodbye { text: String },
    /// Request of a client; a parcel with its shares follows.
    Infer(InferRequest),
    /// Query for at most `wanted` preprocessing tokens of a kind. From a client to a lead.
    GetTokens { kind: RequestKind, wanted: u32 },
    /// Reply to `GetTokens`: the tokens that the client may use.
    Tokens { kind: RequestKind, tokens: Vec<PreprocessingToken> },
    /// Cancellation of a request by its client.
    Cancel { request: Id },
    /// Result of a request; a parcel with this party's summands follows. From a party to the client.
    Answer { request: Id, cost: RequestCost },
    /// Query for the models that this client may use.
    GetModels,
    /// Reply to `GetModels`.
    Models(Vec<ModelFacts>),
    /// Query for the architecture of a model.
    GetArchitecture { id: String },
    /// Reply to `GetArchitecture`: the architecture, as `postcard` writes it, its number among those of its name, and what its shares
    /// mean.
    Architecture { version: u32, meaning: Meaning, architecture: Vec<u8> },
    /// Announcement of an upload. From a client.
    Upload(Upload),
    /// Reply to `Upload`: the least number that this party can give the model among those of its name.
    Begun { version: u32 },
    /// Number of the model, the greatest that a party has said; pieces follow. From a client.
    Number { version: u32 },
    /// End of an upload's pieces, and their SHA-256. From a client.
    EndUpload { digest: [u8; 32] },
    /// Reply to `EndUpload`: the shares are on disk here.
    Stored,
    /// All three parties have stored their shares. From a client.
    Commit,
    /// Reply to `Commit`: the model can be used.
    Committed,
    /// A party has failed to store its shares: the others need not keep theirs. From a client.
    Abandon,
    /// Query for load and session of this party.
    GetStatus,
    /// Reply to `GetStatus`.
    Status(Status),
    /// Query whose bytes come back, for round-trip time and bandwidth.
    Echo { bytes: Vec<u8> },
    /// Reply to `Echo`: its bytes, and the party's clock in milliseconds since 1970.
    EchoReply { bytes: Vec<u8>, clock: u64 },
}

impl Control {
    /// Refusal whose text may be sent and shown.
    pub(super) fn refused(request: Option<Id>, reason: RefusalReason, text: &str) -> Self {
        Self::Refused { request, reason, text: printable(text) }
    }

    /// Message of these bytes.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        unpack::<Self>(bytes).map(Self::shown)
    }

    /// The message as it came, but texts of the other side are fit to be shown.
    fn shown(self) -> Self {
        match self {
            Self::Refused { request, reason, text } => Self::refused(request, reason, &text),
            Self::Goodbye { text } => Self::Goodbye { text: printable(&text) },
            Self::Hello(hello) => Self::Hello(Hello { program: printable(&hello.program), ..hello }),
            Self::Status(status) => Self::Status(Status { device: printable(&status.device), ..status }),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::wire::pack, *};

    #[test]
    fn texts_of_others_are_fit_to_be_shown() {
        let words = || format!("\u{1b}]0;x\u{7}\n\u{202e}{}", "x".repeat(60_000));
        let fit = |text: &str| text.len() <= 503 && !text.contains(|c: char| c.is_control() || c == '\u{202e}') && text.contains("\\u{1b}");
        let hello = Hello {
            version: 0,
            program: words(),
            party: None,
            probe: false,
            cluster: [0; 32],
            clock: 0,
            preprocesses: false,
            contribution: None,
        };
        let status = Status { party: 0, device: words(), session: false, requests: 0, prepared: 0 };
        let refused = Control::Refused { request: None, reason: RefusalReason::Failed, text: words() };
        for control in [refused, Control::Goodbye { text: words() }, Control::Hello(hello), Control::Status(status)] {
            let text = match Control::read(&pack(&control).unwrap()).unwrap() {
                Control::Refused { text, .. } | Control::Goodbye { text } => text,
                Control::Hello(hello) => hello.program,
                Control::Status(status) => status.device,
                _ => panic!("another message"),
            };
            assert!(fit(&text), "{text:?}");
        }
        let Control::Refused { text, .. } = Control::refused(None, RefusalReason::Failed, &words()) else { panic!("another message") };
        assert!(fit(&text), "{text:?}");
    }
}
