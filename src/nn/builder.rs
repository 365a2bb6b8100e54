//! Networks built layer by layer, with random weights of the usual size: for benchmarks, plans and tests.

use super::{
    graph::{Graph, GraphOutput, Node},
    ops::{Affine, AveragePool, Clip, Concat, Conv, Gather, MatMul, MaxPool, Multiply, Op, Relu, Reshape, Sum},
    value::{Tensor, Value, ValueId},
    weights::Weights,
};
use crate::{
    Error, Result,
    device::vector::keystream,
    shape::{Axis, Shape},
    stream::Stream,
};
use std::sync::Arc;

/// A network in the making. Each layer reads the value that the last one made, unless [`at`](Self::at) goes back.
#[derive(Debug, Clone)]
pub struct Builder {
    graph: Graph,
    /// Shape of each value for a batch of one.
    shapes: Vec<Value>,
    current: ValueId,
    seed: u32,
    /// Weights by name, instead of random ones.
    weights: Option<Arc<Weights>>,
    /// Name of the next layer.
    name: Option<String>,
    /// Factor of the next layer's random weights.
    gain: f64,
    /// Weights have a shape and no numbers.
    outline: bool,
}

impl Builder {
    /// A network that takes inputs of these extents, without the batch. Equal seeds give equal weights.
    pub fn new(input_extents: &[usize], seed: u32) -> Result<Self> {
        let shape = Shape::new([&[1], input_extents].concat())?;
        Ok(Self {
            graph: Graph::new(input_extents),
            shapes: vec![Value::per_item(shape)],
            current: 0,
            seed,
            weights: None,
            name: None,
            gain: 1.0,
            outline: false,
        })
    }

    /// The network without the numbers of its weights, which take time to make: for its shapes and counts alone.
    pub(super) fn outline(self) -> Self {
        Self { outline: true, ..self }
    }

    /// Layers that are [`named`](Self::named) take their weights from here: NAME.weight, NAME.bias. Every layer with weights must
    /// then have a name.
    pub fn with_weights(self, weights: Option<Arc<Weights>>) -> Self {
        Self { weights, ..self }
    }

    /// Names the next layer.
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Random weights of the next layer are multiplied by this: the last one of a residual branch, so that sums do not grow with
    /// every block.
    pub fn gain(self, gain: f64) -> Self {
        Self { gain, ..self }
    }

    /// The value that the next layer reads.
    pub fn value(&self) -> ValueId {
        self.current
    }

    /// Its shape for a batch of one.
    pub fn shape(&self) -> &Shape {
        &self.shapes[self.current].shape
    }

    /// Goes back to a value that an earlier layer made.
    pub fn at(mut self, value: ValueId) -> Self {
        self.current = value;
        self
    }

    /// A square convolution with a bias.
    pub fn conv(self, out_channels: usize, kernel: usize, stride: usize, pad: usize) -> Result<Self> {
        self.grouped_conv(out_channels, kernel, stride, pad, 1)
    }

    /// The same in groups of channels.
    pub fn grouped_conv(self, out_channels: usize, kernel: usize, stride: usize, pad: usize, groups: usize) -> Result<Self> {
        let bias = self.bias(out_channels)?;
        self.convolution(bias, kernel, stride, pad, groups)
    }

    /// A square convolution without a bias: a normalisation follows.
    pub fn plain_conv(self, out_channels: usize, kernel: usize, stride: usize, pad: usize) -> Result<Self> {
        self.convolution(vec![0.0; out_channels], kernel, stride, pad, 1)
    }

    fn convolution(mut self, bias: Vec<f32>, kernel: usize, stride: usize, pad: usize, groups: usize) -> Result<Self> {
        let channels = self.channels()?;
        let weights = self.weights(Shape::new([bias.len(), channels / groups.max(1), kernel, kernel])?)?;
        let bias = Tensor::new([bias.len()], bias)?;
        self.push_with(Conv { axes: square(kernel, stride, pad), groups }, [weights, bias])
    }

    /// A fully connected layer with a bias; an image is flattened first.
    pub fn linear(mut self, out: usize) -> Result<Self> {
        let name = self.name.take();
        let mut b = self.flatten()?;
        b.name = name;
        let shape = Shape::new([out, b.shape().elements()])?;
        let (weights, bias) = (b.weights(shape)?, b.bias(out)?);
        let bias = Tensor::new([bias.len()], bias)?;
        b.push_with(MatMul { transposed: true }, [weights, bias])
    }

    /// The elements of each input in a row.
    pub fn flatten(self) -> Result<Self> {
        let extents = vec![self.shape().elements()];
        if self.shape().rank() == 2 { Ok(self) } else { self.push(Reshape { extents }) }
    }

    /// Batch normalisation with its running mean and variance; without weights it changes nothing.
    pub fn batch_norm(self) -> Result<Self> {
        let channels = self.channels()?;
        let Some(weights) = &self.weights else { return Ok(self) };
        let name = self.layer()?;
        let shape = Shape::new([channels])?;
        let get = |what: &str| weights.get(&format!("{name}.{what}"), &shape).map(|tensor| tensor.values);
        let (weight, bias, mean, variance) = (get("weight")?, get("bias")?, get("running_mean")?, get("running_var")?);
        if variance.iter().any(|&v| v + EPSILON <= 0.0) {
            return Err(Error::Range(format!("weights: a variance of '{name}' is not positive")));
        }
        let scale: Vec<f32> = weight.iter().zip(&variance).map(|(w, v)| w / (v + EPSILON).sqrt()).collect();
        let shift = scale.iter().zip(&mean).zip(&bias).map(|((s, m), b)| b - s * m).collect();
        self.push_with(Affine, [Tensor::new([channels], scale)?, Tensor::new([channels], shift)?])
    }

    /// Elements by their indices (see [`Gather`]).
    pub fn gather(self, extents: &[usize], indices: Arc<[u32]>) -> Result<Self> {
        self.push(Gather { extents: extents.to_vec(), indices })
    }

    /// `max(x, 0)`.
    pub fn relu(self) -> Result<Self> {
        self.push(Relu)
    }

    /// `min(max(x, 0), 6)`.
    pub fn relu6(self) -> Result<Self> {
        self.push(Clip { low: 0.0, high: 6.0 })
    }

    /// The maximum of square windows.
    pub fn max_pool(self, kernel: usize, stride: usize, pad: usize) -> Result<Self> {
        self.push(MaxPool { axes: square(kernel, stride, pad) })
    }

    /// The mean of square windows.
    pub fn average_pool(self, kernel: usize, stride: usize, pad: usize) -> Result<Self> {
        self.push(AveragePool { axes: square(kernel, stride, pad) })
    }

    /// The mean of each channel.
    pub fn global_average_pool(self) -> Result<Self> {
        match *self.shape().extents() {
            [_, _, h, w] => self.push(AveragePool { axes: [Axis::new(h), Axis::new(w)] }),
            _ => Err(Error::Input(format!("a global average of {}: an image is expected", self.shape()))),
        }
    }

    /// The sum with another value of the same shape.
    pub fn sum_with(self, other: ValueId) -> Result<Self> {
        let current = self.current;
        self.join(Sum::of_two(), &[current, other])
    }

    /// The product with another value of the same shape, element by element; the square of the current value if it is the same.
    pub fn product_with(self, other: ValueId) -> Result<Self> {
        let current = self.current;
        self.join(Multiply, &[current, other])
    }

    /// The channels of several values, one after another.
    pub fn concat(self, values: &[ValueId]) -> Result<Self> {
        self.join(Concat { axis: 0 }, values)
    }

    /// The network whose output is the current value.
    pub fn build(mut self) -> Graph {
        self.graph.outputs = vec![GraphOutput { name: "output".into(), value: self.current, finish: Vec::new() }];
        self.graph
    }

    fn channels(&self) -> Result<usize> {
        match *self.shape().extents() {
            [_, channels, _, _] => Ok(channels),
            _ => Err(Error::Input(format!("a convolution of {}: an image is expected", self.shape()))),
        }
    }

    fn push(self, op: impl Into<Op>) -> Result<Self> {
        let current = self.current;
        self.join(op, &[current])
    }

    /// An operation on the current value and on parameters.
    fn push_with(mut self, op: impl Into<Op>, parameters: [Tensor; 2]) -> Result<Self> {
        let mut inputs = vec![self.current];
        for tensor in parameters {
            self.shapes.push(Value::whole(tensor.shape.clone()));
            inputs.push(self.graph.constant(tensor));
        }
        self.join(op, &inputs)
    }

    fn join(mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<Self> {
        let shape = |&v: &ValueId| self.shapes.get(v).cloned().ok_or_else(|| Error::Input(format!("no value {v}")));
        let shapes = inputs.iter().map(shape).collect::<Result<Vec<Value>>>()?;
        let node = Node { name: String::new(), op: op.into(), inputs: inputs.to_vec(), output: 0 };
        let shape = node.output_value(&shapes)?;
        self.append(node, shape);
        Ok(self)
    }

    fn append(&mut self, mut node: Node, shape: Value) {
        node.output = self.graph.fresh();
        node.name = self.name.take().unwrap_or_else(|| format!("{}{}", node.op.kind().to_lowercase(), self.graph.nodes.len() + 1));
        self.current = node.output;
        self.shapes.push(shape);
        self.graph.nodes.push(node);
    }

    fn layer(&self) -> Result<&str> {
        self.name.as_deref().ok_or_else(|| Error::Model("weights: this network's layers have no names; it takes none".into()))
    }

    fn bias(&self, channels: usize) -> Result<Vec<f32>> {
        match &self.weights {
            Some(weights) => Ok(weights.get(&format!("{}.bias", self.layer()?), &Shape::new([channels])?)?.values),
            None => Ok(vec![0.0; channels]),
        }
    }

    /// The named weights, else: evenly distributed in `+-sqrt(6 / fan_in)`: the variance `2 / fan_in` keeps activations in size through ReLUs (He et
    /// al. 2015).
    fn weights(&mut self, shape: Shape) -> Result<Tensor> {
        if let Some(weights) = &self.weights {
            return weights.get(&format!("{}.weight", self.layer()?), &shape);
        }
        if self.outline {
            return Ok(Tensor { shape, values: Vec::new() });
        }
        let fan_in = shape.elements() / shape.extents()[0];
        let limit = (6.0 / fan_in as f64).sqrt() * std::mem::replace(&mut self.gain, 1.0);
        let stream = Stream {
            key: [self.seed, 0, 0, 0, 0, 0, 0, 0],
            nonce: [self.graph.maker(self.current).map_or(0, |layer| layer as u32 + 1), 0, 0, 0],
        };
        let mut words = vec![0; shape.elements()];
        keystream(&stream, 0, &mut words);
        let unit = |word: &u64| (word >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        Ok(Tensor { shape, values: words.iter().map(|word| (unit(word) * limit) as f32).collect() })
    }
}

/// Added to a variance, which keeps it from zero: the usual number.
const EPSILON: f32 = 1e-5;

fn square(kernel: usize, stride: usize, pad: usize) -> [Axis; 2] {
    [Axis { kernel, stride, pad_begin: pad, pad_end: pad, dilation: 1 }; 2]
}
