//! ONNX files: what each operator means, and that no file, however damaged, does more than give an error.

use proptest::prelude::*;
use prost::Message;
use trishade::{
    nn::{
        Graph,
        finish::{Along, Finish},
        onnx::{self, schema::*},
        reference, zoo,
    },
    shape::Shape,
};

fn floats(name: &str, dims: &[i64], data: &[f32]) -> TensorProto {
    TensorProto { dims: dims.to_vec(), data_type: 1, float_data: data.to_vec(), name: name.into(), ..Default::default() }
}

fn integers(name: &str, data: &[i64]) -> TensorProto {
    TensorProto { dims: vec![data.len() as i64], data_type: 7, int64_data: data.to_vec(), name: name.into(), ..Default::default() }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: ints.to_vec(), ..Default::default() }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, ..Default::default() }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f, ..Default::default() }
}

fn node(op: &str, input: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    let input = input.iter().map(ToString::to_string).collect();
    NodeProto { input, output: vec![output.into()], name: format!("the {op}"), op_type: op.into(), attribute, ..Default::default() }
}

fn info(name: &str, dims: &[Option<i64>]) -> ValueInfoProto {
    let dim = dims.iter().map(|&dim_value| DimensionProto { dim_value, dim_param: None }).collect();
    let tensor_type = Some(TensorTypeProto { elem_type: 1, shape: Some(TensorShapeProto { dim }) });
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
}

/// A model from `x` to `y`.
fn model(extents: &[i64], node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
    let dims: Vec<Option<i64>> = std::iter::once(None).chain(extents.iter().map(|&e| Some(e))).collect();
    let graph = GraphProto {
        node,
        name: "test".into(),
        initializer,
        input: vec![info("x", &dims)],
        output: vec![info("y", &[])],
        ..Default::default()
    };
    let opset = OperatorSetIdProto { domain: String::new(), version: 13 };
    ModelProto { ir_version: 8, graph: Some(graph), opset_import: vec![opset], ..Default::default() }
}

fn import(model: &ModelProto) -> Result<Graph, String> {
    onnx::import(&model.encode_to_vec()).map_err(|e| e.to_string())
}

fn run(model: &ModelProto, x: &[f32]) -> Vec<f32> {
    let graph = import(model).unwrap();
    let inner: usize = graph.input_size();
    reference::run_f32(&graph, x, x.len() / inner).unwrap().values
}

#[test]
fn operators_mean_what_onnx_says() {
    let x: Vec<f32> = (1..=8).map(|v| v as f32).collect();
    let image = |op, attributes| run(&model(&[2, 2, 2], vec![node(op, &["x"], "y", attributes)], vec![]), &x);
    assert_eq!(image("GlobalAveragePool", vec![]), [2.5, 6.5]);
    assert_eq!(image("AveragePool", vec![ints("kernel_shape", &[1, 2])]), [1.5, 3.5, 5.5, 7.5]);
    assert_eq!(image("MaxPool", vec![ints("kernel_shape", &[2, 1])]), [3.0, 4.0, 7.0, 8.0]);
    let same =
        vec![ints("kernel_shape", &[2, 2]), AttributeProto { name: "auto_pad".into(), s: b"SAME_UPPER".to_vec(), ..Default::default() }];
    assert_eq!(image("MaxPool", same), [4.0, 4.0, 4.0, 4.0, 8.0, 8.0, 8.0, 8.0]);
    assert_eq!(image("Dropout", vec![float("ratio", 0.5)]), x);
    assert_eq!(image("Identity", vec![]), x);
    assert_eq!(image("Flatten", vec![]), x);

    let parameters = [("s", [1.0, 2.0]), ("b", [0.5, -1.0]), ("m", [1.0, 5.0]), ("v", [3.0, 0.0])];
    let parameters = parameters.map(|(name, values)| floats(name, &[2], &values)).to_vec();
    let nodes = vec![node("BatchNormalization", &["x", "s", "b", "m", "v"], "y", vec![float("epsilon", 1.0)])];
    assert_eq!(run(&model(&[2, 2, 2], nodes, parameters), &x), [0.5, 1.0, 1.5, 2.0, -1.0, 1.0, 3.0, 5.0]);

    let add = |dims: &[i64], data: &[f32]| {
        run(&model(&[2, 2, 2], vec![node("Add", &["c", "x"], "y", vec![])], vec![floats("c", dims, data)]), &x)
    };
    assert_eq!(add(&[2, 1, 1], &[10.0, 20.0]), [11.0, 12.0, 13.0, 14.0, 25.0, 26.0, 27.0, 28.0]);
    assert_eq!(add(&[1], &[1.0])[..2], [2.0, 3.0]);
    assert_eq!(run(&model(&[3], vec![node("Add", &["x", "x"], "y", vec![])], vec![]), &x[..3]), [2.0, 4.0, 6.0]);

    let constant = node(
        "Constant",
        &[],
        "w",
        vec![AttributeProto { name: "value".into(), t: Some(floats("", &[2, 3], &x[..6])), ..Default::default() }],
    );
    assert_eq!(run(&model(&[2], vec![constant, node("MatMul", &["x", "w"], "y", vec![])], vec![]), &[1.0, 10.0]), [41.0, 52.0, 63.0]);
    let gemm = |attributes, dims: &[i64]| {
        let initializers = vec![floats("w", dims, &x[..6]), floats("c", &[3], &[100.0, 200.0, 300.0])];
        run(&model(&[2], vec![node("Gemm", &["x", "w", "c"], "y", attributes)], initializers), &[1.0, 10.0])
    };
    assert_eq!(gemm(vec![], &[2, 3]), [141.0, 252.0, 363.0]);
    assert_eq!(gemm(vec![int("transB", 1), float("alpha", 2.0), float("beta", 0.5)], &[3, 2]), [92.0, 186.0, 280.0]);

    let reshape = |to: &[i64]| import(&model(&[2, 6], vec![node("Reshape", &["x", "to"], "y", vec![])], vec![integers("to", to)]));
    assert_eq!(reshape(&[0, -1]).unwrap().output_shape(3).unwrap(), Shape::new([3, 12]).unwrap());
    assert_eq!(reshape(&[-1, 3, 4]).unwrap().output_shape(3).unwrap(), Shape::new([3, 3, 4]).unwrap());
    assert!(reshape(&[4, 3]).unwrap_err().contains("the Reshape") && reshape(&[-1, -1]).is_err() && reshape(&[0, 5]).is_err());
}

#[test]
fn a_grouped_dilated_convolution() {
    let x: Vec<f32> = (0..18).map(|v| v as f32).collect();
    let attributes = vec![ints("dilations", &[2, 2]), int("group", 2), ints("strides", &[1, 1]), ints("pads", &[0, 0, 1, 1])];
    let weights = floats("w", &[2, 1, 2, 2], &[1.0, 10.0, 100.0, 1000.0, 1.0, 0.0, 0.0, -1.0]);
    let y = run(&model(&[2, 3, 3], vec![node("Conv", &["x", "w"], "y", attributes)], vec![weights]), &x);
    // rows and columns 0 and 2, or beyond the border
    assert_eq!(y, [8620.0, 701.0, 53.0, 4.0, -8.0, 10.0, 12.0, 13.0]);
}

/// All outputs of one private inference, with the functions in the clear that end them.
fn answered(graph: &Graph, x: &[f32]) -> Vec<Vec<f32>> {
    let device = trishade::device::Device::cpu(1).unwrap();
    let session = trishade::nn::Session::new([device.clone(), device.clone(), device], Default::default()).unwrap();
    let model = session.load(graph).unwrap();
    let answer = pollster::block_on(session.infer(&model, x, x.len() / graph.input_size(), Default::default(), |_| {})).unwrap();
    [vec![answer.outputs().concat()], answer.others.iter().map(|other| other.values.concat()).collect()].concat()
}

#[test]
fn functions_at_the_end_are_left_to_the_receiver() {
    let ended = |nodes: Vec<NodeProto>, extents: &[i64]| import(&model(extents, nodes, vec![])).unwrap();
    let softmax = ended(vec![node("Relu", &["x"], "h", vec![]), node("Softmax", &["h"], "y", vec![int("axis", 1)])], &[3]);
    assert_eq!(softmax.outputs[0].finish, [Finish::Softmax(Along { len: 3, inner: 1 })]);
    // of each pixel's two classes, moved and renamed after it; x is two classes of two by three pixels
    let x: Vec<f32> = (0..24).map(|v| (v * 7 % 12) as f32 / 4.0 - 1.0).collect();
    let odds = |n: usize, pixel: usize| {
        let [a, b] = [x[n * 12 + pixel], x[n * 12 + 6 + pixel]].map(f32::exp);
        [a / (a + b), b / (a + b)]
    };
    let wanted =
        |f: &dyn Fn(usize, usize) -> Vec<f32>| (0..2).flat_map(|n| (0..6).flat_map(move |pixel| f(n, pixel))).collect::<Vec<f32>>();
    let pixels = |operator: &str, attributes: Vec<AttributeProto>| {
        let nodes = vec![
            node(operator, &["x"], "p", [vec![int("axis", 1)], attributes].concat()),
            node("Transpose", &["p"], "q", vec![ints("perm", &[0, 2, 3, 1])]),
            node("Identity", &["q"], "y", vec![]),
        ];
        let graph = ended(nodes, &[2, 2, 3]);
        let again = onnx::import(&onnx::export(&graph, "pixels").unwrap()).unwrap();
        let [once, twice] = [&graph, &again].map(|graph| answered(graph, &x).swap_remove(0));
        assert_eq!(once, twice);
        once
    };
    let close = |a: &[f32], b: &[f32]| assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4), "{a:?} {b:?}");
    close(&pixels("Softmax", vec![]), &wanted(&|n, pixel| odds(n, pixel).to_vec()));
    close(&pixels("LogSoftmax", vec![]), &wanted(&|n, pixel| odds(n, pixel).map(f32::ln).to_vec()));
    close(&pixels("ArgMax", vec![int("keepdims", 1)]), &wanted(&|n, pixel| vec![if odds(n, pixel)[1] > 0.5 { 1.0 } else { 0.0 }]));
    // a sigmoid, and a softmax as a further output of the same value
    let mut both = model(&[3], vec![node("Sigmoid", &["x"], "y", vec![]), node("Softmax", &["x"], "p", vec![])], vec![]);
    both.graph.as_mut().unwrap().output.push(info("p", &[]));
    let outputs = answered(&import(&both).unwrap(), &[0.0, 1.0, 3.0]);
    close(&outputs[0], &[0.5, 0.731_058_6, 0.952_574_1]);
    close(&outputs[1], &[0.042_010_07, 0.114_195_2, 0.843_794_8]);
}

#[test]
fn functions_in_the_middle_are_refused_by_name() {
    for (operator, reader) in
        [("Softmax", "Gemm"), ("Sigmoid", "MatMul"), ("LogSoftmax", "Conv"), ("ArgMax", "MaxPool"), ("Tanh", "LeakyRelu")]
    {
        let nodes = vec![node(operator, &["x"], "h", vec![]), node(reader, &["h", "k", "k"], "y", vec![])];
        let nodes = if operator == "ArgMax" { vec![node(operator, &["x"], "h", vec![int("axis", 1)]), nodes[1].clone()] } else { nodes };
        let error = import(&model(&[3], nodes, vec![floats("k", &[1], &[1.0])])).unwrap_err();
        for word in ["'h'", operator, "only at the end"] {
            assert!(error.contains(word), "{operator} {reader}: {error}");
        }
    }
    for operator in ["Softmax", "LogSoftmax", "ArgMax"] {
        let error = import(&model(&[3], vec![node(operator, &["x"], "y", vec![int("axis", 0)])], vec![])).unwrap_err();
        assert!(error.contains("axis of the batch"), "{error}");
    }
}

#[test]
fn errors_say_what_and_where() {
    let says = |nodes, initializers, words: &[&str]| {
        let error = import(&model(&[2, 4, 4], nodes, initializers)).unwrap_err();
        words.iter().for_each(|word| assert!(error.contains(word), "'{error}' does not say '{word}'"));
    };
    says(vec![node("LSTM", &["x"], "y", vec![])], vec![], &["LSTM", "the LSTM", "Supported: Abs, Add"]);
    says(vec![node("Relu", &["x"], "y", vec![int("fancy", 1)])], vec![], &["the Relu", "fancy"]);
    says(vec![node("Relu", &["z"], "y", vec![])], vec![], &["'z'"]);
    says(vec![node("Relu", &["x"], "q", vec![])], vec![], &["output 'y'"]);
    says(vec![node("Conv", &["x", "w"], "y", vec![])], vec![floats("w", &[1, 3, 1, 1], &[0.0; 3])], &["the Conv", "channels do not match"]);
    says(vec![node("Conv", &["x", "w"], "y", vec![])], vec![floats("w", &[1, 2, 5, 5], &[0.0; 50])], &["larger than the padded input"]);
    says(vec![node("Conv", &["x", "w"], "y", vec![])], vec![floats("w", &[1, 2, 1, 1], &[0.0, f32::NAN])], &["'w'", "NaN"]);
    says(vec![node("Conv", &["x", "w"], "y", vec![])], vec![floats("w", &[1, 2, 1, 1], &[0.0; 3])], &["'w'", "2 elements", "3"]);
    says(vec![node("Conv", &["x", "w"], "y", vec![])], vec![floats("w", &[0, 2, 1, 1], &[])], &["'w'", "zero"]);
    says(vec![node("MaxPool", &["x"], "y", vec![ints("kernel_shape", &[0, 1])])], vec![], &["the MaxPool", "at least 1"]);
    says(vec![node("MaxPool", &["x"], "y", vec![ints("kernel_shape", &[i64::MAX, 1])])], vec![], &["kernel_shape"]);
    for function in ["Erf", "LRN", "Mish"] {
        says(vec![node(function, &["x"], "y", vec![])], vec![], &[function, "no protocol computes yet"]);
    }
    // inputs of a batch stay apart
    says(vec![node("Transpose", &["x"], "y", vec![ints("perm", &[1, 0, 2, 3])])], vec![], &["between the inputs of a batch"]);
    says(vec![node("Concat", &["x", "x"], "y", vec![int("axis", 0)])], vec![], &["batch"]);
    says(vec![node("Gather", &["x", "i"], "y", vec![])], vec![integers("i", &[0])], &["batch"]);
    says(vec![node("ReduceMean", &["x"], "y", vec![ints("axes", &[0])])], vec![], &["batch"]);
    says(vec![node("Slice", &["x", "a", "b"], "y", vec![])], vec![integers("a", &[0]), integers("b", &[1])], &["batch"]);
    says(vec![node("Div", &["x", "x"], "y", vec![])], vec![], &["division by an activation"]);
    // the batch of one must not meet another axis of the other
    let flat = || node("Flatten", &["x"], "f", vec![]);
    says(vec![flat(), node("Mul", &["x", "f"], "y", vec![])], vec![], &["broadcast", "batch"]);
    says(vec![flat(), node("MatMul", &["x", "f"], "y", vec![])], vec![], &["two matrices for each input of the batch"]);
    says(vec![flat(), node("Add", &["f", "c"], "y", vec![])], vec![floats("c", &[5, 32], &[1.0; 160])], &["broadcast", "batch"]);
    says(vec![node("Pow", &["x", "e"], "y", vec![])], vec![floats("e", &[1], &[0.5])], &["power of 0.5"]);
    says(vec![node("Tile", &["x", "r"], "y", vec![])], vec![integers("r", &[2, 1, 1, 1])], &["axis of the batch"]);
    says(vec![node("Tile", &["x", "r"], "y", vec![])], vec![integers("r", &[1, 1, 0, 1])], &["positive number of copies"]);
    says(vec![node("Div", &["x", "c"], "y", vec![])], vec![floats("c", &[1], &[0.0])], &["division by zero"]);
    says(vec![node("Gather", &["x", "i"], "y", vec![int("axis", 1)])], vec![integers("i", &[2])], &["outside"]);
    says(vec![node("Expand", &["x", "to"], "y", vec![])], vec![integers("to", &[1, 2, 1 << 40, 4])], &["the Expand"]);
    says(vec![node("Expand", &["x", "to"], "y", vec![])], vec![integers("to", &[1, 1 << 20, 2, 1 << 20, 4])], &["the Expand"]);
    let mut old = model(&[2], vec![node("Relu", &["x"], "y", vec![])], vec![]);
    old.opset_import[0].version = 3;
    assert!(import(&old).unwrap_err().contains("operator set 3"));
    assert!(onnx::import(b"").is_err() && onnx::import(b"\x89PNG\r\n\x1a\n").is_err());
    let free = model(&[-1], vec![node("Relu", &["x"], "y", vec![])], vec![]);
    assert!(import(&free).unwrap_err().contains("free"));
    assert!(onnx::open(std::path::Path::new("/nowhere/at/all.onnx")).unwrap_err().to_string().contains("/nowhere/at/all.onnx"));
}

/// Halves, shifts and joins what two further nodes make.
#[test]
fn arithmetic_between_activations_and_constants() {
    let nodes = vec![
        node("Relu", &["x"], "r", vec![]),
        node("Sub", &["x", "r"], "below", vec![]),
        node("Mul", &["below", "half"], "halved", vec![]),
        node("Sub", &["one", "halved"], "turned", vec![]),
        node("Max", &["turned", "x", "zero"], "larger", vec![]),
        node("Concat", &["larger", "below"], "y", vec![int("axis", 1)]),
    ];
    let numbers = vec![floats("half", &[1, 2, 1], &[0.5, 0.25]), floats("one", &[], &[1.0]), floats("zero", &[], &[0.0])];
    let y = run(&model(&[2, 2], nodes, numbers), &[1.0, -2.0, 8.0, -8.0]);
    assert_eq!(y, [1.0, 2.0, 8.0, 3.0, 0.0, -2.0, 0.0, -8.0]);
}

#[test]
fn reductions_along_any_axes() {
    let x: Vec<f32> = (0..24).map(|i| ((i * 7 + 3) % 11) as f32 / 2.0 - 2.5).collect();
    let fold = |op: &str, values: &[f32]| match op {
        "ReduceSum" => values.iter().sum(),
        "ReduceMean" => values.iter().sum::<f32>() / values.len() as f32,
        "ReduceMax" => values.iter().copied().fold(f32::MIN, f32::max),
        "ReduceMin" => values.iter().copied().fold(f32::MAX, f32::min),
        "ReduceL1" => values.iter().map(|v| v.abs()).sum(),
        _ => values.iter().map(|v| v * v).sum::<f32>(),
    };
    for op in ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceSumSquare"] {
        for axes in [&[1][..], &[2], &[-1], &[1, 2], &[-1, -2, 1]] {
            for keepdims in [0, 1] {
                // the axes are an input of ReduceSum from set 13 on, of the others from 18
                let (input, attributes, constants) = match op {
                    "ReduceSum" => (&["x", "axes"][..], vec![int("keepdims", keepdims)], vec![integers("axes", axes)]),
                    _ => (&["x"][..], vec![int("keepdims", keepdims), ints("axes", axes)], Vec::new()),
                };
                let gone: Vec<usize> = axes.iter().map(|&axis| axis.rem_euclid(4) as usize).collect();
                let rest = |at: [usize; 3]| [1, 2, 3].map(|d| if gone.contains(&d) { 0 } else { at[d - 1] });
                let mut groups = std::collections::BTreeMap::<[usize; 3], Vec<f32>>::new();
                for (e, v) in x.iter().enumerate() {
                    groups.entry(rest([e / 12, e / 4 % 3, e % 4])).or_default().push(*v);
                }
                let expected: Vec<f32> = groups.values().map(|values| fold(op, values)).collect();
                let found = run(&model(&[2, 3, 4], vec![node(op, input, "y", attributes)], constants), &x);
                let apart = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(found.len() == expected.len() && apart < 1e-4, "{op} {axes:?}: {found:?} {expected:?}");
            }
        }
    }
}

#[test]
fn a_batch_that_shapes_are_computed_from() {
    // the way that exporters flatten: the batch from Shape, the rest from -1
    let flatten = |to_second: &str| {
        vec![
            node("Shape", &["x"], "s", vec![]),
            node("Gather", &["s", "zero"], "n", vec![int("axis", 0)]),
            node("Squeeze", &["n"], "one", vec![]),
            node("Unsqueeze", &["one", "zero"], "first", vec![]),
            node("Mul", &["first", to_second], "second", vec![]),
            node("Concat", &["first", "second"], "to", vec![int("axis", 0)]),
            node("Reshape", &["x", "to"], "y", vec![]),
        ]
    };
    let numbers = || vec![integers("zero", &[0]), integers("six", &[6])];
    let mut free = flatten("six");
    free[4] = node("Identity", &["rest"], "second", vec![]);
    let graph = import(&model(&[2, 3], free, [numbers(), vec![integers("rest", &[-1])]].concat())).unwrap();
    assert_eq!(graph.output_shape(5).unwrap(), Shape::new([5, 6]).unwrap());
    // an extent that grows with the batch is no network for all batches
    let error = import(&model(&[2, 3], flatten("six"), numbers())).unwrap_err();
    assert!(error.contains("cannot reshape") && error.contains("batch of one"), "{error}");
}

#[test]
fn outputs_keep_their_names_and_order() {
    let mut m = model(&[2], vec![node("Relu", &["x"], "h", vec![]), node("Neg", &["h"], "y", vec![])], vec![]);
    m.graph.as_mut().unwrap().output.push(info("h", &[]));
    let graph = import(&m).unwrap();
    assert_eq!(graph.outputs.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["y", "h"]);
    let all = reference::run_all_f32(&graph, &[1.0, -2.0], 1).unwrap();
    assert_eq!((&all[0].values[..], &all[1].values[..]), (&[-1.0, 0.0][..], &[1.0, 0.0][..]));
}

#[test]
fn data_beside_the_model() {
    let folder = std::env::temp_dir().join(format!("trishade-import-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let bytes: Vec<u8> = [0.0f32, 2.0, 3.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(folder.join("weights.bin"), bytes).unwrap();
    let opened = |location: &str, offset: &str, length: &str| {
        let entry = |key: &str, value: &str| EntryProto { key: key.into(), value: value.into() };
        let external_data = vec![entry("location", location), entry("offset", offset), entry("length", length)];
        let tensor = TensorProto { dims: vec![2], data_type: 1, name: "w".into(), data_location: 1, external_data, ..Default::default() };
        let bytes = model(&[2], vec![node("Mul", &["x", "w"], "y", vec![])], vec![tensor]).encode_to_vec();
        std::fs::write(folder.join("m.onnx"), &bytes).unwrap();
        assert!(onnx::import(&bytes).unwrap_err().to_string().contains("by its path"));
        onnx::open(&folder.join("m.onnx")).map_err(|e| e.to_string())
    };
    let graph = opened("weights.bin", "4", "8").unwrap();
    assert_eq!(reference::run_f32(&graph, &[1.0, 1.0], 1).unwrap().values, [2.0, 3.0]);
    for (location, offset, length, word) in [
        ("../weights.bin", "4", "8", "inside"),
        ("/etc/passwd", "0", "8", "inside"),
        ("weights.bin", "8", "8", "from 8"),
        ("weights.bin", "0", "12", "takes 8 bytes"),
        ("weights.bin", "-1", "8", "no number"),
        ("nowhere.bin", "0", "8", "nowhere.bin"),
    ] {
        let error = opened(location, offset, length).unwrap_err();
        assert!(error.contains("'w'") && error.contains(word), "{error}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_is_exported_is_imported_again() {
    for name in ["lenet-max", "alexnet-cifar10", "resnet20-cifar10"] {
        let graph = zoo::network(name).unwrap();
        let inner: usize = graph.input_size();
        let x: Vec<f32> = (0..2 * inner).map(|i| (i % 31) as f32 / 31.0).collect();
        let again = onnx::import(&onnx::export(&graph, name).unwrap()).unwrap();
        assert_eq!(again.inputs, graph.inputs);
        let [before, after] = [&graph, &again].map(|graph| reference::run_f32(graph, &x, 2).unwrap());
        let largest = before.values.iter().fold(0.0, |most: f32, v| most.max(v.abs()));
        assert!(before.values.iter().zip(&after.values).all(|(a, b)| (a - b).abs() <= 1e-4 * largest), "{name}");
    }
}

#[test]
fn every_operation_is_exported() {
    use trishade::{
        kernels::gather::NONE,
        nn::{Graph, Tensor, ops::*},
        shape::Axis,
    };
    let axes = [Axis { stride: 2, ..Axis::new(2) }, Axis { pad_begin: 1, ..Axis::new(3) }];
    let none: &[(&[usize], f32)] = &[];
    /// Extents and value of a constant.
    type Constant<'a> = (&'a [usize], f32);
    let operations: [(Op, usize, &[Constant<'_>]); 24] = [
        (Sum { factors: vec![0.5, -2.0], constant: 0.25 }.into(), 2, none),
        (Affine.into(), 1, &[(&[2], 2.0), (&[2], 0.5)]),
        (Affine.into(), 1, &[(&[32], 0.5), (&[32], 0.25)]),
        (Relu.into(), 1, none),
        (Clip { low: f32::NEG_INFINITY, high: 0.5 }.into(), 1, none),
        (Clip { low: -0.5, high: f32::INFINITY }.into(), 1, none),
        (MaxPool { axes }.into(), 1, none),
        (AveragePool { axes }.into(), 1, none),
        (AveragePool { axes: [Axis::new(4), Axis::new(4)] }.into(), 1, none),
        (SumPool { axes, halvings: 1 }.into(), 1, none),
        (Concat { axis: 2 }.into(), 2, none),
        (Op::gather(vec![3], [NONE, 31, 0].into()), 1, none),
        (Multiply.into(), 2, none),
        (Gate.into(), 2, none),
        (Sum::of_two().into(), 1, &[(&[2], 0.5)]),
        (Sum { factors: vec![1.0, -2.0], constant: 0.5 }.into(), 1, &[(&[32], 0.25)]),
        (MatMul { transposed: true }.into(), 1, &[(&[3, 4], 1.5), (&[3], 0.5)]),
        (MatMul { transposed: false }.into(), 2, none),
        (Conv { axes: [Axis::new(3), Axis { pad_end: 1, ..Axis::new(2) }], groups: 2 }.into(), 1, &[(&[4, 1, 3, 2], 0.5), (&[4], 1.0)]),
        (Op::reshape(vec![32]), 1, none),
        (Tile { repeats: vec![2, 1, 3] }.into(), 1, none),
        (Reduce { axes: vec![0, 2], reduction: Reduction::Sum }.into(), 1, none),
        (Reduce { axes: vec![1], reduction: Reduction::Mean }.into(), 1, none),
        (Reduce { axes: vec![0, 1, 2], reduction: Reduction::Max }.into(), 1, none),
    ];
    let x: Vec<f32> = (0..96).map(|i| (i % 7) as f32 - 3.0).collect();
    for (op, inputs, tensors) in operations {
        let mut graph = Graph::new(&[2, 4, 4]);
        let mut inputs = vec![0; inputs];
        for (extents, step) in tensors {
            let values = (0..extents.iter().product::<usize>()).map(|i| 1.0 - step * i as f32).collect();
            inputs.push(graph.constant(Tensor::new(*extents, values).unwrap()));
        }
        let y = graph.push(op.kind(), op.clone(), &inputs);
        let graph = graph.with_outputs(&[("y", y)]);
        let again = onnx::import(&onnx::export(&graph, "one").unwrap()).unwrap();
        let [before, after] = [&graph, &again].map(|graph| reference::run_f32(graph, &x, 3).unwrap());
        assert_eq!(before.shape, after.shape, "{op:?}");
        assert!(before.values.iter().zip(&after.values).all(|(a, b)| (a - b).abs() <= 1e-4), "{op:?}");
    }
}

fn small() -> Vec<u8> {
    let nodes = vec![
        node("Conv", &["x", "w"], "h", vec![ints("pads", &[1, 1, 1, 1]), int("group", 1)]),
        node("BatchNormalization", &["h", "s", "s", "s", "s"], "n", vec![]),
        node("MaxPool", &["n"], "p", vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])]),
        node("Reshape", &["p", "to"], "f", vec![]),
        node("Gemm", &["f", "m", "c"], "y", vec![int("transB", 1)]),
    ];
    let initializers = vec![
        floats("w", &[2, 2, 3, 3], &[0.5; 36]),
        floats("s", &[2], &[1.0, 2.0]),
        integers("to", &[0, -1]),
        floats("m", &[3, 8], &[0.25; 24]),
        floats("c", &[3], &[0.0; 3]),
    ];
    model(&[2, 4, 4], nodes, initializers).encode_to_vec()
}

#[test]
fn every_prefix_of_a_model_is_an_error_or_a_model() {
    let whole = small();
    assert!(onnx::import(&whole).is_ok());
    for end in 0..whole.len() {
        // protobuf has no total length: a prefix that ends between fields may be a smaller model
        let _ = onnx::import(&whole[..end]).map(|graph| graph.shapes(2).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_models_do_not_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = small();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(graph) = onnx::import(&bytes) {
            let _ = graph.shapes(3);
            let _ = trishade::nn::lower(&graph, trishade::fixed::Fixed::default());
        }
    }

    #[test]
    fn any_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = onnx::import(&bytes);
    }
}

fn text(name: &str, s: &str) -> AttributeProto {
    AttributeProto { name: name.into(), s: s.as_bytes().to_vec(), ..Default::default() }
}

/// Positions that a resize of 0, 1, 2, .. takes along one axis: it is linear in them.
fn positions(version: i64, extent: i64, scale: f32, attributes: &[(&str, &str)]) -> Vec<f32> {
    let attributes = attributes.iter().map(|(name, s)| text(name, s)).collect();
    let inputs: &[&str] = if version < 11 { &["x", "s"] } else { &["x", "", "s"] };
    let mut resize =
        model(&[1, 1, extent], vec![node("Resize", inputs, "y", attributes)], vec![floats("s", &[4], &[1.0, 1.0, 1.0, scale])]);
    resize.opset_import[0].version = version;
    run(&resize, &(0..extent).map(|v| v as f32).collect::<Vec<_>>())
}

#[test]
fn a_resize_takes_the_positions_of_the_field() {
    let mode = |mode, nearest, coordinates| [("mode", mode), ("nearest_mode", nearest), ("coordinate_transformation_mode", coordinates)];
    let close = |found: Vec<f32>, wanted: Vec<f32>| {
        assert_eq!(found.len(), wanted.len());
        assert!(found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {wanted:?}");
    };
    // 0.7 of 10 is 7 as floats multiply, though 0.7 as a float is less
    assert_eq!(positions(13, 10, 0.7, &mode("nearest", "floor", "asymmetric")).len(), 7);
    // the corners are aligned whatever was cut off of 1.5 x 9 = 13.5
    let corners = |from: i64, to: i64| (0..to).map(|o| (o * (from - 1)) as f32 / (to - 1) as f32).collect::<Vec<f32>>();
    close(positions(13, 9, 1.5, &mode("linear", "floor", "align_corners")), corners(9, 13));
    close(positions(13, 6, 2.7, &mode("linear", "floor", "align_corners")), corners(6, 16));
    close(positions(13, 7, 0.3, &mode("linear", "floor", "align_corners")), corners(7, 2));
    // operator set 10: the element after the position where it reduces, the one before where it enlarges
    assert_eq!(positions(10, 4, 0.6, &[("mode", "nearest")]), [0.0, 2.0]);
    assert_eq!(positions(10, 3, 1.5, &[("mode", "nearest")]), [0.0, 0.0, 1.0, 2.0]);
    close(positions(13, 4, 2.0, &mode("linear", "floor", "half_pixel")), vec![0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0]);
    let cubic = |attributes: &[(&str, &str)]| {
        let attributes = attributes.iter().map(|(name, s)| text(name, s)).collect();
        let resize = node("Resize", &["x", "", "s"], "y", attributes);
        import(&model(&[1, 1, 4], vec![resize], vec![floats("s", &[4], &[1.0, 1.0, 1.0, 2.0])])).unwrap_err()
    };
    assert!(cubic(&[("mode", "cubic")]).contains("mode = cubic"));
}

#[test]
fn what_exporters_leave_in_a_model_is_read() {
    let x = [1.0, -2.0, 3.0];
    // an output that nothing reads
    let mut dropout = node("Dropout", &["x"], "y", vec![float("ratio", 0.5)]);
    dropout.output.push("mask".into());
    assert_eq!(run(&model(&[3], vec![dropout.clone()], vec![]), &x), x);
    let mut read = model(&[3], vec![dropout], vec![]);
    read.graph.as_mut().unwrap().output.push(info("mask", &[]));
    assert!(import(&read).unwrap_err().contains("'mask'"));
    // newer operator sets, and those that are not there yet
    for (version, fits) in [(6, false), (7, true), (23, true), (28, true), (29, false)] {
        let mut relu = model(&[3], vec![node("Relu", &["x"], "y", vec![])], vec![]);
        relu.opset_import[0].version = version;
        assert_eq!(import(&relu).map_err(|e| assert!(e.contains("version_converter"), "{e}")).is_ok(), fits, "{version}");
    }
    // ends of the floats as bounds
    let bounds = |low: f32, high: f32| vec![floats("low", &[], &[low]), floats("high", &[], &[high])];
    let clip = |low, high| model(&[3], vec![node("Clip", &["x", "low", "high"], "y", vec![])], bounds(low, high));
    assert_eq!(run(&clip(f32::MIN, f32::MAX), &x), x);
    let lowered = trishade::nn::lower(&import(&clip(f32::MIN, 2.0)).unwrap(), trishade::fixed::Fixed::default()).unwrap();
    assert_eq!(trishade::nn::reference::run_fixed(&lowered, &x, 1).unwrap(), [1.0, -2.0, 2.0]);
}

#[test]
fn pads_of_minus_infinity_are_those_of_a_maximum() {
    let x: Vec<f32> = (0..16).map(|v| (v * 5 % 16) as f32 - 20.0).collect();
    let pads = |value: f32| vec![integers("p", &[0, 0, 1, 0, 0, 0, 0, 1]), floats("v", &[], &[value])];
    let nodes = |op: &str| {
        let attributes = vec![ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2]), int("ceil_mode", 1)];
        vec![node("Pad", &["x", "p", "v"], "q", vec![]), node(op, &["q"], "y", attributes)]
    };
    let framed = run(&model(&[1, 4, 4], nodes("MaxPool"), pads(f32::NEG_INFINITY)), &x);
    // a number less than all says the same in a sum
    let padded = run(&model(&[1, 4, 4], nodes("MaxPool"), pads(-1000.0)), &x);
    assert_eq!(framed, padded);
    assert_eq!(framed, run(&model(&[1, 4, 4], nodes("MaxPool"), pads(f32::MIN)), &x));
    let error = import(&model(&[1, 4, 4], nodes("AveragePool"), pads(f32::NEG_INFINITY))).unwrap_err();
    assert!(error.contains("before a MaxPool"), "{error}");
}

#[test]
fn branches_masks_and_compressed_weights_of_constants() {
    let x = [1.0, -2.0, 3.0];
    let branch = |name: &str, op: &str| {
        let graph = GraphProto { node: vec![node(op, &["x"], "inner", vec![])], output: vec![info("inner", &[])], ..Default::default() };
        AttributeProto { name: name.into(), g: Some(Box::new(graph)), ..Default::default() }
    };
    for (condition, wanted) in [(1, [1.0, 0.0, 3.0]), (0, [-1.0, 2.0, -3.0])] {
        let taken = node("If", &["c"], "y", vec![branch("then_branch", "Relu"), branch("else_branch", "Neg")]);
        assert_eq!(run(&model(&[3], vec![taken], vec![integers("c", &[condition])]), &x), wanted);
    }
    let computed = node("If", &["x"], "y", vec![branch("then_branch", "Relu"), branch("else_branch", "Neg")]);
    assert!(import(&model(&[3], vec![computed], vec![])).unwrap_err().contains("constant condition"));

    let masked = |yes: &str, no: &str| {
        let mask = TensorProto { data_type: 9, ..integers("m", &[1, 0, 1]) };
        let mask = TensorProto { int32_data: vec![1, 0, 1], int64_data: vec![], ..mask };
        run(&model(&[3], vec![node("Where", &["m", yes, no], "y", vec![])], vec![mask, floats("k", &[3], &[7.0, 8.0, 9.0])]), &x)
    };
    assert_eq!(masked("x", "k"), [1.0, 8.0, 3.0]);
    assert_eq!(masked("k", "x"), [7.0, -2.0, 9.0]);
    assert_eq!(masked("x", "x"), x);

    let weights = |name: &str| TensorProto {
        dims: vec![3, 2],
        data_type: 3,
        raw_data: vec![1, 255, 2, 0, 128, 5],
        name: name.into(),
        ..Default::default()
    };
    let product = |scale: TensorProto, zero: Option<TensorProto>, attributes| {
        let inputs: &[&str] = if zero.is_some() { &["q", "s", "z"] } else { &["q", "s"] };
        let nodes = vec![node("DequantizeLinear", inputs, "w", attributes), node("MatMul", &["x", "w"], "y", vec![])];
        run(&model(&[3], nodes, [vec![weights("q"), scale], zero.into_iter().collect()].concat()), &x)
    };
    // weights (1, -1), (2, 0), (-128, 5)
    assert_eq!(product(floats("s", &[], &[0.5]), None, vec![]), [-193.5, 7.0]);
    let zero = TensorProto { dims: vec![2], data_type: 3, raw_data: vec![1, 255], name: "z".into(), ..Default::default() };
    assert_eq!(product(floats("s", &[2], &[0.5, 2.0]), Some(zero), vec![int("axis", 1)]), [-194.5, 32.0]);

    let mut sparse = model(&[3], vec![node("MatMul", &["x", "w"], "y", vec![])], vec![]);
    let tensor = |indices: TensorProto| SparseTensorProto {
        values: Some(floats("w", &[2], &[10.0, 100.0])),
        indices: Some(indices),
        dims: vec![3, 2],
    };
    let pairs = TensorProto { dims: vec![2, 2], ..integers("", &[0, 1, 2, 0]) };
    for (indices, fits) in [
        (integers("", &[1, 4]), true),
        (pairs, true),
        (integers("", &[1, 6]), false),
        (integers("", &[-1, 4]), false),
        (integers("", &[1]), false),
    ] {
        sparse.graph.as_mut().unwrap().sparse_initializer = vec![tensor(indices)];
        match fits {
            true => assert_eq!(run(&sparse, &x), [300.0, 10.0]),
            false => assert!(import(&sparse).unwrap_err().contains("sparse tensor 'w'")),
        }
    }
}
