//! Requests of a client whose results have not come in full.

use crate::{
    Error, Result,
    net::{
        control::{RequestCost, RequestKind},
        secrets::Id,
        wire::parcels,
    },
    nn::{Answer, Program, Reveal},
    ring::Word,
};
use std::{collections::HashMap, time::Instant};

/// Model that inferences are asked of, and what is revealed.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Id of the model.
    pub id: &'a str,
    /// The public part of the model.
    pub program: &'a Program,
    /// Part of the result that is revealed.
    pub reveal: Reveal,
}

impl Target<'_> {
    /// Kind of a request for so many inputs.
    pub fn kind(&self, count: usize) -> RequestKind {
        RequestKind { model: self.id.into(), count: count as u32, reveal: self.reveal }
    }

    /// Numbers of one input.
    pub fn input_size(&self) -> usize {
        self.program.input_size()
    }
}

/// Request whose result has not come in full.
pub struct Waiting {
    /// Place of its batch among those of the inference.
    pub batch: usize,
    /// Inputs.
    pub count: usize,
    /// Time when it was asked for.
    pub began: Instant,
    /// Cost at each party.
    pub costs: [Option<RequestCost>; 3],
    bytes_shared: u64,
    summands: [Option<Vec<Vec<Word>>>; 3],
}

/// Answer to one request.
pub struct Answered {
    /// Place of its batch.
    pub batch: usize,
    /// Inputs.
    pub count: usize,
    /// The answer.
    pub answer: Answer,
}

impl Waiting {
    /// Request that has been asked for, for which so many bytes were shared.
    pub fn new(batch: usize, count: usize, bytes_shared: u64) -> Self {
        let (summands, costs) = Default::default();
        Self { batch, count, began: Instant::now(), costs, bytes_shared, summands }
    }

    /// Takes the summands of a party.
    fn take(&mut self, target: Target<'_>, party: usize, bytes: &[u8]) -> Result<()> {
        if self.costs[party].is_none() {
            return Err(Error::Peer("sent a result before its cost".into()));
        }
        let lengths = target.program.revealed(self.count, target.reveal)?;
        if bytes.len() != 8 * lengths.iter().sum::<usize>() {
            return Err(Error::Peer("sent a result of another size than the model's outputs have".into()));
        }
        let mut rest = bytes.chunks_exact(8).map(|b| Word::from_le_bytes(std::array::from_fn(|i| b[i])));
        self.summands[party] = Some(lengths.iter().map(|&length| rest.by_ref().take(length).collect()).collect());
        Ok(())
    }

    /// Answer, once the summands of all three parties are there.
    fn answer(&self, target: Target<'_>) -> Result<Option<Answer>> {
        let [Some(a), Some(b), Some(c)] = &self.summands else { return Ok(None) };
        let costs = self.costs.map(|cost| cost.expect("a party's summands are taken after its cost"));
        let mut answer = target.program.answer([a, b, c], self.count, target.reveal)?;
        answer.cost.rounds = 1 + costs.iter().map(|cost| cost.rounds).max().expect("three parties");
        answer.cost.bytes_from_owners = self.bytes_shared;
        answer.cost.bytes_sent = costs.map(|cost| cost.bytes);
        answer.cost.bytes_prepared = costs.iter().map(|cost| cost.preprocessing.bytes).sum();
        answer.cost.seconds.prepare = costs.iter().map(|cost| cost.preprocessing.seconds).sum();
        Ok(Some(answer))
    }
}

/// Takes parcels of a party's summands: the answers that they complete.
pub fn take_summands(waiting: &mut HashMap<Id, Waiting>, target: Target<'_>, party: usize, body: &[u8]) -> Result<Vec<Answered>> {
    let mut answers = Vec::new();
    for (request, bytes) in parcels(body)? {
        let Some(state) = waiting.get_mut(&request) else { continue };
        state.take(target, party, bytes)?;
        if let Some(answer) = state.answer(target)? {
            answers.push(Answered { batch: state.batch, count: state.count, answer });
            waiting.remove(&request);
        }
    }
    Ok(answers)
}
