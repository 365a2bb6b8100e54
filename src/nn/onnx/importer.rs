//! The state of an import, and how operators read their inputs and add operations.

use super::{
    array::Array,
    batch::{Batch, Place, View},
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
    /// Shape of each value of the graph, for a batch of one.
    pub shapes: HashMap<ValueId, Value>,
    /// Where the model has the batch of each value.
    pub batch_axes: HashMap<ValueId, Place>,
    /// The batch that the model is read with.
    pub batch: Batch,
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
    /// Names of comparisons.
    pub comparisons: HashMap<String, Comparison>,
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
    /// The result of one item, as the model sees it.
    pub view: View,
}

/// Whether a value is negative or not, element by element.
#[derive(Debug, Clone, Copy)]
pub struct Comparison {
    /// The value.
    pub sign: ValueId,
    /// True where it is negative.
    pub negative: bool,
}

impl Importer {
    /// Reads initializers and inputs.
    pub fn new((proto, opset): (&GraphProto, i64), folder: Option<&Folder>, shapes: &Shapes, batch: Batch) -> Result<Self> {
        let mut names = HashMap::new();
        let texts: HashMap<String, Vec<String>> = proto.initializer.iter().filter_map(tensor::texts).collect();
        for tensor in proto.initializer.iter().filter(|tensor| !texts.contains_key(&tensor.name)) {
            names.insert(tensor.name.clone(), Meaning::Constant(tensor::read(tensor, folder)?));
        }
        for sparse in &proto.sparse_initializer {
            let (name, constant) = tensor::sparse(sparse, folder)?;
            names.insert(name, Meaning::Constant(constant));
        }
        let declared = inputs::declared(proto)?;
        let batch_axes: HashMap<ValueId, Place> = declared.iter().map(|input| batch.of_input(input)).enumerate().collect();
        let fronts: Vec<usize> = (0..batch_axes.len()).map(|input| usize::from(batch_axes[&input] == Place::Own(0))).collect();
        let inputs = inputs::resolved(&declared, &fronts, shapes)?;
        let mut shapes = HashMap::new();
        for (value, input) in inputs.iter().enumerate() {
            shapes.insert(value, Value::per_item(Shape::new([&[1], &input.extents[..]].concat())?));
            names.insert(input.name.clone(), Meaning::Value(value));
        }
        let integers = |input: &&ValueInfoProto| inputs.iter().any(|own| own.name == input.name && own.kind == InputKind::Integers);
        let whole = proto.input.iter().filter(integers).map(|input| (input.name.clone(), inputs::element_type(input))).collect();
        let graph = Graph::with_inputs(inputs);
        Ok(Self {
            graph,
            names,
            shapes,
            batch_axes,
            batch,
            batch_read: false,
            opset,
            readers: readers(proto),
            finished: HashMap::new(),
            texts,
            whole,
            comparisons: HashMap::new(),
            framed: HashMap::new(),
            node: Default::default(),
        })
    }

    /// Adds an operation; its value, whose batch lies where that of the first input does.
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
        if let Some(&place) = inputs.first().and_then(|first| self.batch_axes.get(first)) {
            self.batch_axes.insert(output, place);
        }
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
            (None, None) if self.comparisons.contains_key(name) => Err(Self::of_comparison(name)),
            (None, None) => Err(Error::Model(format!("input '{name}' is neither made by an earlier node nor an initializer"))),
        }
    }

    /// Adds an operation; its value, whose batch the model has elsewhere.
    pub fn push_at(&mut self, op: impl Into<Op>, inputs: &[ValueId], place: Place) -> Result<ValueId> {
        let output = self.push(op, inputs)?;
        self.batch_axes.insert(output, place);
        Ok(output)
    }

    /// Input `i` as a value that is computed, its batch in front.
    pub fn value(&self, node: &NodeProto, i: usize) -> Result<ValueId> {
        let value = self.activation(node, i)?;
        let view = self.view(value)?;
        match (self.batch, view.place) {
            (Batch::Absent, _) | (_, Place::Own(0)) => Ok(value),
            (_, place) => {
                let (name, extents) = (&node.input[i], self.batch.extents(&view));
                let found = place.axis().map_or("none".into(), |at| format!("axis {at}"));
                Err(Error::Model(format!(
                    "input '{name}' of shape {extents:?} needs its batch as an axis of its own in front; found: {found}"
                )))
            }
        }
    }

    /// Input `i` as a value that is computed, wherever its batch is.
    pub fn activation(&self, node: &NodeProto, i: usize) -> Result<ValueId> {
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

    /// A value as the model sees it.
    pub fn view(&self, value: ValueId) -> Result<View> {
        let item = &self.shape(value)?.extents()[1..];
        Ok(View::new(item, self.batch_axes.get(&value).copied().unwrap_or(Place::Nowhere)))
    }

    /// Extents as the model sees them.
    pub fn extents(&self, value: ValueId) -> Result<Vec<usize>> {
        Ok(self.batch.extents(&self.view(value)?))
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
