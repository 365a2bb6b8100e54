//! Requests to come: in idle time a lead does its part of them, so that what is left is the pair's.
//!
//! A lead receives nothing in a run, and the seeds of an input can be chosen before there is an input. So this party, as the lead,
//! makes up a request and the two seeds of its own share, and runs its part to the end. What it deals waits at the second. The
//! number and the seeds are a *ticket*: a client that takes it shares its input under these seeds. A ticket is for one client and
//! one request, for two inputs under the same seeds would tell their difference. The next requests are taken to be like the last.

use super::{
    Engine, MOST_SORTS, keep,
    requests::{Admitted, Refused},
};
use crate::{
    Error, Result,
    device::Buffer,
    net::{
        control::{self, Ask, Control, SecretBytes, Sort, Ticket, Why},
        link::Link,
        room::Held,
        secrets::{Id, random},
        server::Account,
        wire::short,
    },
    nn::PartyModel,
    party::{Expected, Keys, Progress, Remote},
    protocol as mpc,
};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// What a party has done for requests that it will lead.
#[derive(Default)]
pub(super) struct Ahead {
    /// The last that it has led, the newest first.
    led: VecDeque<Sort>,
    making: Option<Making>,
    made: BTreeMap<Id, Made>,
    /// Prepared requests at which the pair is at work, how many of the two, and since when: what is dealt for others would be in
    /// their way.
    under_way: HashMap<Id, (u8, Instant)>,
    /// Whether it pays to prepare such a request.
    pays: HashMap<Sort, bool>,
    /// Until something that was made is gone: the second keeps no more, or a lead has to hear from others.
    paused: bool,
}

/// A run that has no input yet.
struct Making {
    request: Id,
    sort: Sort,
    share: SecretBytes,
    digest: [u8; 32],
    run: Remote<Vec<Buffer>>,
    busy: Duration,
    _memory: Option<Held>,
}

/// A run whose lead has ended.
struct Made {
    sort: Sort,
    share: SecretBytes,
    digest: [u8; 32],
    /// This party's summands of the result.
    words: Zeroizing<Vec<Vec<u64>>>,
    spent: control::Ahead,
    /// All that was dealt is at the second.
    kept: bool,
    /// To which visitor, and when.
    given: Option<(u64, Instant)>,
}

impl Ahead {
    /// A request like this has been led here.
    pub(super) fn note(&mut self, sort: Sort, most: usize) {
        if self.pays.get(&sort) != Some(&false) {
            self.led.push_front(sort);
            self.led.truncate(most);
        }
    }

    /// Tickets that may be given.
    pub(super) fn ready(&self) -> u32 {
        self.made.values().filter(|made| made.kept && made.given.is_none()).count() as u32
    }

    /// How many of each sort the next `most` requests are taken to be.
    fn forecast(&self, most: usize) -> HashMap<&Sort, usize> {
        let mut counts = HashMap::new();
        self.led.iter().cycle().take(most).for_each(|sort| *counts.entry(sort).or_default() += 1);
        counts
    }

    /// What is made next so that `most` requests are prepared, and what is thrown away for it.
    fn next(&self, most: usize) -> Option<(Sort, Option<Id>)> {
        let mut lacking = self.forecast(most);
        let mut surplus = None;
        for (id, made) in &self.made {
            match lacking.get_mut(&made.sort) {
                Some(count) if *count > 0 => *count -= 1,
                _ if made.given.is_none() => surplus = Some(*id),
                _ => {}
            }
        }
        let sort = self.led.iter().find(|sort| lacking.get(sort).is_some_and(|&count| count > 0))?;
        match self.made.len() < most {
            true => Some((sort.clone(), None)),
            false => Some((sort.clone(), Some(surplus?))),
        }
    }

    /// All that the session's keys have made; what was asked for is remembered.
    pub(super) fn end(&mut self) {
        *self = Self { led: std::mem::take(&mut self.led), pays: std::mem::take(&mut self.pays), ..Self::default() };
    }

    /// The peers have been told of this one's end, or have told it.
    pub(super) fn forget(&mut self, id: &Id, why: Why) {
        self.under_way.remove(id);
        let making = self.making.take_if(|making| making.request == *id).is_some();
        if self.made.remove(id).is_some() || making {
            tracing::info!(request = short(id), ?why, "what was prepared for it is thrown away");
            self.paused = why == Why::TooMuch;
        }
    }

    /// One of the pair has answered.
    pub(super) fn answered(&mut self, id: &Id) {
        if let Some((left, _)) = self.under_way.get_mut(id) {
            *left -= 1;
        }
        self.under_way.retain(|_, (left, _)| *left > 0);
    }

    /// The second has all of it.
    pub(super) fn keep(&mut self, id: &Id) {
        self.made.entry(*id).and_modify(|made| made.kept = true);
    }

    /// What was made for the request that a client makes of its ticket.
    pub(super) fn take(&mut self, id: &Id, visitor: u64, digest: &[u8; 32]) -> Option<(Zeroizing<Vec<Vec<u64>>>, control::Ahead)> {
        let fits = |made: &Made| made.digest == *digest && made.given.is_some_and(|(to, _)| to == visitor);
        if !self.made.get(id).is_some_and(fits) {
            return None;
        }
        self.paused = false;
        self.under_way.insert(*id, (2, Instant::now()));
        self.made.remove(id).map(|made| (made.words, made.spent))
    }
}

impl Engine {
    fn most_ahead(&self) -> usize {
        self.house.setup.config.prepare
    }

    /// Where this party, as the lead, deals to.
    fn second(&self) -> usize {
        (self.house.number + 2) % 3
    }

    /// Whether there is something to do for requests to come, and nothing else.
    pub(super) fn may_work_ahead(&self) -> bool {
        let ahead = &self.ahead;
        let idle = self.requests.is_empty() && self.asked.is_empty() && ahead.under_way.is_empty();
        idle && self.keys.is_some() && !ahead.paused && (ahead.making.is_some() || ahead.next(self.most_ahead()).is_some())
    }

    /// Whether the second has been sent what was dealt before: no more lies in the queue than one deal.
    pub(super) fn has_dealt(&self) -> bool {
        self.peers[self.second()].as_ref().is_some_and(|peer| peer.link.sent_all())
    }

    /// A turn of a run that has no input yet.
    pub(super) fn work_ahead(&mut self) {
        let Some(mut making) = self.ahead.making.take().or_else(|| self.begin_ahead()) else { return };
        let (id, began) = (making.request, Instant::now());
        let step = self.step(&id, &mut making.run);
        making.busy += began.elapsed();
        match step {
            Ok(Progress::Again) => self.ahead.making = Some(making),
            Ok(Progress::Blocked) => {
                let text = format!("a lead that has to hear from others cannot work ahead: {}", making.run.waits());
                self.give_up_ahead(&id, &text);
            }
            Ok(Progress::Done(words)) => {
                let spent = control::Ahead { bytes: making.run.party().meter().bytes(), seconds: making.busy.as_secs_f64() };
                if let Some(peer) = &self.peers[self.second()] {
                    peer.link.control(&Control::Dealt { request: id });
                }
                tracing::info!(request = short(&id), model = making.sort.model, bytes = spent.bytes, busy = spent.seconds, "prepared");
                self.house.metrics.prepared.fetch_add(1, Ordering::Relaxed);
                let Making { sort, share, digest, .. } = making;
                self.ahead.made.insert(id, Made { sort, share, digest, words, spent, kept: false, given: None });
            }
            Err(error) => self.give_up_ahead(&id, &error.to_string()),
        }
    }

    /// What cannot be prepared is not tried again in this session.
    fn give_up_ahead(&mut self, id: &Id, text: &str) {
        tracing::warn!(request = short(id), text, "cannot work ahead");
        self.refuse_early(id, Why::Failed, text);
        self.ahead.paused = true;
    }

    fn begin_ahead(&mut self) -> Option<Making> {
        let (sort, surplus) = self.ahead.next(self.most_ahead())?;
        if let Some(id) = surplus {
            self.drop_ticket(&id, Why::Cancelled, "others are asked for now");
        }
        match self.make(sort.clone()) {
            Ok(making) => Some(making),
            Err((why, text)) => {
                // a request like this would be refused, or gain nothing
                tracing::info!(model = sort.model, inputs = sort.count, ?why, text, "is not prepared");
                self.ahead.led.retain(|led| *led != sort);
                None
            }
        }
    }

    fn make(&mut self, sort: Sort) -> std::result::Result<Making, Refused> {
        let failed = |error: Error| (Why::Failed, error.to_string());
        let request = *random::<16>().map_err(failed)?;
        let (lead, count, reveal) = (self.house.number, sort.count, sort.reveal);
        let ask = Ask { request, model: sort.model.clone(), count, reveal, lead: lead as u8, ahead: true, patience: 0 };
        let Admitted { model, keys, digest, shapes } = self.admit(&ask)?;
        self.check_pays(&sort, &model)?;
        let memory = self.memory(&model, &ask)?;
        let own = mpc::Input::promised(&shapes).map_err(failed)?;
        let mut share = SecretBytes::default();
        own.iter().try_for_each(|input| input.write(&mut *share.0)).map_err(|e| (Why::Failed, e.to_string()))?;
        let party = self.house.party.beside(keys);
        // the second says when it is enough
        party.set_window(u64::MAX);
        if let Some(peer) = &self.peers[self.second()] {
            peer.link.control(&Control::Ahead { request, digest });
        }
        let run = Remote::begin_preprocessed(Expected::new(party, lead), |p| model.infer(p, own, lead, reveal));
        Ok(Making { request, sort, share, digest, run, busy: Duration::ZERO, _memory: memory })
    }

    /// An error if a request of this sort would end later if it were prepared, or cannot be.
    fn check_pays(&mut self, sort: &Sort, model: &PartyModel) -> std::result::Result<(), Refused> {
        let pays = match self.ahead.pays.get(sort) {
            Some(pays) => *pays,
            None => {
                let found = self.house.pays(model.program(), sort.count as usize, sort.reveal);
                let pays = *found.as_ref().unwrap_or(&false);
                if let Err(error) = found {
                    tracing::info!(model = sort.model, %error, "cannot be prepared");
                }
                keep(&mut self.ahead.pays, MOST_SORTS, sort.clone(), pays);
                pays
            }
        };
        match pays {
            true => Ok(()),
            false => Err((Why::BadRequest, "a run without short signs ends later on this network than one that is not prepared".into())),
        }
    }

    /// A lead works ahead: this party is its second, and keeps what it deals.
    pub(super) fn foretold(&mut self, number: usize, id: &Id, digest: [u8; 32]) -> Result<()> {
        if (number + 2) % 3 != self.house.number {
            return Err(Error::Peer("works ahead for another party than its second".into()));
        }
        if self.early.values().filter(|early| early.expected.is_some()).count() >= self.house.setup.config.limits.requests {
            self.refuse_early(id, Why::TooMuch, "as many requests are prepared as may be under way");
        } else if self.keys.is_none() {
            // this side has not heard of the session from all: the lead will try again
            self.remember(id);
            if let Some(peer) = &self.peers[number] {
                peer.link.refuse(Some(*id), Why::PeerLost, "there is no session here yet");
            }
        } else if let Some(keys) = self.keys.as_ref().filter(|_| !self.seen.contains(id)) {
            let expected = self.expected(keys.request(id, &digest), number);
            let early = self.early(id)?;
            early.expected = Some(expected);
            early.digests[number] = Some(digest);
        }
        Ok(())
    }

    /// This party in a run that its lead prepares.
    pub(super) fn expected(&self, keys: Keys, lead: usize) -> Expected {
        let (party, limits) = (self.house.party.beside(keys), &self.house.setup.config.limits);
        party.set_most_waiting(limits.ahead.saturating_add(limits.frame));
        Expected::new(party, lead)
    }

    /// The lead has dealt all: it may give the ticket away.
    pub(super) fn dealt(&self, number: usize, id: &Id) {
        if self.early.get(id).is_some_and(|early| early.expected.is_some())
            && let Some(peer) = &self.peers[number]
        {
            peer.link.control(&Control::Kept { request: *id });
        }
    }

    /// Gives a client what there is for its next requests.
    pub(super) fn give_tickets(&mut self, visitor: u64, account: &Account, link: &Link, sort: &Sort, wanted: u32) {
        if let Err((why, text)) = account.permit(&sort.model) {
            return link.refuse(None, why, &text);
        }
        let free = self.ahead.made.iter_mut().filter(|(_, made)| made.kept && made.given.is_none() && made.sort == *sort);
        let tickets = free.take(wanted as usize).map(|(id, made)| {
            made.given = Some((visitor, Instant::now()));
            Ticket { request: *id, share: made.share.clone() }
        });
        let tickets = tickets.collect();
        link.control(&Control::TicketsAre { sort: sort.clone(), tickets });
    }

    /// Throws away the tickets of a visitor, or those that were given so long ago that nobody will come.
    pub(super) fn drop_tickets(&mut self, over: impl Fn(u64, Instant) -> bool) {
        let patience = self.house.setup.config.limits.request();
        self.ahead.under_way.retain(|_, (_, since)| since.elapsed() < patience);
        let gone = self.ahead.made.iter().filter(|(_, made)| made.given.is_some_and(|(visitor, since)| over(visitor, since)));
        let gone: Vec<Id> = gone.map(|(id, _)| *id).collect();
        gone.iter().for_each(|id| self.drop_ticket(id, Why::Cancelled, "the client has not come"));
    }

    fn drop_ticket(&mut self, id: &Id, why: Why, text: &str) {
        self.ahead.forget(id, why);
        self.refuse_early(id, why, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Reveal;

    fn sort(model: &str) -> Sort {
        Sort { model: model.into(), count: 1, reveal: Reveal::Logits }
    }

    fn made(model: &str) -> Made {
        let words = Zeroizing::new(Vec::new());
        Made {
            sort: sort(model),
            share: SecretBytes::default(),
            digest: [0; 32],
            words,
            spent: Default::default(),
            kept: true,
            given: None,
        }
    }

    #[test]
    fn the_next_requests_are_like_the_last() {
        let mut ahead = Ahead::default();
        assert!(ahead.next(4).is_none(), "nothing has been asked for");
        ahead.note(sort("a"), 4);
        for i in 0..4 {
            assert_eq!(ahead.next(4).map(|(sort, gone)| (sort.model, gone)), Some(("a".into(), None)));
            ahead.made.insert([i; 16], made("a"));
        }
        assert!(ahead.next(4).is_none(), "four are there");
        // one of another model: four of five to come are forecast from [b, a]
        ahead.note(sort("b"), 4);
        let (next, gone) = ahead.next(4).unwrap();
        assert_eq!(next.model, "b");
        ahead.made.remove(&gone.unwrap());
        ahead.made.insert([9; 16], made("b"));
        assert_eq!(ahead.next(4).unwrap().0.model, "b", "half of them");
        // tickets in a client's hands are not thrown away
        ahead.made.values_mut().for_each(|made| made.given = Some((7, Instant::now())));
        assert!(ahead.next(4).is_none());
        assert_eq!(ahead.ready(), 0);
    }

    #[test]
    fn a_ticket_is_for_one_client_and_one_request() {
        let mut ahead = Ahead::default();
        ahead.made.insert([1; 16], made("a"));
        assert!(ahead.take(&[1; 16], 7, &[0; 32]).is_none(), "nobody has it");
        ahead.made.values_mut().for_each(|made| made.given = Some((7, Instant::now())));
        assert!(ahead.take(&[1; 16], 8, &[0; 32]).is_none(), "another's");
        assert!(ahead.take(&[1; 16], 7, &[1; 32]).is_none(), "another request");
        assert!(ahead.take(&[1; 16], 7, &[0; 32]).is_some());
        assert!(ahead.take(&[1; 16], 7, &[0; 32]).is_none(), "used");
    }
}
