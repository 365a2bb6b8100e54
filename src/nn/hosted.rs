//! A network as one party holds it, whose other parties are elsewhere: what is public of it, the party's shares, its part of a run.

use super::{
    Answer, Graph, Reveal,
    forward::{Held, forward},
    ranges::Bits,
    steps::{Kind, Parameter, Steps},
};
use crate::{
    Error, Result,
    device::{Buffer, Device},
    fixed::Fixed,
    kernels::gather::{NONE, Table},
    party::{Net, Party, Tag, Transport, preprocess, run, run_preprocessed, tagged},
    protocol::{self as mpc, Sign},
    ring::Word,
    shape::{Axis, Shape},
    share::Arith,
};
use std::sync::Arc;

/// All of a network but its weights: what the parties learn of it.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Architecture {
    steps: Steps,
    softmax: bool,
}

/// More steps than any network has: layers are numbered in 16 bits.
const MOST_STEPS: usize = u16::MAX as usize - 1;

/// Numbers of values, some of which no step makes any more; and values that steps read, in all.
const MOST_VALUES: usize = 1 << 20;

/// Taps of a window whose maximum is taken: each is a tensor.
const MOST_TAPS: usize = 1 << 16;

impl Architecture {
    /// Separates what is public of a network from its parameters as ring elements, in the order in which [`Hosted::new`] takes
    /// their shares.
    pub fn of(graph: &Graph, fixed: Fixed) -> Result<(Self, Vec<Parameter>)> {
        let mut steps = Steps::new(graph)?;
        let parameters = steps.parameters(fixed)?;
        for step in &mut steps.steps {
            if let Kind::Product(product) = &mut step.kind {
                (product.weights.values, product.bias) = Default::default();
            }
        }
        let architecture = Self { steps, softmax: graph.softmax };
        architecture.check(fixed)?;
        Ok((architecture, parameters))
    }

    /// Whether it can run: each value is made once and before it is read, and all shapes of one input and public numbers fit. An
    /// architecture that somebody else has sent must pass before anything else is done with it.
    pub fn check(&self, fixed: Fixed) -> Result<()> {
        let Steps { steps, values, input, .. } = &self.steps;
        let bad = |what: String| Error::Model(format!("architecture: {what}"));
        if steps.len() > MOST_STEPS || *values > MOST_VALUES || self.steps.outputs.is_empty() {
            return Err(bad(format!("{} steps on {values} values, {} outputs", steps.len(), self.steps.outputs.len())));
        }
        if self.steps.input_extents.len() >= MOST_AXES || steps.iter().map(|step| step.inputs.len()).sum::<usize>() > MOST_VALUES {
            return Err(bad(format!("an input of {} dimensions, or steps that read too much", self.steps.input_extents.len())));
        }
        let mut made = vec![false; *values];
        *made.get_mut(*input).ok_or_else(|| bad("the input has no number".into()))? = true;
        for step in steps {
            let name = &step.name;
            if step.inputs.is_empty() || !step.inputs.iter().all(|&value| made.get(value) == Some(&true)) {
                return Err(bad(format!("step '{name}' reads what has not been made")));
            }
            let taps = |axes: &[Axis; 2]| axes[0].kernel.saturating_mul(axes[1].kernel);
            let (axes, window) = match &step.kind {
                Kind::Reshape(extents) | Kind::Select { extents, .. } => (extents.len(), 0),
                Kind::Product(product) => (product.weights.shape.rank(), product.pool.as_ref().map_or(0, taps)),
                Kind::MaxPool(axes) => (0, taps(axes)),
                Kind::Concat(0) => (MOST_AXES, 0),
                Kind::Concat(axis) => (*axis, 0),
                Kind::Activation(_) | Kind::Sum { .. } | Kind::SumPool(_) => (0, 0),
            };
            if axes >= MOST_AXES || window > MOST_TAPS {
                return Err(bad(format!("step '{name}' has too many dimensions, or windows of too many elements")));
            }
            match made.get_mut(step.output) {
                Some(made) if !*made => *made = true,
                _ => return Err(bad(format!("step '{name}' makes what has been made"))),
            }
        }
        if !self.steps.outputs.iter().all(|output| made.get(output.value) == Some(&true)) {
            return Err(bad("an output that no step makes".into()));
        }
        self.check_shapes(fixed)
    }

    /// Shapes of all steps, whose values have been found to be made in order.
    fn check_shapes(&self, fixed: Fixed) -> Result<()> {
        let mut shapes = vec![None; self.steps.values];
        shapes[self.steps.input] = Some(self.input_shape(1)?);
        for step in &self.steps.steps {
            let bad = |what: &str| Error::Model(format!("architecture: step '{}': {what}", step.name));
            let inputs: Vec<Shape> = step.inputs.iter().filter_map(|&value| shapes[value].clone()).collect();
            let (x, alone) = (&inputs[0], inputs.len() == 1);
            let rows = |shape: &Shape| shape.extents()[1..].iter().try_fold(1usize, |n, &extent| n.checked_mul(extent)).unwrap_or(0);
            let fits = match &step.kind {
                Kind::Product(product) => {
                    let weights = product.weights.shape.extents();
                    let flat = weights.len() == 2 && x.rank() >= 2 && x.extents().last() == weights.get(1);
                    let whole = product.weights.values.is_empty() && product.bias.is_empty();
                    whole && (product.conv.is_some() || flat) && inputs.len() == 1 + product.residuals.len()
                }
                Kind::Sum { factors, .. } => factors.len() == inputs.len() && inputs.iter().all(|shape| shape == x),
                Kind::Concat(axis) => inputs.iter().all(|y| {
                    y.rank() == x.rank() && *axis < x.rank() && (0..x.rank()).all(|i| i == *axis || y.extents()[i] == x.extents()[i])
                }),
                Kind::Select { extents, table } => {
                    let size = Shape::new(extents.clone())?.elements();
                    alone && table.len() == size && table.iter().all(|&i| i == NONE || (i as usize) < rows(x))
                }
                Kind::Activation(_) | Kind::MaxPool(_) | Kind::SumPool(_) | Kind::Reshape(_) => alone,
            };
            if !fits {
                return Err(bad("its inputs do not fit it"));
            }
            step.check(fixed)?;
            let shape = step.output_shape(&shapes)?;
            if let Kind::Product(product) = &step.kind {
                let sum = product.product_shape(x)?;
                if inputs[1..].iter().any(|residual| *residual != sum) {
                    return Err(bad("what is added has another shape"));
                }
            }
            shapes[step.output] = Some(shape);
        }
        Ok(())
    }

    /// Shapes of the parameters, in order.
    pub fn parameter_shapes(&self) -> Result<Vec<Shape>> {
        let mut shapes = Vec::new();
        for step in &self.steps.steps {
            if let Kind::Product(product) = &step.kind {
                shapes.extend([product.weights.shape.clone(), Shape::new([product.weights.shape.extents()[0]])?]);
            }
        }
        Ok(shapes)
    }

    /// Extents of an input without the batch.
    pub fn input_extents(&self) -> &[usize] {
        &self.steps.input_extents
    }

    /// Shape of so many inputs.
    pub fn input_shape(&self, count: usize) -> Result<Shape> {
        Shape::new([&[count], &self.steps.input_extents[..]].concat())
    }

    /// What a party holds at the most, in bytes: of the model, and of a request for so many inputs besides, as a dry run of all
    /// three parties finds it. The request's are those of the party that holds most, with a window of `window` bytes.
    pub async fn memory(&self, count: usize, reveal: Reveal, fixed: Fixed, sign: Sign, net: Option<Net>, window: u64) -> Result<[u64; 2]> {
        let (parties, models) = self.dry(fixed, sign, net)?;
        parties.iter().for_each(|party| party.set_window(window));
        let live = || parties.iter().filter_map(|party| party.device().memory()).map(|memory| memory.live).max().unwrap_or(0);
        let model = live();
        let input = mpc::promise(&self.input_shape(count)?)?.of_lead();
        let task = |p| models[Party::number(p)].outcome(p, &input, reveal);
        run(&parties, Transport::Handover, task).await?;
        Ok([model, live() - model])
    }

    /// Seconds of a request between three machines with such a network, whose computing takes no longer than this dry run: of the whole run, and of what
    /// is left when its lead has worked ahead. [`Error::Misuse`] if the lead has to hear from others.
    pub async fn network_seconds(&self, count: usize, reveal: Reveal, fixed: Fixed, sign: Sign, net: Net) -> Result<[f64; 2]> {
        let (parties, models) = self.dry(fixed, sign, Some(net))?;
        let (input, link) = (mpc::promise(&self.input_shape(count)?)?.of_lead(), Transport::Shaped(net));
        let task = |p| models[Party::number(p)].outcome(p, &input, reveal);
        let seconds = || parties.iter().map(|party| party.meter().seconds).fold(0.0, f64::max);
        run(&parties, link, task).await?;
        let whole = seconds();
        let made = preprocess(&parties, link, task).await?;
        parties.iter().for_each(Party::reset_meter);
        run_preprocessed(&parties, link, made, task).await?;
        Ok([whole, seconds()])
    }

    /// Three parties of this model that have sizes and no words.
    fn dry(&self, fixed: Fixed, sign: Sign, net: Option<Net>) -> Result<([Party; 3], Vec<Hosted>)> {
        let parties = Party::local(Device::shape_only_process(), fixed.fraction_bits())?;
        let mut models = Vec::new();
        for party in &parties {
            party.set_sign(sign);
            party.set_net(net);
            // seeds have the sizes of what they stand for
            models.push(Hosted::new(party, self.clone(), |shape| Ok(mpc::promise(shape)?.of_lead()))?);
        }
        Ok((parties, models))
    }

    /// Words that each party reveals of so many inputs: of each output, or one index an input.
    pub fn revealed(&self, count: usize, reveal: Reveal) -> Result<Vec<usize>> {
        if reveal == Reveal::Argmax {
            return Ok(vec![count]);
        }
        let shapes = self.steps.shapes(count)?;
        Ok(self.steps.outputs.iter().filter_map(|output| shapes[output.value].as_ref()).map(Shape::elements).collect())
    }

    /// What the owner of the inputs learns from the summands of the three parties, of each output.
    pub fn answer(&self, parts: [&[Vec<Word>]; 3], count: usize, reveal: Reveal, fixed: Fixed) -> Result<Answer> {
        let lengths = self.revealed(count, reveal)?;
        for (party, outputs) in parts.iter().enumerate() {
            if outputs.len() != lengths.len() || outputs.iter().zip(&lengths).any(|(words, &length)| words.len() != length) {
                return Err(Error::Peer(format!("party {party} sent a result of other sizes than the model's outputs have")));
            }
        }
        let mut answer = Answer { softmax: self.softmax, ..Answer::default() };
        for (output, named) in self.steps.outputs.iter().enumerate().take(lengths.len()) {
            let words = mpc::combine(parts.map(|outputs| &outputs[output][..]));
            match output {
                0 => answer.take(&words, count, reveal, fixed),
                _ => answer.take_other(output - 1, &named.name, &words, count, fixed),
            }
        }
        answer.cost.bytes_to_owner = 3 * 8 * lengths.iter().sum::<usize>() as u64;
        Ok(answer)
    }
}

/// No tensor has more dimensions.
const MOST_AXES: usize = 16;

/// A network as one party holds it.
#[derive(Debug)]
pub struct Hosted {
    architecture: Architecture,
    bits: Vec<Bits>,
    held: Held,
}

impl Hosted {
    /// Places a party's shares of the parameters, which `next` gives one after another for their shapes. The architecture has
    /// been [checked](Architecture::check).
    pub fn new(party: &Party, architecture: Architecture, mut next: impl FnMut(&Shape) -> Result<mpc::Input>) -> Result<Self> {
        let device: &Device = party.device();
        let mut held = Held::default();
        for step in &architecture.steps.steps {
            if let Kind::Select { table, .. } = &step.kind {
                held.tables.push(Table::new(device, table));
            }
        }
        for shape in architecture.parameter_shapes()? {
            held.parameters.push(mpc::input(party, &next(&shape)?));
        }
        let bits = vec![Bits::default(); architecture.steps.steps.len()];
        Ok(Self { architecture, bits, held })
    }

    /// What is public of it.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// This party's part of an inference under a lead: its summands of what is revealed.
    pub async fn infer(self: Arc<Self>, p: Arc<Party>, input: mpc::Input, lead: usize, reveal: Reveal) -> Vec<Buffer> {
        let outcome = self.outcome(&p, &input, reveal);
        drop(input);
        tagged(&p, Tag { lead: Some(lead), ..Tag::default() }, outcome).await
    }

    /// The same under the lead of the current scope. The input is on the device when this returns.
    fn outcome<'a>(&'a self, p: &'a Party, input: &mpc::Input, reveal: Reveal) -> impl Future<Output = Vec<Buffer>> + Send + use<'a> {
        outcome(p, &self.architecture.steps, &self.bits, &self.held, mpc::input(p, input), reveal)
    }
}

/// The forward pass and this party's summands of what is revealed: each output, or the index of the first one's largest entry.
pub(super) async fn outcome(p: &Party, steps: &Steps, bits: &[Bits], held: &Held, x: Arith, reveal: Reveal) -> Vec<Buffer> {
    let rows = x.shape().extents()[0];
    let results = forward(p, steps, bits, held, x).await;
    match reveal {
        Reveal::Logits => results.iter().map(|y| mpc::reveal(p, y)).collect(),
        Reveal::Argmax => {
            let y = &results[0];
            let y = y.reshaped(&[rows, y.shape().elements() / rows]).unwrap_or_else(|_| y.clone());
            vec![mpc::reveal(p, &mpc::argmax(p, &y).await)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::builder::Builder;

    #[test]
    fn what_somebody_has_made_up_is_refused_at_once() {
        let graph = Builder::new(&[1, 4, 4], 1).unwrap().conv(2, 3, 1, 1).unwrap().relu().unwrap().max_pool(2, 2, 0).unwrap().build();
        let fixed = Fixed::default();
        let (good, _) = Architecture::of(&graph, fixed).unwrap();
        good.check(fixed).unwrap();
        let window = Axis { kernel: 1 << 15, pad_begin: 1 << 15, pad_end: 1 << 15, ..Axis::new(1) };
        type Change<'a> = &'a dyn Fn(&mut Steps);
        let cases: [(&str, Change<'_>); 8] = [
            ("an input of many dimensions", &|steps| steps.input_extents.extend(vec![1; 1 << 20])),
            ("a reshape to many dimensions", &|steps| steps.steps[0].kind = Kind::Reshape([vec![1, 4, 4], vec![1; 1 << 20]].concat())),
            ("a movement to many dimensions", &|steps| {
                steps.steps[0].kind = Kind::Select { extents: vec![1; 1 << 20], table: [0].into() };
            }),
            ("a concatenation of too much", &|steps| {
                steps.steps[0].kind = Kind::Concat(1);
                steps.steps[0].inputs = vec![steps.input; (1 << 20) + 1];
            }),
            ("a window of too many taps", &|steps| steps.steps[0].kind = Kind::MaxPool([window; 2])),
            ("a value that nobody makes", &|steps| steps.steps[0].inputs = vec![steps.values - 1]),
            ("a value that is none", &|steps| steps.steps[0].output = steps.values),
            ("an output that is none", &|steps| steps.outputs[0].value = usize::MAX),
        ];
        for (what, change) in cases {
            let mut bad = good.clone();
            change(&mut bad.steps);
            assert!(bad.check(fixed).is_err(), "{what}");
        }
    }

    #[test]
    fn readers_are_counted_once() {
        let graph = Builder::new(&[6], 1).unwrap().linear(3).unwrap().relu().unwrap().build();
        let (architecture, _) = Architecture::of(&graph, Fixed::default()).unwrap();
        let steps = &architecture.steps;
        for (value, &readers) in steps.readers().iter().enumerate() {
            let reads = steps.steps.iter().flat_map(|step| &step.inputs).filter(|&&read| read == value).count();
            assert_eq!(readers, reads + steps.outputs.iter().filter(|output| output.value == value).count());
        }
    }
}
