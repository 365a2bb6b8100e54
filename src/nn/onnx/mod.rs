//! ONNX import: a model's bytes to a [`Graph`]. Nothing is trusted: every length, shape and number is checked, and what is
//! not supported is an error that names the operator, the node and what is supported.

mod attributes;
mod operators;
pub mod schema;
mod tensor;

use super::graph::{Graph, GraphOutput, Node, Tensor, ValueId};
use crate::{Error, Result, shape::Shape};
use attributes::Attributes;
use prost::Message;
use schema::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use std::collections::HashMap;

/// What [`import`] understands.
pub const SUPPORTED: &str = "Add, AveragePool, BatchNormalization, Constant, Conv, Dropout, Flatten, Gemm, GlobalAveragePool, \
                             Identity, MatMul, MaxPool, Relu, Reshape, Softmax (at the end)";

/// Reads a model from a file.
pub fn open(path: &std::path::Path) -> Result<Graph> {
    let bytes = std::fs::read(path).map_err(|e| Error::File(format!("cannot read the model {}: {e}", path.display())))?;
    import(&bytes).map_err(|e| match e {
        Error::Model(what) => Error::Model(format!("{}: {what}", path.display())),
        Error::Range(what) => Error::Range(format!("{}: {what}", path.display())),
        other => other,
    })
}

/// Reads a model: opsets 7 to 22, one input with a free or any batch, one output.
pub fn import(bytes: &[u8]) -> Result<Graph> {
    let model = ModelProto::decode(bytes).map_err(|e| Error::Model(format!("not an ONNX model, or a damaged one: {e}")))?;
    let opset = model.opset_import.iter().find(|o| o.domain.is_empty() || o.domain == "ai.onnx").map(|o| o.version);
    match opset {
        Some(7..=22) => {}
        Some(version) => return Err(Error::Model(format!("operator set {version} is not supported; 7 to 22 are"))),
        None => return Err(Error::Model("not an ONNX model: it names no operator set".into())),
    }
    let graph = model.graph.ok_or_else(|| Error::Model("the model has no graph".into()))?;
    Importer::new(&graph)?.run(&graph)
}

/// The state of an import.
struct Importer {
    graph: Graph,
    /// What each name means so far.
    names: HashMap<String, Meaning>,
    /// Shape of each value for a batch of one.
    shapes: HashMap<ValueId, Shape>,
}

#[derive(Clone)]
enum Meaning {
    Value(ValueId),
    Floats(Tensor),
    Integers(Vec<i64>),
}

impl Importer {
    fn new(proto: &GraphProto) -> Result<Self> {
        let mut names = HashMap::new();
        for tensor in &proto.initializer {
            names.insert(tensor.name.clone(), tensor::read(tensor)?);
        }
        let inputs: Vec<&ValueInfoProto> = proto.input.iter().filter(|i| !names.contains_key(&i.name)).collect();
        let [input] = inputs[..] else {
            return Err(Error::Model(format!("the model has {} inputs, one is supported", inputs.len())));
        };
        if proto.output.len() != 1 {
            return Err(Error::Model(format!("the model has {} outputs, one is supported", proto.output.len())));
        }
        let input_extents = input_extents(input)?;
        let shape = Shape::new([&[1], &input_extents[..]].concat())?;
        names.insert(input.name.clone(), Meaning::Value(0));
        let graph = Graph { nodes: Vec::new(), input_extents, input: 0, outputs: Vec::new(), values: 1, softmax: false };
        Ok(Self { graph, names, shapes: HashMap::from([(0, shape)]) })
    }

    fn run(mut self, proto: &GraphProto) -> Result<Graph> {
        let output = &proto.output[0].name;
        for (i, node) in proto.node.iter().enumerate() {
            if self.graph.softmax {
                return Err(Error::Model(format!(
                    "{}: an operator after Softmax; Softmax is supported only at the end",
                    describe(node, i)
                )));
            }
            self.node(node, i, output).map_err(|e| match e {
                Error::Model(what) | Error::Input(what) => Error::Model(format!("{}: {what}", describe(node, i))),
                Error::Range(what) => Error::Range(format!("{}: {what}", describe(node, i))),
                other => other,
            })?;
        }
        self.graph.outputs = match self.names.get(output) {
            Some(Meaning::Value(value)) => vec![GraphOutput { name: output.clone(), value: *value }],
            _ => return Err(Error::Model(format!("no node makes the output '{output}'"))),
        };
        self.graph.shapes(1)?;
        Ok(self.graph)
    }

    fn node(&mut self, proto: &NodeProto, index: usize, output: &str) -> Result<()> {
        if !(proto.domain.is_empty() || proto.domain == "ai.onnx") {
            return Err(Error::Model(format!("operators of the domain '{}' are not supported; supported: {SUPPORTED}", proto.domain)));
        }
        let [made, ..] = &proto.output[..] else {
            return Err(Error::Model("the node has no output".into()));
        };
        let mut attributes = Attributes::new(proto);
        match proto.op_type.as_str() {
            "Constant" => {
                let constant = attributes.constant()?;
                self.names.insert(made.clone(), constant);
                return attributes.done();
            }
            "Identity" | "Dropout" => {
                let same = self.meaning(proto, 0)?;
                self.names.insert(made.clone(), same);
                attributes.ignore(&["ratio", "seed"]);
                return attributes.done();
            }
            "Softmax" => {
                if made != output {
                    return Err(Error::Model("Softmax is supported only at the end, where it is done in the clear".into()));
                }
                attributes.ignore(&["axis"]);
                let value = self.value(proto, 0)?;
                self.graph.softmax = true;
                self.names.insert(made.clone(), Meaning::Value(value));
                return attributes.done();
            }
            _ => {}
        }
        let (op, inputs) = self.operator(proto, &mut attributes)?;
        attributes.done()?;
        let value = self.graph.fresh();
        let name = if proto.name.is_empty() { format!("{}_{index}", proto.op_type) } else { proto.name.clone() };
        let node = Node { name, op, inputs, output: value };
        let shapes: Vec<Shape> = node.inputs.iter().filter_map(|v| self.shapes.get(v).cloned()).collect();
        self.shapes.insert(value, node.output_shape(&shapes)?);
        self.graph.nodes.push(node);
        self.names.insert(made.clone(), Meaning::Value(value));
        Ok(())
    }

    fn meaning(&self, node: &NodeProto, i: usize) -> Result<Meaning> {
        let name = node.input.get(i).ok_or_else(|| Error::Model(format!("input {i} is missing")))?;
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

    /// Input `i` as a constant; `None` if it is left out.
    fn constant(&self, node: &NodeProto, i: usize) -> Result<Option<Tensor>> {
        if node.input.get(i).is_none_or(String::is_empty) {
            return Ok(None);
        }
        match self.meaning(node, i)? {
            Meaning::Floats(tensor) => Ok(Some(tensor)),
            Meaning::Integers(_) => Err(Error::Model(format!("input '{}' holds integers where floats are expected", node.input[i]))),
            Meaning::Value(_) => Err(Error::Model(format!("input '{}' is computed where a constant is expected", node.input[i]))),
        }
    }

    fn weights(&self, node: &NodeProto, i: usize, what: &str) -> Result<Tensor> {
        self.constant(node, i)?.ok_or_else(|| Error::Model(format!("the {what} (input {i}) is missing")))
    }

    fn shape(&self, value: ValueId) -> Result<&Shape> {
        self.shapes.get(&value).ok_or_else(|| Error::Model("an input has no shape".into()))
    }
}

fn describe(node: &NodeProto, index: usize) -> String {
    if node.name.is_empty() { format!("{} (node {index})", node.op_type) } else { format!("{} '{}'", node.op_type, node.name) }
}

/// Extents without the batch; only the batch may be free.
fn input_extents(input: &ValueInfoProto) -> Result<Vec<usize>> {
    let shape = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).and_then(|t| t.shape.as_ref());
    let dims = &shape.ok_or_else(|| Error::Model(format!("the input '{}' has no shape", input.name)))?.dim;
    if dims.is_empty() {
        return Err(Error::Model(format!("the input '{}' has no batch dimension", input.name)));
    }
    let extents = dims[1..].iter().map(|d| d.dim_value.filter(|&v| v > 0).map(|v| v as usize));
    extents.collect::<Option<Vec<usize>>>().ok_or_else(|| {
        Error::Model(format!("the input '{}' has a free or zero extent besides the batch; fix it when exporting", input.name))
    })
}
