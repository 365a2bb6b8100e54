//! Private inference: a model and its inputs, each shared by its owner, computed on by three parties of this process.
//!
//! The parties learn the architecture, the batch and nothing else; the owner of the inputs learns what is revealed.

use super::{
    Answer,
    answer::Reveal,
    bounds::bounds,
    graph::Graph,
    lower::lower,
    ops::Bits,
    party_model::PartyModel,
    profile::Profile,
    program::Program,
    progress::{Ended, Progress, Verdict, shares_of_work, watched},
};
use crate::{
    Error, Result, clock,
    device::{Buffer, Device},
    fixed::Fixed,
    party::{Party, Preprocessed, Tag, Transport, join_all, preprocess, run, run_preprocessed, tagged},
    protocol::{self as mpc, Sign},
    ring::Word,
    shape::Shape,
    share::Arith,
};
use std::{
    collections::VecDeque,
    ops::RangeInclusive,
    sync::{Arc, atomic::Ordering},
};
use zeroize::Zeroizing;

/// Three parties of this process that serve models.
pub struct Session {
    parties: [Party; 3],
    fixed: Fixed,
    transport: Transport,
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

/// A network whose parameters the three parties hold as shares.
#[derive(Debug)]
pub struct Model {
    parties: [PartyModel; 3],
    bytes: u64,
}

/// The lead's part of an inference, done before there are inputs. It serves one batch.
#[must_use = "what was prepared is for one batch"]
#[derive(Debug)]
pub struct Prepared<'m> {
    model: &'m Model,
    count: usize,
    reveal: Reveal,
    /// One for each input, of each piece of the batch.
    promises: Vec<Vec<mpc::Promise>>,
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
            transport: Transport::Handover,
            leads: Leads::One,
            micro: usize::MAX,
            profiled: false,
            #[cfg(feature = "seeded")]
            owners: None,
        }
    }

    /// How messages pass.
    pub fn with_transport(self, transport: Transport) -> Self {
        Self { transport, ..self }
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

    /// The shares that an owner sends: nothing but sizes if no party has words.
    fn share(&self, promise: mpc::Promise, words: &[Word]) -> Result<[mpc::Input; 3]> {
        if self.parties.iter().all(|p| p.device().is_shape_only()) { Ok(promise.blank()) } else { promise.keep(words) }
    }

    /// Three parties on devices that keep sizes and no words: for [`plan_on`](super::plan_on).
    pub fn shape_only(fixed: Fixed) -> Result<Self> {
        Self::new(Device::shape_only_process(), fixed)
    }

    /// Shares a model's parameters among the parties. The architecture is public.
    pub fn load(&self, graph: &Graph) -> Result<Model> {
        self.load_for(graph, None)
    }

    /// The same for inputs in a range: comparisons look only at as many bits as the values can have
    /// ([`bounds`]). The bits become public. An input outside the range is an error.
    pub fn load_for(&self, graph: &Graph, inputs: Option<RangeInclusive<f32>>) -> Result<Model> {
        let lowered = lower(graph, self.fixed)?;
        let program = Arc::new(match inputs {
            Some(inputs) => bounds(&lowered, inputs)?,
            None => lowered.program,
        });
        let mut parties = self.parties.each_ref().map(|party| PartyModel::empty(party.device(), program.clone()));
        let mut bytes = 0;
        for (place, parameter) in program.parameters().iter().zip(lowered.parameters.encoded()) {
            let parameter = parameter?;
            let shares = self.share(self.promise(&parameter.shape)?, &Zeroizing::new(parameter.words))?;
            for (party, (model, share)) in self.parties.iter().zip(parties.iter_mut().zip(&shares)) {
                bytes += share.bytes();
                model.place(party, place.value, share);
            }
        }
        Ok(Model { parties, bytes })
    }

    /// Does the lead's part of an inference of `count` inputs before they exist: all that it computes and deals. What it deals
    /// lies in the second party's memory until the inference takes it.
    ///
    /// [`Error::Misuse`] if each party leads a third, or if the lead part needs interaction.
    pub async fn prepare<'m>(&self, model: &'m Model, count: usize, reveal: Reveal) -> Result<Prepared<'m>> {
        if self.leads == Leads::Three {
            return Err(Error::Misuse("a run with three leads cannot be prepared: the part of each needs interaction".into()));
        }
        can_reveal(model.program(), reveal)?;
        let promises = self.pieces(count).into_iter().map(|(_, rows)| self.promises(model, rows)).collect::<Result<Vec<_>>>()?;
        let of_lead = |promise: &mpc::Promise| mpc::input(&self.parties[0], &promise.of_lead());
        let inputs: Pieces = promises.iter().map(|piece| piece.iter().map(of_lead).collect()).collect();
        let ahead = preprocess(&self.parties, self.transport, |p| self.outcomes(p, model, &inputs, count, reveal)).await?;
        Ok(Prepared { model, count, reveal, promises, ahead })
    }

    /// Scores of some inputs, `batch` at a time; the last batch may be smaller. The numbers of each input lie one after another, of
    /// a model with several inputs in their order.
    ///
    /// `progress` hears how far the inference has come after each layer and each batch; if it gives
    /// [`ControlFlow::Break`](std::ops::ControlFlow), the inference ends with [`Error::Cancelled`]. The future yields to its
    /// executor between layers.
    ///
    /// [`Error::Range`] names an element that does not fit; [`Error::Input`] if there are no inputs, or no whole ones.
    pub async fn infer<V: Verdict>(
        &self,
        model: &Model,
        values: &[f32],
        batch: usize,
        reveal: Reveal,
        progress: impl FnMut(Progress) -> V,
    ) -> Result<Answer> {
        self.infer_prepared(model, Vec::new(), values, batch, reveal, progress).await
    }

    /// The same with the lead's part of the first batches done. Rounds, bytes and seconds are those since there were inputs;
    /// what was prepared is counted apart.
    pub async fn infer_prepared<V: Verdict>(
        &self,
        model: &Model,
        prepared: Vec<Prepared<'_>>,
        values: &[f32],
        batch: usize,
        reveal: Reveal,
        mut progress: impl FnMut(Progress) -> V,
    ) -> Result<Answer> {
        let program = model.program();
        can_reveal(program, reveal)?;
        let size = program.input_size();
        if values.is_empty() || !values.len().is_multiple_of(size) || batch == 0 {
            return Err(Error::Input(format!("{} numbers in batches of {batch}: an input of the model has {size}", values.len())));
        }
        let mut prepared = VecDeque::from(prepared);
        let profile = self.profiled.then(|| Profile::of(program));
        let mut answer = Answer { finish: program.outputs()[0].finish.clone(), profile, ..Answer::default() };
        answer.cost.bytes_from_owners = model.bytes;
        let (began, shares, all) = (clock::now(), shares_of_work(program)?, values.len() / size);
        for part in values.chunks(batch.saturating_mul(size)) {
            let (done, count, sent) = (answer.predictions.len(), part.len() / size, answer.cost.bytes_sent.iter().sum::<u64>());
            let of_layers = program.steps().len();
            let mut tell = |layers: usize, inputs: usize, bytes: u64| {
                let share = (done as f64 + shares[layers.min(of_layers)] * count as f64) / all as f64;
                let seconds = clock::now() - began;
                let seconds_left = if share > 0.0 { seconds / share - seconds } else { f64::INFINITY };
                progress(Progress { share, inputs, of_inputs: all, layers, of_layers, bytes, seconds, seconds_left }).goes_on()
            };
            let batch = Batch { model, values: part, count, reveal };
            let moved = |layers: usize| tell(layers, done, sent + self.parties.iter().map(|p| p.meter().bytes()).sum::<u64>());
            self.batch(batch, prepared.pop_front(), &mut answer, moved).await?;
            if !tell(of_layers, done + count, answer.cost.bytes_sent.iter().sum()) {
                return Err(Error::Cancelled);
            }
        }
        Ok(answer)
    }

    async fn batch(
        &self,
        batch: Batch<'_>,
        prepared: Option<Prepared<'_>>,
        answer: &mut Answer,
        mut moved: impl FnMut(usize) -> bool,
    ) -> Result<()> {
        let Batch { model, count, reveal, .. } = batch;
        let began = clock::now();
        let (promises, ahead) = match prepared {
            None => (Vec::new(), None),
            Some(p) if std::ptr::eq(p.model, model) && p.count == count && p.reveal == reveal => (p.promises, Some(p.ahead)),
            Some(p) => {
                let wanted = format!("{} inputs, revealing {:?}, of its own model", p.count, p.reveal);
                return Err(Error::Misuse(format!("a batch of {count}, revealing {reveal:?}, was prepared for {wanted}")));
            }
        };
        let inputs = self.share_inputs(&batch, promises, answer)?;
        let shared = clock::now();
        self.parties.iter().for_each(Party::reset_meter);
        let (ended, pieces) = (Ended::default(), self.pieces(count).len());
        let counted = ended.clone();
        // the second of the pair ends last
        self.parties[2].on_layer(Some(Arc::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        })));
        let task = |p| self.outcomes(p, model, &inputs[Party::number(p)], count, reveal);
        let tell = |ended: usize| moved(ended / pieces);
        let revealed = match ahead {
            None => watched(run(&self.parties, self.transport, task), &ended, tell).await,
            Some(ahead) => {
                answer.cost.bytes_prepared += ahead.bytes;
                answer.cost.seconds.prepare += ahead.seconds;
                watched(run_preprocessed(&self.parties, self.transport, ahead, task), &ended, tell).await
            }
        };
        self.parties[2].on_layer(None);
        let revealed = revealed?;
        for party in &self.parties {
            // an adapter may still be at work
            party.device().download(&[]).await?;
        }
        let computed = clock::now();
        self.put_together(&batch, &revealed, answer).await?;
        let ended = clock::now();
        answer.cost.add(self.parties.each_ref().map(Party::meter));
        if let Some(profile) = &mut answer.profile {
            profile.add(&self.parties);
        }
        let seconds = &mut answer.cost.seconds;
        seconds.share += shared - began;
        seconds.compute += computed - shared;
        seconds.reveal += ended - computed;
        Ok(())
    }

    /// The owner's shares of a batch, piece by piece, placed at each party.
    fn share_inputs(&self, batch: &Batch<'_>, promises: Vec<Vec<mpc::Promise>>, answer: &mut Answer) -> Result<[Pieces; 3]> {
        let mut promises = promises.into_iter();
        let (program, size) = (batch.model.program(), batch.values.len() / batch.count);
        let mut inputs: [Pieces; 3] = Default::default();
        let mut rest = batch.values;
        for (_, rows) in self.pieces(batch.count) {
            let (part, after) = rest.split_at(rows * size);
            rest = after;
            let promises = promises.next().map_or_else(|| self.promises(batch.model, rows), Ok)?;
            let mut piece: [Vec<Arith>; 3] = Default::default();
            for (input, promise) in promises.into_iter().enumerate() {
                let words = Zeroizing::new(program.encode(input, part)?);
                for (party, share) in self.parties.iter().zip(&self.share(promise, &words)?) {
                    answer.cost.bytes_from_owners += share.bytes();
                    piece[party.number()].push(mpc::input(party, share));
                }
            }
            inputs.iter_mut().zip(piece).for_each(|(all, piece)| all.push(piece));
        }
        Ok(inputs)
    }

    /// The owner's answer from what each party has revealed of each piece.
    async fn put_together(&self, batch: &Batch<'_>, revealed: &[Outcomes; 3], answer: &mut Answer) -> Result<()> {
        let program = batch.model.program();
        let fraction_bits: Vec<u32> = program.results(1)?.iter().map(|result| result.fraction_bits).collect();
        for output in 0..revealed[0].first().map_or(0, Vec::len) {
            let mut summands = Vec::new();
            for (party, pieces) in self.parties.iter().zip(revealed) {
                let words = party.device().download(&pieces.iter().map(|piece| &piece[output]).collect::<Vec<&Buffer>>()).await?;
                summands.push(Zeroizing::new(words.concat()));
            }
            answer.cost.bytes_to_owner += summands.iter().map(|words| words.len() as u64 * 8).sum::<u64>();
            let words = mpc::combine([&summands[0], &summands[1], &summands[2]]);
            match output {
                0 => answer.take(&words, batch.count, batch.reveal, fraction_bits[0]),
                _ => answer.take_other(output - 1, &program.outputs()[output], &words, batch.count, fraction_bits[output]),
            }
        }
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

    /// The run on each piece of a batch, under its lead.
    async fn outcomes(&self, p: &Party, model: &Model, inputs: &[Vec<Arith>], count: usize, reveal: Reveal) -> Outcomes {
        let piece = |((lead, _), x): ((usize, usize), &Vec<Arith>)| {
            let own = model.parties[p.number()].outcome_of(p, x.clone(), reveal);
            tagged(p, Tag { lead: Some(lead), ..Tag::default() }, own)
        };
        join_all(p, self.pieces(count).into_iter().zip(inputs).map(piece).collect()).await
    }

    /// Seeds of a piece's inputs.
    fn promises(&self, model: &Model, rows: usize) -> Result<Vec<mpc::Promise>> {
        model.program().input_shapes(rows)?.iter().map(|shape| self.promise(shape)).collect()
    }
}

/// An error unless the first output has what is to be revealed of it.
fn can_reveal(program: &Program, reveal: Reveal) -> Result<()> {
    reveal.check(&program.outputs()[0], program.results(1)?[0].value.item().iter().product())
}

/// Inputs that run together.
struct Batch<'a> {
    model: &'a Model,
    values: &'a [f32],
    count: usize,
    reveal: Reveal,
}

/// Each piece's inputs as one party holds them.
type Pieces = Vec<Vec<Arith>>;

impl Model {
    /// The public part of it.
    pub fn program(&self) -> &Program {
        self.parties[0].program()
    }

    /// Bits that the comparisons of each step look at.
    pub fn bits(&self) -> Vec<Bits> {
        self.program().steps().iter().map(|step| step.bits).collect()
    }
}
