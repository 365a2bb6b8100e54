//! The engine: one thread that keeps the session with the two peers and runs every request a turn at a time.
//!
//! A session begins when both links are there: party 0 chooses its number, each side says it on each link, and keys are derived
//! from what all have contributed. It ends with the first link that fails: every request is given up, the other peer is told
//! why, the keys are cleared, and links are made anew with fresh contributions.

mod ahead;
mod early;
mod models;
mod requests;
mod session;

use super::{Event, House, hello};
use crate::{
    Error,
    device::Buffer,
    net::{
        control::{Ask, Why},
        link::{Link, Owned},
        room::Held,
        secrets::{Contribution, Id, SessionKeys},
    },
    party::Remote,
};
use ahead::Ahead;
use early::Early;
use models::Models;
use requests::Refused;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::Hash,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::Receiver,
    },
    thread,
    time::{Duration, Instant},
};

/// A link to a peer, and what both have given to their common key.
struct Peer {
    link: Owned,
    generation: u64,
    contributions: [Contribution; 2],
    /// The session that the peer has said.
    said: Option<Id>,
}

/// A request under way.
struct Request {
    visitor: u64,
    client: Link,
    model: String,
    run: Remote<Vec<Buffer>>,
    digest: [u8; 32],
    /// Who has prepared it.
    ahead: Option<usize>,
    began: Instant,
    deadline: Instant,
    busy: Duration,
    ready: bool,
    /// One of those that its client may have, and memory.
    _held: [Option<Held>; 2],
}

/// A request whose shares have not come.
struct Asked {
    ask: Ask,
    since: Instant,
    held: [Option<Held>; 2],
}

/// How soon the engine looks whether what was dealt ahead has left.
const DEALING: Duration = Duration::from_millis(2);

pub(super) struct Engine {
    house: Arc<House>,
    peers: [Option<Peer>; 3],
    dialling: [bool; 3],
    dial_at: [Instant; 3],
    failures: [u32; 3],
    /// Chosen by party 0, and said by this party on both links.
    session: Option<Id>,
    keys: Option<SessionKeys>,
    requests: BTreeMap<Id, Request>,
    /// Asked for, the shares not yet there.
    asked: HashMap<(u64, Id), Asked>,
    early: HashMap<Id, Early>,
    /// Of this session.
    seen: HashSet<Id>,
    /// Why peers have refused requests of late that nobody had asked for here.
    refused: HashMap<Id, Refused>,
    models: Models,
    ahead: Ahead,
    /// When the certificate was last looked at.
    looked: Option<Instant>,
}

/// Sorts of requests of which is remembered what was foreseen of them.
const MOST_SORTS: usize = 1024;

/// Keeps one thing more, or forgets all before it if there are too many.
fn keep<K: Eq + Hash, V>(map: &mut HashMap<K, V>, most: usize, key: K, value: V) {
    if map.len() >= most {
        map.clear();
    }
    map.insert(key, value);
}

/// Events that are taken before requests go on.
const MOST_EVENTS: usize = 256;

/// How often the certificate is looked at.
const DAY: Duration = Duration::from_secs(86_400);

impl Engine {
    pub(super) fn new(house: Arc<House>) -> Self {
        Self {
            house,
            peers: Default::default(),
            dialling: [false; 3],
            dial_at: [Instant::now(); 3],
            failures: [0; 3],
            session: None,
            keys: None,
            requests: BTreeMap::new(),
            asked: HashMap::new(),
            early: HashMap::new(),
            seen: HashSet::new(),
            refused: HashMap::new(),
            models: Models::default(),
            ahead: Ahead::default(),
            looked: None,
        }
    }

    pub(super) fn run(mut self, events: &Receiver<Event>) {
        loop {
            self.dial();
            let ready = self.requests.values().any(|request| request.ready);
            let ahead = !ready && self.may_work_ahead();
            let wait = match (ready, ahead) {
                (true, _) => Duration::ZERO,
                (_, true) if self.has_dealt() => Duration::ZERO,
                (_, true) => DEALING,
                _ => self.next_deadline(),
            };
            if events.recv_timeout(wait).is_ok_and(|event| !self.handle(event)) || !self.take(events) {
                return;
            }
            self.time_out();
            self.look();
            let ready: Vec<Id> = self.requests.iter().filter(|(_, request)| request.ready).map(|(id, _)| *id).collect();
            for id in &ready {
                self.turn(id);
                if !self.take(events) {
                    return;
                }
            }
            if ahead && self.may_work_ahead() && self.has_dealt() {
                self.work_ahead();
            }
            self.report();
        }
    }

    /// Takes what has come, but not so much that nothing else is done. False when all is over.
    fn take(&mut self, events: &Receiver<Event>) -> bool {
        events.try_iter().take(MOST_EVENTS).all(|event| self.handle(event))
    }

    /// Says in good time that the certificate expires.
    fn look(&mut self) {
        if self.looked.is_some_and(|looked| looked.elapsed() < DAY) {
            return;
        }
        self.looked = Some(Instant::now());
        let days = self.house.setup.identity.validity().map_or(0, |validity| validity.days_left());
        self.house.metrics.certificate_days.store(days.max(0) as u64, Ordering::Relaxed);
        if days < 30 {
            tracing::warn!(days, "the certificate expires; no connection is made after that");
        }
    }

    fn report(&self) {
        let gauge = |gauge: &AtomicU64, value: usize| gauge.store(value as u64, Ordering::Relaxed);
        let metrics = &self.house.metrics;
        gauge(&metrics.session, self.keys.is_some().into());
        gauge(&metrics.under_way, self.requests.len());
        let prepared = self.ahead.ready();
        gauge(&metrics.tickets, prepared as usize);
        let mut status = self.house.status.lock().unwrap_or_else(PoisonError::into_inner);
        (status.session, status.requests) = (self.keys.is_some(), self.requests.len() as u32);
        status.prepared = prepared;
    }

    /// False when all is over.
    fn handle(&mut self, event: Event) -> bool {
        match event {
            Event::Peer { number, link, generation, mine, theirs } => {
                self.dialling[number] = false;
                if self.peers[number].is_some() {
                    self.end_session(number, Error::Peer("has connected anew".into()));
                }
                self.failures[number] = 0;
                tracing::info!(peer = number, "linked");
                self.peers[number] = Some(Peer { link, generation, contributions: [mine, theirs], said: None });
                self.begin_session();
            }
            Event::FromPeer { number, generation, incoming, held } => {
                if self.peers[number].as_ref().is_some_and(|peer| peer.generation == generation)
                    && let Err(error) = self.hear_peer(number, incoming)
                {
                    self.end_session(number, error);
                }
                drop(held);
            }
            Event::PeerGone { number, generation, error } => {
                if self.peers[number].as_ref().is_some_and(|peer| peer.generation == generation) {
                    self.end_session(number, error);
                }
            }
            Event::DialFailed { number, error } => {
                self.dialling[number] = false;
                self.failures[number] += 1;
                self.dial_at[number] = Instant::now() + Duration::from_millis(100 << self.failures[number].min(5));
                if self.failures[number].is_power_of_two() {
                    tracing::warn!(peer = number, address = self.house.setup.cluster.party[number].address, %error, attempts = self.failures[number], "no link yet");
                }
            }
            Event::Asked { visitor, link, ask, held } => self.asked(visitor, &link, ask, held),
            Event::FromVisitor { visitor, account, link, incoming, held } => {
                self.hear_visitor(visitor, &account, &link, incoming);
                drop(held);
            }
            Event::VisitorGone { visitor } => {
                self.asked.retain(|(of, _), _| *of != visitor);
                let gone: Vec<Id> = self.requests.iter().filter(|(_, r)| r.visitor == visitor).map(|(id, _)| *id).collect();
                gone.iter().for_each(|id| self.give_up(id, Why::Cancelled, "the client is gone", None));
                self.drop_tickets(|to, _| to == visitor);
            }
            Event::Stop => {
                let all: Vec<Id> = self.requests.keys().copied().collect();
                let number = self.house.number;
                all.iter().for_each(|id| self.give_up(id, Why::Stopping, &format!("party {number} is being stopped"), None));
                self.peers.iter().flatten().for_each(|peer| peer.link.close("it is being stopped"));
                self.count_links();
                self.house.visitors().values().for_each(|link| link.close("it is being stopped"));
                self.keys = None;
                self.ahead.end();
                self.report();
                self.house.party.device().clear();
                // what is in the queues goes out
                thread::sleep(Duration::from_millis(200));
                return false;
            }
            #[cfg(feature = "seeded")]
            Event::Kill => {
                self.peers.iter().flatten().for_each(|peer| peer.link.kill(Error::Peer("killed".into())));
                self.house.visitors().values().for_each(|link| link.kill(Error::Peer("killed".into())));
                return false;
            }
        }
        true
    }

    /// Peers of lower numbers are dialled until there is a link.
    fn dial(&mut self) {
        let now = Instant::now();
        for number in 0..self.house.number {
            if self.peers[number].is_none() && !self.dialling[number] && self.dial_at[number] <= now {
                self.dialling[number] = true;
                let house = self.house.clone();
                let dial = move || {
                    if let Err(error) = hello::dial(&house, number) {
                        house.tell(Event::DialFailed { number, error });
                    }
                };
                if thread::Builder::new().name("trishade dialler".into()).spawn(dial).is_err() {
                    self.dialling[number] = false;
                    self.dial_at[number] = now + Duration::from_secs(1);
                }
            }
        }
    }

    fn next_deadline(&self) -> Duration {
        let dials = (0..self.house.number).filter(|&i| self.peers[i].is_none() && !self.dialling[i]).map(|i| self.dial_at[i]);
        let all = dials.chain(self.requests.values().map(|request| request.deadline));
        let first = all.min().map_or(Duration::from_secs(1), |at| at.saturating_duration_since(Instant::now()));
        first.clamp(Duration::from_millis(1), Duration::from_secs(1))
    }
}
