//! Licences, sources and versions of what the package depends on, by the lists of `deny.toml`: the offline parts of cargo-deny,
//! which is seldom installed.
#![allow(missing_docs, reason = "tests")]

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Lines of the list that begins with `opening` in `deny.toml`.
fn list(opening: &str) -> Vec<String> {
    let text = file("deny.toml");
    let lines = text.lines().skip_while(|line| *line != opening).skip(1).take_while(|line| *line != "]");
    let lines: Vec<_> = lines.map(|line| line.trim().trim_end_matches(',').to_string()).collect();
    assert!(!lines.is_empty(), "deny.toml has no list that begins with `{opening}`");
    lines
}

/// Text between the first quotation marks after `key`.
fn quoted<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_once(key)?.1.split('"').nth(1)
}

/// Whether a licence expression can be met with the licences allowed: `OR` needs one side, `AND` both.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "_WITH_");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (met, end) = any_of(&words, 0, allowed);
    assert_eq!(end, words.len(), "{expression} is no licence expression");
    met
}

fn any_of(words: &[&str], at: usize, allowed: &BTreeSet<String>) -> (bool, usize) {
    let (mut met, mut at) = all_of(words, at, allowed);
    while words.get(at) == Some(&"OR") {
        let (other, next) = all_of(words, at + 1, allowed);
        (met, at) = (met | other, next);
    }
    (met, at)
}

fn all_of(words: &[&str], at: usize, allowed: &BTreeSet<String>) -> (bool, usize) {
    let (mut met, mut at) = one(words, at, allowed);
    while words.get(at) == Some(&"AND") {
        let (other, next) = one(words, at + 1, allowed);
        (met, at) = (met & other, next);
    }
    (met, at)
}

fn one(words: &[&str], at: usize, allowed: &BTreeSet<String>) -> (bool, usize) {
    match words.get(at) {
        Some(&"(") => {
            let (met, end) = any_of(words, at + 1, allowed);
            assert_eq!(words.get(end), Some(&")"), "an open parenthesis");
            (met, end + 1)
        }
        Some(name) => (allowed.contains(&name.replace("_WITH_", " WITH ")), at + 1),
        None => (false, at),
    }
}

/// What cargo knows of the packages for this machine; none where it has no copy of them.
fn metadata() -> Option<Value> {
    let cargo = || Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    let version = String::from_utf8(cargo().arg("-vV").output().ok()?.stdout).ok()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "))?;
    let arguments = ["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", host];
    let output = cargo().args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

/// Name, version and source of the packages of `Cargo.lock`: of all platforms.
fn locked() -> Vec<[String; 3]> {
    let text = file("Cargo.lock");
    let field = |block: &str, key: &str| quoted(block, &format!("\n{key} =")).unwrap_or_default().to_string();
    text.split("[[package]]").skip(1).map(|block| ["name", "version", "source"].map(|key| field(block, key))).collect()
}

#[test]
fn licences_are_permissive() {
    let allowed: BTreeSet<String> = list("allow = [").iter().map(|line| line.trim_matches('"').to_string()).collect();
    let Some(metadata) = metadata() else {
        return eprintln!("skipped: cargo cannot list the packages offline");
    };
    let packages = metadata["packages"].as_array().unwrap();
    let (mut found, mut needed) = (Vec::new(), BTreeMap::new());
    for package in packages {
        let licence = package["license"].as_str().unwrap_or_default();
        if !is_allowed(licence, &allowed) {
            found.push(format!("{} {}: {licence:?}", package["name"], package["version"]));
        }
        *needed.entry(licence).or_insert(0) += 1;
    }
    assert!(found.is_empty(), "licences that are not in deny.toml:\n{}", found.join("\n"));
    println!("{} packages, {needed:#?}", packages.len());
}

#[test]
fn every_package_is_there_in_one_version_from_one_source() {
    let skipped: BTreeSet<String> = list("skip = [").iter().map(|line| quoted(line, "crate =").unwrap().to_string()).collect();
    assert!(list("skip = [").iter().all(|line| quoted(line, "reason =").is_some()), "every exception has its reason");
    let (mut versions, mut found) = (BTreeMap::<String, BTreeSet<String>>::new(), Vec::new());
    for [name, version, source] in locked() {
        let own = source.is_empty();
        found.extend((!own && !source.starts_with("registry+")).then(|| format!("{name} comes from {source}")));
        versions.entry(name).or_default().insert(version);
    }
    let mut twice = BTreeSet::new();
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        let listed = versions.iter().map(|version| format!("{name}@{version}")).filter(|id| skipped.contains(id));
        twice.extend(listed.clone());
        let left = versions.len() - listed.count();
        found.extend((left > 1).then(|| format!("{name}: {}", versions.iter().cloned().collect::<Vec<_>>().join(", "))));
    }
    found.extend(skipped.difference(&twice).map(|id| format!("{id} is an exception in deny.toml and needs none")));
    for line in list("deny = [") {
        let name = quoted(&line, "crate =").unwrap();
        found.extend(versions.contains_key(name).then(|| format!("{name} is not wanted: {}", quoted(&line, "reason =").unwrap())));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn licence_expressions_are_understood() {
    let allowed: BTreeSet<String> = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(String::from).into();
    for met in ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "ISC AND MIT", "(GPL-3.0 OR MIT) AND ISC", "Apache-2.0 WITH LLVM-exception"] {
        assert!(is_allowed(met, &allowed), "{met}");
    }
    for unmet in ["", "GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0", "GPL-3.0 OR (MIT AND AGPL-3.0)"] {
        assert!(!is_allowed(unmet, &allowed), "{unmet}");
    }
}
