//! Engine: one thread that keeps the session with the two peers and runs every request a turn at a time. Connections tell it by
//! events what has come.

mod bounded;
mod clients;
mod models;
mod offline;
mod pending;
mod preprocessing;
mod requests;
mod session;
mod state;

pub use state::Engine;

use super::{events::Event, hello};
use crate::{
    Error,
    net::{control::RefusalReason, link::Link, secrets::Id},
};
use std::{
    sync::mpsc::Receiver,
    thread,
    time::{Duration, Instant},
};

/// Time after which the engine checks again whether what was dealt in preprocessing has left.
const DEALING: Duration = Duration::from_millis(2);

/// Events that are taken before requests go on.
const MAX_EVENTS: usize = 256;

/// Time at most in which links send what waits when the party is stopped.
const FLUSH: Duration = Duration::from_secs(1);

impl Engine {
    /// Runs until the party is stopped.
    pub fn run(mut self, events: &Receiver<Event>) {
        loop {
            self.dial_peers();
            let ready = self.requests.values().any(|request| request.ready);
            let preprocess = !ready && self.may_preprocess();
            let wait = match (ready, preprocess) {
                (true, _) => Duration::ZERO,
                (_, true) if self.has_dealt() => Duration::ZERO,
                (_, true) => DEALING,
                _ => self.next_deadline(),
            };
            if events.recv_timeout(wait).is_ok_and(|event| !self.handle(event)) || !self.take(events) {
                return;
            }
            self.check_timeouts();
            self.check_expiry();
            let ready: Vec<Id> = self.requests.iter().filter(|(_, request)| request.ready).map(|(id, _)| *id).collect();
            for id in &ready {
                self.turn(id);
                if !self.take(events) {
                    return;
                }
            }
            if preprocess && self.may_preprocess() && self.has_dealt() {
                self.preprocess();
            }
            self.report();
        }
    }

    /// Takes what has come, but not so much that nothing else is done. False when all is over.
    fn take(&mut self, events: &Receiver<Event>) -> bool {
        events.try_iter().take(MAX_EVENTS).all(|event| self.handle(event))
    }

    /// Handles an event. False when all is over.
    fn handle(&mut self, event: Event) -> bool {
        match event {
            Event::PeerLinked { number, link, generation, contributions } => self.on_peer_linked(number, link, generation, contributions),
            Event::FromPeer { number, generation, incoming, permit } => {
                self.on_peer_record(number, generation, incoming);
                drop(permit);
            }
            Event::PeerLost { number, generation, error } => self.on_peer_lost(number, generation, error),
            Event::DialFailed { number, error } => self.on_dial_failed(number, &error),
            Event::Asked { client, request, permits } => self.on_asked(client, request, permits),
            Event::FromClient { client, incoming, permit } => {
                self.on_client_record(&client, incoming);
                drop(permit);
            }
            Event::ClientLost { connection } => self.on_client_lost(connection),
            Event::Stop => {
                self.stop();
                return false;
            }
            #[cfg(feature = "seeded")]
            Event::Kill => {
                self.links().iter().for_each(|link| link.kill(Error::Peer("killed".into())));
                return false;
            }
        }
        true
    }

    /// Ends in order: requests are given up, peers and clients are told, keys are cleared.
    fn stop(&mut self) {
        let all: Vec<Id> = self.requests.keys().copied().collect();
        let text = format!("party {} is being stopped", self.state.number);
        all.iter().for_each(|id| self.give_up(id, RefusalReason::Stopping, &text, None));
        let (links, deadline) = (self.links(), Instant::now() + FLUSH);
        links.iter().for_each(|link| link.close("it is being stopped"));
        links.iter().for_each(|link| link.flush(deadline));
        self.count_link_bytes();
        self.keys = None;
        self.preprocessing.end_session();
        self.report();
        self.state.party.device().clear();
    }

    /// Links to peers and clients.
    fn links(&self) -> Vec<Link> {
        let peers = self.peers.iter().flatten().map(|peer| peer.link.0.clone());
        peers.chain(self.state.connections().values().cloned()).collect()
    }

    /// Dials peers of lower numbers until there is a link.
    fn dial_peers(&mut self) {
        let now = Instant::now();
        for number in 0..self.state.number {
            let dial = &mut self.dials[number];
            if self.peers[number].is_some() || dial.running || dial.at > now {
                continue;
            }
            let state = self.state.clone();
            let run = move || {
                if let Err(error) = hello::dial(&state, number) {
                    state.tell(Event::DialFailed { number, error });
                }
            };
            dial.running = true;
            if thread::Builder::new().name("trishade dialler".into()).spawn(run).is_err() {
                dial.running = false;
                dial.at = now + Duration::from_secs(1);
            }
        }
    }

    /// Plans the next dial of a peer that could not be reached, later after each failure.
    fn on_dial_failed(&mut self, number: usize, error: &Error) {
        let dial = &mut self.dials[number];
        dial.running = false;
        dial.failures += 1;
        dial.at = Instant::now() + Duration::from_millis(100 << dial.failures.min(5));
        if dial.failures.is_power_of_two() {
            let address = &self.state.setup.cluster.party[number].address;
            tracing::warn!(peer = number, address, %error, attempts = dial.failures, "no link yet");
        }
    }

    /// Time until the next dial or the next deadline of a request.
    fn next_deadline(&self) -> Duration {
        let dials = (0..self.state.number).filter(|&i| self.peers[i].is_none() && !self.dials[i].running).map(|i| self.dials[i].at);
        let all = dials.chain(self.requests.values().map(|request| request.deadline));
        let first = all.min().map_or(Duration::from_secs(1), |at| at.saturating_duration_since(Instant::now()));
        first.clamp(Duration::from_millis(1), Duration::from_secs(1))
    }
}
