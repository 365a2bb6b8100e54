//! Requests: from the shares of a client to the summands that it receives, or to the reason why not.

use super::{
    super::refusal::{Refusal, public_text},
    pending::PendingRequest,
    state::{ActiveRequest, AskedRequest, Engine},
};
use crate::{
    Error, Result,
    device::Buffer,
    net::{
        control::{Control, InferRequest, RefusalReason, RequestCost, RequestKind},
        link::Link,
        secrets::{Id, sha256},
        wire::{PARCEL_HEADER, pack, short},
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

/// Bytes of a frame between parties: a larger one goes in parts, one on its way while the next leaves the device.
const FRAME: u64 = 1 << 20;

/// Model, keys and shape of a request that can be computed here.
pub struct Admitted {
    pub(super) model: Arc<PartyModel>,
    pub(super) keys: Keys,
    pub(super) digest: [u8; 32],
    /// Shapes of its inputs.
    pub(super) shapes: Vec<Shape>,
}

impl Engine {
    /// Admits a request that can be computed here, whoever asks.
    pub(super) fn admit(&mut self, request: &InferRequest) -> std::result::Result<Admitted, Refusal> {
        let Some(keys) = &self.keys else {
            let missing: Vec<_> = (0..3).filter(|&i| i != self.state.number && self.peers[i].is_none()).map(|i| i.to_string()).collect();
            let text = format!("the parties have no session: no link to party {}", missing.join(" and "));
            return Err(Refusal::new(RefusalReason::PeerLost, text));
        };
        if self.is_used_up() {
            let text = "a fresh session must begin, and does when what is under way has ended";
            return Err(Refusal::new(RefusalReason::PeerLost, text));
        }
        let public = pack(&InferRequest { timeout: 0, ..request.clone() }).map_err(Refusal::of(RefusalReason::Failed))?;
        let digest = sha256(&[&public]);
        let keys = keys.request(&request.request, &digest);
        let model = self.models.place(&self.state, &request.model)?;
        let program = model.program();
        let shapes = program.input_shapes(request.count as usize).map_err(Refusal::of(RefusalReason::BadRequest))?;
        program.revealed(request.count as usize, request.reveal).map_err(Refusal::of(RefusalReason::BadRequest))?;
        Ok(Admitted { model, keys, digest, shapes })
    }

    /// Begins a request whose shares are there.
    pub(super) fn begin(&mut self, asked: AskedRequest, shares: &[u8]) -> std::result::Result<(), Refusal> {
        let id = asked.request.request;
        if let Some(refusal) = self.peer_refusals.remove(&id) {
            return Err(refusal);
        }
        if self.seen.contains(&id) {
            return Err(Refusal::new(RefusalReason::Replayed, "this request was made before"));
        }
        let admitted = self.admit(&asked.request)?;
        match asked.request.preprocessed && usize::from(asked.request.lead) == self.state.number {
            true => self.begin_prepared(&asked, &admitted, shares),
            false => self.begin_run(asked, admitted, shares),
        }
    }

    /// Answers a request whose lead, this party, has done its part: it has drawn its share itself.
    fn begin_prepared(&mut self, asked: &AskedRequest, admitted: &Admitted, shares: &[u8]) -> std::result::Result<(), Refusal> {
        let (request, digest) = (&asked.request, &admitted.digest);
        check_rest(shares, request.count)?;
        self.pending.take(&request.request, digest)?;
        let prepared = self.preprocessing.redeem(&request.request, asked.client.connection, digest).ok_or_else(|| {
            let text = "no such preprocessing token was given to this client, or it was used before";
            Refusal::new(RefusalReason::Replayed, text)
        })?;
        self.announce(asked, *digest);
        let cost = RequestCost { preprocessing: prepared.cost, ..RequestCost::default() };
        self.answer(&request.request, &asked.client.link, &request.model, &prepared.words, cost, Duration::ZERO);
        Ok(())
    }

    /// Begins this party's run of a request.
    fn begin_run(&mut self, asked: AskedRequest, admitted: Admitted, mut shares: &[u8]) -> std::result::Result<(), Refusal> {
        let Admitted { model, keys, digest, shapes } = admitted;
        let id = asked.request.request;
        let inputs = Input::read_all(&shapes, &mut shares).map_err(Refusal::of(RefusalReason::BadRequest))?;
        check_rest(shares, asked.request.count)?;
        let memory = self.models.allocate_request(&self.state, &model, RequestKind::of(&asked.request))?;
        let pending = self.pending.take(&id, &digest)?;
        self.announce(&asked, digest);
        let (expected, frames) = pending.map_or((None, Vec::new()), |PendingRequest { expected, frames, .. }| (expected, frames));
        let run = self.start(&asked.request, keys, model, inputs, expected);
        let AskedRequest { client, request, permits, .. } = asked;
        let (began, timeout) = (Instant::now(), self.state.setup.config.limits.request());
        let active = ActiveRequest {
            connection: client.connection,
            client: client.link,
            model: request.model,
            run,
            digest,
            preprocessed_by: request.preprocessed.then_some(request.lead.into()),
            began,
            deadline: began + Duration::from_millis(request.timeout).min(timeout),
            busy: Duration::ZERO,
            ready: true,
            _request: permits.request,
            _memory: memory,
        };
        self.requests.insert(id, active);
        // a request that is given up takes nothing more
        frames.iter().for_each(|(from, frame)| self.deliver(*from, &id, frame));
        Ok(())
    }

    /// Tells the peers what begins here, and notes it.
    fn announce(&mut self, asked: &AskedRequest, digest: [u8; 32]) {
        let (quota, request) = (&asked.client.quota, &asked.request);
        let InferRequest { request: id, model, count, lead, preprocessed, .. } = request;
        self.remember(id);
        for peer in self.peers.iter().flatten() {
            peer.link.control(&Control::RequestBegun { request: *id, client: quota.number, digest });
        }
        tracing::info!(request = short(id), client = quota.name(), model, inputs = count, lead, prepared = preprocessed, "begun");
        self.state.metrics.begun.fetch_add(1, Ordering::Relaxed);
        if usize::from(*lead) == self.state.number {
            self.preprocessing.note_led(RequestKind::of(request), self.state.setup.config.prepare);
        }
    }

    /// Run of this party in a request; in a preprocessed one with what was dealt, if this is the second.
    fn start(
        &self,
        request: &InferRequest,
        keys: Keys,
        model: Arc<PartyModel>,
        inputs: Vec<Input>,
        expected: Option<Expected>,
    ) -> Remote<Vec<Buffer>> {
        let (lead, reveal, limits) = (usize::from(request.lead), request.reveal, &self.state.setup.config.limits);
        if request.preprocessed {
            let expected = expected.unwrap_or_else(|| self.expected(keys, lead));
            return Remote::begin_preprocessed(expected, |p| model.infer(p, inputs, lead, reveal));
        }
        let party = self.state.party.beside(keys);
        party.set_most_waiting(limits.frame.saturating_add(limits.window));
        Remote::begin(party, |p| model.infer(p, inputs, lead, reveal))
    }

    /// Delivers a frame of a peer to a request, if it is under way.
    pub(super) fn deliver(&mut self, number: usize, id: &Id, frame: &[u8]) {
        let Some(request) = self.requests.get_mut(id) else { return };
        match request.run.deliver(number, frame) {
            Ok(news) => request.ready |= news,
            Err(error) => self.give_up(id, RefusalReason::PeerLost, &format!("party {number}: {}", public_text(&error)), None),
        }
    }

    /// Takes one turn of a run, whose frames leave at once; its words when it has ended.
    pub(super) fn step(&self, id: &Id, run: &mut Remote<Vec<Buffer>>) -> Result<Progress<Zeroizing<Vec<Vec<u64>>>>> {
        let links = self.peers.each_ref().map(|peer| peer.as_ref().map(|peer| peer.link.0.clone()));
        let most = self.state.setup.config.limits.frame.min(FRAME) as usize - PARCEL_HEADER;
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
                Progress::Done(Zeroizing::new(pollster::block_on(self.state.party.device().download(&outputs))?))
            }
        })
    }

    /// Takes one turn of a request under way.
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
            Ok(Progress::Done(words)) => self.complete(id, &request, &words),
            Err(error) => {
                // what this request has noted on the device is of no other
                let _ = self.state.party.device().check();
                let reason = match error {
                    Error::OutOfStep(_) => RefusalReason::PeerLost,
                    _ => RefusalReason::Failed,
                };
                let text = format!("party {}: {}", self.state.number, public_text(&error));
                self.requests.insert(*id, request);
                self.give_up(id, reason, &text, None);
            }
        }
    }

    /// Answers a request whose run has ended.
    fn complete(&self, id: &Id, request: &ActiveRequest, words: &[Vec<u64>]) {
        let meter = request.run.party().meter();
        let seconds = request.began.elapsed().as_secs_f64();
        let cost = RequestCost { rounds: meter.rounds, bytes: meter.bytes(), seconds, ..RequestCost::default() };
        self.answer(id, &request.client, &request.model, words, cost, request.busy);
        if let Some(lead) = request.preprocessed_by.and_then(|lead| self.peers[lead].as_ref()) {
            lead.link.control(&Control::PreparedAnswered { request: *id });
        }
    }

    fn answer(&self, id: &Id, client: &Link, model: &str, words: &[Vec<u64>], cost: RequestCost, busy: Duration) {
        let mut parcel = Zeroizing::new(Vec::with_capacity(words.iter().map(|words| 8 * words.len()).sum()));
        words.iter().for_each(|words| parcel.extend_from_slice(bytemuck::cast_slice(words)));
        // a client that has the answer finds it counted
        let metrics = &self.state.metrics;
        metrics.answered.fetch_add(1, Ordering::Relaxed);
        metrics.protocol_bytes.fetch_add(cost.bytes + cost.preprocessing.bytes, Ordering::Relaxed);
        metrics.busy.fetch_add(busy.as_micros() as u64, Ordering::Relaxed);
        client.control(&Control::Answer { request: *id, cost });
        client.parcel(*id, parcel);
        let RequestCost { rounds, bytes, seconds, .. } = cost;
        tracing::info!(request = short(id), model, rounds, bytes, seconds, busy = busy.as_secs_f64(), "answered");
    }

    /// Ends a request without an answer; `by` is the peer that has given it up already.
    pub(super) fn give_up(&mut self, id: &Id, reason: RefusalReason, text: &str, by: Option<usize>) {
        let Some(request) = self.requests.remove(id) else { return };
        if by.is_none() {
            self.tell_peers(id, reason, text);
        }
        self.state.metrics.failed.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(request = short(id), model = request.model, ?reason, text, by, waits = request.run.waits(), "given up");
        request.client.refuse(Some(*id), reason, text);
    }

    /// Gives up what has taken too long.
    pub(super) fn check_timeouts(&mut self) {
        let (now, timeout) = (Instant::now(), self.state.setup.config.limits.request());
        let late: Vec<Id> = self.requests.iter().filter(|(_, request)| request.deadline <= now).map(|(id, _)| *id).collect();
        for id in late {
            let text = format!("it took too long; party {} still waits for messages of the others", self.state.number);
            self.give_up(&id, RefusalReason::TimedOut, &text, None);
        }
        self.asked.retain(|_, asked| now < asked.since + timeout);
        if self.is_used_up() && self.requests.is_empty() {
            let number = (self.state.number + 1) % 3;
            self.end_session(number, Error::Peer("and this one have used up the session: a fresh one begins".into()));
        }
        self.drop_tokens(|issued| now > issued.since + timeout);
        for id in self.pending.expired(timeout) {
            self.refuse_pending(&id, RefusalReason::TimedOut, "the client has not asked here");
        }
    }
}

/// Checks that nothing comes after the shares of a request.
fn check_rest(rest: &[u8], inputs: u32) -> std::result::Result<(), Refusal> {
    match rest.is_empty() {
        true => Ok(()),
        false => Err(Refusal::new(RefusalReason::BadRequest, format!("{} bytes after the shares of {inputs} inputs", rest.len()))),
    }
}
