//! What comes for a request before it has begun here: it waits, within bounds, and is forgotten if nobody asks.

use super::{Engine, keep, requests::Refused};
use crate::{
    Error, Result,
    net::{control::Why, secrets::Id},
    party::Expected,
};
use std::time::Instant;
use zeroize::Zeroizing;

/// What a frame that waits takes besides its bytes.
const EARLY: u64 = 256;

/// Refusals of peers that are kept for their clients.
const MOST_REFUSED: usize = 4096;

/// Messages of a request that has not begun here.
pub(super) struct Early {
    pub(super) since: Instant,
    pub(super) frames: Vec<(usize, Zeroizing<Vec<u8>>)>,
    /// Of what each peer was asked for.
    pub(super) digests: [Option<[u8; 32]>; 3],
    /// Whose request it is, if a peer has begun it.
    client: Option<u32>,
    bytes: u64,
    /// Its lead works ahead: it may be long until it begins, and what is dealt waits on the device.
    pub(super) expected: Option<Expected>,
}

impl Engine {
    /// The parties must have been told the same.
    pub(super) fn compare(&mut self, number: usize, id: &Id, client: Option<u32>, digest: [u8; 32]) -> Result<()> {
        match self.requests.get(id) {
            Some(request) if request.digest == digest => {}
            Some(_) => {
                let text = format!("party {number} was asked for something else under the same number");
                self.give_up(id, Why::Disagree, &text, None);
            }
            None if self.seen.contains(id) => {}
            None => {
                let early = self.early(id)?;
                (early.digests[number], early.client) = (Some(digest), client.or(early.client));
            }
        }
        Ok(())
    }

    pub(super) fn frame(&mut self, number: usize, id: &Id, frame: &[u8]) -> Result<()> {
        if let Some(request) = self.requests.get_mut(id) {
            match request.run.deliver(number, frame) {
                Ok(news) => request.ready |= news,
                Err(error) => self.give_up(id, Why::PeerLost, &format!("party {number}: {error}"), None),
            }
            return Ok(());
        }
        if self.seen.contains(id) {
            // credit for a lead that has ended, or what was on its way when the request was given up
            return Ok(());
        }
        let bytes = frame.len() as u64 + EARLY;
        let early = self.early(id)?;
        let (ahead, client) = (early.expected.is_some(), early.client);
        let waiting =
            |of: &dyn Fn(&Early) -> bool| self.early.values().filter(|early| of(early)).map(|early| early.bytes).sum::<u64>() + bytes;
        let limits = &self.house.setup.config.limits;
        let fits = match ahead {
            true => waiting(&|other| other.expected.is_some()) <= limits.ahead,
            false => {
                let own = waiting(&|other| other.expected.is_none() && other.client == client);
                own <= limits.early / 2 && waiting(&|other| other.expected.is_none()) <= limits.early
            }
        };
        if !fits {
            self.refuse_early(id, Why::TooMuch, "too many messages wait for requests that have not begun");
            return Ok(());
        }
        let early = self.early(id)?;
        early.bytes += bytes;
        let dealt = match &early.expected {
            Some(expected) if expected.lead() == number => expected.deliver(frame),
            _ => {
                early.frames.push((number, Zeroizing::new(frame.to_vec())));
                Ok(())
            }
        };
        if let Err(error) = dealt {
            self.refuse_early(id, Why::PeerLost, &format!("party {number}: {error}"));
        }
        Ok(())
    }

    pub(super) fn early(&mut self, id: &Id) -> Result<&mut Early> {
        if self.early.len() >= 5 * self.house.setup.config.limits.requests && !self.early.contains_key(id) {
            return Err(Error::Peer("began too many requests that nobody has asked for here".into()));
        }
        let new = || Early { since: Instant::now(), frames: Vec::new(), digests: [None; 3], client: None, bytes: 0, expected: None };
        Ok(self.early.entry(*id).or_insert_with(new))
    }

    pub(super) fn refuse_early(&mut self, id: &Id, why: Why, text: &str) {
        self.early.remove(id);
        self.remember(id);
        self.tell_peers(id, why, text);
    }

    /// What has come of a request that begins now, of which no peer was told something else.
    pub(super) fn agreed(&mut self, id: &Id, digest: &[u8; 32]) -> std::result::Result<Option<Early>, Refused> {
        let early = self.early.remove(id);
        let differs = |early: &Early| early.digests.iter().position(|other| other.is_some_and(|other| other != *digest));
        match early.as_ref().and_then(differs) {
            Some(other) => Err((Why::Disagree, format!("party {other} was asked for something else under the same number"))),
            None => Ok(early),
        }
    }

    /// A peer has refused a request that its client has not asked for here yet, and is told when it does.
    pub(super) fn refused_by_peer(&mut self, id: &Id, why: Why, text: String) {
        keep(&mut self.refused, MOST_REFUSED, *id, (why, text));
    }
}
