//! What documents and comments cite is in the repository: links, headings, and names of files.
#![allow(missing_docs, reason = "tests")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Ends of names that are checked wherever they stand.
const KINDS: [&str; 3] = [".rs", ".wgsl", ".md"];

/// Folders whose files are checked by their path from the root, whatever their kind.
const FOLDERS: [&str; 6] = ["src/", "docs/", "tests/", "examples/", "shaders/", "benches/"];

/// Stands for a name in instructions.
const PLACEHOLDER: &str = "NAME";

/// Texts of the repository by path: documents, sources, shaders, tests.
struct Repository(BTreeMap<String, String>);

impl Repository {
    fn read() -> Self {
        fn walk(directory: &Path, out: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let hidden = path.file_name().unwrap().to_str().is_some_and(|name| name.starts_with('.') || name == "target");
                match path.is_dir() {
                    true if !hidden => walk(&path, out),
                    false => out.push(path),
                    true => {}
                }
            }
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        walk(root, &mut files);
        let name = |path: &Path| path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        Self(files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap_or_default())).collect())
    }

    /// Whether a file or a folder is there.
    fn has(&self, path: &str) -> bool {
        self.0.contains_key(path) || self.0.keys().any(|file| file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    }

    /// Whether a cited name is a file: from the citing file's folder, from the root, from `src` or `docs`, or anywhere if it has no folder.
    fn is_cited_rightly(&self, from: &str, cited: &str) -> bool {
        let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
        let known = |base: &str| self.0.contains_key(&joined(base, cited));
        let anywhere = || self.0.keys().any(|file| file.rsplit('/').next() == Some(cited));
        let whole = FOLDERS.iter().any(|folder| cited.starts_with(folder)) && self.has(cited.trim_end_matches('/'));
        whole || [folder, "", "src", "docs"].into_iter().any(known) || (!cited.contains('/') && anywhere())
    }
}

/// A relative path from a folder.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// Targets of the links of a document, and their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    for (i, line) in text.lines().enumerate() {
        for part in line.split("](").skip(1) {
            out.extend(part.split_once(')').map(|(target, _)| (i + 1, target.to_string())));
        }
    }
    out
}

/// Anchors of a document's headings.
fn anchors(text: &str) -> Vec<String> {
    let mut code = false;
    let mut out = Vec::new();
    for line in text.lines() {
        code ^= line.starts_with("```");
        if let Some(heading) = line.strip_prefix('#').filter(|_| !code) {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            out.push(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
        }
    }
    out
}

/// Names of files in a text, or in its comments, and their lines.
fn cited(text: &str, comments_only: bool) -> Vec<(usize, &str)> {
    let part_of_name = |c: char| c.is_alphanumeric() || "_./-".contains(c);
    let read = |line| if comments_only { str::split_once(line, "//").map_or("", |(_, comment)| comment) } else { line };
    let lines = text.lines().map(read).enumerate();
    let words = lines.flat_map(|(i, line)| line.split(move |c| !part_of_name(c)).map(move |word| (i + 1, word.trim_end_matches('.'))));
    let is_path =
        |word: &str| FOLDERS.iter().any(|folder| word.strip_prefix(folder).is_some_and(|rest| !rest.is_empty() && !rest.ends_with('_')));
    let ends = |word: &str| KINDS.iter().any(|kind| word.strip_suffix(kind).is_some_and(|stem| !stem.is_empty() && !stem.ends_with('/')));
    // a web address begins with two slashes
    words.filter(|(_, word)| (is_path(word) || ends(word)) && !word.starts_with("//") && !word.contains(PLACEHOLDER)).collect()
}

#[test]
fn links_lead_somewhere() {
    let repository = Repository::read();
    let mut found = Vec::new();
    for (file, text) in repository.0.iter().filter(|(file, _)| file.ends_with(".md")) {
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (line, target) in links(text).into_iter().filter(|(_, target)| !target.contains("://")) {
            let (path, anchor) = target.split_once('#').map_or((&target[..], None), |(path, anchor)| (path, Some(anchor)));
            let path = if path.is_empty() { file.clone() } else { joined(folder, path) };
            let known = |anchor: &str| repository.0.get(&path).is_some_and(|text| anchors(text).iter().any(|known| known == anchor));
            if !repository.has(&path) || anchor.is_some_and(|anchor| !known(anchor)) {
                found.push(format!("{file}:{line} links to {target}"));
            }
        }
    }
    assert!(found.is_empty(), "links that lead nowhere:\n{}", found.join("\n"));
}

#[test]
fn files_that_are_named_are_there() {
    let repository = Repository::read();
    let mut found = Vec::new();
    let reads = |file: &str| file.ends_with(".md") || file.ends_with(".wgsl") || (file.starts_with("src/") && file.ends_with(".rs"));
    for (file, text) in repository.0.iter().filter(|(file, _)| reads(file)) {
        for (line, name) in cited(text, !file.ends_with(".md")).into_iter().filter(|(_, name)| !repository.is_cited_rightly(file, name)) {
            found.push(format!("{file}:{line} names {name}"));
        }
    }
    assert!(found.is_empty(), "files that are not in the repository:\n{}", found.join("\n"));
}

#[test]
fn names_links_and_headings_are_found() {
    let text = "see `nn/ops/x.rs`, (A.md). https://wgpu.rs and ops/NAME.rs, *.rs\nx.rs // tests/run";
    assert_eq!(cited(text, false), [(1, "nn/ops/x.rs"), (1, "A.md"), (2, "x.rs"), (2, "tests/run")]);
    assert_eq!(cited("self.rs // (a.rs)", true), [(1, "a.rs")]);
    assert_eq!(links("[a](b.md#c) and\n[d](../e) [f]"), [(1, "b.md#c".to_string()), (2, "../e".to_string())]);
    assert_eq!(anchors("# The `plan`, then\n```\n# no\n```\n## 1. Next-door"), ["the-plan-then", "1-next-door"]);
    assert_eq!(joined("docs/decisions", "../security.md"), "docs/security.md");
}
