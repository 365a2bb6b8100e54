//! Models of tests, written node by node.
#![allow(dead_code, reason = "each test uses a part")]

use prost::Message;
use trishade::nn::{
    Graph,
    onnx::{self, schema::*},
    reference,
};

pub fn floats(name: &str, dims: &[i64], data: &[f32]) -> TensorProto {
    TensorProto { dims: dims.to_vec(), data_type: 1, float_data: data.to_vec(), name: name.into(), ..Default::default() }
}

pub fn integers(name: &str, data: &[i64]) -> TensorProto {
    TensorProto { dims: vec![data.len() as i64], data_type: 7, int64_data: data.to_vec(), name: name.into(), ..Default::default() }
}

pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, r#type: 2, ..Default::default() }
}

pub fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: ints.to_vec(), r#type: 7, ..Default::default() }
}

pub fn node(op: &str, input: &[&str], output: &[&str], attribute: Vec<AttributeProto>) -> NodeProto {
    let [input, output] = [input, output].map(|names| names.iter().map(ToString::to_string).collect());
    NodeProto { input, output, name: format!("the {op}"), op_type: op.into(), attribute, ..Default::default() }
}

/// A value of an element type; an extent is a number, or a name, which may be empty.
pub fn info(name: &str, elem_type: i32, extents: &[&str]) -> ValueInfoProto {
    let dimension = |text: &&str| match text.parse() {
        Ok(extent) => DimensionProto { dim_value: Some(extent), dim_param: None },
        Err(_) => DimensionProto { dim_value: None, dim_param: Some(text.to_string()).filter(|name| !name.is_empty()) },
    };
    let shape = Some(TensorShapeProto { dim: extents.iter().map(dimension).collect() });
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(TensorTypeProto { elem_type, shape }) }) }
}

/// A model from inputs to `y`.
pub fn model(input: Vec<ValueInfoProto>, node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
    let graph = GraphProto { node, name: "test".into(), initializer, input, output: vec![info("y", 1, &[])], ..Default::default() };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 17 }];
    ModelProto { ir_version: 8, graph: Some(graph), opset_import, ..Default::default() }
}

pub fn import(model: &ModelProto) -> Result<Graph, String> {
    onnx::import(&model.encode_to_vec()).map_err(|e| e.to_string())
}

/// The first output for each item.
pub fn run(model: &ModelProto, x: &[f32]) -> Vec<f32> {
    let graph = import(model).unwrap();
    reference::run_f32(&graph, x, x.len() / graph.input_size()).unwrap().values
}

/// A .npy file of floats.
pub fn array(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let extents: String = shape.iter().map(|extent| format!("{extent}, ")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({extents}), }}");
    header += &" ".repeat(63 - (header.len() + 10) % 64);
    header.push('\n');
    let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &data].concat()
}
