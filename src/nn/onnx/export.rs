//! A graph as an ONNX file, operator set 13: what [`import`](super::import) reads back as a network of the same function.

use super::{
    export_ends,
    schema::{
        AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
        TensorTypeProto, TypeProto, ValueInfoProto,
    },
};
use crate::{
    Error, Result,
    nn::{
        finish,
        graph::{Graph, GraphInput, GraphOutput, InputKind},
        ops::{Attribute, Names, Writer},
        value::{Value, ValueId},
    },
};
use prost::Message;
use std::collections::HashSet;

const FLOAT: i32 = 1;
const INT64: i32 = 7;
const OPSET: i64 = 13;
/// Version of the file's format that belongs to this operator set.
const IR_VERSION: i64 = 7;

/// The bytes of the file. Its batch is free.
pub fn export(graph: &Graph, name: &str) -> Result<Vec<u8>> {
    let shapes = graph.shapes(1)?;
    let shape = |v: ValueId| shapes[v].clone().ok_or_else(|| Error::Model(format!("no node makes value {v}, which is read")));
    let mut file = File { nodes: Vec::new(), initializers: Vec::new(), fresh: 0, name: Default::default(), named: HashSet::new() };
    let names: Vec<String> = (0..graph.values).map(|value| value_name(graph, value)).collect();
    for (&value, tensor) in &graph.constants {
        file.tensor(&names[value], tensor.shape.extents(), &tensor.values);
    }
    for node in &graph.nodes {
        let inputs: Vec<String> = node.inputs.iter().map(|&v| names[v].clone()).collect();
        let from = node.inputs.iter().map(|&v| shape(v)).collect::<Result<Vec<Value>>>()?;
        file.name = (node.name.clone(), 1);
        node.op.write(&mut file, &Names { inputs: &inputs, from: &from, output: &names[node.output], to: &shape(node.output)? });
    }
    let mut outputs = Vec::new();
    for output in &graph.outputs {
        file.name = (format!("output {}", output.name), 1);
        if names[output.value] != output.name || !output.finish.is_empty() {
            file.finish(&names[output.value], output, shape(output.value)?.item())?;
        }
        outputs.push(info(&output.name, shape(output.value)?.item(), FLOAT));
    }
    let elements = |input: &GraphInput| if input.kind == InputKind::Floats { FLOAT } else { INT64 };
    let input = graph.inputs.iter().map(|input| info(&input.name, &input.extents, elements(input))).collect();
    let sparse_initializer = Vec::new();
    let proto =
        GraphProto { node: file.nodes, name: name.into(), initializer: file.initializers, input, output: outputs, sparse_initializer };
    let opset = OperatorSetIdProto { domain: String::new(), version: OPSET };
    Ok(ModelProto { ir_version: IR_VERSION, graph: Some(proto), opset_import: vec![opset], ..ModelProto::default() }.encode_to_vec())
}

/// The name of a value: that of an output where it is one and nothing follows it.
fn value_name(graph: &Graph, value: ValueId) -> String {
    if let Some(input) = graph.inputs.get(value) {
        return input.name.clone();
    }
    match graph.outputs.iter().position(|output| output.value == value) {
        Some(i) if graph.outputs[i].finish.is_empty() => graph.outputs[i].name.clone(),
        _ => format!("value_{value}"),
    }
}

/// The file in the making.
struct File {
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    fresh: usize,
    /// Name of the node that is written, and a number for further nodes of the file that it becomes.
    name: (String, usize),
    named: HashSet<String>,
}

impl File {
    fn tensor(&mut self, name: &str, extents: &[usize], values: &[f32]) {
        self.initializer(name, FLOAT, extents, values.iter().flat_map(|v| v.to_le_bytes()).collect());
    }

    fn initializer(&mut self, name: &str, data_type: i32, extents: &[usize], raw_data: Vec<u8>) {
        let dims = extents.iter().map(|&extent| extent as i64).collect();
        self.initializers.push(TensorProto { dims, data_type, name: name.into(), raw_data, ..Default::default() });
    }

    /// The functions that end an output.
    fn finish(&mut self, value: &str, output: &GraphOutput, item: &[usize]) -> Result<()> {
        let writer: &mut dyn Writer = self;
        if output.finish.is_empty() {
            writer.push("Identity", &[value.into()], &output.name, Vec::new());
            return Ok(());
        }
        let before = item.iter().product::<usize>();
        let (last, _) = export_ends::write(writer, value, before, &output.finish)?;
        writer.reshape(&last, &finish::extents(&output.finish, item), &output.name);
        Ok(())
    }

    fn unused(&self) -> String {
        format!("constant_{}", self.initializers.len())
    }
}

impl Writer for File {
    fn push(&mut self, operator: &str, inputs: &[String], output: &str, attributes: Vec<Attribute>) {
        let mut name = self.name.0.clone();
        while !self.named.insert(name.clone()) {
            self.name.1 += 1;
            name = format!("{}.{}", self.name.0, self.name.1);
        }
        let mut input = inputs.to_vec();
        while input.last().is_some_and(String::is_empty) {
            input.pop();
        }
        let attribute = attributes.into_iter().map(attribute).collect();
        self.nodes.push(NodeProto { input, output: vec![output.into()], name, op_type: operator.into(), attribute, ..Default::default() });
    }

    fn fresh(&mut self) -> String {
        self.fresh += 1;
        format!("between_{}", self.fresh)
    }

    fn floats(&mut self, extents: &[usize], values: &[f32]) -> String {
        let name = self.unused();
        self.tensor(&name, extents, values);
        name
    }

    fn integers(&mut self, values: &[i64]) -> String {
        let name = self.unused();
        self.initializer(&name, INT64, &[values.len()], values.iter().flat_map(|v| v.to_le_bytes()).collect());
        name
    }
}

/// The types of attributes that are written.
const OF_INT: i32 = 2;
const OF_INTS: i32 = 7;

fn attribute(attribute: Attribute) -> AttributeProto {
    match attribute {
        Attribute::Int(name, i) => AttributeProto { name: name.into(), i, r#type: OF_INT, ..Default::default() },
        Attribute::Ints(name, ints) => AttributeProto { name: name.into(), ints, r#type: OF_INTS, ..Default::default() },
    }
}

/// A value of so many elements an input of a free batch.
fn info(name: &str, extents: &[usize], elem_type: i32) -> ValueInfoProto {
    let batch = DimensionProto { dim_value: None, dim_param: Some("N".into()) };
    let fixed = extents.iter().map(|&extent| DimensionProto { dim_value: Some(extent as i64), dim_param: None });
    let shape = Some(TensorShapeProto { dim: std::iter::once(batch).chain(fixed).collect() });
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(TensorTypeProto { elem_type, shape }) }) }
}
