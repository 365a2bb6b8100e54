//! Requests of an owner of data: inputs are shared among the parties, a request for each batch, and results put together.

use super::{
    connection::Connection,
    waiting::{Answered, Target, Waiting, take_summands},
};
use crate::{
    Error, Result, clock as seconds,
    net::{
        control::{Control, InferRequest, PreprocessingToken, RequestKind},
        link::Incoming,
        secrets::{Id, random},
    },
    nn::{Answer, Program, Reveal},
    protocol as mpc,
};
use std::{collections::HashMap, sync::mpsc::RecvTimeoutError, time::Instant};
use zeroize::Zeroizing;

/// Options of an inference.
#[derive(Debug, Clone, Copy)]
pub struct InferOptions {
    /// Inputs of one request.
    pub batch: usize,
    /// Requests under way at one time; the parties take turns to lead them.
    pub in_flight: usize,
    /// Part of the result that is revealed.
    pub reveal: Reveal,
}

/// Inputs of an inference that are done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InferProgress {
    /// Inputs that were shared among the parties.
    pub shared: usize,
    /// Inputs whose results are there.
    pub answered: usize,
}

/// Origin of a request's number and of its lead's share of the input.
enum Origin {
    /// Number drawn by this client, which draws the shares as well.
    Drawn(Id),
    /// Token of a lead that has drawn its share, and done its part.
    Preprocessed(PreprocessingToken),
}

impl Origin {
    fn request(&self) -> Id {
        match self {
            Self::Drawn(request) => *request,
            Self::Preprocessed(token) => token.request,
        }
    }
}

impl Connection {
    /// Takes preprocessing tokens for so many inputs, as many as the parties have: [`infer`](Self::infer) uses them, and then costs
    /// only the online phase. One round trip, if any party preprocesses. Returns the number of requests that are prepared.
    ///
    /// A token lasts as long as this connection, and at most the parties' `request_seconds`.
    pub fn prepare(&self, id: &str, inputs: usize, options: InferOptions) -> Result<usize> {
        let mut open = [0; 3];
        for (lead, link) in self.links.iter().enumerate().filter(|(lead, _)| self.preprocesses[*lead]) {
            let mut wanted: HashMap<usize, u32> = HashMap::new();
            let counts = batch_sizes(inputs, options.batch).enumerate().filter(|(batch, _)| batch % 3 == lead);
            counts.for_each(|(_, count)| *wanted.entry(count).or_default() += 1);
            open[lead] = wanted.len();
            for (count, wanted) in wanted {
                let kind = RequestKind { model: id.into(), count: count as u32, reveal: options.reveal };
                link.control(&Control::GetTokens { kind, wanted });
            }
        }
        let mut taken = 0;
        while open.iter().any(|&left| left > 0) {
            let (party, incoming) = self.next_message()?;
            match incoming {
                Incoming::Control(Control::Tokens { kind, tokens }) => {
                    open[party] = open[party].saturating_sub(1);
                    taken += tokens.len();
                    self.tokens.borrow_mut().entry((party, kind)).or_default().extend(tokens);
                }
                Incoming::Control(Control::Refused { request: None, reason, text }) => {
                    return Err(self.named(party, reason.error(&text)));
                }
                _ => {}
            }
        }
        Ok(taken)
    }

    /// Scores of `values.len() / inputs` images. The session must be there ([`ready`](Self::ready)). `progress` is told how many
    /// are done.
    ///
    /// [`Error::Input`] if the values are no inputs of the model or the parties refuse; [`Error::Range`] names one that is outside the
    /// model's bounds or does not fit, before anything is shared; [`Error::Peer`] names a party that was lost or gave up.
    pub fn infer(
        &self,
        id: &str,
        program: &Program,
        values: &[f32],
        options: InferOptions,
        mut progress: impl FnMut(usize),
    ) -> Result<Answer> {
        let mut told = 0;
        self.infer_with(id, program, values, options, |InferProgress { answered, .. }| {
            if answered > told {
                told = answered;
                progress(answered);
            }
        })
    }

    /// The same; `progress` is told what is shared as well.
    pub fn infer_with(
        &self,
        id: &str,
        program: &Program,
        values: &[f32],
        options: InferOptions,
        progress: impl FnMut(InferProgress),
    ) -> Result<Answer> {
        let InferOptions { batch, in_flight, reveal } = options;
        let target = Target { id, program, reveal };
        let size = target.input_size();
        if values.is_empty() || !values.len().is_multiple_of(size) || batch == 0 || in_flight == 0 {
            return Err(Error::Input(format!("{} numbers in batches of {batch}: an input of the model has {size}", values.len())));
        }
        reveal.check(&program.outputs()[0], program.results(1)?[0].value.item().iter().product())?;
        let began = seconds::now();
        let batches: Vec<&[f32]> = values.chunks(batch.saturating_mul(size)).collect();
        // nothing is shared of inputs of which one is refused
        program.check_ranges(values)?;
        batches.iter().try_for_each(|values| (0..program.inputs().len()).try_for_each(|input| program.encode(input, values).map(drop)))?;
        let mut waiting = HashMap::new();
        let answers = self.infer_batches(target, &batches, in_flight, &mut waiting, progress);
        for request in waiting.into_keys() {
            self.links.iter().for_each(|link| link.control(&Control::Cancel { request }));
        }
        let mut whole = Answer::default();
        for answer in answers?.into_iter().flatten() {
            whole.append(answer);
        }
        whole.cost.seconds.compute = seconds::now() - began;
        Ok(whole)
    }

    /// Answers to all batches, of which `in_flight` are under way at one time; those still waiting are left in `waiting`.
    fn infer_batches(
        &self,
        target: Target<'_>,
        batches: &[&[f32]],
        in_flight: usize,
        waiting: &mut HashMap<Id, Waiting>,
        mut progress: impl FnMut(InferProgress),
    ) -> Result<Vec<Option<Answer>>> {
        let mut answers: Vec<Option<Answer>> = batches.iter().map(|_| None).collect();
        let mut todo = batches.iter().enumerate();
        let mut done = InferProgress::default();
        loop {
            while waiting.len() < in_flight
                && let Some((batch, values)) = todo.next()
            {
                let count = values.len() / target.input_size();
                let origin = self.origin(batch, &target.kind(count))?;
                waiting.insert(origin.request(), self.ask(target, batch, values, &origin)?);
                done.shared += count;
                progress(done);
            }
            if waiting.is_empty() {
                return Ok(answers);
            }
            for Answered { batch, count, answer } in self.collect(target, waiting)? {
                answers[batch] = Some(answer);
                done.answered += count;
                progress(done);
            }
        }
    }

    /// Origin of the next request: a preprocessing token of the batch's lead, if there is one.
    fn origin(&self, batch: usize, kind: &RequestKind) -> Result<Origin> {
        match self.tokens.borrow_mut().get_mut(&(batch % 3, kind.clone())).and_then(Vec::pop) {
            Some(token) => Ok(Origin::Preprocessed(token)),
            None => Ok(Origin::Drawn(*random::<16>()?)),
        }
    }

    /// Shares a batch among the parties and asks for its result.
    fn ask(&self, target: Target<'_>, batch: usize, values: &[f32], origin: &Origin) -> Result<Waiting> {
        let (lead, count) = (batch % 3, values.len() / target.input_size());
        let mut shares: [Vec<mpc::Input>; 3] = Default::default();
        let mut promised = if let Origin::Preprocessed(token) = origin { &token.share.0[..] } else { &[] };
        for (input, shape) in target.program.input_shapes(count)?.iter().enumerate() {
            let words = Zeroizing::new(target.program.encode(input, values)?);
            let promise = match origin {
                Origin::Preprocessed(_) => mpc::Promise::of(mpc::Input::read(shape, &mut promised)?)?,
                Origin::Drawn(_) => mpc::promise(shape)?,
            };
            shares.iter_mut().zip(promise.keep(&words)?).for_each(|(all, share)| all.push(share));
        }
        // components are counted from the lead, so that its two are seeds
        shares.rotate_right(lead);
        let RequestKind { model, count: inputs, reveal } = target.kind(count);
        let timeout = self.options.timeout.as_millis() as u64;
        let (request, preprocessed) = (origin.request(), matches!(origin, Origin::Preprocessed(_)));
        let message = InferRequest { request, model, count: inputs, reveal, lead: lead as u8, preprocessed, timeout };
        let mut bytes_shared = 0;
        for (party, (link, share)) in self.links.iter().zip(&shares).enumerate() {
            let size: u64 = share.iter().map(|input| input.bytes() + 2).sum();
            let mut bytes = Zeroizing::new(Vec::with_capacity(size as usize));
            // the lead that gave the token has drawn its share itself
            if party != lead || !preprocessed {
                bytes_shared += share.iter().map(mpc::Input::bytes).sum::<u64>();
                share.iter().try_for_each(|input| input.write(&mut *bytes)).map_err(|e| Error::Device(e.to_string()))?;
            }
            link.control(&Control::Infer(message.clone()));
            link.parcel(request, bytes);
        }
        Ok(Waiting::new(batch, count, bytes_shared))
    }

    /// Makes a request twice under one number, or with one token, as no client does that means well: for tests.
    #[cfg(feature = "seeded")]
    pub fn replay(&self, id: &str, program: &Program, values: &[f32]) -> Result<()> {
        let target = Target { id, program, reveal: Reveal::Logits };
        let origin = self.origin(0, &target.kind(1))?;
        for _ in 0..2 {
            let mut waiting = HashMap::from([(origin.request(), self.ask(target, 0, values, &origin)?)]);
            while !waiting.is_empty() {
                self.collect(target, &mut waiting)?;
            }
        }
        Ok(())
    }

    /// Next message of a party, and the answers that it completes.
    fn collect(&self, target: Target<'_>, waiting: &mut HashMap<Id, Waiting>) -> Result<Vec<Answered>> {
        // the parties give up first, and say why
        let oldest = waiting.values().map(|w| w.began).min().expect("requests are waited for");
        let until = oldest + self.options.timeout + self.options.idle;
        let (party, incoming) = match self.inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(incoming) => incoming,
            Err(RecvTimeoutError::Timeout) => return Err(Error::Peer("no answer came in time, and no party says why".into())),
            Err(RecvTimeoutError::Disconnected) => return Err(Error::Peer("all parties are gone".into())),
        };
        match incoming.map_err(|e| self.named(party, e))? {
            // of a request that was given up before: the others say so too
            Incoming::Control(Control::Refused { request: Some(request), .. }) if !waiting.contains_key(&request) => Ok(Vec::new()),
            Incoming::Control(Control::Refused { reason, text, .. }) => Err(self.named(party, reason.error(&text))),
            Incoming::Control(Control::Answer { request, cost }) => {
                waiting.entry(request).and_modify(|w| w.costs[party] = Some(cost));
                Ok(Vec::new())
            }
            Incoming::Parcels(body) => take_summands(waiting, target, party, &body).map_err(|e| self.named(party, e)),
            _ => Ok(Vec::new()),
        }
    }
}

/// Inputs of each batch of an inference.
fn batch_sizes(inputs: usize, batch: usize) -> impl Iterator<Item = usize> {
    (0..inputs).step_by(batch.max(1)).map(move |first| batch.min(inputs - first))
}
