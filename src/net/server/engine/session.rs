//! Session with the two peers: how it begins, what peers send in it, and that nothing is left when it ends.
//!
//! A session begins when both links are there: party 0 draws its number, each side says it on each link, and keys are derived
//! from what both sides of each link have contributed. It ends with the first link that fails: every request is given up, the other
//! peer is told why, the keys are cleared, and links are made anew with fresh contributions.

use super::{
    super::refusal::{Refusal, public_text},
    pending::disagreement,
    state::{Engine, Peer},
};
use crate::{
    Error, Result,
    net::{
        control::{Control, RefusalReason},
        link::{Incoming, LinkGuard},
        secrets::{Contributions, Id, SessionKeys, random},
        wire::{parcels, short},
    },
};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// Time from a session's end to the first dial.
const REDIAL: Duration = Duration::from_millis(100);

impl Engine {
    /// Takes a link to a peer; a session over an earlier one ends.
    pub(super) fn on_peer_linked(&mut self, number: usize, link: LinkGuard, generation: u64, contributions: Contributions) {
        self.dials[number].running = false;
        if self.peers[number].is_some() {
            self.end_session(number, Error::Peer("has connected anew".into()));
        }
        self.dials[number].failures = 0;
        tracing::info!(peer = number, "linked");
        self.peers[number] = Some(Peer { link, generation, contributions, session: None });
        self.begin_session();
    }

    /// Takes a record of a peer, unless it came on an earlier link.
    pub(super) fn on_peer_record(&mut self, number: usize, generation: u64, incoming: Incoming) {
        if self.is_current(number, generation)
            && let Err(error) = self.on_peer_message(number, incoming)
        {
            self.end_session(number, error);
        }
    }

    /// Ends the session with a link that has ended.
    pub(super) fn on_peer_lost(&mut self, number: usize, generation: u64, error: Error) {
        if self.is_current(number, generation) {
            self.end_session(number, error);
        }
    }

    fn is_current(&self, number: usize, generation: u64) -> bool {
        self.peers[number].as_ref().is_some_and(|peer| peer.generation == generation)
    }

    /// Begins a session, as far as the links allow.
    fn begin_session(&mut self) {
        let number = self.state.number;
        let others = [(number + 1) % 3, (number + 2) % 3];
        if self.keys.is_some() || others.iter().any(|&peer| self.peers[peer].is_none()) {
            return;
        }
        let Some(session) = self.session.or_else(|| self.choose_session()) else { return };
        for peer in others {
            match self.peers[peer].as_ref().and_then(|peer| peer.session) {
                None => return,
                Some(said) if said == session => {}
                Some(_) => return self.end_session(peer, Error::Peer("began another session".into())),
            }
        }
        let contributions = |peer: usize| self.peers[peer].as_ref().expect("both links are there").contributions.clone();
        self.keys = Some(SessionKeys::agree(number, session, contributions));
        self.state.metrics.sessions.fetch_add(1, Ordering::Relaxed);
        tracing::info!(session = short(&session), "session");
    }

    /// Number of the next session, which this party says on both links: drawn by party 0, said by it to the others.
    fn choose_session(&mut self) -> Option<Id> {
        let session = match self.state.number {
            0 => match random::<16>() {
                Ok(id) => *id,
                Err(error) => {
                    tracing::error!(%error, "no session can begin");
                    return None;
                }
            },
            _ => self.peers[0].as_ref()?.session?,
        };
        self.session = Some(session);
        self.peers.iter().flatten().for_each(|peer| peer.link.begin_session(session));
        Some(session)
    }

    /// Ends the session for a fault of a link: nothing of it is left.
    pub(super) fn end_session(&mut self, number: usize, error: Error) {
        let why = match &error {
            Error::Peer(text) => format!("party {number} {text}"),
            other => format!("party {number}: {}", public_text(other)),
        };
        tracing::warn!(peer = number, why = %why, requests = self.requests.len(), "the session has ended");
        self.count_link_bytes();
        for (i, peer) in self.peers.iter_mut().enumerate() {
            if let Some(peer) = peer.take() {
                match i == number {
                    true => peer.link.kill(error.clone()),
                    false => peer.link.close(&format!("the session has ended: {why}")),
                }
            }
        }
        (self.session, self.keys) = (None, None);
        let all: Vec<Id> = self.requests.keys().copied().collect();
        all.iter().for_each(|id| self.give_up(id, RefusalReason::PeerLost, &why, None));
        // what a lost request has noted on the device is of no other
        let _ = self.state.party.device().check();
        self.pending.clear();
        self.seen.clear();
        self.peer_refusals.clear();
        self.preprocessing.end_session();
        self.dials.iter_mut().for_each(|dial| dial.at = Instant::now() + REDIAL);
    }

    /// Counts the bytes of the links of a session that is over.
    pub(super) fn count_link_bytes(&self) {
        for peer in self.peers.iter().flatten() {
            self.state.metrics.socket_bytes.fetch_add(peer.link.bytes_sent(), Ordering::Relaxed);
        }
    }

    /// Handles a message of a peer. An error ends the session.
    fn on_peer_message(&mut self, number: usize, incoming: Incoming) -> Result<()> {
        match incoming {
            Incoming::Control(control) => self.on_peer_control(number, control),
            Incoming::Parcels(body) => parcels(&body)?.into_iter().try_for_each(|(id, frame)| self.on_frame(number, &id, frame)),
            Incoming::Alive => Ok(()),
            Incoming::Piece(_) => Err(unexpected()),
        }
    }

    fn on_peer_control(&mut self, number: usize, control: Control) -> Result<()> {
        match control {
            Control::BeginSession { session } => {
                if let Some(peer) = &mut self.peers[number] {
                    peer.session = Some(session);
                }
                self.begin_session();
            }
            Control::RequestBegun { request, client, digest } => return self.on_begun(number, &request, client, digest),
            Control::Prepare { request, digest } => return self.on_prepare(number, &request, digest),
            Control::Prepared { request } => self.on_prepared(number, &request),
            Control::PreparedKept { request } => self.preprocessing.set_kept(&request),
            Control::PreparedAnswered { request } => self.preprocessing.note_answered(&request),
            Control::Refused { request: Some(id), reason, text } => self.on_refused(number, &id, reason, text),
            _ => return Err(unexpected()),
        }
        Ok(())
    }

    /// A peer has begun a request: it must have been told the same.
    fn on_begun(&mut self, number: usize, id: &Id, client: u32, digest: [u8; 32]) -> Result<()> {
        match self.requests.get(id) {
            Some(request) if request.digest == digest => Ok(()),
            Some(_) => {
                self.give_up(id, RefusalReason::Disagree, &disagreement(number), None);
                Ok(())
            }
            None if self.seen.contains(id) => Ok(()),
            None => self.pending.note_begun(&self.state.setup.config.limits, number, id, client, digest),
        }
    }

    /// A peer has given up a request; its client is told, now or when it asks here.
    fn on_refused(&mut self, number: usize, id: &Id, reason: RefusalReason, text: String) {
        self.pending.remove(id);
        self.preprocessing.forget(id, reason);
        if self.requests.contains_key(id) {
            self.give_up(id, reason, &text, Some(number));
        } else if !self.seen.contains(id) {
            self.peer_refusals.insert(*id, Refusal::new(reason, text));
        }
        self.remember(id);
    }

    /// Takes a frame of a request, which may not have begun here.
    fn on_frame(&mut self, number: usize, id: &Id, frame: &[u8]) -> Result<()> {
        if self.requests.contains_key(id) {
            self.deliver(number, id, frame);
            return Ok(());
        }
        if self.seen.contains(id) {
            // credit for a lead that has ended, or what was on its way when the request was given up
            return Ok(());
        }
        if let Err(Refusal { reason, text }) = self.pending.add_frame(&self.state.setup.config.limits, number, id, frame)? {
            self.refuse_pending(id, reason, &text);
        }
        Ok(())
    }
}

fn unexpected() -> Error {
    Error::Peer("sent a message that no party sends in a session".into())
}
