//! A normalised graph as the steps that run: what the shares, the fixed-point oracle and the plan all walk.

use super::{
    graph::{Graph, Op, Tensor, ValueId},
    passes::normalise,
};
use crate::{
    Error, Result,
    fixed::Fixed,
    ring::Word,
    shape::{Axis, Conv, Pool, Shape},
};

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A product and all that belongs to it before the one truncation.
    Product(Product),
    /// `max(x, 0)`.
    Relu,
    /// Maximum of each window.
    MaxPool([Axis; 2]),
    /// Sum of each window.
    SumPool([Axis; 2]),
    /// Multiplication by a public number, then truncation.
    Scale(f32),
    /// Sum of two values.
    Add,
    /// Other extents (without the batch).
    Reshape(Vec<usize>),
}

/// `truncate(maxpool(W x + b + sum of residuals))`, then ReLU if asked; the bias is held at twice the fraction bits, and
/// residuals are shifted left by them, so that there is one truncation.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// (O, C/groups, KH, KW) of a convolution or (out, in) of a matrix.
    pub weights: Tensor,
    /// One a row of the weights.
    pub bias: Vec<f32>,
    /// Windows and groups of a convolution; `None` for a matrix.
    pub conv: Option<([Axis; 2], usize)>,
    /// Values added to the untruncated product. They come after the product's own input in `Step::inputs`.
    pub residuals: usize,
    /// A max-pool of the untruncated product.
    pub pool: Option<[Axis; 2]>,
    /// ReLU after the truncation, in one with it.
    pub relu: bool,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
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
pub struct Steps {
    /// In an order in which they can run.
    pub steps: Vec<Step>,
    /// Extents of the input without the batch.
    pub input_extents: Vec<usize>,
    /// The input's number.
    pub input: ValueId,
    /// The output's number.
    pub output: ValueId,
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
            let mut step = Step { name: node.name, kind: Kind::Relu, inputs: node.inputs, output: node.output };
            step.kind = match node.op {
                Op::Conv { weights, bias, axes, groups } => product(&mut graph, &steps, &mut step, weights, bias, Some((axes, groups))),
                Op::Linear { weights, bias } => product(&mut graph, &steps, &mut step, weights, bias, None),
                Op::Add => Kind::Add,
                Op::Relu => Kind::Relu,
                Op::MaxPool { axes } => Kind::MaxPool(axes),
                Op::SumPool { axes } => Kind::SumPool(axes),
                Op::Scale { factor } => Kind::Scale(factor),
                Op::Reshape { extents } => Kind::Reshape(extents),
                Op::Affine { .. } | Op::AveragePool { .. } => return Err(Error::Model(format!("node '{}' was not normalised", step.name))),
            };
            steps.push(step);
        }
        Ok(Self { steps, input_extents: graph.input_extents, input: graph.input, output: graph.output, values: graph.values })
    }

    /// Shape of every value for a batch.
    pub fn shapes(&self, batch: usize) -> Result<Vec<Option<Shape>>> {
        let mut shapes = vec![None; self.values];
        shapes[self.input] = Some(Shape::new([&[batch], &self.input_extents[..]].concat())?);
        for step in &self.steps {
            let x = shapes[step.inputs[0]].clone().ok_or_else(|| Error::Model(format!("step '{}' runs before its input", step.name)))?;
            let shape = match &step.kind {
                Kind::Product(product) => {
                    let out = product.product_shape(&x)?;
                    product.pool.map_or(Ok(out.clone()), |axes| Ok::<_, Error>(Pool::new(&out, axes)?.out_shape()))?
                }
                Kind::MaxPool(axes) | Kind::SumPool(axes) => Pool::new(&x, *axes)?.out_shape(),
                Kind::Reshape(extents) => x.reshaped([&x.extents()[..1], &extents[..]].concat())?,
                Kind::Relu | Kind::Scale(_) | Kind::Add => x,
            };
            shapes[step.output] = Some(shape);
        }
        Ok(shapes)
    }

    /// Number of steps that read a value, the result counted.
    pub fn readers(&self, value: ValueId) -> usize {
        self.steps.iter().flat_map(|s| &s.inputs).filter(|&&v| v == value).count() + usize::from(self.output == value)
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

impl Kind {
    /// What it does, for people: `conv 5x5 + maxpool + relu`.
    pub fn describe(&self) -> String {
        match self {
            Self::Product(product) => {
                let mut text = match product.conv {
                    Some((axes, _)) => format!("conv {}x{}", axes[0].kernel, axes[1].kernel),
                    None => "linear".into(),
                };
                let extras = [(product.residuals > 0, " + add"), (product.pool.is_some(), " + maxpool"), (product.relu, " + relu")];
                extras.iter().filter(|(there, _)| *there).for_each(|(_, what)| text += what);
                text
            }
            Self::Relu => "relu".into(),
            Self::MaxPool(_) => "maxpool".into(),
            Self::SumPool(_) => "sumpool".into(),
            Self::Scale(_) => "scale".into(),
            Self::Add => "add".into(),
            Self::Reshape(_) => "reshape".into(),
        }
    }
}

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

    /// Shape before the pool.
    pub fn product_shape(&self, x: &Shape) -> Result<Shape> {
        match self.conv {
            Some(_) => Ok(self.geometry(x)?.out_shape()),
            None => Shape::new([x.extents()[0], self.weights.shape.extents()[0]]),
        }
    }

    /// Geometry of the convolution.
    pub fn geometry(&self, x: &Shape) -> Result<Conv> {
        let (axes, groups) = self.conv.ok_or_else(|| Error::Model("not a convolution".into()))?;
        Conv::new(x, &self.weights.shape, axes, groups)
    }
}

/// Takes in what follows a product and commutes with its truncation: a residual sum, a max-pool, a ReLU.
fn product(graph: &mut Graph, done: &[Step], step: &mut Step, weights: Tensor, bias: Vec<f32>, conv: Option<([Axis; 2], usize)>) -> Kind {
    let mut product = Product { weights, bias, conv, residuals: 0, pool: None, relu: false };
    while let Some(reader) = graph.only_reader(step.output) {
        match graph.nodes[reader].op.clone() {
            Op::Add if product.pool.is_none() => {
                let Some(&other) = graph.nodes[reader].inputs.iter().find(|&&v| v != step.output) else { break };
                let known = other == graph.input || done.iter().any(|s| s.output == other);
                if !known {
                    break;
                }
                step.inputs.push(other);
                product.residuals += 1;
            }
            Op::MaxPool { axes } if product.pool.is_none() => product.pool = Some(axes),
            Op::Relu => product.relu = true,
            _ => break,
        }
        step.output = graph.nodes[reader].output;
        graph.nodes.remove(reader);
        if product.relu {
            break;
        }
    }
    Kind::Product(product)
}

/// The bias joins the untruncated product, at `2f` fraction bits.
fn encode_bias(fixed: Fixed, name: &str, bias: &[f32]) -> Result<Vec<Word>> {
    let scale = f64::powi(2.0, fixed.fraction_bits() as i32);
    // the check of range and NaN is that of a value; the encoding keeps twice the bits
    fixed.encode(&format!("bias of '{name}'"), bias)?;
    Ok(bias.iter().map(|&b| (f64::from(b) * scale * scale).round() as i64 as u64).collect())
}
