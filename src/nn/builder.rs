//! Networks built layer by layer, with random weights of the usual size: for benchmarks, plans and tests.

use super::graph::{Graph, GraphOutput, Node, Op, Tensor, ValueId};
use crate::{
    Error, Result,
    device::vector::keystream,
    kernels::Stream,
    shape::{Axis, Shape},
};

/// A network in the making. Each layer reads the value that the last one made, unless [`at`](Self::at) goes back.
#[derive(Debug, Clone)]
pub struct Builder {
    graph: Graph,
    /// Shape of each value for a batch of one.
    shapes: Vec<Shape>,
    current: ValueId,
    seed: u32,
}

impl Builder {
    /// A network that takes inputs of these extents, without the batch. Equal seeds give equal weights.
    pub fn new(input_extents: &[usize], seed: u32) -> Result<Self> {
        let shape = Shape::new([&[1], input_extents].concat())?;
        let graph =
            Graph { nodes: Vec::new(), input_extents: input_extents.to_vec(), input: 0, outputs: Vec::new(), values: 1, softmax: false };
        Ok(Self { graph, shapes: vec![shape], current: 0, seed })
    }

    /// The value that the next layer reads.
    pub fn value(&self) -> ValueId {
        self.current
    }

    /// Its shape for a batch of one.
    pub fn shape(&self) -> &Shape {
        &self.shapes[self.current]
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
    pub fn grouped_conv(mut self, out_channels: usize, kernel: usize, stride: usize, pad: usize, groups: usize) -> Result<Self> {
        let channels = self.channels()?;
        let shape = Shape::new([out_channels, channels / groups.max(1), kernel, kernel])?;
        let weights = self.weights(shape)?;
        self.push(Op::Conv { weights, bias: vec![0.0; out_channels], axes: square(kernel, stride, pad), groups })
    }

    /// A fully connected layer with a bias; an image is flattened first.
    pub fn linear(mut self, out: usize) -> Result<Self> {
        if self.shape().rank() > 2 {
            let extents = vec![self.shape().elements()];
            self = self.push(Op::Reshape { extents })?;
        }
        let shape = Shape::new([out, self.shape().elements()])?;
        let weights = self.weights(shape)?;
        self.push(Op::Linear { weights, bias: vec![0.0; out] })
    }

    /// `max(x, 0)`.
    pub fn relu(self) -> Result<Self> {
        self.push(Op::Relu)
    }

    /// `min(max(x, 0), 6)`.
    pub fn relu6(self) -> Result<Self> {
        self.push(Op::Clip { low: 0.0, high: 6.0 })
    }

    /// The maximum of square windows.
    pub fn max_pool(self, kernel: usize, stride: usize, pad: usize) -> Result<Self> {
        self.push(Op::MaxPool { axes: square(kernel, stride, pad) })
    }

    /// The mean of square windows.
    pub fn average_pool(self, kernel: usize, stride: usize, pad: usize) -> Result<Self> {
        self.push(Op::AveragePool { axes: square(kernel, stride, pad) })
    }

    /// The mean of each channel.
    pub fn global_average_pool(self) -> Result<Self> {
        match *self.shape().extents() {
            [_, _, h, w] => self.push(Op::AveragePool { axes: [Axis::new(h), Axis::new(w)] }),
            _ => Err(Error::Input(format!("a global average of {}: an image is expected", self.shape()))),
        }
    }

    /// The sum with another value of the same shape.
    pub fn sum_with(self, other: ValueId) -> Result<Self> {
        let current = self.current;
        self.join(Op::add(), &[current, other])
    }

    /// The channels of several values, one after another.
    pub fn concat(self, values: &[ValueId]) -> Result<Self> {
        self.join(Op::Concat { axis: 0 }, values)
    }

    /// The network whose output is the current value.
    pub fn build(mut self) -> Graph {
        self.graph.outputs = vec![GraphOutput { name: "output".into(), value: self.current }];
        self.graph
    }

    fn channels(&self) -> Result<usize> {
        match *self.shape().extents() {
            [_, channels, _, _] => Ok(channels),
            _ => Err(Error::Input(format!("a convolution of {}: an image is expected", self.shape()))),
        }
    }

    fn push(self, op: Op) -> Result<Self> {
        let current = self.current;
        self.join(op, &[current])
    }

    fn join(mut self, op: Op, inputs: &[ValueId]) -> Result<Self> {
        let shape = |&v: &ValueId| self.shapes.get(v).cloned().ok_or_else(|| Error::Input(format!("no value {v}")));
        let shapes = inputs.iter().map(shape).collect::<Result<Vec<Shape>>>()?;
        let node = Node { name: String::new(), op, inputs: inputs.to_vec(), output: 0 };
        let shape = node.output_shape(&shapes)?;
        self.append(node, shape);
        Ok(self)
    }

    fn append(&mut self, mut node: Node, shape: Shape) {
        node.output = self.graph.fresh();
        node.name = format!("{}{}", node.op.kind().to_lowercase(), node.output);
        self.current = node.output;
        self.shapes.push(shape);
        self.graph.nodes.push(node);
    }

    /// Evenly distributed in `+-sqrt(6 / fan_in)`: the variance `2 / fan_in` keeps activations in size through ReLUs (He et
    /// al. 2015).
    fn weights(&mut self, shape: Shape) -> Result<Tensor> {
        let fan_in = shape.elements() / shape.extents()[0];
        let limit = (6.0 / fan_in as f64).sqrt();
        let stream = Stream { key: [self.seed, 0, 0, 0, 0, 0, 0, 0], nonce: [self.current as u32, 0, 0, 0] };
        let mut words = vec![0; shape.elements()];
        keystream(&stream, 0, &mut words);
        let unit = |word: &u64| (word >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        Ok(Tensor { shape, values: words.iter().map(|word| (unit(word) * limit) as f32).collect() })
    }
}

fn square(kernel: usize, stride: usize, pad: usize) -> [Axis; 2] {
    [Axis { kernel, stride, pad_begin: pad, pad_end: pad, dilation: 1 }; 2]
}
