//! Models that leave extents of their inputs free: they take those that are given, or those of the image or array at hand.

use crate::models::{array, floats, info, int, ints, model, node};
use prost::Message;
use std::{
    path::PathBuf,
    process::{Command, Output},
};
use trishade::nn::{
    Graph,
    onnx::{Extent, Options, Source, schema::*},
    reference,
};

/// A sum over 3 x 3 pixels of three channels, and the scores of each pixel.
fn convolutional(extents: &[&str]) -> ModelProto {
    let last = extents.last() == Some(&"3");
    let mut nodes = vec![node("Conv", &[if last { "turned" } else { "x" }, "w"], &["sums"], vec![])];
    if last {
        nodes.insert(0, node("Transpose", &["x"], &["turned"], vec![ints("perm", &[0, 3, 1, 2])]));
    }
    nodes.push(node("Softmax", &["sums"], &["y"], vec![int("axis", 1)]));
    let weights = (0..54).map(|i| if i < 27 { 0.0 } else { 0.125 }).collect::<Vec<f32>>();
    model(vec![info("x", 1, extents)], nodes, vec![floats("w", &[2, 3, 3, 3], &weights)])
}

fn with(model: &ModelProto, shapes: &[(&str, &[usize])]) -> Result<Graph, String> {
    let shapes = shapes.iter().map(|(name, extents)| (name.to_string(), extents.to_vec())).collect();
    Source::new(&model.encode_to_vec()).unwrap().import(&Options { shapes, ..Options::default() }).map_err(|e| e.to_string())
}

#[test]
fn free_extents_are_those_that_are_given() {
    let free = convolutional(&["N", "3", "height", "width"]);
    for (shapes, extents) in [
        (&[("x", &[1, 3, 5, 7][..])][..], [3, 5, 7]),
        (&[("x", &[9, 3, 6, 4])], [3, 6, 4]),
        (&[("height", &[4]), ("width", &[8])], [3, 4, 8]),
        (&[("x", &[1, 3, 5, 7]), ("width", &[7])], [3, 5, 7]),
    ] {
        let graph = with(&free, shapes).unwrap();
        assert_eq!(graph.input_extents(), extents);
        assert_eq!(graph.output_shape(1).unwrap().extents(), [1, 2, extents[1] - 2, extents[2] - 2]);
    }
    let unnamed = convolutional(&["N", "3", "", ""]);
    assert_eq!(with(&unnamed, &[("x", &[1, 3, 5, 7])]).unwrap().input_extents(), [3, 5, 7]);
    let declared = Source::new(&free.encode_to_vec()).unwrap().inputs().unwrap();
    let [batch, fixed, height, _] = &declared[0].extents.as_ref().unwrap()[..] else { panic!("{declared:?}") };
    assert_eq!((batch, fixed, height), (&Extent::Free("N".into()), &Extent::Fixed(3), &Extent::Free("height".into())));
    assert!(declared[0].is_free());

    // an input without any shape
    let mut shapeless = convolutional(&[]);
    shapeless.graph.as_mut().unwrap().input[0].r#type = None;
    assert_eq!(with(&shapeless, &[("x", &[1, 3, 5, 7])]).unwrap().input_extents(), [3, 5, 7]);
    assert!(with(&shapeless, &[]).unwrap_err().contains("any shape"));
}

#[test]
fn equal_names_are_equal_extents() {
    let two = |second: &[&str]| {
        model(vec![info("a", 1, &["N", "length"]), info("b", 1, second)], vec![node("Add", &["a", "b"], &["y"], vec![])], vec![])
    };
    let graph = with(&two(&["N", "length"]), &[("b", &[1, 6])]).unwrap();
    assert_eq!((graph.inputs[0].extents[0], graph.inputs[1].extents[0]), (6, 6));
    let apart = with(&two(&["N", "length"]), &[("a", &[1, 6]), ("b", &[1, 7])]).unwrap_err();
    assert!(apart.contains("'length'") && apart.contains('6') && apart.contains('7'), "{apart}");
    assert!(with(&two(&["N", "other"]), &[("length", &[6])]).unwrap_err().contains("'b' takes (N, other)"));
}

#[test]
fn what_is_missing_or_does_not_fit_is_named() {
    let free = convolutional(&["N", "3", "height", "width"]);
    let error = with(&free, &[]).unwrap_err();
    for word in ["'x' takes (N, 3, height, width)", "x=1,3,224,224", "--shape"] {
        assert!(error.contains(word), "{error}");
    }
    for (name, extents) in [("x", &[3, 5, 7][..]), ("x", &[1, 4, 5, 7]), ("x", &[1, 3, 0, 7]), ("height", &[0]), ("height", &[1, 2])] {
        assert!(with(&free, &[(name, extents)]).unwrap_err().contains(&format!("'{name}'")));
    }
    let error = with(&free, &[("depth", &[5])]).unwrap_err();
    assert!(error.contains("'depth'") && error.contains("'x', 'height', 'width'"), "{error}");
    assert!(with(&convolutional(&["N", "3", "5", "7"]), &[("x", &[1, 3, 5, 8])]).is_err());
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("trishade-free-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.0.join(name), bytes).unwrap();
        self.0.join(name).to_str().unwrap().into()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn trishade(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trishade")).args(args).env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR")).output().unwrap()
}

fn scores(output: &Output) -> Vec<f32> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = answer["logits"].as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap());
    rows.map(|v| v.as_f64().unwrap() as f32).collect()
}

/// A PNG of pixels (x, y, 0) in steps of ten.
fn photograph(width: u32, height: u32) -> Vec<u8> {
    let image = image::RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8 * 10, y as u8 * 10, 0]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn photographs_and_arrays_give_the_extents_of_a_free_model() {
    let folder = Folder::new("files");
    let png = folder.file("p.png", &photograph(7, 5));
    let pixels: Vec<f32> = [|i: usize| i % 7 * 10, |i: usize| i / 7 * 10, |_| 0]
        .iter()
        .flat_map(|value| (0..35).map(move |i| value(i) as f32 / 255.0))
        .collect();
    let infer = |model: &str, more: &[&str]| trishade(&[&["infer", "--model", model, "--device", "cpu", "--json"], more].concat());
    let wanted = reference::run_f32(&with(&convolutional(&["N", "3", "h", "w"]), &[("x", &[1, 3, 5, 7])]).unwrap(), &pixels, 1).unwrap();
    for (name, extents) in [("first.onnx", ["N", "3", "h", "w"]), ("last.onnx", ["N", "h", "w", "3"])] {
        let model = folder.file(name, &convolutional(&extents).encode_to_vec());
        let got = scores(&infer(&model, &["--input", &png]));
        assert_eq!(got.len(), wanted.values.len());
        assert!(got.iter().zip(&wanted.values).all(|(a, b)| (a - b).abs() < 1e-4), "{name}: {got:?} {wanted:?}");
    }
    let model = folder.file("m.onnx", &convolutional(&["N", "3", "h", "w"]).encode_to_vec());
    let x = folder.file("x.npy", &array(&[2, 3, 5, 7], &[&pixels[..], &pixels].concat()));
    let got = scores(&infer(&model, &["--input", &x]));
    assert!(got.iter().zip(wanted.values.iter().cycle()).all(|(a, b)| (a - b).abs() < 1e-4) && got.len() == 2 * wanted.values.len());

    // sizes that differ need one
    let other = folder.file("q.png", &photograph(9, 6));
    let refused = infer(&model, &["--input", &png, &other]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("6 x 9") && said.contains("5 x 7") && said.contains("--shape x="), "{said}");
    assert_eq!(scores(&infer(&model, &["--input", &png, &other, "--shape", "1,3,4,4"])).len(), 2 * 2 * 4);

    // plan and check need a shape, and say so
    let planned = trishade(&["plan", "--model", &model]);
    assert!(!planned.status.success() && String::from_utf8_lossy(&planned.stderr).contains("x=1,3,224,224"));
    assert!(trishade(&["plan", "--model", &model, "--shape", "x=1,3,20,30"]).status.success());
    assert!(trishade(&["check", &model, "--shape", "h=20", "--shape", "w=30"]).status.success());
    assert!(trishade(&["check", &model, "--calibrate", &x]).status.success());
    assert_eq!(trishade(&["plan", "--model", &model, "--shape", "x=1,3,20,-30"]).status.code(), Some(2));
}
