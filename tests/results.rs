//! What an inference leaves behind, through the program: classes and numbers on standard output, files, errors of targets; and names
//! that somebody else has chosen on the terminal.
#![allow(missing_docs, reason = "tests")]

#[path = "common/program.rs"]
mod program;

use program::*;
use std::{io::Read, process::Output};
use trishade::nn::{
    Graph,
    finish::{Along, Finish},
    graph::GraphOutput,
    ops::{Op, Sum},
};

const LENET: &str = "examples/models/lenet_mnist.onnx";
const DIGITS: &str = "examples/data/mnist100.npy";

fn infer<'a>(model: &'a str, input: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["infer", "--device", "cpu", "--model", model, "--input", input], more].concat()
}

/// Shape and elements of a .npy file.
fn array<T: npyz::Deserialize>(bytes: &[u8]) -> (Vec<u64>, Vec<T>) {
    let array = npyz::NpyFile::new(bytes).unwrap();
    (array.shape().to_vec(), array.into_vec().unwrap())
}

/// Two outputs of one input of two numbers: twice the numbers, and softmax of them as a column.
fn two_outputs() -> Graph {
    let mut graph = Graph::new(&[2]);
    let twice = graph.push("twice", Sum { factors: vec![2.0], constant: 0.0 }, &[0]);
    let column = graph.push("column", Op::reshape(vec![2, 1]), &[0]);
    let mut graph = graph.with_outputs(&[("twice", twice)]);
    let finish = vec![Finish::Softmax(Along { len: 2, inner: 1 })];
    graph.outputs.push(GraphOutput { name: "of/both".into(), value: column, finish });
    graph
}

#[test]
fn results_alone_go_to_standard_output() {
    let output = trishade(&infer(LENET, DIGITS, &["--labels", "examples/data/mnist100_labels.npy"]));
    let (results, rest) = (out(&output), err(&output));
    assert!(results.lines().count() == 100 && results.lines().enumerate().all(|(i, line)| line.starts_with(&format!("input {i}: class "))));
    assert!(results.starts_with("input 0: class 7  (score ") && !results.contains("rounds"), "{results}");
    assert!(rest.contains("accuracy") && rest.contains("rounds") && !rest.contains("class 7"), "{rest}");
}

#[test]
fn outputs_are_saved_with_names_and_shapes() {
    let folder = Folder::new("saved");
    let model = folder.model("two.onnx", &two_outputs());
    let x = folder.write("x.csv", "1,2\n0.5,0.25\n-3,4\n");
    let saved = |name: &str| {
        let file = folder.at(name);
        let output = trishade(&infer(&model, &x, &["--output", &file]));
        assert!(output.status.success(), "{}", err(&output));
        folder.read(name)
    };
    let close = |found: &[f64], wanted: &[f64]| {
        assert!(found.len() == wanted.len() && found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?} {wanted:?}");
    };
    let (twice, softmax) = ([2.0, 4.0, 1.0, 0.5, -6.0, 8.0], [0.268_941, 0.731_059, 0.562_177, 0.437_823, 0.000_911, 0.999_089]);

    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(saved("y.npz"))).unwrap();
    for (name, shape, wanted) in [("twice", vec![3, 2], twice), ("of/both", vec![3, 2, 1], softmax)] {
        let mut bytes = Vec::new();
        zip.by_name(&format!("{name}.npy")).unwrap().read_to_end(&mut bytes).unwrap();
        let (found, values) = array::<f32>(&bytes);
        assert_eq!(found, shape);
        close(&values.into_iter().map(f64::from).collect::<Vec<f64>>(), &wanted);
    }

    let object: serde_json::Value = serde_json::from_slice(&saved("y.JSON")).unwrap();
    let second = &object["outputs"][1];
    assert_eq!((&second["name"], &second["shape"]), (&serde_json::json!("of/both"), &serde_json::json!([3, 2, 1])));
    close(
        &second["values"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|row| row.as_array().unwrap())
            .map(|v| v.as_f64().unwrap())
            .collect::<Vec<f64>>(),
        &softmax,
    );

    let table = String::from_utf8(saved("y.csv")).unwrap();
    assert!(table.starts_with("twice_0,twice_1,of/both_0,of/both_1\n") && table.lines().count() == 4, "{table}");
    close(&table.lines().nth(3).unwrap().split(',').map(|v| v.parse().unwrap()).collect::<Vec<f64>>(), &[-6.0, 8.0, 0.000_911, 0.999_089]);
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 5, "nothing lies beside");
}

#[test]
fn an_output_that_moves_at_its_end_has_the_shape_that_it_moves_to() {
    let folder = Folder::new("moved");
    let mut graph = Graph::new(&[2, 3]);
    let twice = graph.push("twice", Sum { factors: vec![2.0], constant: 0.0 }, &[0]);
    let mut graph = graph.with_outputs(&[("y", twice)]);
    // the classes of three pixels, last
    let along = Along { len: 2, inner: 3 };
    graph.outputs[0].finish = vec![Finish::Softmax(along), Finish::Move(vec![0, 3, 1, 4, 2, 5]), Finish::Shape(vec![3, 1, 2])];
    let index = |finish: &[Finish]| [&[Finish::ArgMax { along, last: false }], finish].concat();
    graph.outputs.push(GraphOutput { name: "index".into(), value: twice, finish: index(&[]) });
    graph.outputs.push(GraphOutput { name: "kept".into(), value: twice, finish: index(&[Finish::Shape(vec![1, 3])]) });
    let (model, x) = (folder.model("moved.onnx", &graph), folder.write("x.csv", "0,1,2,0,0,3\n"));
    let object = json(&trishade(&infer(&model, &x, &["--json"])));
    let shape = |i: usize| object["outputs"][i]["shape"].to_string();
    assert_eq!([shape(0), shape(1), shape(2)], ["[1,3,1,2]", "[1,3]", "[1,1,3]"]);
    let file = folder.at("y.npz");
    assert!(trishade(&infer(&model, &x, &["-o", &file])).status.success());
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(folder.read("y.npz"))).unwrap();
    let mut bytes = Vec::new();
    zip.by_name("y.npy").unwrap().read_to_end(&mut bytes).unwrap();
    let (shape, values) = array::<f32>(&bytes);
    let wanted = [0.5, 0.5, 0.880_797, 0.119_203, 0.119_203, 0.880_797];
    assert!(shape == [1, 3, 1, 2] && values.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-4), "{values:?}");
}

#[test]
fn one_output_is_an_array_and_only_the_class_an_integer() {
    let folder = Folder::new("array");
    let file = folder.at("y.npy");
    assert!(trishade(&infer(LENET, DIGITS, &["-o", &file, "--json"])).status.success());
    let (shape, scores) = array::<f32>(&folder.read("y.npy"));
    assert!(shape == [100, 10] && scores[7] > scores[0]);
    assert!(trishade(&infer(LENET, DIGITS, &["-o", &file, "--reveal", "argmax"])).status.success());
    let (shape, classes) = array::<i64>(&folder.read("y.npy"));
    assert!(shape == [100] && classes[0] == 7);
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_before_the_run() {
    let folder = Folder::new("unwritable");
    // an input that is not there would be seen before any run
    let run =
        |file: &str| infer(LENET, "nowhere.npy", &[]).into_iter().map(String::from).chain(["-o".into(), file.into()]).collect::<Vec<_>>();
    let refused = |file: &str, code: i32, words: &[&str]| fails(&run(file).iter().map(String::as_str).collect::<Vec<_>>(), code, words);
    for name in ["y.txt", "y", "y.npy.gz", ".npy"] {
        refused(&folder.at(name), 2, &[".npy, .npz, .csv or .json"]);
    }
    refused(&folder.at("no/y.npy"), 1, &["cannot write", "no/y.npy"]);
    refused("/proc/y.npy", 1, &["cannot write"]);
    std::fs::create_dir(folder.0.join("folder.npy")).unwrap();
    refused(&folder.at("folder.npy"), 1, &["folder"]);
    let two = folder.model("two.onnx", &two_outputs());
    fails(&infer(&two, "nowhere.npy", &["-o", &folder.at("y.npy")]), 2, &["2 outputs", ".npz"]);
    // the file before stays where a run fails
    let before = folder.write("before.npy", "before");
    let large = folder.write("large.csv", "1e9,1\n");
    fails(&infer(&two, &large, &["-o", &folder.at("before.npz")]), 1, &["range"]);
    fails(&infer(LENET, DIGITS, &["-o", &before, "--fraction-bits", "26", "--preprocess", "raw"]), 5, &["bits"]);
    assert_eq!(folder.read("before.npy"), b"before");
    assert!(!folder.0.join("before.npz").exists());
}

#[test]
fn what_are_no_classes_is_not_printed_as_such() {
    let folder = Folder::new("images");
    let shift = |extents: &[usize]| {
        let mut graph = Graph::new(extents);
        let shifted = graph.push("shift", Sum { factors: vec![1.0], constant: 1.0 }, &[0]);
        graph.with_outputs(&[("image", shifted)])
    };
    let x = folder.write("x.csv", "0.0,1,2,3,4,5,6,7,8\n8,7,6,5,4,3,2,1,0\n");
    for extents in [&[9][..], &[1, 3, 3]] {
        let model = folder.model("shift.onnx", &shift(extents));
        let shown = out(&trishade(&infer(&model, &x, &[])));
        let shape: String = extents.iter().map(|extent| format!(", {extent}")).collect();
        assert!(shown.starts_with(&format!("image (2{shape}): least ")), "{shown}");
        for (word, wanted) in [("least ", 1.0), ("mean ", 5.0), ("largest ", 9.0)] {
            let number = shown.split(word).nth(1).unwrap().split([',', '\n']).next().unwrap();
            assert!((number.parse::<f64>().unwrap() - wanted).abs() < 1e-4, "{shown}");
        }
        assert!(shown.lines().count() == 1 && !shown.contains("class"), "{shown}");
        let object = json(&trishade(&infer(&model, &x, &["--json"])));
        assert!(object["predictions"].is_null() && object["outputs"][0]["name"] == "image", "{object}");
        let checked = trishade(&["check", &model, "--calibrate", &x]);
        assert!(checked.status.success() && !out(&checked).contains("same prediction"), "{}", err(&checked));
    }
    assert!(out(&trishade(&["check", LENET, "--calibrate", DIGITS])).contains("same prediction as with floats"));
    // an index over several axes says nothing
    let model = folder.model("shift.onnx", &shift(&[1, 3, 3]));
    fails(&infer(&model, &x, &["--reveal", "argmax"]), 1, &["'image' is no row of scores"]);
    // few numbers are shown as they are
    let short = folder.write("short.csv", "0.5,-2\n");
    let shown = out(&trishade(&infer(&folder.model("shift.onnx", &shift(&[2])), &short, &[])));
    assert!(shown.starts_with("input 0: 1.5000") && shown.contains(" -1.0000"), "{shown}");
}

#[test]
fn targets_give_errors_and_classes_accuracy() {
    let folder = Folder::new("targets");
    let mut graph = Graph::new(&[1]);
    let y = graph.push("y", Sum { factors: vec![2.0], constant: 0.0 }, &[0]);
    let model = folder.model("regression.onnx", &graph.with_outputs(&[("y", y)]));
    // 2, 4, 6 and 1, 4, 8: differences of 1, 0, 2
    let x = folder.write("x.csv", "x,target\n1,1.0\n2,4.0\n3,8.0\n");
    let output = trishade(&infer(&model, &x, &[]));
    assert!(
        err(&output).contains("mean absolute error       1.0000") && err(&output).contains("root mean squared error   1.29099"),
        "{}",
        err(&output)
    );
    assert!(out(&output).starts_with("input 0: 2.0000"));
    let object = json(&trishade(&infer(&model, &x, &["--json"])));
    let near = |key: &str, wanted: f64| assert!((object[key].as_f64().unwrap() - wanted).abs() < 1e-3, "{object}");
    near("mae", 1.0);
    near("rmse", (5.0f64 / 3.0).sqrt());
    assert!(object["accuracy"].is_null() && object["predictions"].is_null(), "{object}");
    // whole targets that are no yes or no
    let whole = folder.write("whole.csv", "x,target\n1,1\n2,4\n3,8\n");
    assert_eq!(json(&trishade(&infer(&model, &whole, &["--json"])))["mae"], object["mae"]);

    let two = folder.model("two.onnx", &two_outputs());
    let x = folder.write("two.csv", "1,2\n0.5,0.25\n");
    let y = folder.write("y.csv", "2,4\n1,1.5\n");
    let object = json(&trishade(&infer(&two, &x, &["--labels", &y, "--json"])));
    assert!((object["mae"].as_f64().unwrap() - 0.25).abs() < 1e-4, "{object}");
    let bad = folder.write("bad.csv", "1.5,2,3\n4,5,6\n");
    fails(&infer(&two, &x, &["--labels", &bad]), 1, &["bad.csv: 6 labels for 2 inputs", "2 numbers for each"]);
    fails(&infer(LENET, DIGITS, &["--labels", &folder.write("l.csv", "12\n".repeat(100))]), 1, &["label 0 is 12", "classes 0 to 9"]);
}

/// Escape, bell, ends of lines, an 8-bit control sequence, and characters that turn the direction of writing.
const HOSTILE: &str = "\x1b]0;owned\x07\r\nerror: \u{9b}31m\u{202e}txt.\u{2066}";

#[track_caller]
fn harmless(output: &Output, shown: &str) {
    for text in [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)] {
        let hidden = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{2066}');
        assert!(!text.chars().any(hidden), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("error: ") && line.contains("txt.") && !line.contains("owned")), "{text}");
    }
    let all = format!("{}{}", String::from_utf8_lossy(&output.stdout), err(output));
    assert!(all.contains(shown), "{all}");
}

#[test]
fn names_of_others_command_no_terminal() {
    let folder = Folder::new("hostile");
    let mut graph = Graph::new(&[3]);
    let y = graph.push(HOSTILE, Sum { factors: vec![2.0], constant: 0.5 }, &[0]);
    let model = folder.model("hostile.onnx", &graph.clone().with_outputs(&[(HOSTILE, y), ("b", y)]));
    let x = folder.write("x.csv", "1,2,3\n");
    let classes = folder.write("classes.txt", format!("{HOSTILE}\nb\n{HOSTILE}\n"));
    let shown = "\\u{1b}]0;owned\\u{7}";
    harmless(&trishade(&infer(&model, &x, &[])), "b (1, 3): least");
    harmless(&trishade(&infer(&model, &x, &["--profile"])), shown);
    harmless(&trishade(&infer(&model, &x, &["--classes", &classes])), "class 2");
    harmless(&trishade(&["plan", "--model", &model]), shown);
    harmless(&trishade(&["check", &model, "--calibrate", &x]), shown);
    harmless(&trishade(&infer(&model, &folder.write("escape.csv", format!("\"{HOSTILE}\",b,c\n1,2,3\n")), &[])), "not a file of a kind");
    let turned = folder.write("turned.csv", "\u{202e}a,b,label,d\n1,2,3,\u{9b}31m\n");
    harmless(&trishade(&infer(&model, &turned, &[])), "('d') is '\\u{9b}31m'");
    harmless(&trishade(&infer(&model, &turned, &["--label-column", "x"])), "'\\u{202e}a', 'b'");
    harmless(&trishade(&infer(&model, &folder.write("large.csv", "1e10,1,1\n"), &[])), "range");
    let output = trishade(&infer(&model, &x, &["--json"]));
    harmless(&output, "\\u001b]0;owned\\u0007");
    assert_eq!(json(&output)["outputs"][0]["name"], HOSTILE);
    // a file of that name, as far as the system has such
    let name = HOSTILE.replace('/', "");
    if std::fs::write(folder.0.join(&name), "1,2\n").is_ok() {
        harmless(&trishade(&infer(&model, &folder.at(&name), &[])), shown);
        harmless(&trishade(&infer(&folder.at(&name), &x, &[])), shown);
    }
}

#[test]
fn help_fits_eighty_columns() {
    for command in [&["infer"][..], &["check"], &["client", "infer"], &["client", "upload"], &["bench"], &[]] {
        let help = out(&trishade(&[command, &["--help"]].concat()));
        assert!(help.lines().count() > 10);
        let wide: Vec<&str> = help.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{command:?}: {wide:#?}");
    }
}
