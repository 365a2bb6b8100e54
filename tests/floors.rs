//! The house: imports point down, only two files send, unsafe and output stay in their rooms.
#![allow(missing_docs, reason = "tests")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Lowest first; the rooms of one row may use one another.
const FLOORS: [&[&str]; 9] = [
    &["error", "ring", "fixed", "shape", "clock", "stream", "data"],
    &["device"],
    &["kernels"],
    &["share"],
    &["party"],
    &["protocol"],
    &["nn"],
    &["net"],
    &["cli", "main", "lib"],
];

fn sources() -> BTreeMap<String, String> {
    fn walk(directory: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, out),
                false => out.extend((path.extension().is_some_and(|e| e == "rs")).then_some(path)),
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// The text without comments, and without the unit tests at its end.
fn code(text: &str) -> String {
    let body = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    body.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Every path that follows `crate::`, groups opened: `crate::{a::B, c}` gives `a::B` and `c`.
fn imports(code: &str) -> Vec<String> {
    code.match_indices("crate::").flat_map(|(at, found)| opened(&code[at + found.len()..])).collect()
}

fn opened(path: &str) -> Vec<String> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let Some(group) = path.strip_prefix('{') else {
        let end = path.find(|c| !is_path(c)).unwrap_or(path.len());
        let head = path[..end].trim_end_matches(':').to_string();
        return match path[end..].strip_prefix('{') {
            Some(_) => opened(&path[end..]).iter().map(|tail| format!("{head}::{tail}")).collect(),
            None => vec![head],
        };
    };
    let (mut depth, mut start, mut out) = (0, 0, Vec::new());
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                out.extend(Some(group[start..i].trim()).filter(|item| !item.is_empty()).map(opened).unwrap_or_default());
                start = i + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    out
}

fn room(path: &str) -> &str {
    path.split(['/', ':', '.']).next().unwrap_or_default()
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

#[test]
fn imports_point_down() {
    for (file, text) in sources() {
        let here = floor(room(&file)).unwrap_or_else(|| panic!("src/{file} is on no floor: add its room to the list"));
        if file == "lib.rs" {
            continue;
        }
        for import in imports(&code(&text)) {
            // `Error`, `Result` and macros live at the root, from the lowest floor
            let there = match import.starts_with(|c: char| c.is_uppercase()) {
                true => 0,
                false => floor(room(&import)).unwrap_or_else(|| panic!("src/{file}: crate::{import} is on no floor")),
            };
            assert!(there <= here, "src/{file} imports crate::{import}, which lies above it");
        }
    }
}

#[test]
fn groups_are_opened() {
    let found = imports("use crate::{Error, kernels::{Pad, bits::{self, bits}},\n share::Arith}; crate::device::vector::f(); pub(crate) x");
    assert_eq!(found, ["Error", "kernels::Pad", "kernels::bits::self", "kernels::bits::bits", "share::Arith", "device::vector::f"]);
}

#[test]
fn rules_of_the_house() {
    for (file, text) in sources() {
        let code = code(&text);
        let name = file.trim_end_matches(".rs");
        assert!(text.starts_with("//!"), "src/{file} does not open with what it is");
        let sends = code.contains(".send(") && room(&file) == "protocol";
        assert!(!sends || ["protocol/reshare", "protocol/io"].contains(&name), "src/{file} sends: only reshare and io may");
        let raw = code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
        let may = name.starts_with("device/vector") || name == "device/gpu/pipeline";
        assert!(!raw || may, "src/{file} is unsafe");
        let prints = ["println!", "print!", "eprintln!", "eprint!", "dbg!"].iter().any(|m| code.contains(m));
        assert!(!prints || ["cli", "main"].contains(&room(&file)), "src/{file} prints");
    }
}
