//! The session with the two peers: how it begins, and that nothing is left when it ends.

use super::Engine;
use crate::{
    Error, Result,
    net::{
        control::{Control, Why},
        reading::Incoming,
        secrets::{Id, SessionKeys, random},
        wire::{parcels, short},
    },
};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

impl Engine {
    /// Goes as far as the links allow.
    pub(super) fn begin_session(&mut self) {
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
    pub(super) fn end_session(&mut self, number: usize, error: Error) {
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
        // what a lost request has noted is of no other
        let _ = self.house.party.device().check();
        self.early.clear();
        self.seen.clear();
        self.refused.clear();
        self.ahead.end();
        self.dial_at = [Instant::now() + Duration::from_millis(100); 3];
    }

    /// What has gone through the links of a session that is over.
    pub(super) fn count_links(&self) {
        for peer in self.peers.iter().flatten() {
            let sent = peer.link.counted().sent.load(Ordering::Relaxed);
            self.house.metrics.socket_bytes.fetch_add(sent, Ordering::Relaxed);
        }
    }

    pub(super) fn hear_peer(&mut self, number: usize, incoming: Incoming) -> Result<()> {
        match incoming {
            Incoming::Control(Control::Begin { session }) => {
                if let Some(peer) = &mut self.peers[number] {
                    peer.said = Some(session);
                }
                self.begin_session();
                Ok(())
            }
            Incoming::Control(Control::Start { request, client, digest }) => self.compare(number, &request, Some(client), digest),
            Incoming::Control(Control::Ahead { request, digest }) => self.foretold(number, &request, digest),
            Incoming::Control(Control::Dealt { request }) => {
                self.dealt(number, &request);
                Ok(())
            }
            Incoming::Control(Control::Kept { request }) => {
                self.ahead.keep(&request);
                Ok(())
            }
            Incoming::Control(Control::Answered { request }) => {
                self.ahead.answered(&request);
                Ok(())
            }
            Incoming::Control(Control::Refused { request: Some(id), why, text }) => {
                self.early.remove(&id);
                self.ahead.forget(&id, why);
                if self.requests.contains_key(&id) {
                    self.give_up(&id, why, &text, Some(number));
                } else if !self.seen.contains(&id) {
                    self.refused_by_peer(&id, why, text);
                }
                self.remember(&id);
                Ok(())
            }
            Incoming::Parcels(body) => {
                for (id, frame) in parcels(&body)? {
                    self.frame(number, &id, frame)?;
                }
                Ok(())
            }
            Incoming::Alive => Ok(()),
            _ => Err(Error::Peer("sent what a party does not send in a session".into())),
        }
    }
}
