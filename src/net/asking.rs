//! Requests of an owner of data: inputs are shared among the parties, a request for each batch, and results put together.

use super::{
    client::{Connection, refusal},
    control::{Ask, Control, SecretBytes, Sort, Spent, Ticket},
    reading::Incoming,
    secrets::{Id, random},
    wire::parcels,
};
use crate::{
    Error, Result, clock as seconds,
    nn::{Answer, Program, Reveal},
    protocol as mpc,
    ring::Word,
};
use std::{collections::HashMap, sync::mpsc::RecvTimeoutError, time::Instant};
use zeroize::Zeroizing;

/// What a batch of inputs is asked with.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    /// Inputs of one request.
    pub batch: usize,
    /// Requests under way at one time; their leads take turns.
    pub in_flight: usize,
    /// What is revealed.
    pub reveal: Reveal,
}

/// What has come of a request.
struct Waiting {
    first: usize,
    count: usize,
    parts: [Option<Vec<Vec<Word>>>; 3],
    spent: [Option<Spent>; 3],
    shared: u64,
    began: Instant,
}

impl Connection {
    /// Takes tickets for so many inputs, as far as the parties have worked ahead for such requests: [`infer`](Self::infer) uses
    /// them, and then costs only what was not done before. One round trip, if any party works ahead. Returns how many requests
    /// are prepared.
    ///
    /// A ticket lasts as long as this connection, and at most the parties' `request_seconds`.
    pub fn prepare(&self, id: &str, inputs: usize, asking: Asking) -> Result<usize> {
        let mut asked = [0; 3];
        for (lead, link) in self.links.iter().enumerate().filter(|(lead, _)| self.prepares[*lead]) {
            let mut wanted: HashMap<usize, u32> = HashMap::new();
            let counts = sizes(inputs, asking.batch).enumerate().filter(|(request, _)| request % 3 == lead);
            counts.for_each(|(_, count)| *wanted.entry(count).or_default() += 1);
            asked[lead] = wanted.len();
            for (count, wanted) in wanted {
                link.control(&Control::Tickets { sort: sort(id, count, asking.reveal), wanted });
            }
        }
        let mut taken = 0;
        while asked.iter().any(|&left| left > 0) {
            let (party, incoming) = self.hear()?;
            match incoming {
                Incoming::Control(Control::TicketsAre { sort, tickets }) => {
                    asked[party] = asked[party].saturating_sub(1);
                    taken += tickets.len();
                    self.tickets.borrow_mut().entry((party, sort)).or_default().extend(tickets);
                }
                Incoming::Control(Control::Refused { request: None, why, text }) => return Err(self.named(party, refusal(why, text))),
                _ => {}
            }
        }
        Ok(taken)
    }

    /// Scores of `values.len() / inputs` images. The session must be there ([`ready`](Self::ready)). `progress` is told how many
    /// are done.
    pub fn infer(&self, id: &str, program: &Program, values: &[f32], asking: Asking, mut progress: impl FnMut(usize)) -> Result<Answer> {
        let Asking { batch, in_flight, reveal } = asking;
        let size = program.input_size();
        if values.is_empty() || !values.len().is_multiple_of(size) || batch == 0 || in_flight == 0 {
            return Err(Error::Input(format!("{} numbers in batches of {batch}: an input of the model has {size}", values.len())));
        }
        let began = seconds::now();
        let mut parts: Vec<Option<Answer>> = values.chunks(batch.saturating_mul(size)).map(|_| None).collect();
        let mut todo = values.chunks(batch.saturating_mul(size)).enumerate();
        let mut waiting: HashMap<Id, Waiting> = HashMap::new();
        let mut done = 0;
        let ended = loop {
            while waiting.len() < in_flight
                && let Some((first, part)) = todo.next()
            {
                let ticket = self.ticket(first, &sort(id, part.len() / size, reveal))?;
                waiting.insert(ticket.request, self.ask(&ticket, id, program, first, part, reveal)?);
            }
            if waiting.is_empty() {
                break Ok(());
            }
            match self.collect(program, &mut waiting, reveal) {
                Ok(answers) => {
                    for (first, count, answer) in answers {
                        parts[first] = Some(answer);
                        done += count;
                        progress(done);
                    }
                }
                Err(error) => break Err(error),
            }
        };
        for request in waiting.into_keys() {
            self.links.iter().for_each(|link| link.control(&Control::Cancel { request }));
        }
        ended?;
        let mut whole = Answer::default();
        for part in parts.into_iter().flatten() {
            whole.append(part);
        }
        whole.cost.seconds.compute = seconds::now() - began;
        Ok(whole)
    }

    /// A ticket of the lead, or one without a share that this side has drawn: nothing is prepared for it.
    fn ticket(&self, first: usize, sort: &Sort) -> Result<Ticket> {
        let given = self.tickets.borrow_mut().get_mut(&(first % 3, sort.clone())).and_then(Vec::pop);
        given.map_or_else(|| Ok(Ticket { request: *random::<16>()?, share: SecretBytes::default() }), Ok)
    }

    /// Shares some inputs among the parties.
    fn ask(&self, ticket: &Ticket, id: &str, program: &Program, first: usize, part: &[f32], reveal: Reveal) -> Result<Waiting> {
        let (lead, request, ahead) = (first % 3, ticket.request, !ticket.share.0.is_empty());
        let count = part.len() / program.input_size();
        let mut shares: [Vec<mpc::Input>; 3] = Default::default();
        let mut promised = &ticket.share.0[..];
        for (input, shape) in program.input_shapes(count)?.iter().enumerate() {
            let words = Zeroizing::new(program.encode(input, part)?);
            let promise = match ahead {
                true => mpc::Promise::of(mpc::Input::read(shape, &mut promised)?)?,
                false => mpc::promise(shape)?,
            };
            shares.iter_mut().zip(promise.keep(&words)?).for_each(|(all, share)| all.push(share));
        }
        // components are counted from the lead, so that its two are seeds
        shares.rotate_right(lead);
        let patience = self.manners.patience.as_millis() as u64;
        let ask = Ask { request, model: id.into(), count: count as u32, reveal, lead: lead as u8, ahead, patience };
        let mut shared = 0;
        for (party, (link, share)) in self.links.iter().zip(&shares).enumerate() {
            let size: u64 = share.iter().map(|input| input.bytes() + 2).sum();
            let mut bytes = Zeroizing::new(Vec::with_capacity(size as usize));
            // the lead that gave the ticket has chosen its share itself
            if party != lead || !ahead {
                shared += share.iter().map(mpc::Input::bytes).sum::<u64>();
                share.iter().try_for_each(|input| input.write(&mut *bytes)).map_err(|e| Error::Device(e.to_string()))?;
            }
            link.control(&Control::Ask(ask.clone()));
            link.parcel(request, bytes);
        }
        Ok(Waiting { first, count, parts: Default::default(), spent: Default::default(), shared, began: Instant::now() })
    }

    /// Makes a request twice under one number, or with one ticket, as nobody does who means well.
    #[cfg(feature = "seeded")]
    pub fn replay(&self, id: &str, program: &Program, values: &[f32]) -> Result<()> {
        let ticket = self.ticket(0, &sort(id, 1, Reveal::Logits))?;
        for _ in 0..2 {
            let state = self.ask(&ticket, id, program, 0, values, Reveal::Logits)?;
            let mut waiting = HashMap::from([(ticket.request, state)]);
            while !waiting.is_empty() {
                self.collect(program, &mut waiting, Reveal::Logits)?;
            }
        }
        Ok(())
    }

    /// The next thing that comes, and the answers that it completes.
    fn collect(&self, program: &Program, waiting: &mut HashMap<Id, Waiting>, reveal: Reveal) -> Result<Vec<(usize, usize, Answer)>> {
        // the parties give up first, and say why
        let until = waiting.values().map(|w| w.began).min().unwrap_or_else(Instant::now) + self.manners.patience + self.manners.idle;
        let (party, incoming) = match self.inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(incoming) => incoming,
            Err(RecvTimeoutError::Timeout) => return Err(Error::Peer("no answer came in time, and no party says why".into())),
            Err(RecvTimeoutError::Disconnected) => return Err(Error::Peer("all parties are gone".into())),
        };
        let named = |e| self.named(party, e);
        let body = match incoming.map_err(named)? {
            // of a request that was given up before: the others say so too
            Incoming::Control(Control::Refused { request: Some(request), .. }) if !waiting.contains_key(&request) => return Ok(Vec::new()),
            Incoming::Control(Control::Refused { why, text, .. }) => return Err(named(refusal(why, text))),
            Incoming::Control(Control::Answer { request, spent }) => {
                waiting.entry(request).and_modify(|w| w.spent[party] = Some(spent));
                return Ok(Vec::new());
            }
            Incoming::Parcels(body) => body,
            _ => return Ok(Vec::new()),
        };
        let mut answers = Vec::new();
        for (request, bytes) in parcels(&body)? {
            let Some(state) = waiting.get_mut(&request) else { continue };
            let lengths = program.revealed(state.count, reveal)?;
            if bytes.len() != 8 * lengths.iter().sum::<usize>() {
                return Err(named(Error::Peer("sent a result of another size than the model's outputs have".into())));
            }
            let mut rest = bytes.chunks_exact(8).map(|b| Word::from_le_bytes(std::array::from_fn(|i| b[i])));
            state.parts[party] = Some(lengths.iter().map(|&length| rest.by_ref().take(length).collect()).collect());
            if let [Some(a), Some(b), Some(c)] = &state.parts {
                let mut answer = program.answer([a, b, c], state.count, reveal)?;
                let spent = state.spent.map(Option::unwrap_or_default);
                answer.cost.rounds = 1 + spent.iter().map(|spent| spent.rounds).max().unwrap_or(0);
                answer.cost.bytes_from_owners = state.shared;
                answer.cost.bytes_sent = spent.map(|spent| spent.bytes);
                answer.cost.bytes_prepared = spent.iter().map(|spent| spent.ahead.bytes).sum();
                answer.cost.seconds.prepare = spent.iter().map(|spent| spent.ahead.seconds).sum();
                answers.push((state.first, state.count, answer));
                waiting.remove(&request);
            }
        }
        Ok(answers)
    }
}

/// Inputs of each request for `inputs` of them, `batch` at a time.
fn sizes(inputs: usize, batch: usize) -> impl Iterator<Item = usize> {
    (0..inputs).step_by(batch.max(1)).map(move |first| batch.min(inputs - first))
}

fn sort(model: &str, count: usize, reveal: Reveal) -> Sort {
    Sort { model: model.into(), count: count as u32, reveal }
}
