//! A normalised graph as the steps that run: what the shares, the fixed-point oracle and the plan all walk.

use super::{
    graph::{Graph, GraphOutput, Op, Tensor, ValueId},
    passes::normalise,
};
use crate::{
    Error, Result,
    fixed::Fixed,
    ring::Word,
    shape::{Axis, Conv, Pool, Shape},
};
use std::sync::Arc;

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub enum Kind {
    /// A product and all that belongs to it before the one truncation.
    Product(Box<Product>),
    /// A ReLU, or bounds.
    Activation(Activation),
    /// Maximum of each window.
    MaxPool([Axis; 2]),
    /// Sum of each window.
    SumPool([Axis; 2]),
    /// `sum_i factors[i] x_i + constant`; with a truncation unless all factors are whole.
    Sum {
        /// One a value.
        factors: Vec<f32>,
        /// Added to every element.
        constant: f32,
    },
    /// One after another along an axis, the batch counted.
    Concat(usize),
    /// Elements moved by a table (see [`Op::Select`]).
    Select {
        /// Without the batch.
        extents: Vec<usize>,
        /// One index for each element of the output.
        table: Arc<[u32]>,
    },
    /// Other extents (without the batch).
    Reshape(Vec<usize>),
}

/// What follows a value, monotone and element by element.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, low), high)`; an infinite bound is none.
    Clip {
        /// The least value.
        low: f32,
        /// The largest value.
        high: f32,
    },
}

/// `truncate(maxpool(W x + b + sum of factors times residuals))`, then the activation; the bias is held at twice the fraction bits, and
/// residuals are shifted left by them, so that there is one truncation.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Product {
    /// (O, C/groups, KH, KW) of a convolution or (out, in) of a matrix.
    pub weights: Tensor,
    /// One a row of the weights.
    pub bias: Vec<f32>,
    /// Windows and groups of a convolution; `None` for a matrix.
    pub conv: Option<([Axis; 2], usize)>,
    /// Factors of values added to the untruncated product. They come after the product's own input in `Step::inputs`.
    pub residuals: Vec<f32>,
    /// A max-pool of the untruncated product.
    pub pool: Option<[Axis; 2]>,
    /// After the truncation, in one with it.
    pub activation: Option<Activation>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Step {
    /// Name of the node that it comes from.
    pub name: String,
    /// What it does.
    pub kind: Kind,
    /// Values read.
    pub inputs: Vec<ValueId>,
    /// Value made.
    pub output: ValueId,
}

/// A network ready to run.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Steps {
    /// In an order in which they can run.
    pub steps: Vec<Step>,
    /// Extents of the input without the batch.
    pub input_extents: Vec<usize>,
    /// The input's number.
    pub input: ValueId,
    /// The results; the first is what predictions are made from.
    pub outputs: Vec<GraphOutput>,
    /// Numbers in use.
    pub values: usize,
}

/// A secret parameter of a model as ring elements.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Shape.
    pub shape: Shape,
    /// Ring elements.
    pub words: Vec<Word>,
}

impl Steps {
    /// Normalises a graph and compiles it.
    pub fn new(graph: &Graph) -> Result<Self> {
        graph.shapes(1)?;
        let mut graph = normalise(graph.clone())?;
        let mut steps = Vec::new();
        while !graph.nodes.is_empty() {
            let node = graph.nodes.remove(0);
            let mut step = Step { name: node.name, kind: Kind::Activation(Activation::Relu), inputs: node.inputs, output: node.output };
            step.kind = match node.op {
                Op::Conv { weights, bias, axes, groups } => product(&mut graph, &steps, &mut step, weights, bias, Some((axes, groups))),
                Op::Linear { weights, bias } => product(&mut graph, &steps, &mut step, weights, bias, None),
                Op::Sum { factors, constant } => Kind::Sum { factors, constant },
                Op::Relu => Kind::Activation(Activation::Relu),
                Op::Clip { low, high } => Kind::Activation(Activation::Clip { low, high }),
                Op::MaxPool { axes } => Kind::MaxPool(axes),
                Op::SumPool { axes } => Kind::SumPool(axes),
                Op::Concat { axis } => Kind::Concat(axis + 1),
                Op::Select { extents, table } => Kind::Select { extents, table },
                Op::Reshape { extents } => Kind::Reshape(extents),
                Op::Affine { .. } | Op::AveragePool { .. } => return Err(Error::Model(format!("node '{}' was not normalised", step.name))),
            };
            steps.push(step);
        }
        Ok(Self { steps, input_extents: graph.input_extents, input: graph.input, outputs: graph.outputs, values: graph.values })
    }

    /// Shape of every value for a batch.
    pub fn shapes(&self, batch: usize) -> Result<Vec<Option<Shape>>> {
        let mut shapes = vec![None; self.values];
        shapes[self.input] = Some(Shape::new([&[batch], &self.input_extents[..]].concat())?);
        for step in &self.steps {
            shapes[step.output] = Some(step.output_shape(&shapes)?);
        }
        Ok(shapes)
    }

    /// Number of steps that read each value, the results counted.
    pub fn readers(&self) -> Vec<usize> {
        let mut readers = vec![0; self.values];
        let results = self.outputs.iter().map(|output| output.value);
        self.steps.iter().flat_map(|step| &step.inputs).copied().chain(results).for_each(|value| readers[value] += 1);
        readers
    }

    /// The secret parameters in order: weights at `f` bits and bias at `2f` for each product.
    pub fn parameters(&self, fixed: Fixed) -> Result<Vec<Parameter>> {
        let mut parameters = Vec::new();
        for step in &self.steps {
            if let Kind::Product(product) = &step.kind {
                parameters.extend(product.encoded(fixed, &step.name)?);
            }
        }
        Ok(parameters)
    }
}

impl Step {
    /// Shape of what it makes from values of these shapes.
    pub(super) fn output_shape(&self, shapes: &[Option<Shape>]) -> Result<Shape> {
        let x = shapes[self.inputs[0]].clone().ok_or_else(|| Error::Model(format!("step '{}' runs before its input", self.name)))?;
        Ok(match &self.kind {
            Kind::Product(product) => {
                let out = product.product_shape(&x)?;
                product.pool.map_or(Ok(out.clone()), |axes| Ok::<_, Error>(Pool::new(&out, axes)?.out_shape()))?
            }
            Kind::MaxPool(axes) | Kind::SumPool(axes) => Pool::new(&x, *axes)?.out_shape(),
            Kind::Reshape(extents) => x.reshaped([&x.extents()[..1], &extents[..]].concat())?,
            Kind::Select { extents, .. } => Shape::new([&x.extents()[..1], &extents[..]].concat())?,
            Kind::Concat(axis) => {
                let along = |v: &ValueId| shapes[*v].as_ref().map_or(0, |shape| shape.extents()[*axis]);
                let mut extents = x.extents().to_vec();
                extents[*axis] = self.inputs.iter().map(along).sum();
                Shape::new(extents)?
            }
            Kind::Activation(_) | Kind::Sum { .. } => x,
        })
    }

    /// Whether its public numbers fit.
    pub(super) fn check(&self, fixed: Fixed) -> Result<()> {
        let activation = match &self.kind {
            Kind::Product(product) => {
                residual_factors(product, fixed, &self.name)?;
                product.activation
            }
            Kind::Activation(activation) => Some(*activation),
            Kind::Sum { factors: all, constant } => {
                factors(all, *constant, fixed, &self.name)?;
                None
            }
            _ => None,
        };
        activation.map_or(Ok(()), |activation| activation.bounds(fixed, &self.name).map(drop))
    }
}

impl Kind {
    /// What it does, for people: `conv 5x5 + maxpool + relu`.
    pub fn describe(&self) -> String {
        match self {
            Self::Product(product) => {
                let mut text = match product.conv {
                    Some((axes, _)) => format!("conv {}x{}", axes[0].kernel, axes[1].kernel),
                    None => "linear".into(),
                };
                let extras = [(!product.residuals.is_empty(), " + add"), (product.pool.is_some(), " + maxpool")];
                extras.iter().filter(|(there, _)| *there).for_each(|(_, what)| text += what);
                product.activation.iter().for_each(|activation| text = format!("{text} + {}", activation.describe()));
                text
            }
            Self::Activation(activation) => activation.describe(),
            Self::MaxPool(_) => "maxpool".into(),
            Self::SumPool(_) => "sumpool".into(),
            Self::Sum { factors, .. } if factors.len() == 1 => "scale".into(),
            Self::Sum { .. } => "add".into(),
            Self::Concat(_) => "concat".into(),
            Self::Select { .. } => "select".into(),
            Self::Reshape(_) => "reshape".into(),
        }
    }
}

impl Activation {
    /// For people: `relu`, `clip 0 to 6`.
    pub fn describe(self) -> String {
        match self {
            Self::Relu => "relu".into(),
            Self::Clip { low, high } => format!("clip {low} to {high}"),
        }
    }

    /// Its bounds as ring elements, those that are there.
    pub fn bounds(self, fixed: Fixed, name: &str) -> Result<[Option<Word>; 2]> {
        let (low, high) = match self {
            Self::Relu => (0.0, f32::INFINITY),
            Self::Clip { low, high } => (low, high),
        };
        let what = format!("bounds of '{name}'");
        let bound = |bound: f32| bound.is_finite().then(|| fixed.encode(&what, &[bound]).map(|words| words[0])).transpose();
        Ok([bound(low)?, bound(high)?])
    }
}

/// Public factors and an addend as ring elements, and the bits by which the sum is truncated: none if all factors are whole. Small
/// factors have more than the fraction bits, so that they are as precise as large ones.
pub(super) fn factors(factors: &[f32], constant: f32, fixed: Fixed, name: &str) -> Result<(Vec<Word>, Word, u32)> {
    let what = format!("factors of '{name}'");
    let addend = fixed.encode(&what, &[constant])?[0];
    if factors.iter().all(|factor| factor.fract() == 0.0 && factor.abs() <= WHOLE) {
        return Ok((factors.iter().map(|&factor| factor as i64 as u64).collect(), addend, 0));
    }
    let largest = factors.iter().fold(0.0, |most: f32, factor| most.max(factor.abs()));
    let more = (-largest.log2()).floor().clamp(0.0, MORE) as u32;
    let scaled: Vec<f32> = factors.iter().map(|factor| factor * f32::powi(2.0, more as i32)).collect();
    let bits = fixed.fraction_bits() + more;
    Ok((fixed.encode(&what, &scaled)?, addend << bits, bits))
}

/// Factors of residuals as ring elements, with fraction bits.
pub(super) fn residual_factors(product: &Product, fixed: Fixed, name: &str) -> Result<Vec<Word>> {
    fixed.encode(&format!("factors of '{name}'"), &product.residuals)
}

/// The most bits that a factor gets besides the fraction bits.
const MORE: f32 = 12.0;

/// The largest factor that is multiplied with as it is.
const WHOLE: f32 = 65_536.0;

impl Product {
    /// Weights at `f` bits and bias at `2f` as ring elements.
    pub(super) fn encoded(&self, fixed: Fixed, name: &str) -> Result<[Parameter; 2]> {
        let weights = fixed.encode(&format!("weights of '{name}'"), &self.weights.values)?;
        let bias = encode_bias(fixed, name, &self.bias)?;
        Ok([
            Parameter { shape: self.weights.shape.clone(), words: weights },
            Parameter { shape: Shape::new([self.bias.len()])?, words: bias },
        ])
    }

    /// `factor (W x + b + residuals) + constant`.
    fn scale(&mut self, factor: f32, constant: f32) {
        if factor != 1.0 {
            [&mut self.weights.values, &mut self.residuals].into_iter().flatten().for_each(|w| *w *= factor);
        }
        self.bias.iter_mut().for_each(|b| *b = *b * factor + constant);
    }

    /// Shape before the pool.
    pub fn product_shape(&self, x: &Shape) -> Result<Shape> {
        match self.conv {
            Some(_) => Ok(self.geometry(x)?.out_shape()),
            None => {
                let mut extents = x.extents().to_vec();
                extents.pop();
                Shape::new([&extents, &self.weights.shape.extents()[..1]].concat())
            }
        }
    }

    /// Geometry of the convolution.
    pub fn geometry(&self, x: &Shape) -> Result<Conv> {
        let (axes, groups) = self.conv.ok_or_else(|| Error::Model("not a convolution".into()))?;
        Conv::new(x, &self.weights.shape, axes, groups)
    }
}

/// Takes in what follows a product and commutes with its truncation: a sum with residuals, a max-pool, an activation.
fn product(graph: &mut Graph, done: &[Step], step: &mut Step, weights: Tensor, bias: Vec<f32>, conv: Option<([Axis; 2], usize)>) -> Kind {
    let mut product = Product { weights, bias, conv, residuals: Vec::new(), pool: None, activation: None };
    while let Some(reader) = graph.only_reader(step.output) {
        match graph.nodes[reader].op.clone() {
            Op::Sum { factors, constant } if product.pool.is_none() => {
                let inputs = graph.nodes[reader].inputs.clone();
                let known = |v: &ValueId| *v == step.output || *v == graph.input || done.iter().any(|s| s.output == *v);
                if !inputs.iter().all(known) {
                    break;
                }
                let (own, others): (Vec<_>, Vec<_>) = inputs.into_iter().zip(factors).partition(|(input, _)| *input == step.output);
                own.iter().for_each(|(_, factor)| product.scale(*factor, constant));
                step.inputs.extend(others.iter().map(|(input, _)| *input));
                product.residuals.extend(others.iter().map(|(_, factor)| *factor));
            }
            Op::MaxPool { axes } if product.pool.is_none() => product.pool = Some(axes),
            Op::Relu => product.activation = Some(Activation::Relu),
            Op::Clip { low, high } => product.activation = Some(Activation::Clip { low, high }),
            _ => break,
        }
        step.output = graph.nodes[reader].output;
        graph.nodes.remove(reader);
        if product.activation.is_some() {
            break;
        }
    }
    Kind::Product(Box::new(product))
}

/// The bias joins the untruncated product, at `2f` fraction bits.
fn encode_bias(fixed: Fixed, name: &str, bias: &[f32]) -> Result<Vec<Word>> {
    let scale = f64::powi(2.0, fixed.fraction_bits() as i32);
    // the check of range and NaN is that of a value; the encoding keeps twice the bits
    fixed.encode(&format!("bias of '{name}'"), bias)?;
    Ok(bias.iter().map(|&b| (f64::from(b) * scale * scale).round() as i64 as u64).collect())
}
