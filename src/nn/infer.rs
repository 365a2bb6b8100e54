//! Private inference: a model and its inputs, each shared by its owner, computed on by three parties of this process.
//!
//! The parties learn the architecture, the batch and nothing else; the owner of the inputs learns what is revealed.

use super::{
    Answer,
    forward::Held,
    graph::Graph,
    hosted::outcome,
    profile::Profile,
    ranges::{Bits, ranges},
    steps::{Kind, Steps},
};
use crate::{
    Error, Result, clock,
    device::{Buffer, Device},
    fixed::Fixed,
    kernels::gather::Table,
    party::{Party, Preprocessed, Tag, Transport, join_all, preprocess, run, run_preprocessed, tagged},
    protocol::{self as mpc, Sign},
    ring::Word,
    shape::Shape,
    share::Arith,
};
use std::{collections::VecDeque, ops::RangeInclusive};
use zeroize::Zeroizing;

/// Three parties of this process that serve models.
pub struct Session {
    parties: [Party; 3],
    fixed: Fixed,
    link: Transport,
    leads: Leads,
    /// Inputs of a micro-batch.
    micro: usize,
    profiled: bool,
    /// Where the owners' randomness starts, for tests that compare devices.
    #[cfg(feature = "seeded")]
    owners: Option<std::sync::atomic::AtomicU64>,
}

/// Who leads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Leads {
    /// Party 0, which runs ahead of the others.
    #[default]
    One,
    /// Each party leads a third of the batch: work and bytes are alike at all three.
    Three,
}

/// What the owner of the inputs learns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub enum Reveal {
    /// All scores.
    #[default]
    Logits,
    /// Only the index of the largest, the first of equal ones.
    Argmax,
}

/// A network whose weights the three parties hold as shares.
pub struct Model {
    steps: Steps,
    /// What comparisons look at, step by step, if inputs are in this range.
    bits: Vec<Bits>,
    inputs: Option<RangeInclusive<f32>>,
    softmax: bool,
    /// For each party.
    held: [Held; 3],
    bytes: u64,
}

/// The lead's part of an inference, done before there are inputs. It serves one batch.
#[must_use = "what was prepared is for one batch"]
#[derive(Debug)]
pub struct Prepared<'m> {
    model: &'m Model,
    count: usize,
    reveal: Reveal,
    promises: Vec<mpc::Promise>,
    ahead: Preprocessed<Outcomes>,
}

/// Each piece's outputs as one party reveals them.
type Outcomes = Vec<Vec<Buffer>>;

impl Prepared<'_> {
    /// Seconds that it took, and bytes that the lead has sent.
    pub fn cost(&self) -> (f64, u64) {
        (self.ahead.seconds, self.ahead.bytes)
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Model({} steps)", self.steps.steps.len())
    }
}

impl Session {
    /// Three parties with fresh keys, one on each device; devices may be the same.
    pub fn new(devices: [Device; 3], fixed: Fixed) -> Result<Self> {
        Ok(Self::of(Party::local(devices, fixed.fraction_bits())?, fixed))
    }

    /// The same with masks that follow from a number: for tests that compare devices, and for nothing else.
    #[cfg(feature = "seeded")]
    pub fn seeded(devices: [Device; 3], fixed: Fixed, seed: u64) -> Self {
        let owners = Some(std::sync::atomic::AtomicU64::new(seed << 32));
        Self { owners, ..Self::of(Party::local_seeded(devices, fixed.fraction_bits(), seed), fixed) }
    }

    fn of(parties: [Party; 3], fixed: Fixed) -> Self {
        Self {
            parties,
            fixed,
            link: Transport::Handover,
            leads: Leads::One,
            micro: usize::MAX,
            profiled: false,
            #[cfg(feature = "seeded")]
            owners: None,
        }
    }

    /// How messages pass.
    pub fn with_link(self, link: Transport) -> Self {
        Self { link, ..self }
    }

    /// How signs are computed.
    pub fn with_sign(self, sign: Sign) -> Self {
        self.parties.iter().for_each(|p| p.set_sign(sign));
        self
    }

    /// Who leads.
    pub fn with_leads(self, leads: Leads) -> Self {
        Self { leads, ..self }
    }

    /// Cuts batches into pieces of so many inputs, which run side by side: while one computes, messages of another are on their
    /// way. Rounds stay the same.
    pub fn with_micro_batches(self, inputs: usize) -> Self {
        Self { micro: inputs.max(1), ..self }
    }

    /// Answers tell where the time went, layer by layer ([`Answer::profile`]).
    pub fn with_profile(self) -> Self {
        self.parties.iter().for_each(|p| p.keep_spans(true));
        Self { profiled: true, ..self }
    }

    /// The parties, for their meters.
    pub fn parties(&self) -> &[Party; 3] {
        &self.parties
    }

    /// An owner chooses the seeds of a tensor.
    fn promise(&self, shape: &Shape) -> Result<mpc::Promise> {
        #[cfg(feature = "seeded")]
        if let Some(next) = &self.owners {
            return Ok(mpc::promise_seeded(shape, next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)));
        }
        mpc::promise(shape)
    }

    /// What an owner sends: nothing but sizes if no party has words.
    fn share(&self, promise: mpc::Promise, words: &[Word]) -> Result<[mpc::Input; 3]> {
        if self.parties.iter().all(|p| p.device().is_shape_only()) { Ok(promise.blank()) } else { promise.keep(words) }
    }

    /// Three parties on devices that keep sizes and no words: for [`plan_on`](super::plan_on).
    pub fn dry(fixed: Fixed) -> Result<Self> {
        Self::new(Device::shape_only_process(), fixed)
    }

    /// Shares a model's weights among the parties. The architecture is public.
    pub fn load(&self, graph: &Graph) -> Result<Model> {
        self.load_for(graph, None)
    }

    /// The same for inputs in a range: comparisons look only at as many bits as the values can have
    /// ([`ranges`](super::ranges)). The bits become public. An input outside the range is an error.
    pub fn load_for(&self, graph: &Graph, inputs: Option<RangeInclusive<f32>>) -> Result<Model> {
        let mut steps = Steps::new(graph)?;
        let bits = match &inputs {
            Some(inputs) => ranges(&steps, self.fixed, inputs)?,
            None => vec![Bits::default(); steps.steps.len()],
        };
        let mut held: [Held; 3] = Default::default();
        let mut bytes = 0;
        for step in &mut steps.steps {
            step.check(self.fixed)?;
            if let Kind::Select { table, .. } = &step.kind {
                self.parties.iter().zip(&mut held).for_each(|(p, held)| held.tables.push(Table::new(p.device(), table)));
            }
            let Kind::Product(product) = &mut step.kind else { continue };
            for parameter in product.encoded(self.fixed, &step.name)? {
                let shares = self.share(self.promise(&parameter.shape)?, &Zeroizing::new(parameter.words))?;
                for (party, share) in self.parties.iter().zip(&shares) {
                    bytes += share.bytes();
                    held[party.number()].parameters.push(mpc::input(party, share));
                }
            }
            // from here on the weights are shares alone
            (product.weights.values, product.bias) = Default::default();
        }
        Ok(Model { steps, bits, inputs, softmax: graph.softmax, held, bytes })
    }

    /// Does the lead's part of an inference of `count` inputs before they exist: all that it computes and deals. What it deals
    /// lies in the second party's memory until the inference takes it.
    ///
    /// [`Error::Misuse`] if each party leads a third, or if the lead has to hear from others.
    pub async fn prepare<'m>(&self, model: &'m Model, count: usize, reveal: Reveal) -> Result<Prepared<'m>> {
        if self.leads == Leads::Three {
            return Err(Error::Misuse("a run with three leads cannot be prepared: each of them has to hear from the others".into()));
        }
        let promises = self.pieces(count).into_iter().map(|(_, rows)| self.promise(&model.input_shape(rows)?));
        let promises = promises.collect::<Result<Vec<_>>>()?;
        let inputs: Vec<Arith> = promises.iter().map(|promise| mpc::input(&self.parties[0], &promise.of_lead())).collect();
        let ahead = preprocess(&self.parties, self.link, |p| self.outcomes(p, model, &inputs, count, reveal)).await?;
        Ok(Prepared { model, count, reveal, promises, ahead })
    }

    /// Scores of `values.len() / inputs` images, `batch` at a time; the last batch may be smaller. `progress` is told how
    /// many are done.
    pub async fn infer(&self, model: &Model, values: &[f32], batch: usize, reveal: Reveal, progress: impl FnMut(usize)) -> Result<Answer> {
        self.infer_prepared(model, Vec::new(), values, batch, reveal, progress).await
    }

    /// The same with the lead's part of the first batches done. Rounds, bytes and seconds are those since there were inputs;
    /// what was prepared is counted apart.
    pub async fn infer_prepared(
        &self,
        model: &Model,
        prepared: Vec<Prepared<'_>>,
        values: &[f32],
        batch: usize,
        reveal: Reveal,
        mut progress: impl FnMut(usize),
    ) -> Result<Answer> {
        let size = Shape::new(model.steps.input_extents.clone())?.elements();
        if values.is_empty() || !values.len().is_multiple_of(size) || batch == 0 {
            return Err(Error::Input(format!("{} numbers in batches of {batch}: an input of the model has {size}", values.len())));
        }
        let mut prepared = VecDeque::from(prepared);
        let profile = self.profiled.then(|| Profile::of(&model.steps));
        let mut answer = Answer { softmax: model.softmax, profile, ..Answer::default() };
        answer.cost.bytes_from_owners = model.bytes;
        for part in values.chunks(batch.saturating_mul(size)) {
            self.batch(model, prepared.pop_front(), part, part.len() / size, reveal, &mut answer).await?;
            progress(answer.predictions.len());
        }
        Ok(answer)
    }

    async fn batch(
        &self,
        model: &Model,
        prepared: Option<Prepared<'_>>,
        values: &[f32],
        count: usize,
        reveal: Reveal,
        answer: &mut Answer,
    ) -> Result<()> {
        let began = clock::now();
        let (promises, ahead) = match prepared {
            None => (Vec::new(), None),
            Some(p) if std::ptr::eq(p.model, model) && p.count == count && p.reveal == reveal => (p.promises, Some(p.ahead)),
            Some(p) => {
                let wanted = format!("{} inputs, revealing {:?}, of its own model", p.count, p.reveal);
                return Err(Error::Misuse(format!("a batch of {count}, revealing {reveal:?}, was prepared for {wanted}")));
            }
        };
        let mut promises = promises.into_iter();
        let size = values.len() / count;
        let mut inputs: [Vec<Arith>; 3] = Default::default();
        let mut rest = values;
        for (_, rows) in self.pieces(count) {
            let (part, after) = rest.split_at(rows * size);
            rest = after;
            model.check(part)?;
            let words = Zeroizing::new(self.fixed.encode("input", part)?);
            let promise = promises.next().map_or_else(|| self.promise(&model.input_shape(rows)?), Ok)?;
            for (party, share) in self.parties.iter().zip(&self.share(promise, &words)?) {
                answer.cost.bytes_from_owners += share.bytes();
                inputs[party.number()].push(mpc::input(party, share));
            }
        }
        let shared = clock::now();
        self.parties.iter().for_each(Party::reset_meter);
        let task = |p| self.outcomes(p, model, &inputs[Party::number(p)], count, reveal);
        let revealed = match ahead {
            None => run(&self.parties, self.link, task).await?,
            Some(ahead) => {
                answer.cost.bytes_prepared += ahead.bytes;
                answer.cost.seconds.prepare += ahead.seconds;
                run_preprocessed(&self.parties, self.link, ahead, task).await?
            }
        };
        for party in &self.parties {
            // an adapter may still be at work
            party.device().download(&[]).await?;
        }
        let computed = clock::now();
        let mut names = model.steps.outputs.iter();
        for output in 0..revealed[0].first().map_or(0, Vec::len) {
            let mut summands = Vec::new();
            for (party, pieces) in self.parties.iter().zip(&revealed) {
                let words = party.device().download(&pieces.iter().map(|piece| &piece[output]).collect::<Vec<&Buffer>>()).await?;
                summands.push(Zeroizing::new(words.concat()));
            }
            answer.cost.bytes_to_owner += summands.iter().map(|words| words.len() as u64 * 8).sum::<u64>();
            let words = mpc::combine([&summands[0], &summands[1], &summands[2]]);
            let name = names.next().map_or("", |output| &output.name);
            match output {
                0 => answer.take(&words, count, reveal, self.fixed),
                _ => answer.take_other(output - 1, name, &words, count, self.fixed),
            }
        }
        let revealed = clock::now();
        answer.cost.add(self.parties.each_ref().map(Party::meter));
        if let Some(profile) = &mut answer.profile {
            profile.add(self);
        }
        let seconds = &mut answer.cost.seconds;
        seconds.share += shared - began;
        seconds.compute += computed - shared;
        seconds.reveal += revealed - computed;
        Ok(())
    }

    /// Lead and size of each piece of a batch.
    fn pieces(&self, count: usize) -> Vec<(usize, usize)> {
        let parts = match self.leads {
            Leads::One => vec![count],
            Leads::Three => (0..3).map(|i| (count + i) / 3).collect(),
        };
        let cut = |(lead, rows): (usize, usize)| {
            (0..rows).step_by(self.micro.min(rows.max(1))).map(move |first| (lead, self.micro.min(rows - first)))
        };
        parts.into_iter().enumerate().flat_map(cut).collect()
    }

    /// The forward pass on each piece of a batch, under its lead.
    async fn outcomes(&self, p: &Party, model: &Model, inputs: &[Arith], count: usize, reveal: Reveal) -> Outcomes {
        let piece = |((lead, _), x): ((usize, usize), &Arith)| {
            let own = outcome(p, &model.steps, &model.bits, &model.held[p.number()], x.clone(), reveal);
            tagged(p, Tag { lead: Some(lead), ..Tag::default() }, own)
        };
        join_all(p, self.pieces(count).into_iter().zip(inputs).map(piece).collect()).await
    }
}

impl Model {
    /// Bits that the comparisons of each step look at.
    pub fn bits(&self) -> &[Bits] {
        &self.bits
    }

    fn check(&self, values: &[f32]) -> Result<()> {
        let Some(inputs) = &self.inputs else { return Ok(()) };
        match values.iter().position(|value| !inputs.contains(value)) {
            None => Ok(()),
            Some(i) => {
                Err(Error::Range(format!("input: element {i} is outside {} to {}, which was promised", inputs.start(), inputs.end())))
            }
        }
    }

    fn input_shape(&self, count: usize) -> Result<Shape> {
        Shape::new([&[count], &self.steps.input_extents[..]].concat())
    }
}
