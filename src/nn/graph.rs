//! A network as a graph of values, as importers make it and passes rewrite it.

use super::{
    finish::Finish,
    ops::{Joins, Op},
    value::{Tensor, Value, ValueId},
};
use crate::{Error, Result, shape::Shape};
use std::{collections::BTreeMap, sync::Arc};

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Name in the model, or made from the operator and its place.
    pub name: String,
    /// The operation.
    pub op: Op,
    /// The values that it reads.
    pub inputs: Vec<ValueId>,
    /// The value that it makes.
    pub output: ValueId,
}

/// An input of a network.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct GraphInput {
    /// Name in the model.
    pub name: String,
    /// Extents of an item, without the batch.
    pub extents: Vec<usize>,
    /// How its numbers become words.
    pub kind: InputKind,
}

/// How the numbers of an input become words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub enum InputKind {
    /// Numbers in fixed point.
    #[default]
    Floats,
    /// Whole numbers, without fraction bits.
    Integers,
}

/// One result of a network.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct GraphOutput {
    /// Name in the model.
    pub name: String,
    /// The value.
    pub value: ValueId,
    /// Functions of it that whoever receives it computes in the clear.
    pub finish: Vec<Finish>,
}

/// The size of a network, for one item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Secret parameters.
    pub parameters: u64,
    /// Multiply-adds of its products.
    pub multiply_adds: u64,
    /// Elements of its ReLUs and bounds.
    pub activations: u64,
}

/// A network: inputs, secret parameters as values, and nodes in an order in which they can run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Inputs; input `i` is value `i`.
    pub inputs: Vec<GraphInput>,
    /// The tensors that the model brings, by value: its secret parameters.
    pub constants: BTreeMap<ValueId, Arc<Tensor>>,
    /// The results, at least one; the first is the one that predictions are made from.
    pub outputs: Vec<GraphOutput>,
    /// One more than the largest number in use.
    pub values: usize,
}

impl Graph {
    /// A network with one input of floats, of these extents without the batch.
    pub fn new(input_extents: &[usize]) -> Self {
        Self::with_inputs(vec![GraphInput { name: "input".into(), extents: input_extents.to_vec(), kind: InputKind::Floats }])
    }

    /// A network with several inputs.
    pub fn with_inputs(inputs: Vec<GraphInput>) -> Self {
        Self { values: inputs.len(), inputs, ..Self::default() }
    }

    /// Extents of the first input without the batch.
    pub fn input_extents(&self) -> &[usize] {
        self.inputs.first().map_or(&[], |input| &input.extents)
    }

    /// Numbers of an item: of all inputs together.
    pub fn input_size(&self) -> usize {
        self.inputs.iter().map(|input| input.extents.iter().product::<usize>()).sum()
    }

    /// Number of secret parameters.
    pub fn parameters(&self) -> usize {
        self.constants.values().map(|tensor| tensor.shape.elements()).sum()
    }

    /// Parameters, multiply-adds and activations of one item.
    pub fn counts(&self) -> Result<Counts> {
        let shapes = self.shapes(1)?;
        let mut counts = Counts { parameters: self.parameters() as u64, ..Counts::default() };
        for node in &self.nodes {
            let Some(output) = &shapes[node.output] else { continue };
            let inputs: Vec<Value> = node.inputs.iter().filter_map(|&v| shapes[v].clone()).collect();
            counts.multiply_adds += node.op.multiply_adds(&inputs, output);
            if matches!(node.op.joins(), Joins::Bounds(..)) {
                counts.activations += output.shape.elements() as u64;
            }
        }
        Ok(counts)
    }

    /// Shape of every value for a batch, checked; `None` for numbers that no node makes.
    pub fn shapes(&self, batch: usize) -> Result<Vec<Option<Value>>> {
        let mut shapes = vec![None; self.values];
        for (value, input) in self.inputs.iter().enumerate() {
            shapes[value] = Some(Value::per_item(Shape::new([&[batch], &input.extents[..]].concat())?));
        }
        for (&value, tensor) in &self.constants {
            shapes[value] = Some(Value::whole(tensor.shape.clone()));
        }
        for node in &self.nodes {
            let inputs = node.inputs.iter().map(|&v| {
                let known = shapes.get(v).and_then(Clone::clone);
                known.ok_or_else(|| Error::Model(format!("node '{}' reads a value that no earlier node makes", node.name)))
            });
            let inputs = inputs.collect::<Result<Vec<Value>>>()?;
            let value = node.output_value(&inputs).map_err(|e| Error::Model(format!("node '{}' ({}): {e}", node.name, node.op.kind())))?;
            shapes[node.output] = Some(value);
        }
        Ok(shapes)
    }

    /// The value of the first output.
    pub fn output(&self) -> ValueId {
        self.outputs.first().map_or(0, |output| output.value)
    }

    /// Shape of the first output for a batch.
    pub fn output_shape(&self, batch: usize) -> Result<Shape> {
        let value = self.shapes(batch)?[self.output()].clone();
        value.map(|value| value.shape).ok_or_else(|| Error::Model("no node makes the output".into()))
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

    /// A parameter as a value.
    pub fn constant(&mut self, tensor: impl Into<Arc<Tensor>>) -> ValueId {
        let value = self.fresh();
        self.constants.insert(value, tensor.into());
        value
    }

    /// Adds a node; its value.
    pub fn push(&mut self, name: impl Into<String>, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        let output = self.fresh();
        self.nodes.push(Node { name: name.into(), op: op.into(), inputs: inputs.to_vec(), output });
        output
    }

    /// Names the results; the first is the one that predictions are made from.
    pub fn with_outputs(mut self, outputs: &[(&str, ValueId)]) -> Self {
        self.outputs = outputs.iter().map(|&(name, value)| GraphOutput { name: name.into(), value, finish: Vec::new() }).collect();
        self
    }
}

impl Node {
    /// The output from the inputs, batch included.
    pub fn output_value(&self, inputs: &[Value]) -> Result<Value> {
        match self.op.arity().contains(&inputs.len()) && !inputs.is_empty() {
            true => self.op.output(inputs),
            false => Err(Error::Input(format!("{} inputs instead of {:?}", inputs.len(), self.op.arity()))),
        }
    }
}
