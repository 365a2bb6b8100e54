//! Preprocessing (offline phase): what a lead has done for requests to come.
//!
//! A lead receives nothing in a run, and the seeds of an input can be drawn before there is an input. So this party, as the lead,
//! makes up a request and the two seeds of its own share, and runs its part to the end. What it deals waits at the second. The
//! number and the seeds are a preprocessing token: a client that takes it shares its input under these seeds. A token is for one
//! client and one request, for two inputs under the same seeds would tell their difference. The next requests are taken to be like
//! the last.

use super::bounded::BoundedMap;
use crate::{
    device::Buffer,
    net::{
        budget::Permit,
        control::{PreprocessingCost, PreprocessingToken, RefusalReason, RequestKind, SecretBytes},
        secrets::Id,
        wire::short,
    },
    party::Remote,
};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// Kinds of requests of which is remembered whether preprocessing is worth it.
const MAX_KINDS: usize = 1024;

/// Parties that answer a preprocessed request after the offline phase: the pair.
const PAIR: u8 = 2;

/// Preprocessing of a party as a lead.
pub struct Preprocessing {
    /// Kinds of the last requests that it has led, the newest first.
    led: VecDeque<RequestKind>,
    /// Run that is under way.
    pub running: Option<RunningRequest>,
    prepared: BTreeMap<Id, PreparedRequest>,
    /// Preprocessed requests at which the pair is at work: what is dealt for others would be in their way.
    online: HashMap<Id, OnlineRequest>,
    /// Whether it is worth to prepare requests of a kind.
    pub worth: BoundedMap<RequestKind, bool>,
    /// Nothing is prepared until something that was prepared is gone: the second keeps no more, or the lead needs interaction.
    paused: bool,
}

/// Run of a lead for a request that has no input yet.
pub struct RunningRequest {
    /// Number of the request.
    pub request: Id,
    /// Its kind.
    pub kind: RequestKind,
    /// The lead's share of the input.
    pub share: SecretBytes,
    /// Digest of all that is public of the request.
    pub digest: [u8; 32],
    /// The run.
    pub run: Remote<Vec<Buffer>>,
    /// Time of computing so far.
    pub busy: Duration,
    /// Permit for its memory on the device.
    pub _memory: Option<Permit>,
}

/// Request whose lead has done its part.
pub struct PreparedRequest {
    /// Its kind.
    pub kind: RequestKind,
    /// The lead's share of the input.
    pub share: SecretBytes,
    /// Digest of all that is public of the request.
    pub digest: [u8; 32],
    /// This party's summands of the result.
    pub words: Zeroizing<Vec<Vec<u64>>>,
    /// Cost of the offline phase.
    pub cost: PreprocessingCost,
    /// The second keeps all that was dealt.
    pub kept: bool,
    /// Connection that has its token.
    pub issued: Option<Issued>,
}

/// Connection to which a token was given, and when.
pub struct Issued {
    /// Number of the connection.
    pub connection: u64,
    /// Time when it was given.
    pub since: Instant,
}

/// Preprocessed request that the pair computes.
struct OnlineRequest {
    /// Parties of the pair that have not answered.
    left: u8,
    since: Instant,
}

/// Next request to prepare.
pub struct NextRequest {
    /// Its kind.
    pub kind: RequestKind,
    /// Prepared request to throw away for it.
    pub surplus: Option<Id>,
}

impl Default for Preprocessing {
    fn default() -> Self {
        let (led, prepared, online) = Default::default();
        Self { led, running: None, prepared, online, worth: BoundedMap::new(MAX_KINDS), paused: false }
    }
}

impl Preprocessing {
    /// Notes that a request of this kind has been led here; the last `most` are remembered.
    pub fn note_led(&mut self, kind: RequestKind, most: usize) {
        if self.worth.get(&kind) != Some(&false) {
            self.led.push_front(kind);
            self.led.truncate(most);
        }
    }

    /// Forgets a kind that cannot be prepared, or is not worth it.
    pub fn forget_kind(&mut self, kind: &RequestKind) {
        self.led.retain(|led| led != kind);
    }

    /// Tokens that may be given.
    pub fn ready(&self) -> u32 {
        self.prepared.values().filter(|prepared| prepared.kept && prepared.issued.is_none()).count() as u32
    }

    /// Whether there is something to prepare, so that `most` requests are prepared, and nothing is in its way.
    pub fn has_work(&self, most: usize) -> bool {
        self.online.is_empty() && !self.paused && (self.running.is_some() || self.next(most).is_some())
    }

    /// Request to prepare next, so that `most` are prepared.
    pub fn next(&self, most: usize) -> Option<NextRequest> {
        let mut lacking = self.forecast(most);
        let mut surplus = None;
        for (id, prepared) in &self.prepared {
            match lacking.get_mut(&prepared.kind) {
                Some(count) if *count > 0 => *count -= 1,
                _ if prepared.issued.is_none() => surplus = Some(*id),
                _ => {}
            }
        }
        let kind = self.led.iter().find(|kind| lacking.get(kind).is_some_and(|&count| count > 0))?;
        match self.prepared.len() < most {
            true => Some(NextRequest { kind: kind.clone(), surplus: None }),
            false => Some(NextRequest { kind: kind.clone(), surplus: Some(surplus?) }),
        }
    }

    /// Requests of each kind that the next `most` are taken to be.
    fn forecast(&self, most: usize) -> HashMap<&RequestKind, usize> {
        let mut counts = HashMap::new();
        self.led.iter().cycle().take(most).for_each(|kind| *counts.entry(kind).or_default() += 1);
        counts
    }

    /// Prepares nothing more for a while.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Adds a request whose lead, this party, has done its part.
    pub fn add(&mut self, id: Id, prepared: PreparedRequest) {
        self.prepared.insert(id, prepared);
    }

    /// Notes that the second keeps all that was dealt.
    pub fn set_kept(&mut self, id: &Id) {
        self.prepared.entry(*id).and_modify(|prepared| prepared.kept = true);
    }

    /// Gives at most so many tokens of a kind to a connection.
    pub fn issue(&mut self, kind: &RequestKind, most: usize, connection: u64) -> Vec<PreprocessingToken> {
        let free = self.prepared.iter_mut().filter(|(_, prepared)| prepared.kept && prepared.issued.is_none() && prepared.kind == *kind);
        let tokens = free.take(most).map(|(id, prepared)| {
            prepared.issued = Some(Issued { connection, since: Instant::now() });
            PreprocessingToken { request: *id, share: prepared.share.clone() }
        });
        tokens.collect()
    }

    /// Takes out the prepared part of a request that a client makes with its token; none if this client has no such token.
    pub fn redeem(&mut self, id: &Id, connection: u64, digest: &[u8; 32]) -> Option<PreparedRequest> {
        let fits = |prepared: &PreparedRequest| {
            prepared.digest == *digest && prepared.issued.as_ref().is_some_and(|issued| issued.connection == connection)
        };
        if !self.prepared.get(id).is_some_and(fits) {
            return None;
        }
        self.paused = false;
        self.online.insert(*id, OnlineRequest { left: PAIR, since: Instant::now() });
        self.prepared.remove(id)
    }

    /// Notes that one of the pair has answered a preprocessed request.
    pub fn note_answered(&mut self, id: &Id) {
        if let Some(online) = self.online.get_mut(id) {
            online.left -= 1;
        }
        self.online.retain(|_, online| online.left > 0);
    }

    /// Requests whose tokens are `over`; of pairs that have been at work for longer than the timeout nothing is expected any more.
    pub fn expired(&mut self, timeout: Duration, over: impl Fn(&Issued) -> bool) -> Vec<Id> {
        self.online.retain(|_, online| online.since.elapsed() < timeout);
        let expired = self.prepared.iter().filter(|(_, prepared)| prepared.issued.as_ref().is_some_and(&over));
        expired.map(|(id, _)| *id).collect()
    }

    /// Forgets a request of which the peers have been told, or have told, that it is given up.
    pub fn forget(&mut self, id: &Id, reason: RefusalReason) {
        self.online.remove(id);
        let running = self.running.take_if(|running| running.request == *id).is_some();
        if self.prepared.remove(id).is_some() || running {
            tracing::info!(request = short(id), ?reason, "its preprocessing is thrown away");
            self.paused = reason == RefusalReason::TooMuch;
        }
    }

    /// Forgets everything that the session's keys have made; the kinds of requests are remembered.
    pub fn end_session(&mut self) {
        let worth = std::mem::replace(&mut self.worth, BoundedMap::new(MAX_KINDS));
        *self = Self { led: std::mem::take(&mut self.led), worth, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Reveal;

    fn kind(model: &str) -> RequestKind {
        RequestKind { model: model.into(), count: 1, reveal: Reveal::Logits }
    }

    fn prepared(model: &str) -> PreparedRequest {
        let words = Zeroizing::new(Vec::new());
        PreparedRequest {
            kind: kind(model),
            share: SecretBytes::default(),
            digest: [0; 32],
            words,
            cost: Default::default(),
            kept: true,
            issued: None,
        }
    }

    #[test]
    fn the_next_requests_are_like_the_last() {
        let mut preprocessing = Preprocessing::default();
        assert!(preprocessing.next(4).is_none(), "nothing has been asked for");
        preprocessing.note_led(kind("a"), 4);
        for i in 0..4 {
            assert_eq!(preprocessing.next(4).map(|next| (next.kind.model, next.surplus)), Some(("a".into(), None)));
            preprocessing.prepared.insert([i; 16], prepared("a"));
        }
        assert!(preprocessing.next(4).is_none(), "four are there");
        // one of another model: four of five to come are forecast from [b, a]
        preprocessing.note_led(kind("b"), 4);
        let next = preprocessing.next(4).unwrap();
        assert_eq!(next.kind.model, "b");
        preprocessing.prepared.remove(&next.surplus.unwrap());
        preprocessing.prepared.insert([9; 16], prepared("b"));
        assert_eq!(preprocessing.next(4).unwrap().kind.model, "b", "half of them");
        // tokens in a client's hands are not thrown away
        preprocessing.prepared.values_mut().for_each(|prepared| prepared.issued = Some(Issued { connection: 7, since: Instant::now() }));
        assert!(preprocessing.next(4).is_none());
        assert_eq!(preprocessing.ready(), 0);
    }

    #[test]
    fn a_token_is_for_one_client_and_one_request() {
        let mut preprocessing = Preprocessing::default();
        preprocessing.prepared.insert([1; 16], prepared("a"));
        assert!(preprocessing.redeem(&[1; 16], 7, &[0; 32]).is_none(), "nobody has it");
        preprocessing.prepared.values_mut().for_each(|prepared| prepared.issued = Some(Issued { connection: 7, since: Instant::now() }));
        assert!(preprocessing.redeem(&[1; 16], 8, &[0; 32]).is_none(), "another's");
        assert!(preprocessing.redeem(&[1; 16], 7, &[1; 32]).is_none(), "another request");
        assert!(preprocessing.redeem(&[1; 16], 7, &[0; 32]).is_some());
        assert!(preprocessing.redeem(&[1; 16], 7, &[0; 32]).is_none(), "used");
    }
}
