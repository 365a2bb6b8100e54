//! Offline phase: in idle time this party, as the lead, does its part of requests to come; as a second it keeps what leads deal.

use super::{
    super::refusal::{Refusal, public_text},
    preprocessing::{Issued, NextRequest, PreparedRequest, RunningRequest},
    requests::Admitted,
    state::Engine,
};
use crate::{
    Error, Result,
    net::{
        control::{Control, InferRequest, PreprocessingCost, RefusalReason, RequestKind, SecretBytes},
        secrets::{Id, random},
        wire::short,
    },
    nn::PartyModel,
    party::{Expected, Keys, Progress, Remote},
    protocol as mpc,
};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

impl Engine {
    /// Whether there is something to prepare, and nothing else to do.
    pub(super) fn may_preprocess(&self) -> bool {
        let idle = self.requests.is_empty() && self.asked.is_empty() && self.keys.is_some();
        idle && self.preprocessing.has_work(self.state.setup.config.prepare)
    }

    /// Whether the second has been sent what was dealt before: no more waits in the queue than one deal.
    pub(super) fn has_dealt(&self) -> bool {
        self.peers[self.second()].as_ref().is_some_and(|peer| peer.link.sent_all())
    }

    /// Takes a turn of a run that has no input yet.
    pub(super) fn preprocess(&mut self) {
        let Some(mut running) = self.preprocessing.running.take().or_else(|| self.begin_preprocessing()) else { return };
        let (id, began) = (running.request, Instant::now());
        let step = self.step(&id, &mut running.run);
        running.busy += began.elapsed();
        match step {
            Ok(Progress::Again) => self.preprocessing.running = Some(running),
            Ok(Progress::Blocked) => {
                tracing::info!(request = short(&id), waits = running.run.waits(), "the lead needs interaction");
                self.stop_preprocessing(&id, "a lead that needs interaction cannot be preprocessed");
            }
            Ok(Progress::Done(words)) => {
                let cost = PreprocessingCost { bytes: running.run.party().meter().bytes(), seconds: running.busy.as_secs_f64() };
                if let Some(peer) = &self.peers[self.second()] {
                    peer.link.control(&Control::Prepared { request: id });
                }
                tracing::info!(request = short(&id), model = running.kind.model, bytes = cost.bytes, busy = cost.seconds, "prepared");
                self.state.metrics.prepared.fetch_add(1, Ordering::Relaxed);
                let RunningRequest { kind, share, digest, .. } = running;
                self.preprocessing.add(id, PreparedRequest { kind, share, digest, words, cost, kept: false, issued: None });
            }
            Err(error) => self.stop_preprocessing(&id, &public_text(&error)),
        }
    }

    /// Gives up a run; nothing is prepared in this session until something that was prepared is gone.
    fn stop_preprocessing(&mut self, id: &Id, text: &str) {
        tracing::warn!(request = short(id), text, "preprocessing has failed");
        self.refuse_pending(id, RefusalReason::Failed, text);
        self.preprocessing.pause();
    }

    fn begin_preprocessing(&mut self) -> Option<RunningRequest> {
        let NextRequest { kind, surplus } = self.preprocessing.next(self.state.setup.config.prepare)?;
        if let Some(id) = surplus {
            self.drop_prepared(&id, RefusalReason::Cancelled, "requests of other kinds are asked for now");
        }
        match self.begin_request(kind.clone()) {
            Ok(running) => Some(running),
            Err(Refusal { reason, text }) => {
                // a request of this kind would be refused, or gain nothing
                tracing::info!(model = kind.model, inputs = kind.count, ?reason, text, "is not prepared");
                self.preprocessing.forget_kind(&kind);
                None
            }
        }
    }

    /// Makes up a request, draws the lead's share of its input, and begins the lead's run.
    fn begin_request(&mut self, kind: RequestKind) -> std::result::Result<RunningRequest, Refusal> {
        let request = *random::<16>().map_err(Refusal::of(RefusalReason::Failed))?;
        let (lead, reveal) = (self.state.number, kind.reveal);
        let RequestKind { model, count, .. } = kind.clone();
        let made_up = InferRequest { request, model, count, reveal, lead: lead as u8, preprocessed: true, timeout: 0 };
        let Admitted { model, keys, digest, shapes } = self.admit(&made_up)?;
        self.check_worth(&kind, &model)?;
        let memory = self.models.allocate_request(&self.state, &model, kind.clone())?;
        let own = mpc::Input::promised(&shapes).map_err(Refusal::of(RefusalReason::Failed))?;
        let mut share = SecretBytes::default();
        own.iter().try_for_each(|input| input.write(&mut *share.0)).expect("a Vec takes all");
        let party = self.state.party.beside(keys);
        // the second says when it is enough
        party.set_window(u64::MAX);
        if let Some(peer) = &self.peers[self.second()] {
            peer.link.control(&Control::Prepare { request, digest });
        }
        let run = Remote::begin_preprocessed(Expected::new(party, lead), |p| model.infer(p, own, lead, reveal));
        Ok(RunningRequest { request, kind, share, digest, run, busy: Duration::ZERO, _memory: memory })
    }

    /// Checks that requests of this kind end no later when they are prepared, and can be.
    fn check_worth(&mut self, kind: &RequestKind, model: &PartyModel) -> std::result::Result<(), Refusal> {
        let worth = match self.preprocessing.worth.get(kind) {
            Some(worth) => *worth,
            None => {
                let worth = self.state.worth_preparing(model.program(), kind.count as usize, kind.reveal).unwrap_or_else(|error| {
                    tracing::info!(model = kind.model, %error, "cannot be prepared");
                    false
                });
                self.preprocessing.worth.insert(kind.clone(), worth);
                worth
            }
        };
        match worth {
            true => Ok(()),
            false => {
                let text = "a run without short signs ends later on this network than one that is not prepared";
                Err(Refusal::new(RefusalReason::BadRequest, text))
            }
        }
    }

    /// A lead begins preprocessing: this party is its second, and keeps what it deals.
    pub(super) fn on_prepare(&mut self, number: usize, id: &Id, digest: [u8; 32]) -> Result<()> {
        if (number + 2) % 3 != self.state.number {
            return Err(Error::Peer("deals in preprocessing to another party than its second".into()));
        }
        let requests = self.state.setup.config.limits.requests;
        if self.pending.preprocessing() >= requests {
            let text = format!("{requests} requests are prepared, as many as may be under way");
            self.refuse_pending(id, RefusalReason::TooMuch, &text);
        } else if self.keys.is_none() {
            // this side has not heard of the session from both peers: the lead will try again
            self.remember(id);
            if let Some(peer) = &self.peers[number] {
                peer.link.refuse(Some(*id), RefusalReason::PeerLost, "there is no session here yet");
            }
        } else if let Some(keys) = self.keys.as_ref().filter(|_| !self.seen.contains(id)) {
            let expected = self.expected(keys.request(id, &digest), number);
            self.pending.note_prepared(&self.state.setup.config.limits, number, id, digest, expected)?;
        }
        Ok(())
    }

    /// Party in a run that its lead preprocesses.
    pub(super) fn expected(&self, keys: Keys, lead: usize) -> Expected {
        let (party, limits) = (self.state.party.beside(keys), &self.state.setup.config.limits);
        party.set_most_waiting(limits.preprocessing.saturating_add(limits.frame));
        Expected::new(party, lead)
    }

    /// A lead has dealt all of its messages: once they are kept here it may give the token away.
    pub(super) fn on_prepared(&self, number: usize, id: &Id) {
        if self.pending.is_preprocessing(id)
            && let Some(peer) = &self.peers[number]
        {
            peer.link.control(&Control::PreparedKept { request: *id });
        }
    }

    /// Throws away the requests whose tokens are `over`.
    pub(super) fn drop_tokens(&mut self, over: impl Fn(&Issued) -> bool) {
        let expired = self.preprocessing.expired(self.state.setup.config.limits.request(), over);
        expired.iter().for_each(|id| self.drop_prepared(id, RefusalReason::Cancelled, "the client has not used its token"));
    }

    fn drop_prepared(&mut self, id: &Id, reason: RefusalReason, text: &str) {
        self.preprocessing.forget(id, reason);
        self.refuse_pending(id, reason, text);
    }
}
