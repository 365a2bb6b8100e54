//! The crates that the library takes in: how many, and that those it names come in one version.
#![allow(missing_docs, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

/// Direct dependencies of which something else takes in another version, and why.
const TWICE: [(&str, &str); 1] = [("getrandom", "`ring`, the cryptography below TLS, has an older one")];

/// Name and version of every crate that the library with these features takes in, itself included; none where cargo cannot say.
fn crates(options: &[&str]) -> Option<BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let tree = ["tree", "--offline", "--locked", "--prefix", "none", "--edges", "normal", "--format", "{p}"];
    let output = Command::new(cargo).args(tree).args(options).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = match output {
        Ok(output) if output.status.success() => output,
        Ok(output) => {
            println!("skipped: cargo tree says {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
        Err(error) => {
            println!("skipped: cargo cannot be run: {error}");
            return None;
        }
    };
    let text = String::from_utf8(output.stdout).unwrap();
    // a crate that was listed before has a mark behind it, a macro or a path its own
    Some(text.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).filter(|name| !name.is_empty()).collect())
}

fn at_most(limit: usize, options: &[&str]) {
    let Some(crates) = crates(options) else { return };
    println!("{}: {} crates, at most {limit}", options.join(" "), crates.len());
    assert!(crates.len() > 5, "cargo tree listed nothing: {crates:?}");
    assert!(crates.len() <= limit, "{} crates are more than {limit}: {crates:#?}", crates.len());
}

#[test]
fn without_features_the_library_is_small() {
    at_most(25, &["--no-default-features"]);
}

#[test]
fn with_a_gpu_the_library_is_not_large() {
    at_most(75, &["--no-default-features", "--features", "gpu"]);
}

#[test]
fn direct_dependencies_come_in_one_version() {
    let (Some(all), Some(direct)) = (crates(&[]), crates(&["--depth", "1"])) else { return };
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, version) in all.iter().filter_map(|one| one.split_once(' ')) {
        versions.entry(name).or_default().push(version);
    }
    println!("default features: {} crates, {} of them direct", all.len(), direct.len() - 1);
    let twice: Vec<&str> = direct.iter().filter_map(|one| Some(one.split_once(' ')?.0)).filter(|name| versions[name].len() > 1).collect();
    let excused: Vec<&str> = TWICE.iter().map(|(name, _)| *name).collect();
    assert_eq!(twice, excused, "direct dependencies in several versions, and those that are excused");
}
