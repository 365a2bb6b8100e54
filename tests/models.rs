//! Models from outside the program: what is listed, checked, exported and run, and what is refused.
#![allow(missing_docs, reason = "tests")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};
use trishade::nn::{
    Graph,
    finish::Finish,
    graph::{GraphInput, InputKind},
    onnx,
    ops::{Multiply, Op, Sum},
};

fn trishade(args: &[&str]) -> Output {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("models");
    let mut command = Command::new(env!("CARGO_BIN_EXE_trishade"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).env("XDG_CACHE_HOME", &cache).env("LOCALAPPDATA", &cache);
    command.output().unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", err(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn fails(args: &[&str], code: i32, words: &[&str]) {
    let output = trishade(args);
    let error = err(&output);
    assert_eq!(output.status.code(), Some(code), "{error}");
    words.iter().for_each(|word| assert!(error.contains(word), "'{error}' does not say '{word}'"));
    assert!(!error.contains("panicked"), "{error}");
}

/// A folder of the test's own, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("trishade-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().into()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const LENET: &str = "examples/models/lenet_mnist.onnx";
const DIGITS: &str = "examples/data/mnist100.npy";

#[test]
fn the_zoo_is_listed_exported_and_run() {
    let all = json(&trishade(&["zoo", "list", "--json"]));
    let vgg = all.as_array().unwrap().iter().find(|one| one["name"] == "vgg16").unwrap();
    assert_eq!(vgg["parameters"], 138_357_544);

    let folder = Folder::new("zoo");
    let model = folder.at("squeezenet.onnx");
    let weights = "examples/models/squeezenet1_1.safetensors";
    assert!(trishade(&["zoo", "export", "squeezenet", "--weights", weights, "-o", &model]).status.success());
    let photographs = ["examples/data/chelsea.png", "examples/data/rocket.jpg"];
    let run = |more: &[&str]| {
        trishade(&[&["infer", "--model", &model, "--device", "cpu", "--preprocess", "caffe", "--input"], &photographs[..], more].concat())
    };
    let said = out(&run(&["--classes", "examples/data/imagenet_classes.txt", "--top", "5"]));
    assert!(said.contains("chelsea.png:") && said.contains("Egyptian cat") && said.contains("missile"), "{said}");

    // a folder for each class
    for (class, file) in [("cat", "chelsea.png"), ("launch", "rocket.jpg")] {
        std::fs::create_dir_all(folder.0.join("photographs").join(class)).unwrap();
        std::fs::copy(Path::new("examples/data").join(file), folder.0.join("photographs").join(class).join(file)).unwrap();
    }
    let input = folder.at("photographs");
    let answer = trishade(&["infer", "--model", &model, "--device", "cpu", "--preprocess", "caffe", "--input", &input, "--json"]);
    let answer = json(&answer);
    assert_eq!((&answer["predictions"], &answer["accuracy"]), (&serde_json::json!([285, 733]), &serde_json::json!(0.0)));

    fails(&["zoo", "export", "perceptron", "-o", &model], 1, &["perceptron", "resnet50"]);
    fails(&["zoo", "export", "lenet", "--weights", weights, "-o", &model], 1, &["no names"]);
    fails(&["zoo", "export", "lenet", "-o", &folder.at("no/such/folder.onnx")], 1, &["cannot write"]);
}

#[test]
fn a_model_is_checked_before_it_runs() {
    let check = |more: &[&str]| trishade(&[&["check", LENET, "--json"], more].concat());
    let object = json(&check(&["--calibrate", DIGITS]));
    assert_eq!((&object["rounds"], object["operators"].as_array().unwrap().len()), (&serde_json::json!(34), 5));
    let calibration = &object["calibration"];
    assert_eq!((&calibration["inputs"], &calibration["same_predictions"]), (&serde_json::json!(100), &serde_json::json!(100)));
    assert!(calibration["steps"].as_array().unwrap().iter().all(|step| step["bits"].as_u64().unwrap() < 62));
    // pixels as they are, 255 times as large, leave the range of this many fraction bits
    fails(&["check", LENET, "--fraction-bits", "26", "--preprocess", "raw", "--calibrate", DIGITS], 5, &["conv2", "bits", "fraction bits"]);
    fails(&["check", "examples/data/README.md"], 1, &["not an ONNX model"]);
    fails(&["check", LENET, "--calibrate", "examples/data/chelsea.png", "--preprocess", "caffe"], 1, &["chelsea.png", "grey"]);
}

#[test]
fn values_that_leave_the_range_end_a_run_before_it_begins() {
    // pixels 255 times as large
    let run = |more: &[&'static str]| {
        let start =
            ["infer", "--model", LENET, "--input", DIGITS, "--device", "cpu", "--fraction-bits", "26", "--preprocess", "raw", "--json"];
        [&start[..], more].concat()
    };
    fails(&run(&[]), 5, &["conv2", "bits", "62", "26 fraction bits", "use at most"]);
    assert!(json(&trishade(&run(&["--no-range-check"])))["seconds"]["range_check"].is_null());
    let usual = json(&trishade(&["infer", "--model", LENET, "--input", DIGITS, "--device", "cpu", "--json"]));
    assert!(usual["seconds"]["range_check"].as_f64().unwrap() > 0.0);
    // scores that are not those of floats
    fails(&["check", LENET, "--calibrate", DIGITS, "--tolerance", "1e-9"], 5, &["apart", "more than 0.000000001", "fraction bits"]);
}

#[test]
fn what_does_not_fit_into_memory_is_refused() {
    let infer = |limit: &str| ["infer", "--model", LENET, "--input", DIGITS, "--device", "cpu", "--max-memory", limit].map(String::from);
    let small = infer("50M");
    fails(&small.each_ref().map(String::as_str), 1, &["too little memory", "100", "--max-memory", "--batch"]);
    let enough = infer("2G");
    assert!(trishade(&enough.each_ref().map(String::as_str)).status.success());
    fails(&infer("lots").each_ref().map(String::as_str), 2, &["lots"]);
}

#[test]
fn layers_are_profiled_and_traced() {
    let folder = Folder::new("trace");
    let trace = folder.at("trace.json");
    let output =
        trishade(&["infer", "--model", LENET, "--input", DIGITS, "--device", "cpu", "--batch", "40", "--profile", "--trace", &trace]);
    let said = err(&output);
    assert!(output.status.success() && said.contains("conv 5x5 + maxpool + relu") && said.contains("share"), "{said}");
    let trace: serde_json::Value = serde_json::from_slice(&std::fs::read(&trace).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    for party in 0..3 {
        let spans: Vec<_> = events.iter().filter(|e| e["ph"] == "X" && e["tid"] == party).collect();
        assert!(spans.iter().any(|e| e["name"] == "conv1") && spans.iter().all(|e| e["dur"].as_f64().unwrap() > 0.0));
    }
}

#[test]
fn collections_are_read_as_they_come() {
    let folder = Folder::new("collections");
    // four digits as MNIST's own files hold them
    let digits = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(DIGITS)).unwrap();
    let pixels = &digits[digits.len() - 100 * 784..][..4 * 784];
    let head = |extents: &[u32]| {
        [&[0, 0, 8, extents.len() as u8][..], &extents.iter().flat_map(|e| e.to_be_bytes()).collect::<Vec<u8>>()].concat()
    };
    std::fs::write(folder.0.join("images-idx3-ubyte"), [head(&[4, 28, 28]), pixels.to_vec()].concat()).unwrap();
    std::fs::write(folder.0.join("labels-idx1-ubyte"), [head(&[4]), vec![7, 2, 1, 5]].concat()).unwrap();
    let (images, labels) = (folder.at("images-idx3-ubyte"), folder.at("labels-idx1-ubyte"));
    let answer = json(&trishade(&["infer", "--model", LENET, "--input", &images, "--labels", &labels, "--device", "cpu", "--json"]));
    assert_eq!((&answer["predictions"], &answer["accuracy"]), (&serde_json::json!([7, 2, 1, 0]), &serde_json::json!(0.75)));

    std::fs::write(folder.0.join("two.bin"), [vec![3; 3073], vec![5; 3073]].concat()).unwrap();
    let answer =
        json(&trishade(&["infer", "--model", "zoo:alexnet-cifar10", "--input", &folder.at("two.bin"), "--device", "cpu", "--json"]));
    assert_eq!(answer["predictions"].as_array().unwrap().len(), 2);
    std::fs::write(folder.0.join("broken.png"), b"\x89PNG\r\n\x1a\n and nothing else").unwrap();
    fails(&["infer", "--model", LENET, "--input", &folder.at("broken.png"), "--device", "cpu"], 1, &["broken.png", "damaged image"]);
    fails(&["infer", "--model", LENET, "--input", &folder.at(""), &images, "--device", "cpu"], 1, &[]);
}

/// A .npy file of floats.
fn array(path: &str, shape: &[usize], values: &[f32]) {
    let extents: String = shape.iter().map(|extent| format!("{extent}, ")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({extents}), }}");
    header += &" ".repeat(63 - (header.len() + 10) % 64);
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    let data = values.iter().flat_map(|v| v.to_le_bytes());
    std::fs::write(path, [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes()].concat().into_iter().chain(data).collect::<Vec<u8>>())
        .unwrap();
}

fn infer<'a>(model: &'a str, inputs: &[&'a str]) -> Vec<&'a str> {
    [&["infer", "--model", model, "--device", "cpu", "--json", "--input"], inputs].concat()
}

#[test]
fn several_inputs_are_given_by_their_names() {
    let folder = Folder::new("several");
    let input = |name: &str, extents: &[usize]| GraphInput { name: name.into(), extents: extents.to_vec(), kind: InputKind::Floats };
    let mut graph = Graph::with_inputs(vec![input("a", &[2]), input("b=c", &[1, 2])]);
    let flat = graph.push("flat", Op::reshape(vec![2]), &[1]);
    let product = graph.push("product", Multiply, &[0, flat]);
    let model = folder.at("m.onnx");
    std::fs::write(&model, onnx::export(&graph.with_outputs(&[("y", product)]), "two").unwrap()).unwrap();
    let [a, b, short] = ["a.npy", "b.npy", "short.npy"].map(|name| folder.at(name));
    array(&a, &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    array(&b, &[3, 1, 2], &[2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    array(&short, &[2, 1, 2], &[0.0; 4]);
    let [named_a, named_b, named_short] = [("a", &a), ("b=c", &b), ("b=c", &short)].map(|(name, file)| format!("{name}={file}"));
    let scores = json(&trishade(&infer(&model, &[&named_b, &named_a])))["logits"].clone();
    let scores: Vec<f64> = scores.as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap()).map(|v| v.as_f64().unwrap()).collect();
    for (score, wanted) in scores.iter().zip([2.0, 6.0, 12.0, 20.0, 30.0, 42.0]) {
        assert!((score - wanted).abs() < 1e-3, "{scores:?}");
    }
    fails(&infer(&model, &[&named_a]), 1, &["2 inputs", "a=FILE for (N, 2)", "b=c=FILE for (N, 1, 2)"]);
    fails(&infer(&model, &[&a, &b]), 1, &["each with its name"]);
    fails(&infer(&model, &[&named_a, &named_short]), 1, &["2 items of input 'b=c', but 3 of 'a'"]);
    let checked = trishade(&[&["check", &model, "--calibrate"], &[named_a.as_str(), &named_b][..]].concat());
    assert!(checked.status.success(), "{}", err(&checked));
}

#[test]
fn one_score_is_a_number_and_a_class_where_labels_are_given() {
    let folder = Folder::new("one-score");
    let mut graph = Graph::new(&[1]);
    let shifted = graph.push("shift", Sum { factors: vec![2.0], constant: -1.0 }, &[0]);
    let logit = graph.with_outputs(&[("y", shifted)]);
    let mut sigmoid = logit.clone();
    sigmoid.outputs[0].finish = vec![Finish::Sigmoid];
    let [x, labels] = ["x.npy", "labels-idx1-ubyte"].map(|name| folder.at(name));
    array(&x, &[4, 1], &[0.0, 0.25, 0.75, 1.0]);
    std::fs::write(&labels, [0, 0, 8, 1, 0, 0, 0, 4, 0, 0, 1, 0]).unwrap();
    for (name, graph, scores, from) in [
        ("logit.onnx", logit, [-1.0, -0.5, 0.5, 1.0], "class 1 above 0)"),
        ("sigmoid.onnx", sigmoid, [0.268_941, 0.377_541, 0.622_459, 0.731_059], "class 1 above 0.5)"),
    ] {
        let model = folder.at(name);
        std::fs::write(&model, onnx::export(&graph, "one").unwrap()).unwrap();
        let arguments = ["infer", "--model", &model, "--device", "cpu", "--input", &x, "--labels", &labels];
        let said = trishade(&arguments);
        let said = err(&said) + &out(&said);
        assert!(said.contains("75.00 %") && said.contains(from) && !said.contains("class 0"), "{said}");
        let printed = |i: usize| said.split(&format!("input {i}: ")).nth(1)?.split_whitespace().next()?.parse::<f64>().ok();
        assert!((0..4).all(|i| printed(i).is_some_and(|score| (score - scores[i]).abs() < 1e-4)), "{said}");
        let object = json(&trishade(&[&arguments[..], &["--json"]].concat()));
        assert_eq!((&object["predictions"], &object["accuracy"]), (&serde_json::json!([0, 0, 1, 1]), &serde_json::json!(0.75)));
        assert_eq!(object["probabilities"].is_null(), name == "logit.onnx");
        fails(&[&arguments[..], &["--reveal", "argmax"]].concat(), 1, &["one score", "reveal logits"]);
    }
}
