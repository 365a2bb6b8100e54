//! The program from outside, and a folder for it to work in.
#![allow(dead_code, reason = "each test uses a part")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};
use trishade::nn::{Graph, onnx};

/// The name of the test that this is a part of.
const TEST: &str = env!("CARGO_CRATE_NAME");

pub fn trishade(args: &[&str]) -> Output {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join(TEST);
    let mut command = Command::new(env!("CARGO_BIN_EXE_trishade"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).env("XDG_CACHE_HOME", &cache).env("LOCALAPPDATA", &cache);
    command.output().unwrap()
}

pub fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", err(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn json(output: &Output) -> serde_json::Value {
    serde_json::from_str(&out(output)).unwrap()
}

#[track_caller]
pub fn fails(args: &[&str], code: i32, words: &[&str]) {
    let output = trishade(args);
    let error = err(&output);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(output.stdout.is_empty() && !error.contains("panicked"), "{error}");
    words.iter().for_each(|word| assert!(error.contains(word), "'{error}' does not say '{word}'"));
}

/// A folder of the test's own, gone when dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("trishade-{TEST}-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn at(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().into()
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        std::fs::create_dir_all(self.0.join(name).parent().unwrap()).unwrap();
        std::fs::write(self.0.join(name), bytes).unwrap();
        self.at(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }

    pub fn model(&self, name: &str, graph: &Graph) -> String {
        self.write(name, onnx::export(graph, "model").unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
