//! Pending requests: what has come for a request that has not begun here. It waits, within bounds, and is forgotten if nobody asks.

use super::super::refusal::{Refusal, public_text};
use crate::{
    Error, Result,
    net::{config::Limits, control::RefusalReason, secrets::Id},
    party::Expected,
};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// Bytes that a frame that waits takes besides its own.
const FRAME_OVERHEAD: u64 = 256;

/// Messages for a request that has not begun here.
pub struct PendingRequest {
    since: Instant,
    /// Frames, and the peers that sent them.
    pub frames: Vec<(usize, Zeroizing<Vec<u8>>)>,
    /// Digest of the request as each peer was asked for it.
    digests: [Option<[u8; 32]>; 3],
    /// Client of the request, if a peer has begun it.
    client: Option<u32>,
    bytes: u64,
    /// Party of a request in preprocessing: the lead's messages wait on its device, perhaps for long.
    pub expected: Option<Expected>,
}

impl PendingRequest {
    fn new() -> Self {
        Self { since: Instant::now(), frames: Vec::new(), digests: [None; 3], client: None, bytes: 0, expected: None }
    }
}

/// Pending requests, by their numbers.
#[derive(Default)]
pub struct PendingRequests(HashMap<Id, PendingRequest>);

impl PendingRequests {
    /// Notes that a peer has begun a request, for a client.
    pub fn note_begun(&mut self, limits: &Limits, peer: usize, id: &Id, client: u32, digest: [u8; 32]) -> Result<()> {
        let pending = self.entry(limits, id)?;
        (pending.digests[peer], pending.client) = (Some(digest), Some(client));
        Ok(())
    }

    /// Notes that the lead `peer` preprocesses a request, whose messages `expected` takes.
    pub fn note_prepared(&mut self, limits: &Limits, peer: usize, id: &Id, digest: [u8; 32], expected: Expected) -> Result<()> {
        let pending = self.entry(limits, id)?;
        pending.expected = Some(expected);
        pending.digests[peer] = Some(digest);
        Ok(())
    }

    /// Keeps a frame of a peer. A refusal gives the request up; an error ends the session.
    pub fn add_frame(&mut self, limits: &Limits, peer: usize, id: &Id, frame: &[u8]) -> Result<std::result::Result<(), Refusal>> {
        let bytes = frame.len() as u64 + FRAME_OVERHEAD;
        let pending = self.entry(limits, id)?;
        let (preprocessing, client) = (pending.expected.is_some(), pending.client);
        if !self.fits(limits, bytes, preprocessing, client) {
            let text = "too many messages wait for requests that have not begun";
            return Ok(Err(Refusal::new(RefusalReason::TooMuch, text)));
        }
        let pending = self.entry(limits, id)?;
        pending.bytes += bytes;
        let delivered = match &pending.expected {
            Some(expected) if expected.lead() == peer => expected.deliver(frame),
            _ => {
                pending.frames.push((peer, Zeroizing::new(frame.to_vec())));
                Ok(())
            }
        };
        Ok(delivered.map_err(|error| Refusal::new(RefusalReason::PeerLost, format!("party {peer}: {}", public_text(&error)))))
    }

    /// Takes out what has come for a request that begins now; a refusal if a peer was told something else.
    pub fn take(&mut self, id: &Id, digest: &[u8; 32]) -> std::result::Result<Option<PendingRequest>, Refusal> {
        let Some(pending) = self.0.remove(id) else { return Ok(None) };
        match pending.digests.iter().position(|other| other.is_some_and(|other| other != *digest)) {
            Some(peer) => Err(Refusal::new(RefusalReason::Disagree, disagreement(peer))),
            None => Ok(Some(pending)),
        }
    }

    /// Requests that leads preprocess with this party as their second.
    pub fn preprocessing(&self) -> usize {
        self.0.values().filter(|pending| pending.expected.is_some()).count()
    }

    /// Whether the lead's messages of such a request are kept here.
    pub fn is_preprocessing(&self, id: &Id) -> bool {
        self.0.get(id).is_some_and(|pending| pending.expected.is_some())
    }

    /// Requests for which no client has come in this time.
    pub fn expired(&self, timeout: Duration) -> Vec<Id> {
        let expired = self.0.iter().filter(|(_, pending)| pending.expected.is_none() && pending.since.elapsed() > timeout);
        expired.map(|(id, _)| *id).collect()
    }

    /// Forgets what has come for a request.
    pub fn remove(&mut self, id: &Id) {
        self.0.remove(id);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn entry(&mut self, limits: &Limits, id: &Id) -> Result<&mut PendingRequest> {
        if self.0.len() >= 5 * limits.requests && !self.0.contains_key(id) {
            return Err(Error::Peer("began too many requests that nobody has asked for here".into()));
        }
        Ok(self.0.entry(*id).or_insert_with(PendingRequest::new))
    }

    /// Whether `bytes` more may wait: of all preprocessing, or of all other requests and of half as much for those of one client.
    fn fits(&self, limits: &Limits, bytes: u64, preprocessing: bool, client: Option<u32>) -> bool {
        let with = |counts: &dyn Fn(&PendingRequest) -> bool| -> u64 {
            let counted = self.0.values().filter(|other| other.expected.is_some() == preprocessing && counts(other));
            counted.map(|other| other.bytes).sum::<u64>() + bytes
        };
        match preprocessing {
            true => with(&|_| true) <= limits.preprocessing,
            false => with(&|other| other.client == client) <= limits.pending / 2 && with(&|_| true) <= limits.pending,
        }
    }
}

/// Text of a refusal where parties were told different things.
pub fn disagreement(peer: usize) -> String {
    format!("party {peer} was asked for something else under the same number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_may_fill_half() {
        let (limits, mut pending) = (Limits { pending: 4 * (FRAME_OVERHEAD + 100), ..Limits::default() }, PendingRequests::default());
        for (id, client) in [([1; 16], 7), ([2; 16], 7), ([3; 16], 8)] {
            pending.note_begun(&limits, 1, &id, client, [0; 32]).unwrap();
        }
        let mut add = |id: u8| pending.add_frame(&limits, 1, &[id; 16], &[0; 100]).unwrap().is_ok();
        assert!(add(1) && add(2) && !add(1), "half for client 7");
        assert!(add(3) && add(3) && !add(3), "and half for client 8");
    }

    #[test]
    fn peers_must_have_been_told_the_same() {
        let (limits, mut pending) = (Limits::default(), PendingRequests::default());
        pending.note_begun(&limits, 2, &[1; 16], 0, [5; 32]).unwrap();
        pending.note_begun(&limits, 2, &[2; 16], 0, [5; 32]).unwrap();
        assert!(pending.take(&[1; 16], &[5; 32]).unwrap().is_some());
        assert_eq!(pending.take(&[2; 16], &[6; 32]).err().unwrap().reason, RefusalReason::Disagree);
        assert!(pending.take(&[2; 16], &[6; 32]).unwrap().is_none());
    }
}
