//! The state of an import, and how operators read their inputs and add operations.

use super::{
    array::Array,
    constant::Constant,
    external::Folder,
    inputs::{self, Shapes},
    schema::{GraphProto, NodeProto, ValueInfoProto},
    tensor,
};
use crate::{
    Error, Result,
    nn::{
        finish::Finish,
        graph::{Graph, InputKind, Node},
        ops::Op,
        value::{Tensor, Value, ValueId},
    },
    shape::Shape,
};
use std::collections::HashMap;

/// How a model's inputs are to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The first extent is the batch. Without it a model has no batch: it takes one input at a time.
    pub batched: bool,
    /// Extents of inputs that the model leaves free: by the name of an input, the batch first, or by that of one extent.
    pub shapes: Shapes,
}

impl Default for Options {
    fn default() -> Self {
        Self { batched: true, shapes: Shapes::new() }
    }
}

/// The state of an import.
pub struct Importer {
    /// The graph so far.
    pub graph: Graph,
    /// Meanings of names so far.
    pub names: HashMap<String, Meaning>,
    /// Shape of each value, the batch in front of those per item; a model without a batch has a batch of one that it does not
    /// know of.
    pub shapes: HashMap<ValueId, Value>,
    /// The first extent of inputs is the batch.
    pub batched: bool,
    /// Inputs in a batch.
    pub batch: usize,
    /// The size of the batch was looked at.
    pub batch_read: bool,
    /// Operator set of the model.
    pub opset: i64,
    /// The operators that read a name; an output of the model is read by one without a name.
    pub readers: HashMap<String, Vec<String>>,
    /// Names of what is computed in the clear.
    pub finished: HashMap<String, Finished>,
    /// Constants that are texts.
    pub texts: HashMap<String, Vec<String>>,
    /// Names of computed integers, and their element types.
    pub whole: HashMap<String, i32>,
    /// Elements of minus infinity around a value, by its name and for each of its axes.
    pub framed: HashMap<String, Vec<(i64, i64)>>,
    /// Name of the node that is read, and how many operations it has become.
    pub node: (String, usize),
}

/// The meaning of a name.
#[derive(Debug, Clone, PartialEq)]
pub enum Meaning {
    /// A value that is computed.
    Value(ValueId),
    /// Numbers that the model brings.
    Constant(Constant),
}

/// The outcome of a node.
pub enum Outcome {
    /// It is known to the parties or to the importer.
    Known(Meaning),
    /// Computed by whoever receives it.
    Finished(Finished),
}

impl Outcome {
    /// A value that is computed.
    pub fn value(value: ValueId) -> Self {
        Self::Known(Meaning::Value(value))
    }
}

/// A value with functions that are computed in the clear.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The value that is revealed.
    pub value: ValueId,
    /// The functions, in order.
    pub finish: Vec<Finish>,
    /// The operator with which the end begins.
    pub operator: String,
    /// Extents of the result, as the model sees them.
    pub extents: Vec<usize>,
}

impl Importer {
    /// Reads initializers and inputs.
    pub fn new((proto, opset): (&GraphProto, i64), folder: Option<&Folder>, options: &Options, batch: usize) -> Result<Self> {
        let mut names = HashMap::new();
        let texts: HashMap<String, Vec<String>> = proto.initializer.iter().filter_map(tensor::texts).collect();
        for tensor in proto.initializer.iter().filter(|tensor| !texts.contains_key(&tensor.name)) {
            names.insert(tensor.name.clone(), Meaning::Constant(tensor::read(tensor, folder)?));
        }
        for sparse in &proto.sparse_initializer {
            let (name, constant) = tensor::sparse(sparse, folder)?;
            names.insert(name, Meaning::Constant(constant));
        }
        let inputs = inputs::resolved(&inputs::declared(proto)?, options.batched, &options.shapes)?;
        let mut shapes = HashMap::new();
        for (value, input) in inputs.iter().enumerate() {
            shapes.insert(value, Value::per_item(Shape::new([&[batch], &input.extents[..]].concat())?));
            names.insert(input.name.clone(), Meaning::Value(value));
        }
        let integers = |input: &&ValueInfoProto| inputs.iter().any(|own| own.name == input.name && own.kind == InputKind::Integers);
        let whole = proto.input.iter().filter(integers).map(|input| (input.name.clone(), inputs::element_type(input))).collect();
        let graph = Graph::with_inputs(inputs);
        Ok(Self {
            graph,
            names,
            shapes,
            batched: options.batched,
            batch,
            batch_read: false,
            opset,
            readers: readers(proto),
            finished: HashMap::new(),
            texts,
            whole,
            framed: HashMap::new(),
            node: Default::default(),
        })
    }

    /// Adds an operation; its value.
    pub fn push(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId> {
        let output = self.graph.fresh();
        self.node.1 += 1;
        let name = match self.node.1 {
            1 => self.node.0.clone(),
            n => format!("{}.{n}", self.node.0),
        };
        let node = Node { name, op: op.into(), inputs: inputs.to_vec(), output };
        let shapes: Vec<Value> = inputs.iter().filter_map(|v| self.shapes.get(v).cloned()).collect();
        self.shapes.insert(output, node.output_value(&shapes)?);
        self.graph.nodes.push(node);
        Ok(output)
    }

    /// A constant as a secret parameter; its value.
    pub fn parameter(&mut self, tensor: Tensor) -> ValueId {
        let shape = Value::whole(tensor.shape.clone());
        let value = self.graph.constant(tensor);
        self.shapes.insert(value, shape);
        value
    }

    /// The same of some numbers in a row.
    pub fn list(&mut self, values: Vec<f32>) -> Result<ValueId> {
        Ok(self.parameter(Tensor::new([values.len()], values)?))
    }

    /// Whether input `i` is given.
    pub fn has(&self, node: &NodeProto, i: usize) -> bool {
        node.input.get(i).is_some_and(|name| !name.is_empty())
    }

    pub fn meaning(&self, node: &NodeProto, i: usize) -> Result<Meaning> {
        let name = node.input.get(i).filter(|name| !name.is_empty()).ok_or_else(|| Error::Model(format!("input {i} is missing")))?;
        match (self.names.get(name), self.finished.get(name)) {
            (Some(meaning), _) => Ok(meaning.clone()),
            (None, Some(Finished { operator, .. })) => Err(Error::Model(format!(
                "input '{name}' comes from {operator}, which is supported only at the end, where whoever receives the result computes it in the clear"
            ))),
            (None, None) if self.texts.contains_key(name) => {
                Err(Error::Model(format!("input '{name}' holds texts where numbers are expected")))
            }
            (None, None) => Err(Error::Model(format!("input '{name}' is neither made by an earlier node nor an initializer"))),
        }
    }

    /// Input `i` as a value that is computed.
    pub fn value(&self, node: &NodeProto, i: usize) -> Result<ValueId> {
        match self.meaning(node, i)? {
            Meaning::Value(value) => Ok(value),
            _ => Err(Error::Model(format!("input '{}' is a constant where an activation is expected", node.input[i]))),
        }
    }

    /// Input `i` as numbers that the model brings; `None` if it is left out.
    pub fn floats(&self, node: &NodeProto, i: usize) -> Result<Option<Array<f32>>> {
        if !self.has(node, i) {
            return Ok(None);
        }
        match self.meaning(node, i)? {
            Meaning::Constant(Constant::Floats(array)) => Ok(Some(array)),
            Meaning::Constant(_) => Err(Error::Model(format!("input '{}' holds integers where floats are expected", node.input[i]))),
            Meaning::Value(_) => Err(Error::Model(format!("input '{}' is computed where a constant is expected", node.input[i]))),
        }
    }

    /// Input `i` as integers that the model brings; `None` if it is left out.
    pub fn integers(&self, node: &NodeProto, i: usize) -> Result<Option<Array<i64>>> {
        if !self.has(node, i) {
            return Ok(None);
        }
        match self.meaning(node, i)? {
            Meaning::Constant(Constant::Integers(array)) => Ok(Some(array)),
            Meaning::Constant(_) => Err(Error::Model(format!("input '{}' holds floats where integers are expected", node.input[i]))),
            Meaning::Value(_) => Err(Error::Model(format!("input '{}' is computed where constant integers are expected", node.input[i]))),
        }
    }

    /// Input `i` as weights; `None` if it is left out.
    pub fn constant(&self, node: &NodeProto, i: usize) -> Result<Option<Tensor>> {
        let Some(array) = self.floats(node, i)? else { return Ok(None) };
        if let Some(at) = array.values.iter().position(|v| v.is_infinite()) {
            return Err(Error::Range(format!("tensor '{}': element {at} is infinite", node.input[i])));
        }
        let shape = Shape::new(array.extents).map_err(|e| Error::Model(format!("tensor '{}': {e}", node.input[i])))?;
        Ok(Some(Tensor { shape, values: array.values }))
    }

    pub fn weights(&self, node: &NodeProto, i: usize, what: &str) -> Result<Tensor> {
        self.constant(node, i)?.ok_or_else(|| Error::Model(format!("the {what} (input {i}) is missing")))
    }

    pub fn shape(&self, value: ValueId) -> Result<&Shape> {
        self.shapes.get(&value).map(|value| &value.shape).ok_or_else(|| Error::Model("an input has no shape".into()))
    }

    /// Extents as the model sees them, for a batch of one.
    pub fn extents(&self, value: ValueId) -> Result<Vec<usize>> {
        let extents = self.shape(value)?.extents();
        Ok(if self.batched { [&[1], &extents[1..]].concat() } else { extents[1..].to_vec() })
    }

    /// Extents of the graph from extents as the model sees them.
    pub fn without_batch(&self, extents: &[usize]) -> Result<Vec<usize>> {
        match (self.batched, extents) {
            (false, all) => Ok(all.to_vec()),
            (true, [1, rest @ ..]) => Ok(rest.to_vec()),
            (true, all) => Err(Error::Model(format!("a shape {all:?} whose first extent is not that of the batch"))),
        }
    }
}

/// The operators that read each name, those of branches too.
fn readers(proto: &GraphProto) -> HashMap<String, Vec<String>> {
    let branches = proto.node.iter().flat_map(|node| &node.attribute).filter_map(|attribute| attribute.g.as_deref());
    let mut all: HashMap<String, Vec<String>> = HashMap::new();
    branches.flat_map(readers).for_each(|(name, operators)| all.entry(name).or_default().extend(operators));
    let own = proto.node.iter().flat_map(|node| node.input.iter().map(|name| (name.clone(), node.op_type.clone())));
    let outputs = proto.output.iter().map(|output| (output.name.clone(), String::new()));
    own.chain(outputs).for_each(|(name, operator)| all.entry(name).or_default().push(operator));
    all
}
