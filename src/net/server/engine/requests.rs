//! Requests: from the shares of a client to the summands that it receives, or to the reason why not.

use super::{super::Account, Asked, Engine, Request};
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
    nn::PartyModel,
    party::{Expected, Keys, Progress, Remote},
    protocol::Input,
    shape::Shape,
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

/// A refusal: why, for programs, and for people.
pub(super) type Refused = (Why, String);

/// What a request has that may begin.
pub(super) struct Admitted {
    pub(super) model: Arc<PartyModel>,
    pub(super) keys: Keys,
    pub(super) digest: [u8; 32],
    /// Of its input.
    pub(super) shapes: Vec<Shape>,
}

pub(super) fn refused(why: Why) -> impl Fn(Error) -> Refused {
    move |error| (why, error.to_string())
}

impl Engine {
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

    /// What a request has that can be computed here, whoever asks.
    pub(super) fn admit(&mut self, ask: &Ask) -> std::result::Result<Admitted, Refused> {
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
        let shapes = model.program().input_shapes(ask.count as usize).map_err(refused(Why::BadRequest))?;
        model.program().revealed(ask.count as usize, ask.reveal).map_err(refused(Why::BadRequest))?;
        Ok(Admitted { model, keys, digest, shapes })
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
        let id = ask.request;
        if let Some(refused) = self.refused.remove(&id) {
            return Err(refused);
        }
        if self.seen.contains(&id) {
            return Err((Why::Replayed, "this request was made before".into()));
        }
        let Admitted { model, keys, digest, shapes } = self.admit(&ask)?;
        // of a request that was prepared the lead has chosen its share itself
        let made = ask.ahead && usize::from(ask.lead) == self.house.number;
        let input = if made { None } else { Some(Input::read_all(&shapes, &mut shares).map_err(refused(Why::BadRequest))?) };
        if !shares.is_empty() {
            return Err((Why::BadRequest, format!("{} bytes after the shares of {} inputs", shares.len(), ask.count)));
        }
        let memory = if made { None } else { self.memory(&model, &ask)? };
        let early = self.agreed(&id, &digest)?;
        match input {
            Some(inputs) => {
                self.announce(account, &ask, digest);
                let (expected, frames) = early.map_or((None, Vec::new()), |early| (early.expected, early.frames));
                let run = self.start(&ask, keys, model, inputs, expected);
                let (began, patience) = (Instant::now(), self.house.setup.config.limits.request());
                let request = Request {
                    visitor,
                    client: link.clone(),
                    model: ask.model,
                    run,
                    digest,
                    ahead: ask.ahead.then_some(ask.lead.into()),
                    began,
                    deadline: began + Duration::from_millis(ask.patience).min(patience),
                    busy: Duration::ZERO,
                    ready: true,
                    _held: [held, memory],
                };
                self.requests.insert(id, request);
                for (from, frame) in frames {
                    // a request that is given up takes nothing more
                    let _ = self.frame(from, &id, &frame);
                }
            }
            None => {
                let no_ticket = || (Why::Replayed, "no such ticket was given to this client".into());
                let (words, ahead) = self.ahead.take(&id, visitor, &digest).ok_or_else(no_ticket)?;
                self.announce(account, &ask, digest);
                self.answer(&id, link, &ask.model, &words, Spent { ahead, ..Spent::default() }, Duration::ZERO);
            }
        }
        Ok(())
    }

    /// The peers are told what begins here.
    fn announce(&mut self, account: &Account, ask: &Ask, digest: [u8; 32]) {
        let Ask { request, model, count, reveal, lead, ahead, .. } = ask;
        self.remember(request);
        for peer in self.peers.iter().flatten() {
            peer.link.control(&Control::Start { request: *request, client: account.number, digest });
        }
        tracing::info!(request = short(request), client = account.name(), model, inputs = count, lead, prepared = ahead, "begun");
        self.house.metrics.begun.fetch_add(1, Ordering::Relaxed);
        if usize::from(*lead) == self.house.number {
            let sort = Sort { model: model.clone(), count: *count, reveal: *reveal };
            self.ahead.note(sort, self.house.setup.config.prepare);
        }
    }

    /// This party's part of a request; of one that its lead has prepared, with what was dealt if this is the second.
    fn start(&self, ask: &Ask, keys: Keys, model: Arc<PartyModel>, inputs: Vec<Input>, expected: Option<Expected>) -> Remote<Vec<Buffer>> {
        let (lead, reveal, limits) = (usize::from(ask.lead), ask.reveal, &self.house.setup.config.limits);
        if ask.ahead {
            let expected = expected.unwrap_or_else(|| self.expected(keys, lead));
            return Remote::begin_preprocessed(expected, |p| model.infer(p, inputs, lead, reveal));
        }
        let party = self.house.party.beside(keys);
        party.set_most_waiting(limits.frame.saturating_add(limits.window));
        Remote::begin(party, |p| model.infer(p, inputs, lead, reveal))
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
        match step {
            Ok(progress @ (Progress::Again | Progress::Blocked)) => {
                request.ready = progress == Progress::Again;
                self.requests.insert(*id, request);
            }
            Ok(Progress::Done(words)) => {
                let meter = request.run.party().meter();
                let seconds = request.began.elapsed().as_secs_f64();
                let spent = Spent { rounds: meter.rounds, bytes: meter.bytes(), seconds, ..Spent::default() };
                self.answer(id, &request.client, &request.model, &words, spent, request.busy);
                if let Some(lead) = request.ahead.and_then(|lead| self.peers[lead].as_ref()) {
                    lead.link.control(&Control::Answered { request: *id });
                }
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
        let forgotten = self.early.iter().filter(|(_, early)| early.expected.is_none() && now > early.since + patience);
        let forgotten: Vec<Id> = forgotten.map(|(id, _)| *id).collect();
        forgotten.iter().for_each(|id| self.refuse_early(id, Why::TimedOut, "the client has not asked here"));
    }
}
