//! Requests: from the shares of a client to the summands that it receives, or to the reason why not.

use super::{super::Account, Asked, Early, Engine, Request};
use crate::{
    Error, Result,
    device::Buffer,
    net::{
        control::{Ask, Control, Sort, Spent, Why},
        link::Link,
        reading::Incoming,
        room::Held,
        secrets::{Id, sha256},
        wire::{PARCEL_HEADER, pack, parcels, short},
    },
    nn::Hosted,
    party::{Keys, Progress, Remote},
    protocol::Input,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// Requests of one session: their numbers are remembered, so that none is used twice.
const MOST_REQUESTS: usize = 1_000_000;

/// Bytes of a frame between parties: what is larger goes in parts, one on its way while the next leaves the device.
const FRAME: u64 = 1 << 20;

/// What a frame that waits takes besides its bytes.
const EARLY: u64 = 256;

/// Refusals of peers that are kept for their clients.
const MOST_REFUSED: usize = 4096;

/// A refusal: why, for programs, and for people.
pub(super) type Refused = (Why, String);

pub(super) fn refused(why: Why) -> impl Fn(Error) -> Refused {
    move |error| (why, error.to_string())
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
        let (limits, bytes) = (self.house.setup.config.limits.clone(), frame.len() as u64 + EARLY);
        let early = self.early(id)?;
        let (ahead, client) = (early.ahead, early.client);
        let waiting =
            |of: &dyn Fn(&Early) -> bool| self.early.values().filter(|early| of(early)).map(|early| early.bytes).sum::<u64>() + bytes;
        let fits = match ahead {
            true => waiting(&|other| other.ahead) <= limits.ahead,
            false => {
                let own = waiting(&|other| !other.ahead && other.client == client);
                own <= limits.early / 2 && waiting(&|other| !other.ahead) <= limits.early
            }
        };
        if !fits {
            self.refuse_early(id, Why::TooMuch, "too many messages wait for requests that have not begun");
            return Ok(());
        }
        let early = self.early(id)?;
        early.bytes += bytes;
        early.frames.push((number, Zeroizing::new(frame.to_vec())));
        Ok(())
    }

    pub(super) fn early(&mut self, id: &Id) -> Result<&mut Early> {
        if self.early.len() >= 5 * self.house.setup.config.limits.requests && !self.early.contains_key(id) {
            return Err(Error::Peer("began too many requests that nobody has asked for here".into()));
        }
        let new = || Early { since: Instant::now(), frames: Vec::new(), digests: [None; 3], client: None, bytes: 0, ahead: false };
        Ok(self.early.entry(*id).or_insert_with(new))
    }

    pub(super) fn refuse_early(&mut self, id: &Id, why: Why, text: &str) {
        self.early.remove(id);
        self.remember(id);
        self.tell_peers(id, why, text);
    }

    pub(super) fn tell_peers(&self, id: &Id, why: Why, text: &str) {
        if self.keys.is_some() {
            self.peers.iter().flatten().for_each(|peer| peer.link.refuse(Some(*id), why, text));
        }
    }

    pub(super) fn remember(&mut self, id: &Id) {
        self.seen.insert(*id);
    }

    /// So many numbers have been used that a fresh session must begin, and does when nothing is under way.
    pub(super) fn is_used_up(&self) -> bool {
        self.seen.len() >= MOST_REQUESTS
    }

    pub(super) fn asked(&mut self, visitor: u64, link: &Link, ask: Ask, held: [Option<Held>; 2]) {
        let limit = self.house.setup.config.limits.requests;
        if self.asked.len() + self.requests.len() >= limit {
            return link.refuse(Some(ask.request), Why::TooMuch, &format!("{limit} requests are under way"));
        }
        self.asked.insert((visitor, ask.request), Asked { ask, since: Instant::now(), held });
    }

    pub(super) fn hear_visitor(&mut self, visitor: u64, account: &Account, link: &Link, incoming: Incoming) {
        match incoming {
            Incoming::Control(Control::Tickets { sort, wanted }) => self.give_tickets(visitor, account, link, &sort, wanted),
            Incoming::Control(Control::Cancel { request }) => {
                self.asked.remove(&(visitor, request));
                if self.requests.get(&request).is_some_and(|r| r.visitor == visitor) {
                    self.give_up(&request, Why::Cancelled, "the client has cancelled", None);
                }
            }
            Incoming::Parcels(body) => match parcels(&body) {
                Ok(parcels) => {
                    for (id, shares) in parcels {
                        if let Some(asked) = self.asked.remove(&(visitor, id))
                            && let Err((why, text)) = self.begin(visitor, account, link, asked, shares)
                        {
                            self.refuse_early(&id, why, &format!("party {}: {text}", self.house.number));
                            tracing::warn!(client = account.name(), request = short(&id), ?why, text, "refused");
                            link.refuse(Some(id), why, &text);
                        }
                    }
                }
                Err(error) => link.kill(error),
            },
            _ => {}
        }
    }

    /// The model, the keys and the digest of a request that can be computed here, whoever asks.
    pub(super) fn admit(&mut self, ask: &Ask) -> std::result::Result<(Arc<Hosted>, Keys, [u8; 32]), Refused> {
        let Some(keys) = &self.keys else {
            let missing: Vec<_> = (0..3).filter(|&i| i != self.house.number && self.peers[i].is_none()).map(|i| i.to_string()).collect();
            return Err((Why::PeerLost, format!("the parties have no session: no link to party {}", missing.join(" and "))));
        };
        if self.is_used_up() {
            return Err((Why::PeerLost, "a fresh session must begin, and does when what is under way has ended".into()));
        }
        let digest = sha256(&[&pack(&Ask { patience: 0, ..ask.clone() }).map_err(refused(Why::Failed))?]);
        let keys = keys.request(&ask.request, &digest);
        let model = self.model(&ask.model)?;
        model.architecture().input_shape(ask.count as usize).map_err(refused(Why::BadRequest))?;
        model.architecture().revealed(ask.count as usize, ask.reveal).map_err(refused(Why::BadRequest))?;
        Ok((model, keys, digest))
    }

    /// Begins a request whose shares are there.
    pub(super) fn begin(
        &mut self,
        visitor: u64,
        account: &Account,
        link: &Link,
        Asked { ask, held: [_, held], .. }: Asked,
        mut shares: &[u8],
    ) -> std::result::Result<(), Refused> {
        let (id, lead) = (ask.request, usize::from(ask.lead));
        if let Some(refused) = self.refused.remove(&id) {
            return Err(refused);
        }
        if self.seen.contains(&id) {
            return Err((Why::Replayed, "this request was made before".into()));
        }
        let (model, keys, digest) = self.admit(&ask)?;
        let patience = Duration::from_millis(ask.patience).min(self.house.setup.config.limits.request());
        // of a request that was prepared the lead has chosen its share itself
        let leads = lead == self.house.number;
        let input = match ask.ahead && leads {
            true => None,
            false => {
                let shape = model.architecture().input_shape(ask.count as usize).map_err(refused(Why::BadRequest))?;
                Some(Input::read(&shape, &mut shares).map_err(refused(Why::BadRequest))?)
            }
        };
        if !shares.is_empty() {
            return Err((Why::BadRequest, format!("{} bytes after the shares of {} inputs", shares.len(), ask.count)));
        }
        let memory = if input.is_some() { self.memory(&model, &ask)? } else { None };
        let early = self.early.remove(&id);
        let differs = |early: &Early| early.digests.iter().position(|other| other.is_some_and(|other| other != digest));
        if let Some(other) = early.as_ref().and_then(differs) {
            return Err((Why::Disagree, format!("party {other} was asked for something else under the same number")));
        }
        let made = match &input {
            Some(_) => None,
            None => Some(self.ahead.take(&id, visitor, &digest).ok_or((Why::Replayed, "no such ticket was given to this client".into()))?),
        };
        self.remember(&id);
        for peer in self.peers.iter().flatten() {
            peer.link.control(&Control::Start { request: id, client: account.number, digest });
        }
        tracing::info!(
            request = short(&id),
            client = account.name(),
            model = ask.model,
            inputs = ask.count,
            lead,
            prepared = ask.ahead,
            "begun"
        );
        self.house.metrics.begun.fetch_add(1, Ordering::Relaxed);
        if leads {
            let sort = Sort { model: ask.model.clone(), count: ask.count, reveal: ask.reveal };
            self.ahead.note(sort, self.house.setup.config.prepare);
        }
        let began = Instant::now();
        let Some(input) = input else {
            if let Some((words, ahead)) = made {
                self.answer(&id, link, &ask.model, &words, Spent { ahead, ..Spent::default() }, Duration::ZERO);
            }
            return Ok(());
        };
        let (party, limits) = (self.house.party.beside(keys), &self.house.setup.config.limits);
        party.set_most_waiting(limits.frame.saturating_add(if ask.ahead { limits.ahead } else { limits.window }));
        let run = match ask.ahead {
            true => Remote::begin_prepared(party, lead, |p| model.infer(p, input, lead, ask.reveal)),
            false => Remote::begin(party, |p| model.infer(p, input, lead, ask.reveal)),
        };
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
            _held: [held, memory],
        };
        self.requests.insert(id, request);
        for (from, frame) in early.into_iter().flat_map(|early| early.frames) {
            // a request that is given up takes nothing more
            let _ = self.frame(from, &id, &frame);
        }
        Ok(())
    }

    /// One turn of a run, whose frames leave at once; its words when it has ended.
    pub(super) fn step(&self, id: &Id, run: &mut Remote<Vec<Buffer>>) -> Result<Progress<Zeroizing<Vec<Vec<u64>>>>> {
        let links = self.peers.each_ref().map(|peer| peer.as_ref().map(|peer| peer.link.0.clone()));
        let most = self.house.setup.config.limits.frame.min(FRAME) as usize - PARCEL_HEADER;
        let mut send = |to: usize, frame: Zeroizing<Vec<u8>>| {
            if let Some(link) = &links[to] {
                link.parcel(*id, frame);
            }
        };
        // a request that somebody has made up must not take the others down
        let turn = catch_unwind(AssertUnwindSafe(|| pollster::block_on(run.turn(most, &mut send))));
        Ok(match turn.unwrap_or_else(|_| Err(Error::Misuse("the request cannot be computed".into())))? {
            Progress::Again => Progress::Again,
            Progress::Blocked => Progress::Blocked,
            Progress::Done(outputs) => {
                let outputs: Vec<&Buffer> = outputs.iter().collect();
                Progress::Done(Zeroizing::new(pollster::block_on(self.house.party.device().download(&outputs))?))
            }
        })
    }

    pub(super) fn turn(&mut self, id: &Id) {
        let Some(mut request) = self.requests.remove(id) else { return };
        let began = Instant::now();
        let step = self.step(id, &mut request.run);
        request.busy += began.elapsed();
        let ended = match step {
            Ok(Progress::Done(words)) => Ok(words),
            Ok(progress) => {
                request.ready = progress == Progress::Again;
                self.requests.insert(*id, request);
                return;
            }
            Err(error) => Err(error),
        };
        match ended {
            Ok(words) => {
                let meter = request.run.party().meter();
                let seconds = request.began.elapsed().as_secs_f64();
                let spent = Spent { rounds: meter.rounds, bytes: meter.bytes(), seconds, ..Spent::default() };
                self.answer(id, &request.client, &request.model, &words, spent, request.busy);
            }
            Err(error) => {
                // what this request has noted on the device is of no other
                let _ = self.house.party.device().check();
                let why = match error {
                    Error::OutOfStep(_) => Why::PeerLost,
                    _ => Why::Failed,
                };
                let text = format!("party {}: {error}", self.house.number);
                self.requests.insert(*id, request);
                self.give_up(id, why, &text, None);
            }
        }
    }

    fn answer(&self, id: &Id, client: &Link, model: &str, words: &[Vec<u64>], spent: Spent, busy: Duration) {
        let mut parcel = Zeroizing::new(Vec::new());
        words.iter().for_each(|words| parcel.extend_from_slice(bytemuck::cast_slice(words)));
        // whoever has the answer finds it counted
        let metrics = &self.house.metrics;
        metrics.answered.fetch_add(1, Ordering::Relaxed);
        metrics.protocol_bytes.fetch_add(spent.bytes + spent.ahead.bytes, Ordering::Relaxed);
        metrics.busy.fetch_add(busy.as_micros() as u64, Ordering::Relaxed);
        client.control(&Control::Answer { request: *id, spent });
        client.parcel(*id, parcel);
        tracing::info!(
            request = short(id),
            model,
            rounds = spent.rounds,
            bytes = spent.bytes,
            seconds = spent.seconds,
            busy = busy.as_secs_f64(),
            "answered"
        );
    }

    /// A peer has refused a request that its client has not asked for here yet, and is told when it does.
    pub(super) fn refused_by_peer(&mut self, id: &Id, why: Why, text: String) {
        if self.refused.len() >= MOST_REFUSED {
            self.refused.clear();
        }
        self.refused.insert(*id, (why, text));
    }

    /// Ends a request without an answer; `by` is the peer that has given it up already.
    pub(super) fn give_up(&mut self, id: &Id, why: Why, text: &str, by: Option<usize>) {
        let Some(request) = self.requests.remove(id) else { return };
        if by.is_none() {
            self.tell_peers(id, why, text);
        }
        self.house.metrics.failed.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(request = short(id), model = request.model, ?why, text, by, "given up");
        request.client.refuse(Some(*id), why, text);
    }

    pub(super) fn time_out(&mut self) {
        let (now, limits) = (Instant::now(), &self.house.setup.config.limits);
        let patience = limits.request();
        let late: Vec<(Id, String)> = self.requests.iter().filter(|(_, r)| r.deadline <= now).map(|(id, r)| (*id, r.run.waits())).collect();
        for (id, waits) in late {
            let text = format!("it took too long; party {}: {waits}", self.house.number);
            self.give_up(&id, Why::TimedOut, &text, None);
        }
        self.asked.retain(|_, asked| now < asked.since + patience);
        if self.is_used_up() && self.requests.is_empty() {
            let number = (self.house.number + 1) % 3;
            self.end_session(number, Error::Peer("and this one have used up the session: a fresh one begins".into()));
        }
        self.drop_tickets(|_, since| now > since + patience);
        let forgotten = self.early.iter().filter(|(_, early)| !early.ahead && now > early.since + patience);
        let forgotten: Vec<Id> = forgotten.map(|(id, _)| *id).collect();
        forgotten.iter().for_each(|id| self.refuse_early(id, Why::TimedOut, "the client has not asked here"));
    }
}
