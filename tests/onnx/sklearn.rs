//! Models of scikit-learn, as skl2onnx writes them: private inference gives the labels and values that onnxruntime gives. How the files in
//! `tests/data/sklearn` were made: `make.py` beside them.

use crate::models::{array, floats, info, int, node};
use prost::Message;
use serde_json::Value as Json;
use std::{collections::BTreeMap, path::PathBuf, process::Command};
use trishade::{
    device::Device,
    fixed::Fixed,
    nn::{
        Answer, Graph, Reveal, Session,
        onnx::{self, schema::*},
    },
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/sklearn")
}

fn values() -> BTreeMap<String, Json> {
    serde_json::from_slice(&std::fs::read(folder().join("values.json")).unwrap()).unwrap()
}

fn rows(all: &Json) -> Vec<Vec<f32>> {
    let row = |row: &Json| row.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
    all.as_array().unwrap().iter().map(row).collect()
}

fn answer(graph: &Graph, x: &[f32], reveal: Reveal) -> Result<Answer, trishade::Error> {
    let device = Device::cpu(1)?;
    let session = Session::new([device.clone(), device.clone(), device], Fixed::default())?;
    pollster::block_on(session.infer(&session.load(graph)?, x, 128, reveal, |_| {}))
}

fn close(name: &str, got: &[Vec<f32>], want: &[Vec<f32>]) {
    assert_eq!(got.len(), want.len(), "{name}");
    let largest = want.iter().flatten().fold(0.0, |most: f32, v| most.max(v.abs()));
    for (got, want) in got.iter().zip(want) {
        let near = got.len() == want.len() && got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-3 + 1e-3 * largest);
        assert!(near, "{name}: {got:?} {want:?}");
    }
}

#[test]
fn every_output_is_that_of_onnxruntime() {
    let all = values();
    assert_eq!(all.len(), 27);
    for (name, case) in &all {
        let graph = onnx::open(&folder().join(format!("{name}.onnx"))).unwrap();
        let answer = answer(&graph, &rows(&case["x"]).concat(), Reveal::Logits).unwrap_or_else(|e| panic!("{name}: {e}"));
        let outputs = case["outputs"].as_array().unwrap();
        assert_eq!(1 + answer.others.len(), outputs.len(), "{name}");
        match outputs[0]["rows"][0][0].is_string() {
            true => {
                let texts: Vec<&str> = outputs[0]["rows"].as_array().unwrap().iter().map(|row| row[0].as_str().unwrap()).collect();
                assert_eq!(answer.labels().unwrap(), texts, "{name}");
            }
            false => close(name, &answer.outputs(), &rows(&outputs[0]["rows"])),
        }
        for (other, output) in answer.others.iter().zip(&outputs[1..]) {
            assert_eq!(other.name, output["name"].as_str().unwrap(), "{name}");
            close(name, &other.values, &rows(&output["rows"]));
        }
    }
}

#[test]
fn the_label_alone_is_revealed_where_it_is_that_of_the_largest_score() {
    let all = values();
    for (name, labels) in
        [("logistic_texts", true), ("logistic_array", true), ("perceptrons_binary", false), ("descent", false), ("means", false)]
    {
        let graph = onnx::open(&folder().join(format!("{name}.onnx"))).unwrap();
        let x = rows(&all[name]["x"]).concat();
        let [whole, index] = [Reveal::Logits, Reveal::Argmax].map(|reveal| answer(&graph, &x, reveal));
        match (index, labels) {
            (Ok(index), true) => {
                assert_eq!((index.labels(), &index.predictions), (whole.as_ref().unwrap().labels(), &whole.as_ref().unwrap().predictions));
                assert!(index.logits.is_empty() && index.others.is_empty());
            }
            (Err(error), false) => assert!(error.to_string().contains("reveal all scores"), "{name}: {error}"),
            (index, _) => panic!("{name}: {index:?}"),
        }
    }
}

/// A node of scikit-learn's domain.
fn classical(op: &str, input: &[&str], output: &[&str], attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto { domain: "ai.onnx.ml".into(), ..node(op, input, output, attribute) }
}

fn numbers(name: &str, floats: &[f32]) -> AttributeProto {
    AttributeProto { name: name.into(), floats: floats.to_vec(), r#type: 6, ..Default::default() }
}

fn text(name: &str, text: &str) -> AttributeProto {
    AttributeProto { name: name.into(), s: text.into(), r#type: 3, ..Default::default() }
}

fn texts(name: &str, all: &[&str]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        strings: all.iter().map(|text| text.as_bytes().to_vec()).collect(),
        r#type: 8,
        ..Default::default()
    }
}

fn model(features: &str, nodes: Vec<NodeProto>, initializers: Vec<TensorProto>) -> ModelProto {
    let mut model = crate::models::model(vec![info("x", 1, &["N", features])], nodes, initializers);
    model.opset_import.push(OperatorSetIdProto { domain: "ai.onnx.ml".into(), version: 3 });
    model
}

/// A linear classifier of two features, its scores as `y` and its label as `label`.
fn classifier(rows: usize, transform: &str, labels: AttributeProto) -> ModelProto {
    let (weights, bias) = ([1.0, -0.5, 0.3, 0.8, -1.0, 0.2], [0.1, -0.2, 0.3]);
    let attributes = vec![
        numbers("coefficients", &weights[..2 * rows]),
        numbers("intercepts", &bias[..rows]),
        text("post_transform", transform),
        labels,
    ];
    let mut model = model("2", vec![classical("LinearClassifier", &["x"], &["label", "y"], attributes)], vec![]);
    model.graph.as_mut().unwrap().output.insert(0, info("label", 7, &["N"]));
    model
}

#[test]
fn every_transform_of_a_linear_classifier() {
    let x = [0.5, 0.3, -1.0, 0.7, 0.2, 0.6];
    let (nan, three) = (f32::NAN, crate::models::ints("classlabels_ints", &[1, 2, 3]));
    let two = crate::models::ints("classlabels_ints", &[5, 7]);
    // of onnxruntime; what is NaN or infinite there is left out
    for (rows, transform, labels, wanted) in [
        (1, "NONE", &two, vec![7.0, 0.55, 0.45, 5.0, 2.25, -1.25]),
        (1, "SOFTMAX", &two, vec![7.0, 0.55, 0.45, 5.0, 2.25, -1.25]),
        (1, "LOGISTIC", &two, vec![7.0, 0.38936, 0.61064, 5.0, 0.7773, 0.2227]),
        (2, "NONE", &two, vec![5.0, 0.45, 0.19, 7.0, -1.25, 0.06]),
        (2, "SOFTMAX", &two, vec![5.0, 0.5646, 0.4354, 7.0, 0.2125, 0.7875]),
        (2, "SOFTMAX_ZERO", &two, vec![5.0, 0.5646, 0.4354, 7.0, 0.2125, 0.7875]),
        (3, "SOFTMAX", &three, vec![1.0, 0.43, 0.3316, 0.2384, 3.0, 0.0514, 0.1907, 0.7579, 2.0, 0.2739, 0.3848, 0.3413]),
        (3, "LOGISTIC", &three, vec![1.0, 0.6106, 0.5474, 0.4651, 3.0, 0.2227, 0.515, 0.8085, 2.0, 0.5, 0.5842, 0.5548]),
        (3, "PROBIT", &three, vec![1.0, -0.1257, -0.878, nan, 3.0, nan, -1.5547, nan, 2.0, nan, -0.4125, -0.7723]),
    ] {
        let graph = crate::models::import(&classifier(rows, transform, labels.clone())).unwrap();
        let answer = answer(&graph, &x, Reveal::Logits).unwrap();
        let got: Vec<f32> = answer
            .outputs()
            .into_iter()
            .zip(&answer.others[0].values)
            .flat_map(|(label, scores)| [label, scores.clone()].concat())
            .collect();
        for (got, wanted) in got.iter().zip(&wanted).filter(|(_, wanted)| !wanted.is_nan()) {
            assert!((got - wanted).abs() < 1e-3, "{rows} {transform}: {got} {wanted}");
        }
    }
    // zeros stay out of the softmax
    let graph = crate::models::import(&classifier(3, "SOFTMAX_ZERO", three.clone())).unwrap();
    let finish = &graph.outputs[1].finish;
    let got = trishade::nn::finish::finished(finish, &[0.0, 0.34, 0.22]);
    assert!((got[1] - 0.53).abs() < 1e-4 && (got[2] - 0.47).abs() < 1e-4 && got[0] == 0.0, "{got:?}");

    for (model, word) in [
        (classifier(1, "PROBIT", two.clone()), "PROBIT"),
        (classifier(3, "MOST", three.clone()), "MOST"),
        (classifier(3, "NONE", two.clone()), "2 labels for 3 classes"),
        (classifier(3, "NONE", texts("classlabels_strings", &[])), "missing"),
    ] {
        let error = crate::models::import(&model).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn norms_and_columns_at_the_end() {
    for (norm, wanted) in [("MAX", [1.0, -1.333_333, 0.333_333]), ("L1", [0.375, -0.5, 0.125]), ("L2", [0.588_348, -0.784_465, 0.196_116])]
    {
        let graph =
            crate::models::import(&model("3", vec![classical("Normalizer", &["x"], &["y"], vec![text("norm", norm)])], vec![])).unwrap();
        close(norm, &answer(&graph, &[3.0, -4.0, 1.0], Reveal::Logits).unwrap().outputs(), &[wanted.to_vec()]);
    }
    let columns = TensorProto { dims: vec![2], data_type: 7, int64_data: vec![2, 0], name: "i".into(), ..Default::default() };
    let taken = model("3", vec![classical("ArrayFeatureExtractor", &["x", "i"], &["y"], vec![])], vec![columns]);
    assert_eq!(crate::models::run(&taken, &[3.0, -4.0, 1.0]), [1.0, 3.0]);
    let scaled = |offset: &[f32], scale: &[f32]| {
        let attributes = vec![numbers("offset", offset), numbers("scale", scale)];
        crate::models::import(&model("3", vec![classical("Scaler", &["x"], &["y"], attributes)], vec![]))
            .map(|graph| trishade::nn::reference::run_f32(&graph, &[3.0, -4.0, 1.0], 1).unwrap().values)
    };
    assert_eq!(scaled(&[1.0], &[2.0]).unwrap(), [4.0, -10.0, 0.0]);
    assert_eq!(scaled(&[1.0, 2.0, 3.0], &[2.0, 1.0, 0.5]).unwrap(), [4.0, -6.0, -1.0]);
    assert!(scaled(&[1.0, 2.0], &[2.0]).unwrap_err().contains("offset of 2 numbers for 3 features"));
}

#[test]
fn numbers_of_the_model_do_not_become_public_by_the_way() {
    let after = |c: &[f32]| {
        let nodes = vec![node("Sigmoid", &["x"], &["p"], vec![]), node("Mul", &["p", "c"], &["y"], vec![])];
        crate::models::import(&model("2", nodes, vec![floats("c", &[c.len() as i64], c)]))
    };
    assert!(after(&[3.0, 3.0]).is_ok());
    let error = after(&[3.0, 4.0]).unwrap_err();
    assert!(error.contains("'c'") && error.contains("would become public"), "{error}");
}

#[test]
fn what_no_protocol_computes_is_refused_by_name() {
    for (operator, word) in [
        ("TreeEnsembleClassifier", "trees"),
        ("SVMRegressor", "kernel machine"),
        ("Imputer", "before they are shared"),
        ("Binarizer", "before they are shared"),
    ] {
        let error = crate::models::import(&model("2", vec![classical(operator, &["x"], &["y"], vec![])], vec![])).unwrap_err();
        assert!(error.contains(operator) && error.contains(word) && error.contains("supported: ArrayFeatureExtractor"), "{error}");
    }
    // what stands for a missing value is never there
    let imputer = |replaced: f32| {
        let replaced = AttributeProto { name: "replaced_value_float".into(), f: replaced, r#type: 1, ..Default::default() };
        crate::models::import(&model(
            "2",
            vec![classical("Imputer", &["x"], &["y"], vec![replaced, numbers("imputed_value_floats", &[1.0, 2.0])])],
            vec![],
        ))
    };
    assert!(imputer(f32::NAN).is_ok() && imputer(0.0).unwrap_err().contains("Imputer"));
    let hidden = vec![classical("Normalizer", &["x"], &["h"], vec![]), node("Gemm", &["h", "w"], &["y"], vec![int("transB", 1)])];
    let error = crate::models::import(&model("2", hidden, vec![floats("w", &[1, 2], &[1.0, 2.0])])).unwrap_err();
    assert!(error.contains("'h' comes from Normalizer") && error.contains("only at the end"), "{error}");
}

#[test]
fn ends_are_written_and_read_again() {
    for name in ["logistic", "descent", "perceptrons_binary", "one_against_rest", "linear_two"] {
        let mut graph = onnx::open(&folder().join(format!("{name}.onnx"))).unwrap();
        let x = rows(&values()[name]["x"]).concat();
        if let Some(trishade::nn::clear::Labels::Strings(_)) = trishade::nn::finish::labels(&graph.outputs[0].finish) {
            assert!(onnx::export(&graph, name).unwrap_err().to_string().contains("texts"));
            graph.outputs.remove(0);
        }
        let again = onnx::import(&onnx::export(&graph, name).unwrap()).unwrap();
        let [before, after] = [&graph, &again].map(|graph| answer(graph, &x, Reveal::Logits).unwrap());
        close(name, &after.outputs(), &before.outputs());
        for (after, before) in after.others.iter().zip(&before.others) {
            close(name, &after.values, &before.values);
        }
    }
}

#[test]
fn the_program_prints_labels() {
    let case = &values()["logistic_texts"];
    let x = rows(&case["x"]);
    let file = std::env::temp_dir().join(format!("trishade-labels-{}.npy", std::process::id()));
    std::fs::write(&file, array(&[x.len(), 4], &x.concat())).unwrap();
    let infer = |model: &str, more: &[&str]| {
        let (model, input) = (folder().join(model), file.to_str().unwrap());
        let arguments = [&["infer", "--device", "cpu", "--input", input, "--model", model.to_str().unwrap()], more].concat();
        let output = Command::new(env!("CARGO_BIN_EXE_trishade")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (
            serde_json::from_slice::<Json>(&output.stdout).unwrap_or_default(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    let wanted: Vec<&str> = case["outputs"][0]["rows"].as_array().unwrap().iter().map(|row| row[0].as_str().unwrap()).collect();
    let (object, _) = infer("logistic_texts.onnx", &["--json"]);
    assert_eq!(
        (&object["labels"], &object["classes"]),
        (&serde_json::json!(wanted), &serde_json::json!(["setosa", "versicolor", "virginica"]))
    );
    assert!(infer("logistic_texts.onnx", &[]).1.contains("input 0: class setosa"));
    // numbers that are no indices
    let (object, _) = infer("logistic_array.onnx", &["--json"]);
    assert_eq!(object["classes"], serde_json::json!(["5", "6", "7"]));
    assert!(infer("logistic_array.onnx", &[]).1.contains("input 0: class 5"));
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn a_file_of_this_domain_alone_is_read() {
    let attributes = vec![numbers("coefficients", &[2.0, -1.0]), numbers("intercepts", &[0.5])];
    let mut model = model("2", vec![classical("LinearRegressor", &["x"], &["y"], attributes)], vec![]);
    model.opset_import.remove(0);
    let graph = onnx::import(&model.encode_to_vec()).unwrap();
    close("alone", &answer(&graph, &[1.0, 3.0], Reveal::Logits).unwrap().outputs(), &[vec![-0.5]]);
    let covered = onnx::Source::new(&model.encode_to_vec()).unwrap().survey(&onnx::Options::default()).operators;
    assert!(covered.len() == 1 && covered[0].operator == "ai.onnx.ml.LinearRegressor" && covered[0].supported);
}
