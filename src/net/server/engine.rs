//! The engine: one thread that keeps the session with the two peers and runs every request a turn at a time.
//!
//! A session begins when both links are there: party 0 chooses its number, each side says it on each link, and keys are derived
//! from what all have contributed. It ends with the first link that fails: every request is given up, the other peer is told
//! why, the keys are cleared, and links are made anew with fresh contributions.

use super::{Budget, Event, House, hello, size, visitor::name};
use crate::{
    Error, Result,
    device::Buffer,
    net::{
        config::Client,
        link::{Incoming, Link, Owned},
        secrets::{Contribution, Id, SessionKeys, random, sha256},
        wire::{Ask, Control, Spent, Why, pack, parcels, short, unpack},
    },
    nn::{Architecture, Hosted},
    party::{Progress, Remote},
    protocol::Input,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, atomic::Ordering, mpsc::Receiver},
    thread,
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// Requests of one session: their numbers are remembered, so that none is used twice.
const MOST_REQUESTS: usize = 1_000_000;

/// A link to a peer, and what both have given to their common key.
struct Peer {
    link: Owned,
    generation: u64,
    contributions: [Contribution; 2],
    /// The session that the peer has said.
    said: Option<Id>,
}

/// Messages of a request that has not begun here.
struct Early {
    since: Instant,
    frames: Vec<(usize, Zeroizing<Vec<u8>>)>,
    digests: Vec<(usize, [u8; 32])>,
    bytes: u64,
}

/// A request under way.
struct Request {
    visitor: u64,
    client: Link,
    model: String,
    run: Remote<Vec<Buffer>>,
    digest: [u8; 32],
    began: Instant,
    deadline: Instant,
    busy: Duration,
    ready: bool,
}

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
    asked: HashMap<(u64, Id), (Ask, Instant)>,
    early: HashMap<Id, Early>,
    /// Of this session.
    seen: HashSet<Id>,
    models: HashMap<String, Arc<Hosted>>,
}

/// A refusal: why, for programs, and for people.
type Refused = (Why, String);

fn refused(why: Why) -> impl Fn(Error) -> Refused {
    move |error| (why, error.to_string())
}

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
            models: HashMap::new(),
        }
    }

    pub(super) fn run(mut self, events: &Receiver<Event>) {
        loop {
            self.dial();
            let ready = self.requests.values().any(|request| request.ready);
            let wait = if ready { Duration::ZERO } else { self.next_deadline() };
            let mut next = events.recv_timeout(wait).ok();
            while let Some(event) = next {
                if !self.handle(event) {
                    return;
                }
                next = events.try_recv().ok();
            }
            self.time_out();
            let ready: Vec<Id> = self.requests.iter().filter(|(_, request)| request.ready).map(|(id, _)| *id).collect();
            ready.iter().for_each(|id| self.turn(id));
            self.report();
        }
    }

    fn report(&self) {
        let mut status = self.house.status.lock().unwrap_or_else(PoisonError::into_inner);
        (status.session, status.requests) = (self.keys.is_some(), self.requests.len() as u32);
    }

    fn budget(&self) -> &Budget {
        &self.house.budget
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
            Event::FromPeer { number, generation, incoming } => {
                let bytes = size(&incoming);
                if self.peers[number].as_ref().is_some_and(|peer| peer.generation == generation)
                    && let Err(error) = self.hear_peer(number, incoming)
                {
                    self.end_session(number, error);
                }
                self.budget().give(bytes);
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
                    tracing::warn!(peer = number, %error, attempts = self.failures[number], "no link yet");
                }
            }
            Event::FromVisitor { visitor, client, link, incoming } => {
                let bytes = size(&incoming);
                self.hear_visitor(visitor, &client, &link, incoming);
                self.budget().give(bytes);
            }
            Event::VisitorGone { visitor } => {
                self.asked.retain(|(of, _), _| *of != visitor);
                let gone: Vec<Id> = self.requests.iter().filter(|(_, r)| r.visitor == visitor).map(|(id, _)| *id).collect();
                gone.iter().for_each(|id| self.give_up(id, Why::Cancelled, "the client is gone", None));
            }
            Event::Stop => {
                let all: Vec<Id> = self.requests.keys().copied().collect();
                let number = self.house.number;
                all.iter().for_each(|id| self.give_up(id, Why::Stopping, &format!("party {number} is being stopped"), None));
                self.peers.iter().flatten().for_each(|peer| peer.link.close("it is being stopped"));
                self.count_links();
                self.house.visitors().values().for_each(|link| link.close("it is being stopped"));
                self.keys = None;
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

    // The session

    /// Goes as far as the links allow.
    fn begin_session(&mut self) {
        let number = self.house.number;
        let others = [(number + 1) % 3, (number + 2) % 3];
        if self.keys.is_some() || others.iter().any(|&peer| self.peers[peer].is_none()) {
            return;
        }
        if self.session.is_none() {
            let chosen = match number {
                0 => random::<16>().ok().map(|id| *id),
                _ => self.peers[0].as_ref().and_then(|peer| peer.said),
            };
            let Some(session) = chosen else { return };
            self.session = Some(session);
            self.peers.iter().flatten().for_each(|peer| peer.link.begin(session));
        }
        let Some(session) = self.session else { return };
        for peer in others {
            match self.peers[peer].as_ref().and_then(|peer| peer.said) {
                None => return,
                Some(said) if said == session => {}
                Some(_) => return self.end_session(peer, Error::Peer("began another session".into())),
            }
        }
        let contributions = |peer: usize| match &self.peers[peer] {
            Some(peer) => peer.contributions.clone(),
            None => unreachable!("both links are there"),
        };
        self.keys = Some(SessionKeys::agree(number, session, contributions));
        self.house.metrics.sessions.fetch_add(1, Ordering::Relaxed);
        tracing::info!(session = short(&session), "session");
    }

    /// A link has failed: nothing of the session is left.
    fn end_session(&mut self, number: usize, error: Error) {
        let what = match &error {
            Error::Peer(text) => format!("party {number} {text}"),
            other => format!("party {number}: {other}"),
        };
        tracing::warn!(peer = number, why = %what, requests = self.requests.len(), "the session has ended");
        self.count_links();
        for (i, peer) in self.peers.iter_mut().enumerate() {
            if let Some(peer) = peer.take() {
                match i == number {
                    true => peer.link.kill(error.clone()),
                    false => peer.link.close(&format!("the session has ended: {what}")),
                }
            }
        }
        (self.session, self.keys) = (None, None);
        let all: Vec<Id> = self.requests.keys().copied().collect();
        all.iter().for_each(|id| self.give_up(id, Why::PeerLost, &what, None));
        self.early.clear();
        self.seen.clear();
        self.dial_at = [Instant::now() + Duration::from_millis(100); 3];
    }

    /// What has gone through the links of a session that is over.
    fn count_links(&self) {
        for peer in self.peers.iter().flatten() {
            let sent = peer.link.counted().sent.load(Ordering::Relaxed);
            self.house.metrics.socket_bytes.fetch_add(sent, Ordering::Relaxed);
        }
    }

    fn hear_peer(&mut self, number: usize, incoming: Incoming) -> Result<()> {
        match incoming {
            Incoming::Control(Control::Begin { session }) => {
                if let Some(peer) = &mut self.peers[number] {
                    peer.said = Some(session);
                }
                self.begin_session();
                Ok(())
            }
            Incoming::Control(Control::Start { request, digest }) => self.compare(number, &request, digest),
            Incoming::Control(Control::Refused { request: Some(id), why, text }) => {
                self.early.remove(&id);
                self.give_up(&id, why, &text, Some(number));
                self.remember(&id);
                Ok(())
            }
            Incoming::Parcels(body) => {
                for (id, frame) in parcels(&body)? {
                    self.frame(number, &id, frame)?;
                }
                Ok(())
            }
            _ => Err(Error::Peer("sent what a party does not send in a session".into())),
        }
    }

    /// The parties must have been told the same.
    fn compare(&mut self, number: usize, id: &Id, digest: [u8; 32]) -> Result<()> {
        match self.requests.get(id) {
            Some(request) if request.digest == digest => {}
            Some(_) => {
                let text = format!("party {number} was asked for something else under the same number");
                self.give_up(id, Why::Disagree, &text, None);
            }
            None if self.seen.contains(id) => {}
            None => self.early(id)?.digests.push((number, digest)),
        }
        Ok(())
    }

    fn frame(&mut self, number: usize, id: &Id, frame: &[u8]) -> Result<()> {
        if let Some(request) = self.requests.get_mut(id) {
            request.ready = true;
            if let Err(error) = request.run.deliver(number, frame) {
                self.give_up(id, Why::PeerLost, &format!("party {number}: {error}"), None);
            }
            return Ok(());
        }
        if self.seen.contains(id) {
            // credit for a lead that has ended, or what was on its way when the request was given up
            return Ok(());
        }
        let waiting: u64 = self.early.values().map(|early| early.bytes).sum();
        if waiting + frame.len() as u64 > self.house.setup.config.limits.early {
            self.refuse_early(id, Why::TooMuch, "too many messages wait for requests that have not begun");
            return Ok(());
        }
        let early = self.early(id)?;
        early.bytes += frame.len() as u64;
        early.frames.push((number, Zeroizing::new(frame.to_vec())));
        Ok(())
    }

    fn early(&mut self, id: &Id) -> Result<&mut Early> {
        if self.early.len() >= 4 * self.house.setup.config.limits.requests && !self.early.contains_key(id) {
            return Err(Error::Peer("began too many requests that nobody has asked for here".into()));
        }
        let new = || Early { since: Instant::now(), frames: Vec::new(), digests: Vec::new(), bytes: 0 };
        Ok(self.early.entry(*id).or_insert_with(new))
    }

    fn refuse_early(&mut self, id: &Id, why: Why, text: &str) {
        self.early.remove(id);
        self.remember(id);
        self.tell_peers(id, why, text);
    }

    fn tell_peers(&self, id: &Id, why: Why, text: &str) {
        if self.keys.is_some() {
            let refused = || Control::Refused { request: Some(*id), why, text: text.into() };
            self.peers.iter().flatten().for_each(|peer| peer.link.control(&refused()));
        }
    }

    fn remember(&mut self, id: &Id) {
        self.seen.insert(*id);
        if self.seen.len() > MOST_REQUESTS {
            let number = (self.house.number + 1) % 3;
            self.end_session(number, Error::Peer("and this one have used up the session: a fresh one begins".into()));
        }
    }

    // Requests

    fn hear_visitor(&mut self, visitor: u64, client: &Client, link: &Link, incoming: Incoming) {
        let refuse = |id: Id, (why, text): Refused| {
            tracing::warn!(client = client.name, request = short(&id), ?why, text, "refused");
            link.control(&Control::Refused { request: Some(id), why, text });
        };
        match incoming {
            Incoming::Control(Control::Ask(ask)) => {
                let id = ask.request;
                let limit = self.house.setup.config.limits.requests;
                if self.asked.len() + self.requests.len() >= limit {
                    return refuse(id, (Why::TooMuch, format!("{limit} requests are under way")));
                }
                self.asked.insert((visitor, id), (ask, Instant::now()));
            }
            Incoming::Control(Control::Cancel { request }) => {
                self.asked.remove(&(visitor, request));
                if self.requests.get(&request).is_some_and(|r| r.visitor == visitor) {
                    self.give_up(&request, Why::Cancelled, "the client has cancelled", None);
                }
            }
            Incoming::Parcels(body) => match parcels(&body) {
                Ok(parcels) => {
                    for (id, shares) in parcels {
                        if let Some((ask, _)) = self.asked.remove(&(visitor, id))
                            && let Err(why) = self.begin(visitor, client, link, ask, shares)
                        {
                            self.refuse_early(&id, why.0, &why.1);
                            refuse(id, why);
                        }
                    }
                }
                Err(error) => link.kill(error),
            },
            _ => {}
        }
    }

    /// Begins a request whose shares are there.
    fn begin(&mut self, visitor: u64, client: &Client, link: &Link, ask: Ask, mut shares: &[u8]) -> std::result::Result<(), Refused> {
        let bad = |text: String| Err((Why::BadRequest, text));
        let (id, limits) = (ask.request, &self.house.setup.config.limits);
        if !client.may_use(name(&ask.model)) {
            return Err((Why::Unauthorised, format!("client '{}' may not use model {}", client.name, ask.model)));
        }
        let Some(keys) = &self.keys else {
            let missing: Vec<_> = (0..3).filter(|&i| i != self.house.number && self.peers[i].is_none()).map(|i| i.to_string()).collect();
            return Err((Why::PeerLost, format!("the parties have no session: no link to party {}", missing.join(" and "))));
        };
        if self.seen.contains(&id) {
            return Err((Why::Replayed, "this request was made before, or has been given up by another party".into()));
        }
        if ask.count == 0 || ask.count as usize > limits.batch || ask.lead > 2 {
            return bad(format!("{} inputs under lead {}: at most {} inputs, leads 0 to 2", ask.count, ask.lead, limits.batch));
        }
        let digest = sha256(&[&pack(&Ask { patience: 0, ..ask.clone() }).map_err(refused(Why::Failed))?]);
        let keys = keys.request(&id, &digest);
        let patience = Duration::from_millis(ask.patience).min(limits.request());
        let model = self.model(&ask.model)?;
        let shape = model.architecture().input_shape(ask.count as usize).map_err(refused(Why::BadRequest))?;
        model.architecture().revealed(ask.count as usize, ask.reveal).map_err(refused(Why::BadRequest))?;
        let input = Input::read(&shape, &mut shares).map_err(refused(Why::BadRequest))?;
        if !shares.is_empty() {
            return bad(format!("{} bytes after the shares of {} inputs", shares.len(), ask.count));
        }
        let early = self.early.remove(&id);
        if let Some((other, _)) = early.as_ref().and_then(|early| early.digests.iter().find(|(_, other)| *other != digest)) {
            return Err((Why::Disagree, format!("party {other} was asked for something else under the same number")));
        }
        self.remember(&id);
        for peer in self.peers.iter().flatten() {
            peer.link.control(&Control::Start { request: id, digest });
        }
        let run = Remote::begin(self.house.party.beside(keys), |p| model.infer(p, input, ask.lead.into(), ask.reveal));
        let began = Instant::now();
        tracing::info!(request = short(&id), client = client.name, model = ask.model, inputs = ask.count, lead = ask.lead, "begun");
        self.house.metrics.begun.fetch_add(1, Ordering::Relaxed);
        let request = Request {
            visitor,
            client: link.clone(),
            model: ask.model,
            run,
            digest,
            began,
            deadline: began + patience,
            busy: Duration::ZERO,
            ready: true,
        };
        self.requests.insert(id, request);
        for (from, frame) in early.into_iter().flat_map(|early| early.frames) {
            // a request that is given up takes nothing more
            let _ = self.frame(from, &id, &frame);
        }
        Ok(())
    }

    /// A model that is kept here, placed on the device when it is first asked for.
    fn model(&mut self, id: &str) -> std::result::Result<Arc<Hosted>, Refused> {
        if let Some(model) = self.models.get(id) {
            return Ok(model.clone());
        }
        if !self.house.store.has(id) {
            return Err((Why::NoSuchModel, format!("there is no model {id} here")));
        }
        let load = || {
            let (upload, mut shares) = self.house.store.read(id)?;
            let architecture: Architecture = unpack(&upload.architecture)?;
            architecture.check(self.house.setup.cluster.fixed()?)?;
            Hosted::new(&self.house.party, architecture, |shape| Input::read(shape, &mut shares))
        };
        let model = Arc::new(load().map_err(refused(Why::Failed))?);
        tracing::info!(model = id, "loaded");
        self.models.insert(id.into(), model.clone());
        Ok(model)
    }

    fn turn(&mut self, id: &Id) {
        let Some(request) = self.requests.get_mut(id) else { return };
        let links = [0, 1, 2].map(|i| self.peers[i].as_ref().map(|peer| peer.link.0.clone()));
        let mut send = |to: usize, frame| {
            if let Some(link) = &links[to] {
                link.parcel(*id, frame);
            }
        };
        let began = Instant::now();
        // a request that somebody has made up must not take the others down
        let turn = catch_unwind(AssertUnwindSafe(|| pollster::block_on(request.run.turn(&mut send))));
        request.busy += began.elapsed();
        let words = match turn {
            Ok(Ok(Progress::Again)) => return,
            Ok(Ok(Progress::Blocked)) => {
                request.ready = false;
                return;
            }
            Ok(Ok(Progress::Done(outputs))) => {
                pollster::block_on(self.house.party.device().download(&outputs.iter().collect::<Vec<_>>())).map(Zeroizing::new)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::Misuse("the request cannot be computed".into())),
        };
        match words {
            Ok(words) => self.answer(id, &words),
            Err(error) => {
                let why = if matches!(error, Error::OutOfStep(_)) { Why::PeerLost } else { Why::Failed };
                let text = format!("party {}: {error}", self.house.number);
                self.give_up(id, why, &text, None);
            }
        }
    }

    fn answer(&mut self, id: &Id, words: &[Vec<u64>]) {
        let Some(request) = self.requests.remove(id) else { return };
        let meter = request.run.party().meter();
        let spent = Spent { rounds: meter.rounds, bytes: meter.bytes(), seconds: request.began.elapsed().as_secs_f64() };
        let mut parcel = Zeroizing::new(Vec::new());
        words.iter().for_each(|words| parcel.extend_from_slice(bytemuck::cast_slice(words)));
        request.client.control(&Control::Answer { request: *id, spent });
        request.client.parcel(*id, parcel);
        let metrics = &self.house.metrics;
        metrics.answered.fetch_add(1, Ordering::Relaxed);
        metrics.protocol_bytes.fetch_add(spent.bytes, Ordering::Relaxed);
        metrics.busy.fetch_add(request.busy.as_micros() as u64, Ordering::Relaxed);
        let busy = request.busy.as_secs_f64();
        tracing::info!(
            request = short(id),
            model = request.model,
            rounds = spent.rounds,
            bytes = spent.bytes,
            seconds = spent.seconds,
            busy,
            "answered"
        );
    }

    /// Ends a request without an answer; `by` is the peer that has given it up already.
    fn give_up(&mut self, id: &Id, why: Why, text: &str, by: Option<usize>) {
        let Some(request) = self.requests.remove(id) else { return };
        if by.is_none() {
            self.tell_peers(id, why, text);
        }
        self.house.metrics.failed.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(request = short(id), model = request.model, ?why, text, by, "given up");
        request.client.control(&Control::Refused { request: Some(*id), why, text: text.into() });
    }

    fn time_out(&mut self) {
        let (now, limits) = (Instant::now(), &self.house.setup.config.limits);
        let patience = limits.request();
        let late: Vec<(Id, String)> = self.requests.iter().filter(|(_, r)| r.deadline <= now).map(|(id, r)| (*id, r.run.waits())).collect();
        for (id, waits) in late {
            let text = format!("it took too long; party {}: {waits}", self.house.number);
            self.give_up(&id, Why::TimedOut, &text, None);
        }
        self.asked.retain(|_, (_, since)| now < *since + patience);
        let forgotten: Vec<Id> = self.early.iter().filter(|(_, early)| now > early.since + patience).map(|(id, _)| *id).collect();
        forgotten.iter().for_each(|id| self.refuse_early(id, Why::TimedOut, "the client has not asked here"));
    }
}
