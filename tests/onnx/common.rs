//! Models of one output a node, and what they give: in floats, in fixed point, on shares.
#![allow(dead_code, reason = "each test uses a part")]

pub use crate::models::{floats, import, int, integers, ints};
use trishade::nn::{Graph, LoweredModel, lower, onnx::schema::*, reference};

pub fn node(op: &str, input: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    let input = input.iter().map(ToString::to_string).collect();
    NodeProto { input, output: vec![output.into()], name: format!("the {op}"), op_type: op.into(), attribute, ..Default::default() }
}

/// A value of these extents; -1 is free.
pub fn info(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = dims.iter().map(|&extent| DimensionProto { dim_value: (extent >= 0).then_some(extent), dim_param: None }).collect();
    let tensor_type = Some(TensorTypeProto { elem_type: 1, shape: Some(TensorShapeProto { dim }) });
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
}

/// A model with these inputs and outputs.
pub fn model(inputs: &[(&str, &[i64])], outputs: &[&str], node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
    let graph = GraphProto {
        node,
        name: "test".into(),
        initializer,
        input: inputs.iter().map(|(name, dims)| info(name, dims)).collect(),
        output: outputs.iter().map(|name| info(name, &[])).collect(),
        ..Default::default()
    };
    let opset = OperatorSetIdProto { domain: String::new(), version: 13 };
    ModelProto { ir_version: 8, graph: Some(graph), opset_import: vec![opset], ..Default::default() }
}

/// All outputs for items, which the reference in floats and the one in fixed point agree on.
pub fn outcome(graph: &Graph, items: &[f32]) -> Vec<Vec<f32>> {
    let batch = items.len() / graph.input_size();
    let outputs = reference::run_all_f32(graph, items, batch).unwrap();
    let lowered: LoweredModel = lower(graph, Default::default()).unwrap();
    let words = reference::walk_fixed(&lowered, items, batch, |_, _| Ok(())).unwrap();
    let bits = lowered.program.results(batch).unwrap().into_iter().map(|result| result.fraction_bits);
    for ((output, words), bits) in outputs.iter().zip(words).zip(bits) {
        close(&trishade::fixed::decode_all(&words, bits), &output.values, 1e-3);
    }
    outputs.into_iter().map(|output| output.values).collect()
}

/// All outputs of one private inference.
pub fn private(graph: &Graph, items: &[f32]) -> Vec<Vec<f32>> {
    let device = trishade::device::Device::cpu(1).unwrap();
    let session = trishade::nn::Session::new([device.clone(), device.clone(), device], Default::default()).unwrap();
    let model = session.load(graph).unwrap();
    let answer = pollster::block_on(session.infer(&model, items, items.len() / graph.input_size(), Default::default(), |_| {})).unwrap();
    [vec![answer.outputs().concat()], answer.others.iter().map(|other| other.values.concat()).collect()].concat()
}

pub fn close(a: &[f32], b: &[f32], tolerance: f32) {
    let apart = |(a, b): (&f32, &f32)| (a - b).abs() > tolerance * b.abs().max(1.0);
    assert!(a.len() == b.len() && !a.iter().zip(b).any(apart), "{a:?} {b:?}");
}
