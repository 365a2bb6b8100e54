//! The program from outside: its output, its exit codes, its words.
#![allow(missing_docs, reason = "tests")]

mod common;

use prost::Message;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};
use trishade::nn::onnx::schema::*;

const MODEL: &str = "examples/models/lenet_mnist.onnx";
const IMAGES: &str = "examples/data/mnist100.npy";
const LABELS: &str = "examples/data/mnist100_labels.npy";

fn trishade(args: &[&str]) -> Output {
    with_cache("cache", args)
}

/// With a cache directory of the tests' own.
fn with_cache(folder: &str, args: &[&str]) -> Output {
    let cache = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
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

/// A file with these bytes, gone when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("trishade-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    header.push_str(&" ".repeat(63 - (10 + header.len()) % 64));
    header.push('\n');
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

#[test]
fn the_demo_reads_its_digits() {
    let output = trishade(&["demo", "--device", "cpu"]);
    let text = err(&output);
    assert!(output.status.success(), "{text}");
    for word in ["private 7  plain 7", "same as the plain network  100 of 100", "rounds", "three parties in one process"] {
        assert!(text.contains(word), "{text}");
    }
    assert!(!text.contains('\x1b'), "no colour where there is no terminal");
}

#[test]
fn infer_prints_one_json_object() {
    let output =
        trishade(&["infer", "--model", MODEL, "--input", IMAGES, "--labels", LABELS, "--device", "cpu", "--batch", "64", "--json"]);
    let object = json(&output);
    assert_eq!(object["predictions"].as_array().unwrap().len(), 100);
    assert_eq!(object["logits"][99].as_array().unwrap().len(), 10);
    assert!(object["accuracy"].as_f64().unwrap() >= 0.98);
    assert_eq!((object["parties"].as_u64(), object["device"].as_str()), (Some(3), Some("cpu")));
    assert_eq!(object["rounds"].as_u64(), Some(68), "two batches");
    for key in ["share", "compute", "reveal", "total"] {
        assert!(object["seconds"][key].as_f64().unwrap() >= 0.0);
    }
    assert_eq!(object["bytes_sent"].as_array().unwrap().len(), 3);
    assert!(object["bytes_from_owners"].as_u64().unwrap() > 431_080 * 8);
}

#[test]
fn infer_reveals_only_the_class_if_asked() {
    let output =
        trishade(&["infer", "--model", MODEL, "--input", IMAGES, "--labels", LABELS, "--device", "cpu", "--reveal", "argmax", "--json"]);
    let object = json(&output);
    assert_eq!(object["predictions"][0].as_u64(), Some(7));
    assert_eq!(object["logits"].as_array().unwrap().len(), 0);
    assert!(object["accuracy"].as_f64().unwrap() >= 0.98);
}

#[test]
fn infer_gives_the_same_with_every_sign() {
    let answers = ["six", "five", "short", "auto"]
        .map(|sign| json(&trishade(&["infer", "--model", MODEL, "--input", IMAGES, "--device", "cpu", "--sign", sign, "--json"])));
    assert!(answers.iter().all(|answer| answer["predictions"] == answers[0]["predictions"]));
    let rounds = answers.map(|answer| answer["rounds"].as_u64().unwrap());
    assert!(rounds[0] > rounds[1] && rounds[1] > rounds[2] && rounds[1] == rounds[3], "{rounds:?}");
}

#[test]
fn infer_for_people_writes_results_to_standard_output() {
    let output = trishade(&["infer", "--model", MODEL, "--input", IMAGES, "--labels", LABELS, "--device", "cpu", "--threads", "1"]);
    assert!(output.status.success() && output.stdout.starts_with(b"input 0: class 7 "));
    assert!(err(&output).contains("accuracy") && !err(&output).contains("input 0"), "{}", err(&output));
}

#[test]
fn plan_says_what_infer_costs() {
    let plan = json(&trishade(&["plan", "--model", MODEL, "--json"]));
    assert_eq!(plan["rounds"].as_u64(), Some(34));
    assert_eq!(plan["layers"].as_array().unwrap().len(), 5);
    assert_eq!(plan["signs"]["five"].as_u64(), Some(9));
    let far = json(&trishade(&["plan", "--model", MODEL, "--json", "--net", "wan"]));
    assert!(far["rounds"].as_u64() < Some(34) && far["signs"]["short"].as_u64() > Some(0), "{far}");
    let short = json(&trishade(&["plan", "--model", MODEL, "--json", "--sign", "short"]));
    assert_eq!(short["signs"]["short"].as_u64(), Some(9));
    let text = out(&trishade(&["plan", "--model", MODEL, "--batch", "10"]));
    assert!(text.contains("conv 5x5 + maxpool + relu") && text.contains("memory"), "{text}");
}

#[test]
fn the_cpu_passes_its_selftest() {
    let output = trishade(&["selftest", "--device", "cpu"]);
    assert!(output.status.success() && out(&output).contains("ok"), "{}", err(&output));
}

/// Whether the tests are to run on a GPU, and which: `TRISHADE_GPU`, else Mesa's software Vulkan.
fn gpu() -> Option<String> {
    let name = std::env::var("TRISHADE_GPU").unwrap_or("llvmpipe".into());
    let list = json(&trishade(&["devices", "--json"]));
    let there = list.as_array().unwrap().iter().any(|d| d["name"].as_str().unwrap().to_lowercase().contains(&name.to_lowercase()));
    assert!(there || std::env::var("TRISHADE_REQUIRE_GPU").is_err(), "no adapter {name} and TRISHADE_REQUIRE_GPU is set");
    if !there {
        println!("skipped: no adapter {name}");
    }
    there.then_some(name)
}

#[test]
fn a_gpu_passes_its_selftest_and_gives_the_same_predictions() {
    let Some(name) = gpu() else { return };
    let output = trishade(&["selftest", "--device", &name]);
    assert!(output.status.success() && out(&output).contains("32-bit halves"), "{}", err(&output));
    let predictions = |device: &str| {
        json(&trishade(&["infer", "--model", MODEL, "--input", IMAGES, "--labels", LABELS, "--device", device, "--json"]))["predictions"]
            .clone()
    };
    assert_eq!(predictions(&name), predictions("cpu"));
}

#[test]
fn bench_prints_rows_and_compares_them() {
    let args = ["bench", "micro", "--device", "cpu", "--threads", "1", "-r", "2", "--filter", "relu 100", "--net", "lan", "-o", "json"];
    let output = trishade(&args);
    let file = json(&output);
    let row = &file["rows"][0];
    assert_eq!((file["schema"].as_u64(), row["case"].as_str(), row["rounds"].as_u64()), (Some(1), Some("relu"), Some(4)));
    assert_eq!(row["sign"].as_str(), Some("auto: short"));
    assert!(row["seconds_min"].as_f64().unwrap() >= 4.0 * 0.2e-3, "four rounds of the network's latency");
    let old = Scratch::new("bench.json", &output.stdout);
    let again =
        trishade(&["bench", "micro", "--device", "cpu", "--threads", "1", "-r", "1", "--filter", "relu 100", "--compare", old.path()]);
    let text = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(again.status.success() && text.contains("| relu | 100 | auto: five |"), "{text}");
    let all = trishade(&[
        "bench",
        "micro",
        "--device",
        "cpu",
        "--threads",
        "1",
        "-r",
        "1",
        "--filter",
        "relu 100",
        "--sign",
        "all",
        "-o",
        "json",
    ]);
    let file = json(&all);
    let signs: Vec<_> = file["rows"].as_array().unwrap().iter().map(|row| row["sign"].as_str().unwrap()).take(4).collect();
    assert_eq!(signs, ["six", "five", "short", "auto: five"]);
    fails(&["bench", "micro", "--device", "cpu", "--filter", "nothing of that name"], 2, &["no case"]);
    fails(&["bench", "--device", "cpu", "--compare", MODEL], 1, &["not JSON"]);
}

#[test]
fn devices_name_the_cpu() {
    let list = json(&trishade(&["devices", "--json"]));
    assert_eq!(list[0]["name"].as_str(), Some("cpu"));
    assert!(trishade(&["devices"]).status.success());
}

#[test]
fn adapters_are_listed_without_complaints_of_their_drivers() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trishade"));
    let output = command.arg("devices").env_remove("XDG_RUNTIME_DIR").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", err(&output));
}

#[track_caller]
fn fails(args: &[&str], code: i32, words: &[&str]) {
    let output = trishade(args);
    let text = err(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    assert!(output.stdout.is_empty());
    words.iter().for_each(|word| assert!(text.contains(word), "'{text}' does not say '{word}'"));
    assert!(!text.contains("panicked"), "{text}");
}

fn infer_fails(model: &str, input: &str, more: &[&str], code: i32, words: &[&str]) {
    fails(&[&["infer", "--device", "cpu", "--model", model, "--input", input], more].concat(), code, words);
}

#[test]
fn bad_input_is_one_clear_error() {
    fails(&["dance"], 2, &["dance"]);
    infer_fails("/nowhere.onnx", IMAGES, &[], 1, &["/nowhere.onnx"]);
    infer_fails(MODEL, "/nowhere.npy", &[], 1, &["/nowhere.npy"]);
    infer_fails(IMAGES, IMAGES, &[], 1, &["not an ONNX model"]);
    infer_fails(MODEL, MODEL, &[], 1, &["not a file of a kind that is known", ".npy"]);
    infer_fails(MODEL, IMAGES, &["--labels", IMAGES], 1, &["78400 labels for 100 inputs"]);
    let whole = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(MODEL)).unwrap();
    let half = Scratch::new("half.onnx", &whole[..whole.len() / 2]);
    infer_fails(half.path(), IMAGES, &[], 1, &["half.onnx", "damaged"]);
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for command in ["infer", "plan", "check"] {
        fails(&[command], 2, &["--model"]);
        let others: &[&str] = if command == "infer" { &["--input", IMAGES] } else { &[] };
        fails(&[&[command, MODEL, "--model", MODEL], others].concat(), 2, &["cannot be used with"]);
        let with = |more: &[&'static str]| [&[command, MODEL], others, more].concat();
        fails(&with(&["--batch", "0"]), 2, &["--batch", "0"]);
        fails(&with(&["--fraction-bits", "40"]), 2, &["40", "8..=26"]);
        fails(&[&[command, "zoo:perceptron"], others].concat(), 2, &["perceptron", "resnet50"]);
    }
    fails(&["infer", MODEL, "--input", IMAGES, "--top", "0"], 2, &["--top"]);
    fails(&["infer", MODEL, "--input", IMAGES, "--max-memory", "much"], 2, &["much"]);
    fails(&["plan", MODEL, "--range-bits", "1:0"], 2, &["LOW:HIGH"]);
    fails(&["bench", "--device", "cpu", "--filter", "no such case"], 2, &["no such case"]);
    fails(&["bench", "-r", "0"], 2, &["-r"]);
    fails(&["doctor", "--cluster", "cluster.toml", "--timeout=-1"], 2, &["--timeout"]);
}

#[test]
fn a_model_is_given_by_its_place_or_by_name() {
    for command in ["plan", "check"] {
        let by = |args: &[&str]| json(&trishade(&[&[command, "--json"], args].concat()));
        assert_eq!(by(&[MODEL]), by(&["--model", MODEL]));
    }
    let by = |args: &[&str]| json(&trishade(&[&["infer", "--json", "--device", "cpu", "--input", IMAGES], args].concat()));
    assert_eq!(by(&["--model", MODEL])["predictions"], by(&["--batch", "50", MODEL])["predictions"]);
}

/// A model from `x` of four numbers an item to `y`.
fn model(nodes: &[(&str, &str, &str)]) -> Vec<u8> {
    let info = |name: &str, extents: &[Option<i64>]| ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: 1,
                shape: Some(TensorShapeProto {
                    dim: extents.iter().map(|&dim_value| DimensionProto { dim_value, dim_param: None }).collect(),
                }),
            }),
        }),
    };
    let node = |&(op_type, input, output): &(&str, &str, &str)| NodeProto {
        input: vec![input.into()],
        output: vec![output.into()],
        name: format!("node {output}"),
        op_type: op_type.into(),
        ..Default::default()
    };
    let graph = GraphProto {
        node: nodes.iter().map(node).collect(),
        input: vec![info("x", &[None, Some(4)])],
        output: vec![info("y", &[])],
        ..Default::default()
    };
    let opset = OperatorSetIdProto { domain: String::new(), version: 17 };
    ModelProto { ir_version: 8, graph: Some(graph), opset_import: vec![opset], ..Default::default() }.encode_to_vec()
}

#[test]
fn check_tells_all_that_keeps_a_model_from_running_and_infer_agrees() {
    let nodes = [("Relu", "x", "a"), ("Erf", "a", "b"), ("Relu", "b", "c"), ("Erf", "c", "d"), ("LRN", "d", "e"), ("CumSum", "x", "y")];
    let file = Scratch::new("blocked.onnx", &model(&nodes));
    let output = trishade(&["check", file.path(), "--json"]);
    assert_eq!(output.status.code(), Some(5), "{}", err(&output));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let blockers = found["blockers"].as_array().unwrap();
    let told: Vec<_> = blockers.iter().map(|b| (b["operator"].as_str().unwrap(), b["nodes"].as_u64().unwrap())).collect();
    assert_eq!(told, [("Erf", 2), ("LRN", 1), ("CumSum", 1)]);
    let supported = |name: &str| found["operators"].as_array().unwrap().iter().any(|o| o["operator"] == name && o["supported"] == true);
    assert!(supported("Relu") && !supported("Erf") && !supported("CumSum"));
    // the same for people: the list on standard output, the verdict on standard error
    let output = trishade(&["check", file.path()]);
    let list = out(&output);
    for word in ["node b' and 1 more", "HardSwish", "BatchNormalization", "constants only"] {
        assert!(list.contains(word), "'{list}' does not say '{word}'");
    }
    assert!(err(&output).contains("3 reasons"));
    // infer stops at the first of them
    infer_fails(file.path(), IMAGES, &[], 1, &["node b", "HardSwish"]);
    let file = Scratch::new("whole.onnx", &model(&[("Relu", "x", "y")]));
    assert_eq!(json(&trishade(&["check", file.path(), "--json"]))["blockers"], serde_json::json!([]));
    // what is found only when all is read
    let file = Scratch::new("open.onnx", &model(&[("Relu", "x", "z")]));
    let output = trishade(&["check", file.path()]);
    assert!(output.status.code() == Some(5) && String::from_utf8_lossy(&output.stdout).contains("no node makes the output 'y'"));
}

#[test]
fn the_networks_are_listed_without_making_their_weights() {
    let list = json(&trishade(&["zoo", "list", "--json"]));
    let resnet = list.as_array().unwrap().iter().find(|one| one["name"] == "resnet50").unwrap();
    assert_eq!(resnet["input"], serde_json::json!([3, 224, 224]));
    assert!(resnet["parameters"].as_u64().unwrap() > 25_000_000);
}

#[test]
fn bad_arrays_are_one_clear_error() {
    let bytes = |v: f32| v.to_le_bytes().repeat(784);
    let cases: [(&str, Vec<u8>, &[&str]); 9] = [
        ("nan.npy", npy("<f4", "(1, 1, 28, 28)", &bytes(f32::NAN)), &["element 0", "NaN"]),
        ("infinite.npy", npy("<f4", "(1, 1, 28, 28)", &bytes(f32::INFINITY)), &["infinite"]),
        ("large.npy", npy("<f4", "(1, 1, 28, 28)", &bytes(1e8)), &["range", "fraction bits"]),
        ("shape.npy", npy("<f4", "(1, 784)", &bytes(0.0)), &["(1, 784)", "(N, 1, 28, 28)"]),
        ("empty.npy", npy("<f4", "(0, 1, 28, 28)", &[]), &["zero"]),
        ("short.npy", npy("<f4", "(2, 1, 28, 28)", &bytes(0.0)), &["3136 bytes"]),
        ("huge.npy", npy("<f4", "(4294967296, 4294967296, 28, 28)", &bytes(0.0)), &["elements"]),
        ("complex.npy", npy("<c8", "(1, 1, 28, 28)", &[0; 784 * 8]), &["not supported"]),
        ("garbage.npy", b"\x93NUMPY\x01\x00\xff\xff{".to_vec(), &["damaged"]),
    ];
    for (name, bytes, words) in cases {
        let file = Scratch::new(name, &bytes);
        infer_fails(MODEL, file.path(), &[], 1, words);
    }
}

#[test]
fn big_endian_and_double_arrays_are_read() {
    let doubles: Vec<u8> = (0..784).flat_map(|i| (f64::from(i % 255) / 255.0).to_be_bytes()).collect();
    let floats: Vec<u8> = (0..784).flat_map(|i| ((f64::from(i % 255) / 255.0) as f32).to_le_bytes()).collect();
    let (big, little) = (
        Scratch::new("big.npy", &npy(">f8", "(1, 1, 28, 28)", &doubles)),
        Scratch::new("little.npy", &npy("<f4", "(1, 1, 28, 28)", &floats)),
    );
    let predictions =
        |path: &str| json(&trishade(&["infer", "--device", "cpu", "--model", MODEL, "--input", path, "--json"]))["predictions"].clone();
    assert_eq!(predictions(big.path()), predictions(little.path()));
}

#[test]
fn a_device_that_is_not_there_is_exit_code_3() {
    fails(&["demo", "--device", "no-such-adapter"], 3, &["no-such-adapter", "known"]);
    fails(&["selftest", "--device", "no-such-adapter"], 3, &["no-such-adapter"]);
}

#[cfg(feature = "gpu")]
#[test]
fn an_adapter_is_measured_once() {
    if common::gpu(None).is_none() {
        return;
    }
    let name = std::env::var("TRISHADE_GPU").unwrap_or("llvmpipe".into());
    let folder = format!("cache of {}", std::process::id());
    let bench = ["bench", "micro", "--device", &name, "--filter", "relu 100", "-r", "1", "-o", "jsonl"];
    let run = |more: &[&str]| {
        let output = with_cache(&folder, &[&bench[..], more].concat());
        assert!(output.status.success(), "{}", err(&output));
        let row: serde_json::Value = serde_json::from_slice(output.stdout.split(|&b| b == b'\n').next().unwrap()).unwrap();
        (err(&output).contains("measuring"), row["path"].as_str().unwrap().to_owned())
    };
    let first = run(&[]);
    assert!(first.0 && first.1.ends_with("x8"), "{first:?}");
    assert_eq!(run(&[]), (false, first.1));
    assert!(run(&["--retune"]).0);
}
