//! ONNX import: a model's bytes to a [`Graph`]. Nothing is trusted: every length, shape and number is checked, and what is
//! not supported is an error that names the operator, the node and what is supported.
//!
//! A model is read with one input in its batch. Constants are computed at once (`fold`); what only moves an activation's
//! elements moves an array of their places (`array`) and becomes one [`Op::Select`].

mod array;
mod attributes;
mod elementwise;
mod export;
mod fold;
mod movement;
mod operators;
mod resize;
#[cfg(not(feature = "internals"))]
mod schema;
#[cfg(feature = "internals")]
pub mod schema;
mod spatial;
mod tensor;

pub use export::export;

use super::{
    graph::{Graph, GraphInput, GraphOutput, InputKind, Node},
    ops::Op,
    value::{Tensor, Value, ValueId},
};
use crate::{Error, Result, shape::Shape};
use array::Array;
use attributes::Attributes;
use prost::Message;
use schema::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use std::{collections::HashMap, path::Path};

/// What [`import`] understands. Arithmetic and movement are also computed on constants.
pub const SUPPORTED: &str = "Abs, Add, AveragePool, BatchNormalization, Cast, Clip, Concat, Constant, ConstantOfShape, Conv, \
ConvTranspose, DepthToSpace, Div (by constants), Dropout, Expand, Flatten, Gather, Gemm, GlobalAveragePool, GlobalMaxPool, \
HardSigmoid, HardSwish, Identity, LeakyRelu, MatMul, Max, MaxPool, Mean, Min, Mul, Neg, PRelu, Pad, Pow (whole powers), ReduceMax, ReduceMean, \
ReduceSum, Relu, Reshape, Resize, Shape, Slice, Softmax (at the end), SpaceToDepth, Split, Squeeze, Sub, Sum, Tile, Transpose, \
Unsqueeze, Upsample";

/// How a model's input is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The first extent is the batch. Without it a model has no batch: it takes one input at a time.
    pub batched: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { batched: true }
    }
}

/// Reads a model from a file, and from data files beside it.
pub fn open(path: &Path) -> Result<Graph> {
    let bytes = std::fs::read(path).map_err(|e| Error::File(format!("cannot read the model {}: {e}", path.display())))?;
    import_from(&bytes, path.parent(), Options::default()).map_err(|e| match e {
        Error::Model(what) => Error::Model(format!("{}: {what}", path.display())),
        Error::Range(what) => Error::Range(format!("{}: {what}", path.display())),
        other => other,
    })
}

/// Reads a model: opsets 7 to 22, one input with a free or any batch.
pub fn import(bytes: &[u8]) -> Result<Graph> {
    import_with(bytes, Options::default())
}

/// The same with other options.
pub fn import_with(bytes: &[u8], options: Options) -> Result<Graph> {
    import_from(bytes, None, options)
}

fn import_from(bytes: &[u8], folder: Option<&Path>, options: Options) -> Result<Graph> {
    let proto = decode(bytes)?;
    let (graph, batch_read) = read(&proto, folder, options, 1)?;
    // what was computed from the size of a batch must not depend on it
    if batch_read && read(&proto, folder, options, 3).map_or(true, |(other, _)| other != graph) {
        return Err(Error::Model("the model computes something else for every size of a batch, besides shapes; export it for one".into()));
    }
    Ok(graph)
}

/// An operator of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// Its name, after its domain if that is not ONNX's own.
    pub operator: String,
    /// Nodes of it.
    pub nodes: usize,
    /// Whether it is among those that are [`SUPPORTED`].
    pub supported: bool,
}

/// The operators of a model by name, whether or not it can be imported.
pub fn operators(bytes: &[u8]) -> Result<Vec<Coverage>> {
    let (graph, _) = decode(bytes)?;
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for node in &graph.node {
        let own = node.domain.is_empty() || node.domain == "ai.onnx";
        *counts.entry(if own { node.op_type.clone() } else { format!("{}.{}", node.domain, node.op_type) }).or_default() += 1;
    }
    let supported = |name: &str| SUPPORTED.split(", ").any(|one| one.split(' ').next() == Some(name));
    Ok(counts.into_iter().map(|(operator, nodes)| Coverage { supported: supported(&operator), operator, nodes }).collect())
}

/// The graph of a model and its operator set, if that is supported.
fn decode(bytes: &[u8]) -> Result<(GraphProto, i64)> {
    let model = ModelProto::decode(bytes).map_err(|e| Error::Model(format!("not an ONNX model, or a damaged one: {e}")))?;
    let opset = model.opset_import.iter().find(|o| o.domain.is_empty() || o.domain == "ai.onnx").map(|o| o.version);
    let opset = match opset {
        Some(version @ 7..=22) => version,
        Some(version) => return Err(Error::Model(format!("operator set {version} is not supported; 7 to 22 are"))),
        None => return Err(Error::Model("not an ONNX model: it names no operator set".into())),
    };
    Ok((model.graph.ok_or_else(|| Error::Model("the model has no graph".into()))?, opset))
}

/// The graph for a batch of this size, and whether the size was looked at.
fn read((proto, opset): &(GraphProto, i64), folder: Option<&Path>, options: Options, batch: usize) -> Result<(Graph, bool)> {
    let importer = Importer::new((proto, *opset), folder, options, batch)?;
    let mut batch_read = false;
    let graph = importer.run(proto, &mut batch_read)?;
    Ok((graph, batch_read))
}

/// The state of an import.
struct Importer {
    graph: Graph,
    /// What each name means so far.
    names: HashMap<String, Meaning>,
    /// Shape of each value, the batch in front of those per item; a model without a batch has a batch of one that it does not
    /// know of.
    shapes: HashMap<ValueId, Value>,
    batched: bool,
    /// Inputs in a batch.
    batch: usize,
    batch_read: bool,
    opset: i64,
    /// Name of the node that is read, and how many operations it has become.
    node: (String, usize),
}

#[derive(Debug, Clone, PartialEq)]
enum Meaning {
    Value(ValueId),
    Constant(Constant),
}

#[derive(Debug, Clone, PartialEq)]
enum Constant {
    Floats(Array<f32>),
    Integers(Array<i64>),
}

impl Importer {
    fn new((proto, opset): (&GraphProto, i64), folder: Option<&Path>, options: Options, batch: usize) -> Result<Self> {
        let mut names = HashMap::new();
        for tensor in &proto.initializer {
            names.insert(tensor.name.clone(), Meaning::Constant(tensor::read(tensor, folder)?));
        }
        let given = proto.input.iter().filter(|input| !names.contains_key(&input.name));
        let inputs = given.map(|input| graph_input(input, options.batched)).collect::<Result<Vec<GraphInput>>>()?;
        if inputs.is_empty() {
            return Err(Error::Model("the model has no input".into()));
        }
        let mut shapes = HashMap::new();
        for (value, input) in inputs.iter().enumerate() {
            shapes.insert(value, Value::per_item(Shape::new([&[batch], &input.extents[..]].concat())?));
            names.insert(input.name.clone(), Meaning::Value(value));
        }
        let graph = Graph::with_inputs(inputs);
        Ok(Self { graph, names, shapes, batched: options.batched, batch, batch_read: false, opset, node: Default::default() })
    }

    fn run(mut self, proto: &GraphProto, batch_read: &mut bool) -> Result<Graph> {
        let first = proto.output.first().ok_or_else(|| Error::Model("the model has no output".into()))?.name.as_str();
        for (i, node) in proto.node.iter().enumerate() {
            let seen = if self.graph.softmax { Some(first) } else { None };
            if seen.is_some_and(|softmax| node.input.iter().any(|name| name == softmax)) {
                return Err(Error::Model(format!(
                    "{}: an operator after Softmax; Softmax is supported only at the end",
                    describe(node, i)
                )));
            }
            self.node = (if node.name.is_empty() { format!("{}_{i}", node.op_type) } else { node.name.clone() }, 0);
            self.read_node(node, first).map_err(|e| match e {
                Error::Model(what) | Error::Input(what) => Error::Model(format!("{}: {what}", describe(node, i))),
                Error::Range(what) => Error::Range(format!("{}: {what}", describe(node, i))),
                other => other,
            })?;
        }
        for output in &proto.output {
            let name = &output.name;
            match self.names.get(name) {
                Some(Meaning::Value(value)) => self.graph.outputs.push(GraphOutput { name: name.clone(), value: *value }),
                Some(Meaning::Constant(_)) => return Err(Error::Model(format!("the output '{name}' is a constant"))),
                None => return Err(Error::Model(format!("no node makes the output '{name}'"))),
            }
        }
        self.graph.shapes(1)?;
        *batch_read = self.batch_read;
        Ok(self.graph)
    }

    fn read_node(&mut self, proto: &NodeProto, first_output: &str) -> Result<()> {
        if !(proto.domain.is_empty() || proto.domain == "ai.onnx") {
            return Err(Error::Model(format!("operators of the domain '{}' are not supported; supported: {SUPPORTED}", proto.domain)));
        }
        let [made, more @ ..] = &proto.output[..] else {
            return Err(Error::Model("the node has no output".into()));
        };
        let mut attributes = Attributes::new(proto);
        let results = match proto.op_type.as_str() {
            "Softmax" => {
                if made != first_output {
                    return Err(Error::Model("Softmax is supported only at the end, where it is done in the clear".into()));
                }
                let x = self.value(proto, 0)?;
                let extents = self.extents(x)?;
                let axis = movement::place_of(attributes.int("axis", if self.opset < 13 { 1 } else { -1 }), extents.len())?;
                // before operator set 13 all axes from this one on are one
                let together: usize = if self.opset < 13 { extents[axis..].iter().product() } else { extents[axis] };
                if together != extents.iter().product::<usize>() {
                    return Err(Error::Model(format!(
                        "Softmax is supported over all scores of an input; here over {together} of {extents:?}"
                    )));
                }
                self.graph.softmax = true;
                vec![Meaning::Value(x)]
            }
            "Split" => self.split(proto, &mut attributes)?,
            _ => vec![self.operator(proto, &mut attributes)?],
        };
        attributes.done()?;
        if let Some(name) = more.iter().skip(results.len() - 1).find(|name| !name.is_empty()) {
            return Err(Error::Model(format!("the output '{name}' is not supported; {} of {} are", results.len(), proto.output.len())));
        }
        self.names.extend(proto.output.iter().cloned().zip(results));
        Ok(())
    }

    /// Adds an operation; its value.
    fn push(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId> {
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
    fn parameter(&mut self, tensor: Tensor) -> ValueId {
        let shape = Value::whole(tensor.shape.clone());
        let value = self.graph.constant(tensor);
        self.shapes.insert(value, shape);
        value
    }

    /// The same of some numbers in a row.
    fn list(&mut self, values: Vec<f32>) -> Result<ValueId> {
        Ok(self.parameter(Tensor::new([values.len()], values)?))
    }

    /// Whether input `i` is given.
    fn has(&self, node: &NodeProto, i: usize) -> bool {
        node.input.get(i).is_some_and(|name| !name.is_empty())
    }

    fn meaning(&self, node: &NodeProto, i: usize) -> Result<Meaning> {
        let name = node.input.get(i).filter(|name| !name.is_empty()).ok_or_else(|| Error::Model(format!("input {i} is missing")))?;
        self.names
            .get(name)
            .cloned()
            .ok_or_else(|| Error::Model(format!("input '{name}' is neither made by an earlier node nor an initializer")))
    }

    /// Input `i` as a value that is computed.
    fn value(&self, node: &NodeProto, i: usize) -> Result<ValueId> {
        match self.meaning(node, i)? {
            Meaning::Value(value) => Ok(value),
            _ => Err(Error::Model(format!("input '{}' is a constant where an activation is expected", node.input[i]))),
        }
    }

    /// Input `i` as numbers that the model brings; `None` if it is left out.
    fn floats(&self, node: &NodeProto, i: usize) -> Result<Option<Array<f32>>> {
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
    fn integers(&self, node: &NodeProto, i: usize) -> Result<Option<Array<i64>>> {
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
    fn constant(&self, node: &NodeProto, i: usize) -> Result<Option<Tensor>> {
        let Some(array) = self.floats(node, i)? else { return Ok(None) };
        if let Some(at) = array.values.iter().position(|v| v.is_infinite()) {
            return Err(Error::Range(format!("tensor '{}': element {at} is infinite", node.input[i])));
        }
        let shape = Shape::new(array.extents).map_err(|e| Error::Model(format!("tensor '{}': {e}", node.input[i])))?;
        Ok(Some(Tensor { shape, values: array.values }))
    }

    fn weights(&self, node: &NodeProto, i: usize, what: &str) -> Result<Tensor> {
        self.constant(node, i)?.ok_or_else(|| Error::Model(format!("the {what} (input {i}) is missing")))
    }

    fn shape(&self, value: ValueId) -> Result<&Shape> {
        self.shapes.get(&value).map(|value| &value.shape).ok_or_else(|| Error::Model("an input has no shape".into()))
    }

    /// Extents as the model sees them, for a batch of one.
    fn extents(&self, value: ValueId) -> Result<Vec<usize>> {
        let extents = self.shape(value)?.extents();
        Ok(if self.batched { [&[1], &extents[1..]].concat() } else { extents[1..].to_vec() })
    }

    /// Extents of the graph from extents as the model sees them.
    fn without_batch(&self, extents: &[usize]) -> Result<Vec<usize>> {
        match (self.batched, extents) {
            (false, all) => Ok(all.to_vec()),
            (true, [1, rest @ ..]) => Ok(rest.to_vec()),
            (true, all) => Err(Error::Model(format!("a shape {all:?} whose first extent is not that of the batch"))),
        }
    }
}

fn describe(node: &NodeProto, index: usize) -> String {
    if node.name.is_empty() { format!("{} (node {index})", node.op_type) } else { format!("{} '{}'", node.op_type, node.name) }
}

/// Extents without the batch; only the batch may be free.
fn graph_input(input: &ValueInfoProto, batched: bool) -> Result<GraphInput> {
    let name = &input.name;
    let tensor = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let shape = tensor.and_then(|t| t.shape.as_ref());
    let dims = &shape.ok_or_else(|| Error::Model(format!("the input '{name}' has no shape")))?.dim;
    if batched && dims.is_empty() {
        return Err(Error::Model(format!("the input '{name}' has no batch dimension")));
    }
    let floats = tensor.map_or(Ok(true), |t| if t.elem_type == 0 { Ok(true) } else { tensor::is_float(t.elem_type) })?;
    let kind = if floats { InputKind::Floats } else { InputKind::Integers };
    let extents = dims[usize::from(batched)..].iter().map(|d| d.dim_value.filter(|&v| v > 0).map(|v| v as usize));
    let extents = extents
        .collect::<Option<Vec<usize>>>()
        .ok_or_else(|| Error::Model(format!("the input '{name}' has a free or zero extent besides the batch; fix it when exporting")))?;
    Ok(GraphInput { name: name.clone(), extents, kind })
}
