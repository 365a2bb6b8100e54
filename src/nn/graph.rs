//! A network as a graph of values, normalised: what the importer makes and the passes rewrite.

use crate::{
    Error, Result,
    shape::{Axis, Conv, Pool, Shape},
};

/// Number of a value: the input, or the output of one node.
pub type ValueId = usize;

/// A constant tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its shape.
    pub shape: Shape,
    /// Its values, row-major.
    pub values: Vec<f32>,
}

/// One operation. Extents of activations are without the batch, which is always the first dimension.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Convolution with weights (O, C/groups, KH, KW) and one bias a channel.
    Conv {
        /// Weights.
        weights: Tensor,
        /// Bias.
        bias: Vec<f32>,
        /// Windows over rows and columns.
        axes: [Axis; 2],
        /// Groups.
        groups: usize,
    },
    /// `y = W x + b` with weights (out, in).
    Linear {
        /// Weights.
        weights: Tensor,
        /// Bias.
        bias: Vec<f32>,
    },
    /// Sum of two values of one shape.
    Add,
    /// `scale[c] x + shift[c]` for each channel: batch normalisation, and constants added to channels.
    Affine {
        /// Factors.
        scale: Vec<f32>,
        /// Addends.
        shift: Vec<f32>,
    },
    /// `max(x, 0)`.
    Relu,
    /// Maximum of each window.
    MaxPool {
        /// Windows.
        axes: [Axis; 2],
    },
    /// Mean of each window; padding counts as zeros.
    AveragePool {
        /// Windows.
        axes: [Axis; 2],
    },
    /// Sum of each window: an average whose divisor another operation has taken.
    SumPool {
        /// Windows.
        axes: [Axis; 2],
    },
    /// Multiplication by one public number.
    Scale {
        /// The number.
        factor: f32,
    },
    /// The same elements in other extents.
    Reshape {
        /// Without the batch.
        extents: Vec<usize>,
    },
}

impl Op {
    /// Name for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Conv { .. } => "Conv",
            Self::Linear { .. } => "Linear",
            Self::Add => "Add",
            Self::Affine { .. } => "Affine",
            Self::Relu => "Relu",
            Self::MaxPool { .. } => "MaxPool",
            Self::AveragePool { .. } => "AveragePool",
            Self::SumPool { .. } => "SumPool",
            Self::Scale { .. } => "Scale",
            Self::Reshape { .. } => "Reshape",
        }
    }
}

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Name in the model, or made from the operator and its place.
    pub name: String,
    /// What it does.
    pub op: Op,
    /// What it reads.
    pub inputs: Vec<ValueId>,
    /// What it makes.
    pub output: ValueId,
}

/// A network with one input and one output, its nodes in an order in which they can run.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Extents of the input without the batch.
    pub input_extents: Vec<usize>,
    /// The input's number.
    pub input: ValueId,
    /// The output's number.
    pub output: ValueId,
    /// One more than the largest number in use.
    pub values: usize,
    /// The model ends with a softmax, which whoever receives the scores computes in the clear.
    pub softmax: bool,
}

impl Graph {
    /// Shape of every value for a batch, checked; `None` for numbers that no node makes.
    pub fn shapes(&self, batch: usize) -> Result<Vec<Option<Shape>>> {
        let mut shapes = vec![None; self.values];
        shapes[self.input] = Some(Shape::new([&[batch], &self.input_extents[..]].concat())?);
        for node in &self.nodes {
            let inputs = node.inputs.iter().map(|&v| {
                shapes[v].clone().ok_or_else(|| Error::Model(format!("node '{}' reads a value that no earlier node makes", node.name)))
            });
            let inputs = inputs.collect::<Result<Vec<Shape>>>()?;
            let shape = node.output_shape(&inputs).map_err(|e| Error::Model(format!("node '{}' ({}): {e}", node.name, node.op.kind())))?;
            shapes[node.output] = Some(shape);
        }
        Ok(shapes)
    }

    /// Shape of one value for a batch.
    pub fn output_shape(&self, batch: usize) -> Result<Shape> {
        self.shapes(batch)?[self.output].clone().ok_or_else(|| Error::Model("no node makes the output".into()))
    }

    /// Number of nodes that read a value, the graph's output counted.
    pub fn readers(&self, value: ValueId) -> usize {
        self.nodes.iter().flat_map(|n| &n.inputs).filter(|&&v| v == value).count() + usize::from(self.output == value)
    }

    /// The node that makes a value.
    pub fn maker(&self, value: ValueId) -> Option<usize> {
        self.nodes.iter().position(|n| n.output == value)
    }

    /// The only node that reads a value, if there is one and the value is not the output.
    pub fn only_reader(&self, value: ValueId) -> Option<usize> {
        (self.readers(value) == 1).then(|| self.nodes.iter().position(|n| n.inputs.contains(&value))).flatten()
    }

    /// A fresh number.
    pub fn fresh(&mut self) -> ValueId {
        self.values += 1;
        self.values - 1
    }
}

impl Node {
    /// Shape of the output from the shapes of the inputs, batch included.
    pub fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let arity = if matches!(self.op, Op::Add) { 2 } else { 1 };
        if inputs.len() != arity {
            return Err(Error::Input(format!("{} inputs instead of {arity}", inputs.len())));
        }
        let x = &inputs[0];
        let channels = x.extents().get(1).copied().unwrap_or(0);
        match &self.op {
            Op::Conv { weights, bias, axes, groups } => {
                let conv = Conv::new(x, &weights.shape, *axes, *groups)?;
                expect(bias.len(), conv.out_channels, "biases")?;
                Ok(conv.out_shape())
            }
            Op::Linear { weights, bias } => match (x.extents(), weights.shape.extents()) {
                (&[n, k], &[out, depth]) if k == depth => {
                    expect(bias.len(), out, "biases")?;
                    Shape::new([n, out])
                }
                _ => Err(Error::Input(format!("input {x} does not fit weights {}", weights.shape))),
            },
            Op::Add if inputs[1] != *x => Err(Error::Input(format!("addends of shapes {x} and {}", inputs[1]))),
            Op::Affine { scale, shift } => {
                expect(scale.len(), channels, "scales")?;
                expect(shift.len(), channels, "shifts")?;
                Ok(x.clone())
            }
            Op::MaxPool { axes } | Op::AveragePool { axes } | Op::SumPool { axes } => Ok(Pool::new(x, *axes)?.out_shape()),
            Op::Add | Op::Relu | Op::Scale { .. } => Ok(x.clone()),
            Op::Reshape { extents } => x.reshaped([&x.extents()[..1], &extents[..]].concat()),
        }
    }
}

fn expect(found: usize, wanted: usize, what: &str) -> Result<()> {
    if found == wanted { Ok(()) } else { Err(Error::Input(format!("{found} {what} for {wanted} channels"))) }
}
