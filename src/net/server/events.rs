//! Events: what the threads of connections tell the engine.

use super::quotas::ClientQuota;
use crate::{
    Error,
    net::{
        budget::Permit,
        control::InferRequest,
        link::{Incoming, Link, LinkGuard},
        secrets::Contributions,
    },
};
use std::sync::Arc;

/// Message to the engine.
pub enum Event {
    /// A link to a peer is there.
    PeerLinked {
        number: usize,
        link: LinkGuard,
        /// Number that tells this link from earlier ones to the same peer.
        generation: u64,
        contributions: Contributions,
    },
    /// A record of a peer.
    FromPeer { number: usize, generation: u64, incoming: Incoming, permit: Option<Permit> },
    /// The link to a peer has ended.
    PeerLost { number: usize, generation: u64, error: Error },
    /// A peer could not be dialled.
    DialFailed { number: usize, error: Error },
    /// A request that the client may make; its shares follow.
    Asked { client: ClientHandle, request: InferRequest, permits: RequestPermits },
    /// Another message of a client that concerns requests.
    FromClient { client: ClientHandle, incoming: Incoming, permit: Option<Permit> },
    /// A client's connection has ended.
    ClientLost { connection: u64 },
    /// The party is stopped in order.
    Stop,
    /// The party ends at once, as if the process had been killed.
    #[cfg(feature = "seeded")]
    Kill,
}

/// Client's connection, as the engine sees it.
#[derive(Clone)]
pub struct ClientHandle {
    /// Number of the connection.
    pub connection: u64,
    /// Quota of the client.
    pub quota: Arc<ClientQuota>,
    /// Link to the client.
    pub link: Link,
}

/// Permits that a request holds until its shares are there.
pub struct RequestPermits {
    /// Memory of the message that asks.
    pub _message: Option<Permit>,
    /// One of the requests that its client may have under way; held until the request ends.
    pub request: Permit,
}
