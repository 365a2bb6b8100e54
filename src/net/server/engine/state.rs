//! State of the engine: peers, session, requests, and what it has in common for all of them.

use super::{
    super::{
        events::{ClientHandle, RequestPermits},
        refusal::Refusal,
        state::ServerState,
    },
    bounded::BoundedMap,
    models::Models,
    pending::PendingRequests,
    preprocessing::Preprocessing,
};
use crate::{
    device::Buffer,
    net::{
        budget::Permit,
        control::{InferRequest, RefusalReason},
        link::{Link, LinkGuard},
        secrets::{Contributions, Id, SessionKeys},
    },
    party::Remote,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Refusals of peers that are kept for their clients.
const MAX_REFUSALS: usize = 4096;

/// Requests of one session: their numbers are remembered, so that none is used twice.
const MAX_REQUESTS: usize = 1_000_000;

/// Time between two checks of the certificate.
const DAY: Duration = Duration::from_secs(86_400);

/// Engine of a party.
pub struct Engine {
    pub(super) state: Arc<ServerState>,
    pub(super) peers: [Option<Peer>; 3],
    pub(super) dials: [Dial; 3],
    /// Session drawn by party 0, and said by this party on both links.
    pub(super) session: Option<Id>,
    pub(super) keys: Option<SessionKeys>,
    pub(super) requests: BTreeMap<Id, ActiveRequest>,
    /// Requests whose shares have not come, by connection and number.
    pub(super) asked: HashMap<(u64, Id), AskedRequest>,
    pub(super) pending: PendingRequests,
    /// Numbers of this session's requests.
    pub(super) seen: HashSet<Id>,
    /// Refusals of peers for requests that nobody had asked for here.
    pub(super) peer_refusals: BoundedMap<Id, Refusal>,
    pub(super) models: Models,
    pub(super) preprocessing: Preprocessing,
    /// Time of the last check of the certificate.
    expiry_checked: Option<Instant>,
}

/// Link to a peer.
pub struct Peer {
    pub(super) link: LinkGuard,
    pub(super) generation: u64,
    pub(super) contributions: Contributions,
    /// Session that the peer has said.
    pub(super) session: Option<Id>,
}

/// Dialling of a peer.
pub struct Dial {
    pub(super) running: bool,
    /// Time of the next one.
    pub(super) at: Instant,
    pub(super) failures: u32,
}

/// Request under way.
pub struct ActiveRequest {
    pub(super) connection: u64,
    pub(super) client: Link,
    pub(super) model: String,
    pub(super) run: Remote<Vec<Buffer>>,
    pub(super) digest: [u8; 32],
    /// Lead that has preprocessed it.
    pub(super) preprocessed_by: Option<usize>,
    pub(super) began: Instant,
    pub(super) deadline: Instant,
    /// Time of computing so far.
    pub(super) busy: Duration,
    pub(super) ready: bool,
    /// One of the requests that its client may have.
    pub(super) _request: Permit,
    /// Memory on the device.
    pub(super) _memory: Option<Permit>,
}

/// Request whose shares have not come.
pub struct AskedRequest {
    pub(super) client: ClientHandle,
    pub(super) request: InferRequest,
    pub(super) permits: RequestPermits,
    pub(super) since: Instant,
}

impl Engine {
    /// Engine without a session.
    pub fn new(state: Arc<ServerState>) -> Self {
        Self {
            state,
            peers: Default::default(),
            dials: [(); 3].map(|()| Dial { running: false, at: Instant::now(), failures: 0 }),
            session: None,
            keys: None,
            requests: BTreeMap::new(),
            asked: HashMap::new(),
            pending: PendingRequests::default(),
            seen: HashSet::new(),
            peer_refusals: BoundedMap::new(MAX_REFUSALS),
            models: Models::default(),
            preprocessing: Preprocessing::default(),
            expiry_checked: None,
        }
    }

    /// Party to which this one, as the lead, deals.
    pub(super) fn second(&self) -> usize {
        (self.state.number + 2) % 3
    }

    /// Tells both peers that a request is given up.
    pub(super) fn tell_peers(&self, id: &Id, reason: RefusalReason, text: &str) {
        if self.keys.is_some() {
            self.peers.iter().flatten().for_each(|peer| peer.link.refuse(Some(*id), reason, text));
        }
    }

    /// Notes that a request's number is used.
    pub(super) fn remember(&mut self, id: &Id) {
        self.seen.insert(*id);
    }

    /// Whether so many numbers have been used that a fresh session must begin; it does when nothing is under way.
    pub(super) fn is_used_up(&self) -> bool {
        self.seen.len() >= MAX_REQUESTS
    }

    /// Gives up a request that has not begun here.
    pub(super) fn refuse_pending(&mut self, id: &Id, reason: RefusalReason, text: &str) {
        self.pending.remove(id);
        self.remember(id);
        self.tell_peers(id, reason, text);
    }

    /// Publishes load and session, for metrics and status.
    pub(super) fn report(&self) {
        let gauge = |gauge: &AtomicU64, value: usize| gauge.store(value as u64, Ordering::Relaxed);
        let metrics = &self.state.metrics;
        gauge(&metrics.session, self.keys.is_some().into());
        gauge(&metrics.under_way, self.requests.len());
        let prepared = self.preprocessing.ready();
        gauge(&metrics.tokens, prepared as usize);
        let mut status = self.state.status();
        (status.session, status.requests) = (self.keys.is_some(), self.requests.len() as u32);
        status.prepared = prepared;
    }

    /// Warns in good time that the certificate expires, once a day.
    pub(super) fn check_expiry(&mut self) {
        if self.expiry_checked.is_some_and(|checked| checked.elapsed() < DAY) {
            return;
        }
        self.expiry_checked = Some(Instant::now());
        let days = match self.state.setup.identity.validity() {
            Ok(validity) => validity.days_left(),
            Err(error) => return tracing::warn!(%error, "the certificate's days cannot be read"),
        };
        self.state.metrics.certificate_days.store(days.max(0) as u64, Ordering::Relaxed);
        if days < 30 {
            tracing::warn!(days, "the certificate expires; no connection is made after that");
        }
    }
}
