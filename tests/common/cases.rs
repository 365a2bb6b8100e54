//! The operator cases of the ONNX project: one node, its inputs and its outputs on disk. The first input of floats is secret,
//! the others are numbers of the model.

use prost::Message;
use std::{
    collections::BTreeMap,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};
use trishade::{
    Error,
    device::Device,
    fixed::Fixed,
    nn::{
        Reveal, Session,
        onnx::{self, Options, schema::*},
    },
};

/// What came of a case.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Passed,
    Refused(String),
    Failed(String),
}

/// One case.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub operator: String,
    pub verdict: Verdict,
}

/// Named so that their refusal is seen too.
const REFUSED: [&str; 6] = ["HardSwish", "LRN", "LSTM", "Sigmoid", "Softmax", "Tanh"];

/// Scores may differ by so much, and by so much of their size.
const TOLERANCE: f32 = 2e-4;

/// All cases of supported operators, and of some that are not, in a folder of folders.
pub fn run_all(folder: &Path) -> Result<Vec<Case>, Error> {
    let named = |name: &str| onnx::SUPPORTED.split(", ").any(|one| one.split(' ').next() == Some(name)) || REFUSED.contains(&name);
    let failed = |e: std::io::Error| Error::File(format!("cannot read {}: {e}", folder.display()));
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)?.flatten() {
        let Some(model) = fs::read(entry.path().join("model.onnx")).ok().and_then(|bytes| ModelProto::decode(&bytes[..]).ok()) else {
            continue;
        };
        let nodes = model.graph.as_ref().map_or(&[][..], |graph| &graph.node[..]);
        // functions that the case spells out are other cases
        let [node] = nodes else { continue };
        if !named(&node.op_type) {
            continue;
        }
        let operator = node.op_type.clone();
        let verdict = catch_unwind(AssertUnwindSafe(|| run_case(&entry.path(), &model))).unwrap_or(Verdict::Failed("it panicked".into()));
        let name = entry.file_name().to_string_lossy().into_owned();
        let verdict = match verdict {
            Verdict::Failed(_) if OTHERWISE.contains(&name.as_str()) => {
                Verdict::Refused("onnxruntime and PyTorch agree on other values".into())
            }
            verdict => verdict,
        };
        cases.push(Case { name, operator, verdict });
    }
    cases.sort_by(|a, b| (&a.operator, &a.name).cmp(&(&b.operator, &b.name)));
    Ok(cases)
}

/// Cases whose values are those of the specification's text where onnxruntime and PyTorch agree on others, which models are made with: the
/// corners of an axis are aligned though the scale times its extent is no whole number.
const OTHERWISE: [&str; 1] = ["test_resize_downsample_scales_linear_align_corners"];

/// Passed, refused and failed cases of each operator.
pub fn totals(cases: &[Case]) -> BTreeMap<String, [usize; 3]> {
    let mut totals = BTreeMap::<String, [usize; 3]>::new();
    for case in cases {
        let column = match case.verdict {
            Verdict::Passed => 0,
            Verdict::Refused(_) => 1,
            Verdict::Failed(_) => 2,
        };
        totals.entry(case.operator.clone()).or_default()[column] += 1;
    }
    totals
}

fn run_case(folder: &Path, model: &ModelProto) -> Verdict {
    let (inputs, outputs) = (tensors(folder, "input"), tensors(folder, "output"));
    let Some(secret) = inputs.iter().position(|tensor| numbers(tensor).is_some()) else {
        return Verdict::Refused("no input of floats".into());
    };
    let mut model = model.clone();
    // cases of operators that have not changed since
    model.opset_import.iter_mut().for_each(|opset| opset.version = opset.version.max(7));
    let operator = model.graph.as_ref().and_then(|graph| graph.node.first()).map_or("", |node| &node.op_type);
    if OF_ACTIVATIONS.contains(&operator)
        && let Some((model, all)) = of_all_inputs(&model, &inputs)
    {
        return inference(&model.encode_to_vec(), &all, false).map_or_else(Verdict::Refused, |got| compared(&got, &outputs));
    }
    let Some(graph) = &mut model.graph else { return Verdict::Refused("no graph".into()) };
    // inputs that are left out have no file
    let named = graph.input.iter().map(|input| input.name.clone());
    for (i, (name, tensor)) in named.zip(&inputs).enumerate() {
        if i != secret {
            graph.initializer.push(TensorProto { name, ..tensor.clone() });
        }
    }
    let bytes = model.encode_to_vec();
    let in_batches = inference(&bytes, &inputs[secret], true);
    let got = in_batches.or_else(|first| {
        inference(&bytes, &inputs[secret], false).map_err(|second| if second.contains("expected") { first } else { second })
    });
    match got {
        Err(why) => Verdict::Refused(why),
        Ok(got) => compared(&got, &outputs),
    }
}

/// All outputs of a private inference.
fn inference(model: &[u8], secret: &TensorProto, batched: bool) -> Result<Vec<Vec<f32>>, String> {
    let values = numbers(secret).unwrap_or_default();
    let batch = if batched { secret.dims.first().map_or(1, |&n| n as usize) } else { 1 };
    let run = || -> Result<Vec<Vec<f32>>, Error> {
        let graph = onnx::import_with(model, Options { batched, ..Options::default() })?;
        let device = Device::cpu(1)?;
        let session = Session::new([device.clone(), device.clone(), device], Fixed::default())?;
        let shared = session.load(&graph)?;
        let answer = pollster::block_on(session.infer(&shared, &values, batch.max(1), Reveal::Logits, |_| {}))?;
        let scores = answer.outputs();
        let others = answer.others.into_iter().map(|other| other.values.concat());
        Ok([scores.concat()].into_iter().chain(others).collect())
    };
    run().map_err(|e| e.to_string())
}

fn compared(got: &[Vec<f32>], outputs: &[TensorProto]) -> Verdict {
    for (got, output) in got.iter().zip(outputs) {
        // indices are integers
        let indices = || {
            (output.data_type == 7)
                .then(|| output.raw_data.chunks_exact(8).map(|b| i64::from_le_bytes(std::array::from_fn(|i| b[i])) as f32))
        };
        let Some(want) = numbers(output).or_else(|| Some(indices()?.collect())) else {
            return Verdict::Failed("the expected output holds no numbers".into());
        };
        // what does not depend on the input is given for each item
        let once = output.data_type == 7 && got.len() > want.len() && got.chunks(want.len()).all(|row| row == want);
        let got = if once { &got[..want.len()] } else { got };
        if got.len() != want.len() {
            return Verdict::Failed(format!("{} values where {} are expected", got.len(), want.len()));
        }
        let apart = got.iter().zip(&want).map(|(a, b)| (a - b).abs() - TOLERANCE * b.abs()).fold(0.0, f32::max);
        if apart.is_nan() || apart > TOLERANCE {
            return Verdict::Failed(format!("{apart} apart"));
        }
    }
    Verdict::Passed
}

/// `input_0.pb`, `input_1.pb`, and so on.
fn tensors(folder: &Path, name: &str) -> Vec<TensorProto> {
    let file = |i: usize| fs::read(folder.join(format!("test_data_set_0/{name}_{i}.pb"))).ok();
    (0..).map_while(file).filter_map(|bytes| TensorProto::decode(&bytes[..]).ok()).collect()
}

/// Floats of either size.
fn numbers(tensor: &TensorProto) -> Option<Vec<f32>> {
    let raw = &tensor.raw_data;
    match (tensor.data_type, raw.is_empty()) {
        (1, true) => Some(tensor.float_data.clone()),
        (1, false) => Some(raw.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
        (11, true) => Some(tensor.double_data.iter().map(|&v| v as f32).collect()),
        (10, _) => Some(raw.chunks_exact(2).map(|b| half(u16::from_le_bytes([b[0], b[1]]))).collect()),
        (11, false) => Some(raw.chunks_exact(8).map(|b| f64::from_le_bytes(std::array::from_fn(|i| b[i])) as f32).collect()),
        _ => None,
    }
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let size = match exponent {
        0 => fraction * f32::powi(2.0, -24),
        31 => f32::NAN,
        _ => (1024.0 + fraction) * f32::powi(2.0, exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// Operators whose inputs are all activations.
const OF_ACTIVATIONS: [&str; 7] = ["Add", "Concat", "Max", "Mean", "Min", "Sub", "Sum"];

/// The model with all inputs secret: one input that is split into them.
fn of_all_inputs(model: &ModelProto, inputs: &[TensorProto]) -> Option<(ModelProto, TensorProto)> {
    let graph = model.graph.as_ref()?;
    let parts = inputs.iter().map(numbers).collect::<Option<Vec<Vec<f32>>>>()?;
    let integers = |name: &str, data: Vec<i64>| TensorProto {
        dims: vec![data.len() as i64],
        data_type: 7,
        int64_data: data,
        name: name.into(),
        ..Default::default()
    };
    let node = |op: &str, input: &[&str], output: Vec<String>| NodeProto {
        op_type: op.into(),
        input: input.iter().map(ToString::to_string).collect(),
        output,
        ..Default::default()
    };
    let names: Vec<String> = (0..parts.len()).map(|i| format!("part {i}")).collect();
    let mut nodes = vec![node("Split", &["all", "sizes"], names.clone())];
    let mut initializer = vec![integers("sizes", parts.iter().map(|part| part.len() as i64).collect())];
    for ((part, input), tensor) in names.iter().zip(&graph.input).zip(inputs) {
        let to = format!("{part} shape");
        nodes.push(node("Reshape", &[part, &to], vec![input.name.clone()]));
        initializer.push(integers(&to, tensor.dims.clone()));
    }
    nodes.extend(graph.node.iter().cloned());
    let all = TensorProto { dims: vec![parts.concat().len() as i64], data_type: 1, float_data: parts.concat(), ..Default::default() };
    let dim = all.dims.iter().map(|&n| DimensionProto { dim_value: Some(n), dim_param: None }).collect();
    let tensor_type = Some(TensorTypeProto { elem_type: 1, shape: Some(TensorShapeProto { dim }) });
    let input = vec![ValueInfoProto { name: "all".into(), r#type: Some(TypeProto { tensor_type }) }];
    let graph = GraphProto { node: nodes, initializer, input, ..graph.clone() };
    Some((ModelProto { graph: Some(graph), ..model.clone() }, all))
}
