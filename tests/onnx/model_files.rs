//! Files of models: names that are made twice, and data beside a model, which is plain files of its own folder.

use crate::models::{floats, import, info, model, node};
use prost::Message;
use std::path::{Path, PathBuf};
use trishade::nn::{
    onnx::{self, schema::*},
    reference,
};

#[test]
fn a_name_that_is_made_twice_is_refused_with_both_makers() {
    let x = || info("x", 1, &["N", "2"]);
    let relu = |name: &str, from: &str, to: &str| NodeProto { name: name.into(), ..node("Relu", &[from], &[to], vec![]) };
    let of_two_nodes = model(vec![x()], vec![relu("first", "x", "h"), relu("second", "x", "h"), relu("third", "h", "y")], vec![]);
    let of_an_input = model(vec![x()], vec![relu("first", "x", "x"), relu("second", "x", "y")], vec![]);
    let of_a_constant =
        model(vec![x()], vec![relu("first", "x", "h"), node("Add", &["h", "x"], &["y"], vec![])], vec![floats("h", &[1], &[1.0])]);
    let of_constants =
        model(vec![x()], vec![node("Add", &["x", "c"], &["y"], vec![])], vec![floats("c", &[1], &[1.0]), floats("c", &[1], &[2.0])]);
    let of_inputs = model(vec![x(), x()], vec![relu("first", "x", "y")], vec![]);
    for (model, words) in [
        (of_two_nodes, ["'h'", "Relu 'first'", "Relu 'second'"]),
        (of_an_input, ["'x'", "an input", "Relu 'first'"]),
        (of_a_constant, ["'h'", "an initializer", "Relu 'first'"]),
        (of_constants, ["'c'", "twice", "an initializer"]),
        (of_inputs, ["'x'", "twice", "an input"]),
    ] {
        let error = import(&model).unwrap_err();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
    // an initializer is the default of an input of its name, and an output may be left out
    let mut split = node("Split", &["x"], &["y", ""], vec![crate::models::int("axis", 1)]);
    split.output.push(String::new());
    let with_default =
        model(vec![x(), info("c", 1, &["1"])], vec![node("Add", &["x", "c"], &["y"], vec![])], vec![floats("c", &[1], &[1.0])]);
    assert_eq!(crate::models::run(&with_default, &[1.0, 2.0]), [2.0, 3.0]);
    assert!(import(&model(vec![info("x", 1, &["N", "3"])], vec![split], vec![])).is_ok());
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("trishade-files-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A model that multiplies by two floats of a file beside it.
fn referring(location: &str) -> Vec<u8> {
    let external_data = vec![EntryProto { key: "location".into(), value: location.into() }];
    let tensor = TensorProto { dims: vec![2], data_type: 1, name: "w".into(), data_location: 1, external_data, ..Default::default() };
    model(vec![info("x", 1, &["N", "2"])], vec![node("Mul", &["x", "w"], &["y"], vec![])], vec![tensor]).encode_to_vec()
}

fn opened(path: &Path) -> Result<Vec<f32>, String> {
    let graph = onnx::open(path).map_err(|e| e.to_string())?;
    Ok(reference::run_f32(&graph, &[1.0, 1.0], 1).unwrap().values)
}

#[test]
#[cfg(unix)]
fn links_within_the_folder_or_its_cache_are_followed_and_others_refused() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new("links");
    let at = |name: &str| folder.0.join(name);
    ["model", "outside", "cache/blobs", "cache/snapshots/one"].iter().for_each(|name| std::fs::create_dir_all(at(name)).unwrap());
    let bytes: Vec<u8> = [2.0f32, 3.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(at("outside/w.bin"), &bytes).unwrap();
    std::fs::write(at("model/real.bin"), &bytes).unwrap();
    std::fs::write(at("model/m.onnx"), referring("w.bin")).unwrap();
    symlink("real.bin", at("model/w.bin")).unwrap();
    assert_eq!(opened(&at("model/m.onnx")).unwrap(), [2.0, 3.0]);
    std::fs::remove_file(at("model/w.bin")).unwrap();
    symlink("../outside/w.bin", at("model/w.bin")).unwrap();
    let error = opened(&at("model/m.onnx")).unwrap_err();
    assert!(error.contains("link out of the model's folder") && error.contains("w.bin"), "{error}");
    // a folder that leads out
    std::fs::write(at("model/m.onnx"), referring("sub/w.bin")).unwrap();
    symlink("../outside", at("model/sub")).unwrap();
    assert!(opened(&at("model/m.onnx")).unwrap_err().contains("link out"));

    // a cache: the model and its data are links to files that lie together
    std::fs::write(at("cache/blobs/a1"), referring("m.onnx_data")).unwrap();
    std::fs::write(at("cache/blobs/b2"), &bytes).unwrap();
    symlink("../../blobs/a1", at("cache/snapshots/one/m.onnx")).unwrap();
    symlink("../../blobs/b2", at("cache/snapshots/one/m.onnx_data")).unwrap();
    assert_eq!(opened(&at("cache/snapshots/one/m.onnx")).unwrap(), [2.0, 3.0]);
}

#[test]
#[cfg(unix)]
fn data_that_is_no_plain_file_is_refused_without_waiting() {
    let folder = Folder::new("kinds");
    let made = std::process::Command::new("mkfifo").arg(folder.0.join("pipe")).status();
    std::fs::create_dir(folder.0.join("directory")).unwrap();
    let pipe = made.is_ok_and(|status| status.success());
    assert!(pipe, "mkfifo is there on every Unix");
    for location in ["pipe", "directory", "", ".", "/dev/zero", "../kinds/x", "a/../../x"] {
        std::fs::write(folder.0.join("m.onnx"), referring(location)).unwrap();
        let error = opened(&folder.0.join("m.onnx")).unwrap_err();
        assert!(error.contains("no plain file") || error.contains("not inside"), "{location}: {error}");
    }
}
