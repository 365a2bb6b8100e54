//! Requests: from the shares of a client to the summands that it receives, or to the reason why not.

use super::{super::visitor::name, Early, Engine, Request};
use crate::{
    Error, Result,
    device::Buffer,
    net::{
        config::Client,
        link::{Incoming, Link},
        secrets::{Id, sha256},
        wire::{Ask, Control, Sort, Spent, Why, pack, parcels, short, unpack},
    },
    nn::{Architecture, Hosted},
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

/// A refusal: why, for programs, and for people.
pub(super) type Refused = (Why, String);

fn refused(why: Why) -> impl Fn(Error) -> Refused {
    move |error| (why, error.to_string())
}

impl Engine {
    /// The parties must have been told the same.
    pub(super) fn compare(&mut self, number: usize, id: &Id, digest: [u8; 32]) -> Result<()> {
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

    pub(super) fn frame(&mut self, number: usize, id: &Id, frame: &[u8]) -> Result<()> {
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
        let ahead = self.early.get(id).is_some_and(|early| early.ahead);
        let waiting: u64 = self.early.values().filter(|early| early.ahead == ahead).map(|early| early.bytes).sum();
        let limits = &self.house.setup.config.limits;
        if waiting + frame.len() as u64 > if ahead { limits.ahead } else { limits.early } {
            self.refuse_early(id, Why::TooMuch, "too many messages wait for requests that have not begun");
            return Ok(());
        }
        let early = self.early(id)?;
        early.bytes += frame.len() as u64;
        early.frames.push((number, Zeroizing::new(frame.to_vec())));
        Ok(())
    }

    pub(super) fn early(&mut self, id: &Id) -> Result<&mut Early> {
        if self.early.len() >= 5 * self.house.setup.config.limits.requests && !self.early.contains_key(id) {
            return Err(Error::Peer("began too many requests that nobody has asked for here".into()));
        }
        let new = || Early { since: Instant::now(), frames: Vec::new(), digests: Vec::new(), bytes: 0, ahead: false };
        Ok(self.early.entry(*id).or_insert_with(new))
    }

    pub(super) fn refuse_early(&mut self, id: &Id, why: Why, text: &str) {
        self.early.remove(id);
        self.remember(id);
        self.tell_peers(id, why, text);
    }

    pub(super) fn tell_peers(&self, id: &Id, why: Why, text: &str) {
        if self.keys.is_some() {
            let refused = || Control::Refused { request: Some(*id), why, text: text.into() };
            self.peers.iter().flatten().for_each(|peer| peer.link.control(&refused()));
        }
    }

    pub(super) fn remember(&mut self, id: &Id) {
        self.seen.insert(*id);
        if self.seen.len() > MOST_REQUESTS {
            let number = (self.house.number + 1) % 3;
            self.end_session(number, Error::Peer("and this one have used up the session: a fresh one begins".into()));
        }
    }

    pub(super) fn hear_visitor(&mut self, visitor: u64, client: &Client, link: &Link, incoming: Incoming) {
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
            Incoming::Control(Control::Tickets { sort, wanted }) => self.give_tickets(visitor, client, link, &sort, wanted),
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

    /// The model, the keys and the digest of a request that can be computed here, whoever asks.
    pub(super) fn admit(&mut self, ask: &Ask) -> std::result::Result<(Arc<Hosted>, Keys, [u8; 32]), Refused> {
        let limits = &self.house.setup.config.limits;
        let Some(keys) = &self.keys else {
            let missing: Vec<_> = (0..3).filter(|&i| i != self.house.number && self.peers[i].is_none()).map(|i| i.to_string()).collect();
            return Err((Why::PeerLost, format!("the parties have no session: no link to party {}", missing.join(" and "))));
        };
        if ask.count == 0 || ask.count as usize > limits.batch || ask.lead > 2 {
            let text = format!("{} inputs under lead {}: at most {} inputs, leads 0 to 2", ask.count, ask.lead, limits.batch);
            return Err((Why::BadRequest, text));
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
        client: &Client,
        link: &Link,
        ask: Ask,
        mut shares: &[u8],
    ) -> std::result::Result<(), Refused> {
        let (id, lead) = (ask.request, usize::from(ask.lead));
        if !client.may_use(name(&ask.model)) {
            return Err((Why::Unauthorised, format!("client '{}' may not use model {}", client.name, ask.model)));
        }
        if self.seen.contains(&id) {
            return Err((Why::Replayed, "this request was made before, or has been given up by another party".into()));
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
        let early = self.early.remove(&id);
        if let Some((other, _)) = early.as_ref().and_then(|early| early.digests.iter().find(|(_, other)| *other != digest)) {
            return Err((Why::Disagree, format!("party {other} was asked for something else under the same number")));
        }
        let made = match &input {
            Some(_) => None,
            None => Some(self.ahead.take(&id, visitor, &digest).ok_or((Why::Replayed, "no such ticket was given to this client".into()))?),
        };
        self.remember(&id);
        for peer in self.peers.iter().flatten() {
            peer.link.control(&Control::Start { request: id, digest });
        }
        tracing::info!(
            request = short(&id),
            client = client.name,
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
        let party = self.house.party.beside(keys);
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
        };
        self.requests.insert(id, request);
        for (from, frame) in early.into_iter().flat_map(|early| early.frames) {
            // a request that is given up takes nothing more
            let _ = self.frame(from, &id, &frame);
        }
        Ok(())
    }

    /// A model that is kept here, placed on the device when it is first asked for.
    pub(super) fn model(&mut self, id: &str) -> std::result::Result<Arc<Hosted>, Refused> {
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

    /// One turn of a run, whose frames leave at once; its words when it has ended.
    pub(super) fn step(&self, id: &Id, run: &mut Remote<Vec<Buffer>>) -> Result<Progress<Zeroizing<Vec<Vec<u64>>>>> {
        let links = self.peers.each_ref().map(|peer| peer.as_ref().map(|peer| peer.link.0.clone()));
        let mut send = |to: usize, frame| {
            if let Some(link) = &links[to] {
                link.parcel(*id, frame);
            }
        };
        // a request that somebody has made up must not take the others down
        let turn = catch_unwind(AssertUnwindSafe(|| pollster::block_on(run.turn(&mut send))));
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
                let why = if matches!(error, Error::OutOfStep(_)) { Why::PeerLost } else { Why::Failed };
                let text = format!("party {}: {error}", self.house.number);
                self.requests.insert(*id, request);
                self.give_up(id, why, &text, None);
            }
        }
    }

    fn answer(&self, id: &Id, client: &Link, model: &str, words: &[Vec<u64>], spent: Spent, busy: Duration) {
        let mut parcel = Zeroizing::new(Vec::new());
        words.iter().for_each(|words| parcel.extend_from_slice(bytemuck::cast_slice(words)));
        client.control(&Control::Answer { request: *id, spent });
        client.parcel(*id, parcel);
        let metrics = &self.house.metrics;
        metrics.answered.fetch_add(1, Ordering::Relaxed);
        metrics.protocol_bytes.fetch_add(spent.bytes + spent.ahead.bytes, Ordering::Relaxed);
        metrics.busy.fetch_add(busy.as_micros() as u64, Ordering::Relaxed);
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

    /// Ends a request without an answer; `by` is the peer that has given it up already.
    pub(super) fn give_up(&mut self, id: &Id, why: Why, text: &str, by: Option<usize>) {
        let Some(request) = self.requests.remove(id) else { return };
        if by.is_none() {
            self.tell_peers(id, why, text);
        }
        self.house.metrics.failed.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(request = short(id), model = request.model, ?why, text, by, "given up");
        request.client.control(&Control::Refused { request: Some(*id), why, text: text.into() });
    }

    pub(super) fn time_out(&mut self) {
        let (now, limits) = (Instant::now(), &self.house.setup.config.limits);
        let patience = limits.request();
        let late: Vec<(Id, String)> = self.requests.iter().filter(|(_, r)| r.deadline <= now).map(|(id, r)| (*id, r.run.waits())).collect();
        for (id, waits) in late {
            let text = format!("it took too long; party {}: {waits}", self.house.number);
            self.give_up(&id, Why::TimedOut, &text, None);
        }
        self.asked.retain(|_, (_, since)| now < *since + patience);
        self.drop_tickets(|_, since| now > since + patience);
        let forgotten = self.early.iter().filter(|(_, early)| !early.ahead && now > early.since + patience);
        let forgotten: Vec<Id> = forgotten.map(|(id, _)| *id).collect();
        forgotten.iter().for_each(|id| self.refuse_early(id, Why::TimedOut, "the client has not asked here"));
    }
}
