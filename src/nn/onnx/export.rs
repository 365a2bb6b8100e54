//! A graph as an ONNX file, operator set 13: what [`import`](super::import) reads back as a network of the same function.

use super::schema::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto,
};
use crate::{
    Error, Result,
    kernels::gather::NONE,
    nn::graph::{Graph, Node, Op, Tensor, ValueId},
    shape::{Axis, Shape},
};
use prost::Message;
use std::collections::HashSet;

const FLOAT: i32 = 1;
const INT64: i32 = 7;
const OPSET: i64 = 13;
/// Of the format of the file, the one that belongs to this operator set.
const IR_VERSION: i64 = 7;

/// The bytes of the file. Its batch is free.
pub fn export(graph: &Graph, name: &str) -> Result<Vec<u8>> {
    let shapes = graph.shapes(1)?;
    let mut writer = Writer { nodes: Vec::new(), initializers: Vec::new(), fresh: 0, name: Default::default(), named: HashSet::new() };
    let names: Vec<String> = (0..graph.values).map(|value| value_name(graph, value)).collect();
    for node in &graph.nodes {
        let shape = |v: ValueId| shapes[v].as_ref().ok_or_else(|| Error::Model(format!("node '{}' reads nothing", node.name)));
        let inputs: Vec<String> = node.inputs.iter().map(|&v| names[v].clone()).collect();
        writer.name = (node.name.clone(), 1);
        writer.node(node, shape(node.inputs[0])?, shape(node.output)?, &inputs, &names[node.output]);
    }
    let mut outputs = Vec::new();
    for (i, output) in graph.outputs.iter().enumerate() {
        writer.name = (format!("output {}", output.name), 1);
        let shape = shapes[output.value].as_ref().ok_or_else(|| Error::Model(format!("no node makes the output '{}'", output.name)))?;
        if names[output.value] != output.name || (i == 0 && graph.softmax) {
            let operator = if i == 0 && graph.softmax { "Softmax" } else { "Identity" };
            let attributes = if operator == "Softmax" { vec![int("axis", -1)] } else { Vec::new() };
            writer.push(operator, std::slice::from_ref(&names[output.value]), &output.name, attributes);
        }
        outputs.push(info(&output.name, &shape.extents()[1..]));
    }
    let input = vec![info(&names[graph.input], &graph.input_extents)];
    let proto = GraphProto { node: writer.nodes, name: name.into(), initializer: writer.initializers, input, output: outputs };
    let opset = OperatorSetIdProto { domain: String::new(), version: OPSET };
    Ok(ModelProto { ir_version: IR_VERSION, graph: Some(proto), opset_import: vec![opset] }.encode_to_vec())
}

/// The name of a value: that of an output where it is one and nothing follows it.
fn value_name(graph: &Graph, value: ValueId) -> String {
    match graph.outputs.iter().position(|output| output.value == value) {
        Some(i) if value != graph.input && !(i == 0 && graph.softmax) => graph.outputs[i].name.clone(),
        _ if value == graph.input => "input".into(),
        _ => format!("value_{value}"),
    }
}

struct Writer {
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    fresh: usize,
    /// Name of the node that is written, and a number for further nodes of the file that it becomes.
    name: (String, usize),
    named: HashSet<String>,
}

impl Writer {
    fn node(&mut self, node: &Node, from: &Shape, to: &Shape, inputs: &[String], output: &str) {
        let x = inputs[..1].to_vec();
        match &node.op {
            Op::Conv { weights, bias, axes, groups } => {
                let weights = [self.tensor(weights), self.floats(&[bias.len()], bias)];
                let mut attributes = windows(axes);
                attributes.push(ints("dilations", &axes.map(|axis| axis.dilation as i64)));
                attributes.push(int("group", *groups as i64));
                self.push("Conv", &[&x[..], &weights].concat(), output, attributes);
            }
            Op::Linear { weights, bias } if from.rank() == 2 => {
                let weights = [self.tensor(weights), self.floats(&[bias.len()], bias)];
                self.push("Gemm", &[&x[..], &weights].concat(), output, vec![int("transB", 1)]);
            }
            Op::Linear { weights, bias } => {
                let (out, depth) = (bias.len(), weights.values.len() / bias.len());
                let turned: Vec<f32> = (0..out * depth).map(|e| weights.values[e % out * depth + e / out]).collect();
                let matrix = self.floats(&[depth, out], &turned);
                let product = self.made("MatMul", &[x[0].clone(), matrix], Vec::new());
                let bias = self.floats(&[out], bias);
                self.push("Add", &[product, bias], output, Vec::new());
            }
            Op::Sum { factors, constant } => self.sum(factors, *constant, inputs, output),
            Op::Affine { scale, shift } => {
                let extents = &from.extents()[1..];
                let each = if scale.len() == extents[0] { [&extents[..1], &vec![1; extents.len() - 1]].concat() } else { extents.to_vec() };
                let scale = self.floats(&each, scale);
                let scaled = self.made("Mul", &[x[0].clone(), scale], Vec::new());
                let shift = self.floats(&each, shift);
                self.push("Add", &[scaled, shift], output, Vec::new());
            }
            Op::Relu => self.push("Relu", &x, output, Vec::new()),
            Op::Clip { low, high } => {
                let mut bound = |bound: f32| if bound.is_finite() { self.floats(&[], &[bound]) } else { String::new() };
                let bounds = [bound(*low), bound(*high)];
                self.push("Clip", &[&x[..], &bounds].concat(), output, Vec::new());
            }
            Op::MaxPool { axes } => {
                let dilations = ints("dilations", &axes.map(|axis| axis.dilation as i64));
                self.push("MaxPool", &x, output, [windows(axes), vec![dilations]].concat());
            }
            Op::AveragePool { axes } => self.average(axes, from, &x, output),
            Op::SumPool { axes } => {
                let mean = self.fresh();
                self.average(axes, from, &x, &mean);
                let taps = self.floats(&[], &[(axes[0].kernel * axes[1].kernel) as f32]);
                self.push("Mul", &[mean, taps], output, Vec::new());
            }
            Op::Concat { axis } => self.push("Concat", inputs, output, vec![int("axis", *axis as i64 + 1)]),
            Op::Select { table, .. } => self.select(table, from, to, &x[0], output),
            Op::Reshape { .. } => self.reshape(&x[0], &to.extents()[1..], output),
        }
    }

    fn sum(&mut self, factors: &[f32], constant: f32, inputs: &[String], output: &str) {
        let mut terms = Vec::new();
        for (input, &factor) in inputs.iter().zip(factors) {
            terms.push(if factor == 1.0 {
                input.clone()
            } else {
                let factor = self.floats(&[], &[factor]);
                self.made("Mul", &[input.clone(), factor], Vec::new())
            });
        }
        if constant != 0.0 {
            terms.push(self.floats(&[], &[constant]));
        }
        self.push(if terms.len() == 2 { "Add" } else { "Sum" }, &terms, output, Vec::new());
    }

    fn average(&mut self, axes: &[Axis; 2], from: &Shape, x: &[String], output: &str) {
        let whole = from.extents()[2..].iter().zip(axes).all(|(&extent, &axis)| axis == Axis { stride: axis.stride, ..Axis::new(extent) });
        match whole {
            true => self.push("GlobalAveragePool", x, output, Vec::new()),
            false => self.push("AveragePool", x, output, [windows(axes), vec![int("count_include_pad", 1)]].concat()),
        }
    }

    /// Flattened, a zero put behind the last element where the table has holes, gathered, reshaped.
    fn select(&mut self, table: &[u32], from: &Shape, to: &Shape, x: &str, output: &str) {
        let row: usize = from.extents()[1..].iter().product();
        let mut flat = self.fresh();
        self.reshape(x, &[row], &flat);
        if table.contains(&NONE) {
            let pads = self.integers(&[0, 0, 0, 1]);
            flat = self.made("Pad", &[flat, pads], Vec::new());
        }
        let places: Vec<i64> = table.iter().map(|&at| if at == NONE { row as i64 } else { i64::from(at) }).collect();
        let places = self.integers(&places);
        let moved = self.made("Gather", &[flat, places], vec![int("axis", 1)]);
        self.reshape(&moved, &to.extents()[1..], output);
    }

    fn reshape(&mut self, x: &str, extents: &[usize], output: &str) {
        // zero keeps the batch
        let to: Vec<i64> = std::iter::once(0).chain(extents.iter().map(|&extent| extent as i64)).collect();
        let to = self.integers(&to);
        self.push("Reshape", &[x.to_owned(), to], output, Vec::new());
    }

    fn push(&mut self, operator: &str, inputs: &[String], output: &str, attribute: Vec<AttributeProto>) {
        let mut name = self.name.0.clone();
        while !self.named.insert(name.clone()) {
            self.name.1 += 1;
            name = format!("{}.{}", self.name.0, self.name.1);
        }
        let mut input = inputs.to_vec();
        while input.last().is_some_and(String::is_empty) {
            input.pop();
        }
        self.nodes.push(NodeProto { input, output: vec![output.into()], name, op_type: operator.into(), attribute, ..Default::default() });
    }

    /// A node whose value gets a fresh name.
    fn made(&mut self, operator: &str, inputs: &[String], attributes: Vec<AttributeProto>) -> String {
        let output = self.fresh();
        self.push(operator, inputs, &output, attributes);
        output
    }

    fn fresh(&mut self) -> String {
        self.fresh += 1;
        format!("between_{}", self.fresh)
    }

    fn tensor(&mut self, tensor: &Tensor) -> String {
        self.floats(tensor.shape.extents(), &tensor.values)
    }

    fn floats(&mut self, extents: &[usize], values: &[f32]) -> String {
        self.initializer(FLOAT, extents, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    fn integers(&mut self, values: &[i64]) -> String {
        self.initializer(INT64, &[values.len()], values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    fn initializer(&mut self, data_type: i32, extents: &[usize], raw_data: Vec<u8>) -> String {
        let name = format!("constant_{}", self.initializers.len());
        let dims = extents.iter().map(|&extent| extent as i64).collect();
        self.initializers.push(TensorProto { dims, data_type, name: name.clone(), raw_data, ..Default::default() });
        name
    }
}

fn windows(axes: &[Axis; 2]) -> Vec<AttributeProto> {
    let [rows, columns] = axes.map(|axis| [axis.pad_begin as i64, axis.pad_end as i64]);
    vec![
        ints("kernel_shape", &axes.map(|axis| axis.kernel as i64)),
        ints("strides", &axes.map(|axis| axis.stride as i64)),
        ints("pads", &[rows[0], columns[0], rows[1], columns[1]]),
    ]
}

/// The types of attributes that are written.
const OF_INT: i32 = 2;
const OF_INTS: i32 = 7;

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, r#type: OF_INT, ..Default::default() }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: ints.to_vec(), r#type: OF_INTS, ..Default::default() }
}

/// A value of so many elements an input of a free batch.
fn info(name: &str, extents: &[usize]) -> ValueInfoProto {
    let batch = DimensionProto { dim_value: None, dim_param: Some("N".into()) };
    let fixed = extents.iter().map(|&extent| DimensionProto { dim_value: Some(extent as i64), dim_param: None });
    let shape = Some(TensorShapeProto { dim: std::iter::once(batch).chain(fixed).collect() });
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(TensorTypeProto { elem_type: FLOAT, shape }) }) }
}
