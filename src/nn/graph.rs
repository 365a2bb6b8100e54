//! A network as a graph of values, normalised: what the importer makes and the passes rewrite.

use crate::{
    Error, Result,
    kernels::gather::NONE,
    shape::{Axis, Conv, Pool, Shape},
};
use std::sync::Arc;

/// Number of a value: the input, or the output of one node.
pub type ValueId = usize;

/// A constant tensor.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
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
    /// `y = W x + b` along the last extent, with weights (out, in).
    Linear {
        /// Weights.
        weights: Tensor,
        /// Bias.
        bias: Vec<f32>,
    },
    /// `sum_i factors[i] x_i + constant` of values of one shape. The numbers are public: they are the network's structure.
    Sum {
        /// One a value.
        factors: Vec<f32>,
        /// Added to every element.
        constant: f32,
    },
    /// `scale[c] x + shift[c]` for each channel, or for each element of an input if there are as many numbers: batch
    /// normalisation, and constants that the model multiplies with or adds.
    Affine {
        /// Factors.
        scale: Vec<f32>,
        /// Addends.
        shift: Vec<f32>,
    },
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, low), high)`; an infinite bound is none. The bounds are public.
    Clip {
        /// The least value.
        low: f32,
        /// The largest value.
        high: f32,
    },
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
    /// Values one after another along an axis.
    Concat {
        /// Which, the batch not counted.
        axis: usize,
    },
    /// Element `i` of the output is element `table[i]` of the same input of the batch, or zero where the table says
    /// [`NONE`]: whatever moves, repeats, drops or pads elements in a public pattern.
    Select {
        /// Without the batch.
        extents: Vec<usize>,
        /// One index for each element of the output.
        table: Arc<[u32]>,
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
            Self::Sum { .. } => "Sum",
            Self::Affine { .. } => "Affine",
            Self::Relu => "Relu",
            Self::Clip { .. } => "Clip",
            Self::MaxPool { .. } => "MaxPool",
            Self::AveragePool { .. } => "AveragePool",
            Self::SumPool { .. } => "SumPool",
            Self::Concat { .. } => "Concat",
            Self::Select { .. } => "Select",
            Self::Reshape { .. } => "Reshape",
        }
    }

    /// Number of weights.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Conv { weights, bias, .. } | Self::Linear { weights, bias } => weights.values.len() + bias.len(),
            Self::Affine { scale, shift } => scale.len() + shift.len(),
            _ => 0,
        }
    }

    /// The sum of two values.
    pub fn add() -> Self {
        Self::Sum { factors: vec![1.0, 1.0], constant: 0.0 }
    }

    /// A value times a public number.
    pub fn scaled(factor: f32) -> Self {
        Self::Sum { factors: vec![factor], constant: 0.0 }
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

/// One result of a network.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct GraphOutput {
    /// Name in the model.
    pub name: String,
    /// The value.
    pub value: ValueId,
}

/// A network with one input, its nodes in an order in which they can run.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Extents of the input without the batch.
    pub input_extents: Vec<usize>,
    /// The input's number.
    pub input: ValueId,
    /// The results, at least one; the first is what predictions are made from.
    pub outputs: Vec<GraphOutput>,
    /// One more than the largest number in use.
    pub values: usize,
    /// The first output ends with a softmax, which whoever receives the scores computes in the clear.
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

    /// The value of the first output.
    pub fn output(&self) -> ValueId {
        self.outputs.first().map_or(self.input, |output| output.value)
    }

    /// Shape of the first output for a batch.
    pub fn output_shape(&self, batch: usize) -> Result<Shape> {
        self.shapes(batch)?[self.output()].clone().ok_or_else(|| Error::Model("no node makes the output".into()))
    }

    /// Number of nodes that read a value, the graph's outputs counted.
    pub fn readers(&self, value: ValueId) -> usize {
        let results = self.outputs.iter().filter(|output| output.value == value).count();
        self.nodes.iter().flat_map(|n| &n.inputs).filter(|&&v| v == value).count() + results
    }

    /// The node that makes a value.
    pub fn maker(&self, value: ValueId) -> Option<usize> {
        self.nodes.iter().position(|n| n.output == value)
    }

    /// The only node that reads a value, if there is one and the value is no output.
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
        let (Some(x), arity) = (inputs.first(), inputs.len()) else {
            return Err(Error::Input("a node without an input".into()));
        };
        let wanted = match &self.op {
            Op::Sum { factors, .. } => factors.len(),
            Op::Concat { .. } => arity,
            _ => 1,
        };
        if arity != wanted {
            return Err(Error::Input(format!("{arity} inputs instead of {wanted}")));
        }
        let extents = x.extents();
        let channels = extents.get(1).copied().unwrap_or(0);
        match &self.op {
            Op::Conv { weights, bias, axes, groups } => {
                let conv = Conv::new(x, &weights.shape, *axes, *groups)?;
                expect(bias.len(), conv.out_channels, "biases")?;
                Ok(conv.out_shape())
            }
            Op::Linear { weights, bias } => match (extents.split_last(), weights.shape.extents()) {
                (Some((k, rows)), &[out, depth]) if *k == depth && !rows.is_empty() => {
                    expect(bias.len(), out, "biases")?;
                    Shape::new([rows, &[out]].concat())
                }
                _ => Err(Error::Input(format!("input {x} does not fit weights {}", weights.shape))),
            },
            Op::Sum { .. } => match inputs.iter().find(|other| *other != x) {
                Some(other) => Err(Error::Input(format!("addends of shapes {x} and {other}"))),
                None => Ok(x.clone()),
            },
            Op::Affine { scale, shift } => {
                let elements = extents[1..].iter().product();
                expect(scale.len(), if shift.len() == elements { elements } else { channels }, "scales")?;
                expect(shift.len(), scale.len(), "shifts")?;
                Ok(x.clone())
            }
            Op::MaxPool { axes } | Op::AveragePool { axes } | Op::SumPool { axes } => Ok(Pool::new(x, *axes)?.out_shape()),
            Op::Clip { low, high } if low.is_nan() || high.is_nan() || low > high => {
                Err(Error::Input(format!("bounds from {low} to {high}")))
            }
            Op::Relu | Op::Clip { .. } => Ok(x.clone()),
            Op::Concat { axis } => concatenated(inputs, axis + 1),
            Op::Select { extents: to, table } => {
                let row = extents[1..].iter().product::<usize>();
                let shape = Shape::new([&extents[..1], to].concat())?;
                expect(table.len(), to.iter().product(), "indices")?;
                match table.iter().find(|&&at| at != NONE && at as usize >= row) {
                    Some(at) => Err(Error::Input(format!("index {at} of an input of {row} elements"))),
                    None => Ok(shape),
                }
            }
            Op::Reshape { extents: to } => x.reshaped([&extents[..1], &to[..]].concat()),
        }
    }
}

/// Shape of tensors one after another along an axis.
fn concatenated(inputs: &[Shape], axis: usize) -> Result<Shape> {
    let mut extents = inputs[0].extents().to_vec();
    for other in &inputs[1..] {
        let fits = other.rank() == extents.len() && axis < extents.len();
        if !fits || other.extents().iter().zip(&extents).enumerate().any(|(d, (a, b))| d != axis && a != b) {
            return Err(Error::Input(format!("tensors of shapes {} and {other} do not fit along axis {axis}", inputs[0])));
        }
        extents[axis] += other.extents()[axis];
    }
    Shape::new(extents)
}

fn expect(found: usize, wanted: usize, what: &str) -> Result<()> {
    if found == wanted { Ok(()) } else { Err(Error::Input(format!("{found} {what} instead of {wanted}"))) }
}
