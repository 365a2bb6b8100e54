//! Private inference: a model and its inputs, each shared by its owner, computed on by three parties of this process.
//!
//! The parties learn the architecture, the batch and nothing else; the owner of the inputs learns what is revealed.

use super::{
    graph::Graph,
    steps::{Kind, Product, Step, Steps},
};
use crate::{
    Error, Result, clock,
    device::{Buffer, Device},
    fixed::Fixed,
    kernels::{linear::Broadcast, matmul::Layout},
    party::{Cell, Link, Meter, Party, Sign, Tag, join_all, run, tagged},
    protocol as mpc,
    ring::Word,
    shape::{Pool, Shape},
    share::Arith,
};
use zeroize::Zeroizing;

/// Three parties of this process that serve models.
pub struct Session {
    parties: [Party; 3],
    fixed: Fixed,
    link: Link,
    leads: Leads,
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
    softmax: bool,
    /// For each party, weights and bias of each product in turn.
    parameters: [Vec<Arith>; 3],
    bytes: u64,
}

/// What the owner of the inputs has learnt, and what it cost.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Index of the largest score of each input.
    pub predictions: Vec<usize>,
    /// The scores of each input; empty if only the index was revealed.
    pub logits: Vec<Vec<f32>>,
    /// The model ends with a softmax; see [`probabilities`](Self::probabilities).
    pub softmax: bool,
    /// What it cost.
    pub cost: Cost,
}

/// Costs of an inference.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Rounds, the one that reveals included.
    pub rounds: u32,
    /// What each party has sent to the other two, headers included.
    pub bytes_sent: [u64; 3],
    /// What the owners of model and inputs have sent to the parties.
    pub bytes_from_owners: u64,
    /// What the parties have sent to the owner of the inputs.
    pub bytes_to_owner: u64,
    /// Seconds of encoding and sharing, of computing, of revealing.
    pub seconds: Seconds,
}

/// Where the time went.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seconds {
    /// Encoding and sharing the inputs.
    pub share: f64,
    /// The protocols.
    pub compute: f64,
    /// Opening the result to the owner.
    pub reveal: f64,
}

impl Seconds {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.share + self.compute + self.reveal
    }
}

impl Answer {
    /// The softmax of the logits, computed in the clear by whoever has received them.
    pub fn probabilities(&self) -> Vec<Vec<f32>> {
        let softmax = |row: &Vec<f32>| {
            let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let exponentials: Vec<f32> = row.iter().map(|v| (v - top).exp()).collect();
            let sum: f32 = exponentials.iter().sum();
            exponentials.iter().map(|e| e / sum).collect()
        };
        self.logits.iter().map(softmax).collect()
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
            link: Link::Handover,
            leads: Leads::One,
            #[cfg(feature = "seeded")]
            owners: None,
        }
    }

    /// How messages pass.
    pub fn with_link(self, link: Link) -> Self {
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

    /// The parties, for their meters.
    pub fn parties(&self) -> &[Party; 3] {
        &self.parties
    }

    /// An owner shares a tensor.
    fn share(&self, shape: &Shape, words: &[Word]) -> Result<[mpc::Input; 3]> {
        #[cfg(feature = "seeded")]
        if let Some(next) = &self.owners {
            return Ok(mpc::share_seeded(shape, words, next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)));
        }
        mpc::share(shape, words)
    }

    /// Shares a model's weights among the parties. The architecture is public.
    pub fn load(&self, graph: &Graph) -> Result<Model> {
        let steps = Steps::new(graph)?;
        let mut parameters: [Vec<Arith>; 3] = Default::default();
        let mut bytes = 0;
        for parameter in steps.parameters(self.fixed)? {
            let shares = self.share(&parameter.shape, &parameter.words)?;
            for (party, share) in self.parties.iter().zip(&shares) {
                bytes += share.bytes();
                parameters[party.number()].push(mpc::input(party, share));
            }
        }
        Ok(Model { steps, softmax: graph.softmax, parameters, bytes })
    }

    /// Scores of `values.len() / inputs` images, `batch` at a time; the last batch may be smaller. `progress` is told how
    /// many are done.
    pub async fn infer(
        &self,
        model: &Model,
        values: &[f32],
        batch: usize,
        reveal: Reveal,
        mut progress: impl FnMut(usize),
    ) -> Result<Answer> {
        let size = Shape::new(model.steps.input_extents.clone())?.elements();
        if values.is_empty() || !values.len().is_multiple_of(size) || batch == 0 {
            return Err(Error::Input(format!("{} numbers in batches of {batch}: an input of the model has {size}", values.len())));
        }
        let mut answer = Answer { softmax: model.softmax, ..Answer::default() };
        answer.cost.bytes_from_owners = model.bytes;
        for part in values.chunks(batch.saturating_mul(size)) {
            self.batch(model, part, part.len() / size, reveal, &mut answer).await?;
            progress(answer.predictions.len());
        }
        Ok(answer)
    }

    async fn batch(&self, model: &Model, values: &[f32], count: usize, reveal: Reveal, answer: &mut Answer) -> Result<()> {
        let began = clock::now();
        let parts: Vec<usize> = match self.leads {
            Leads::One => vec![count],
            Leads::Three => (0..3).map(|i| (count + i) / 3).filter(|&n| n > 0).collect(),
        };
        let size = values.len() / count;
        let mut inputs: [Vec<Arith>; 3] = Default::default();
        let mut rest = values;
        for &rows in &parts {
            let (part, after) = rest.split_at(rows * size);
            rest = after;
            let shape = Shape::new([&[rows], &model.steps.input_extents[..]].concat())?;
            let words = Zeroizing::new(self.fixed.encode("input", part)?);
            for (party, share) in self.parties.iter().zip(&self.share(&shape, &words)?) {
                answer.cost.bytes_from_owners += share.bytes();
                inputs[party.number()].push(mpc::input(party, share));
            }
        }
        let shared = clock::now();
        self.parties.iter().for_each(Party::reset_meter);
        let inputs = &inputs;
        let revealed = run(&self.parties, self.link, |p| async move {
            let part = |(i, x): (usize, &Arith)| {
                let tag = Tag { lead: (self.leads == Leads::Three).then_some(i), layer: None };
                tagged(p, tag, outcome(p, model, x.clone(), reveal))
            };
            join_all(p, inputs[p.number()].iter().enumerate().map(part).collect()).await
        })
        .await?;
        for party in &self.parties {
            // an adapter may still be at work
            party.device().download(&[]).await?;
        }
        let computed = clock::now();
        let mut summands = Vec::new();
        for (party, parts) in self.parties.iter().zip(&revealed) {
            let words = party.device().download(&parts.iter().collect::<Vec<&Buffer>>()).await?;
            summands.push(Zeroizing::new(words.concat()));
        }
        answer.cost.bytes_to_owner += summands.iter().map(|words| words.len() as u64 * 8).sum::<u64>();
        answer.take(&mpc::combine([&summands[0], &summands[1], &summands[2]]), count, reveal, self.fixed);
        let revealed = clock::now();
        answer.cost.add(self.parties.each_ref().map(Party::meter));
        let seconds = &mut answer.cost.seconds;
        seconds.share += shared - began;
        seconds.compute += computed - shared;
        seconds.reveal += revealed - computed;
        Ok(())
    }
}

impl Answer {
    /// The revealed words of `count` inputs.
    fn take(&mut self, words: &[Word], count: usize, reveal: Reveal, fixed: Fixed) {
        match reveal {
            Reveal::Argmax => self.predictions.extend(words.iter().map(|&i| i as usize)),
            Reveal::Logits => {
                for row in words.chunks(words.len() / count) {
                    let largest = (0..row.len()).rev().max_by_key(|&i| row[i] as i64);
                    self.predictions.push(largest.unwrap_or(0));
                    self.logits.push(fixed.decode_all(row));
                }
            }
        }
    }
}

impl Cost {
    fn add(&mut self, meters: [Meter; 3]) {
        self.rounds += 1 + meters.iter().map(|m| m.rounds).max().unwrap_or(0);
        for (sent, meter) in self.bytes_sent.iter_mut().zip(&meters) {
            *sent += meter.bytes();
        }
    }
}

/// The forward pass and this party's summand of what is revealed.
async fn outcome(p: &Party, model: &Model, x: Arith, reveal: Reveal) -> Buffer {
    let rows = x.shape().extents()[0];
    let y = forward(p, &model.steps, &model.parameters[p.number()], x).await;
    match reveal {
        Reveal::Logits => mpc::reveal(p, &y),
        Reveal::Argmax => {
            let columns = y.shape().elements() / rows;
            let y = y.reshaped(&[rows, columns]).unwrap_or(y);
            mpc::reveal(p, &mpc::argmax(p, &y).await)
        }
    }
}

/// All steps at once: each waits for its inputs, so independent ones share rounds.
pub(super) async fn forward(p: &Party, network: &Steps, parameters: &[Arith], x: Arith) -> Arith {
    let cells: Vec<Cell<Arith>> = (0..network.values).map(|value| Cell::new(network.readers(value))).collect();
    cells[network.input].set(p, x);
    let mut parameters = parameters.chunks(2);
    let task = |(number, step): (usize, &Step)| {
        let parameters = if matches!(step.kind, Kind::Product(_)) { parameters.next().unwrap_or_default() } else { &[] };
        let (cells, step) = (&cells, step.clone());
        async move {
            let mut inputs = Vec::new();
            for &value in &step.inputs {
                inputs.push(cells[value].get(p).await);
            }
            let layer = Tag { layer: Some(number as u16), lead: None };
            let output = tagged(p, layer, run_step(p, &step.kind, parameters, inputs)).await;
            cells[step.output].set(p, output);
        }
    };
    let tasks = network.steps.iter().enumerate().map(task).collect();
    join_all(p, tasks).await;
    cells[network.output].get(p).await
}

async fn run_step(p: &Party, kind: &Kind, parameters: &[Arith], mut inputs: Vec<Arith>) -> Arith {
    let x = inputs.remove(0);
    match kind {
        Kind::Product(step) => product(p, step, parameters, &x, &inputs).await,
        Kind::Relu => mpc::relu(p, &x).await,
        Kind::MaxPool(axes) => mpc::max_pool(p, &x, &pool(x.shape(), *axes)).await,
        Kind::SumPool(axes) => mpc::window_sum(p, &x, &pool(x.shape(), *axes)),
        Kind::Scale(factor) => {
            let wide = mpc::scale(p, &x, (f64::from(*factor) * f64::powi(2.0, p.fraction_bits() as i32)).round() as i64 as u64);
            mpc::rescale(p, &mpc::split_of_share(p, &wide)).await
        }
        Kind::Add => mpc::add(p, &x, &inputs[0]),
        Kind::Reshape(extents) => {
            let extents = [&x.shape().extents()[..1], &extents[..]].concat();
            x.reshaped(&extents).unwrap_or(x)
        }
    }
}

/// One local product, what is added to it before truncation, and one conversion: to a share if a pool follows, else split.
async fn product(p: &Party, step: &Product, parameters: &[Arith], x: &Arith, residuals: &[Arith]) -> Arith {
    let [weights, bias] = parameters else { unreachable!("each product has weights and a bias") };
    let rows = weights.shape().extents()[0];
    let mut z = match step.geometry(x.shape()) {
        Ok(geometry) => mpc::convolution(p, x, weights, &geometry),
        Err(_) => mpc::matmul(p, x, weights, dense(x.shape(), weights.shape())),
    };
    let inner = z.shape().extents()[2..].iter().product();
    z = mpc::accumulate(p, z, bias, Some(Broadcast { inner, modulus: rows }), 1);
    for residual in residuals {
        z = mpc::accumulate(p, z, residual, None, 1 << p.fraction_bits());
    }
    let wide = match step.pool {
        None => mpc::split(p, z).await,
        Some(axes) => {
            let windows = pool(z.shape(), axes);
            let share = mpc::reshare(p, z).await;
            mpc::split_of_share(p, &mpc::max_pool(p, &share, &windows).await)
        }
    };
    if step.relu { mpc::activate(p, &wide).await } else { mpc::rescale(p, &wide).await }
}

/// `(N, in) (out, in)^T`.
fn dense(x: &Shape, weights: &Shape) -> Layout {
    let (rows, columns) = (x.extents()[0], weights.extents()[0]);
    Layout { batch: 1, m: rows, k: weights.extents()[1], n: columns, transpose_x: false, transpose_y: true }
}

fn pool(x: &Shape, axes: [crate::shape::Axis; 2]) -> Pool {
    Pool::new(x, axes).unwrap_or_else(|e| unreachable!("the network's shapes were checked: {e}"))
}
