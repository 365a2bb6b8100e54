//! Rules of the source tree: imports point down and never in a circle, only two files send, unsafe code and output stay in
//! their files, functions are short, names and doc lines are the field's. Each rule prints all its findings.
#![allow(missing_docs, reason = "tests")]

mod source;
mod tree;

use source::{Source, functions, sources};
use std::collections::{BTreeMap, BTreeSet};
use tree::Tree;

/// Files and folders of the library, lowest first; those of one row may use one another, but not in a circle.
const FLOORS: [&[&str]; 9] = [
    &["error", "text", "ring", "fixed", "shape", "clock", "data", "stream"],
    &["device"],
    &["kernels"],
    &["share", "selftest", "tuning", "rates"],
    &["party"],
    &["protocol"],
    &["functions"],
    &["nn"],
    &["net", "train"],
];

/// Where the library and the command line begin, within `src`.
const LIBRARY: &str = "";
const BINARY: &str = "bin/trishade/";

/// Functions over `LONGEST` lines: file, function, and why it is not cut.
const LONG: [(&str, &str, &str); 0] = [];

/// Lines of the longest function outside tests.
const LONGEST: usize = 60;

/// Openings of doc lines that tell a scene: a doc line begins with the noun or verb of what it describes.
const OPENINGS: [&str; 4] = ["What", "Of", "All that", "Whoever"];

/// Words that are not used: neither in comments, nor in texts, nor as part of a name.
const WORDS: [(&str, &str); 11] = [
    ("visitor", "client connection"),
    ("stranger", "unauthenticated connection"),
    ("manners", "client options"),
    ("patience", "timeout"),
    ("rude", "misbehaving client"),
    ("foretold", "on_prepare"),
    ("ticket", "preprocessing token"),
    ("oracle", "reference"),
    ("askew", "unaligned"),
    ("paint", "terminal"),
    ("dry", "shape-only"),
];

/// Names that others have given, and who.
const FOREIGN: [(&str, &str); 1] = [("send_tls13_tickets", "rustls")];

/// Phrases that are not used in comments or texts.
const PHRASES: [(&str, &str); 6] = [
    ("works ahead", "preprocessing"),
    ("who pays", "inbound policy"),
    ("hear from others", "needs interaction"),
    ("lies askew", "unaligned"),
    ("bears with", "resource limits"),
    ("leave the function", "semantics-preserving"),
];

/// Names that are not used, though the word is good English in a sentence.
const NAMES: [(&str, &str); 24] = [
    ("Room", "Budget"),
    ("Held", "Permit"),
    ("House", "ServerState"),
    ("Account", "ClientQuota"),
    ("Asking", "InferOptions"),
    ("Sort", "RequestKind"),
    ("Spent", "RequestCost"),
    ("Why", "RefusalReason"),
    ("Fresh", "Handshake"),
    ("Until", "DeadlineStream"),
    ("Owned", "LinkGuard"),
    ("Needed", "ThreadGuard"),
    ("Intake", "InboundPolicy"),
    ("Early", "Pending"),
    ("early", "pending"),
    ("pays", "worth_preparing"),
    ("look", "check_expiry"),
    ("Movement", "Layout"),
    ("movement", "layout"),
    ("places", "indices"),
    ("Select", "Gather"),
    ("Rude", "MisbehavingClient"),
    ("room", "budget"),
    ("house", "state"),
];

/// Types of one name and one meaning: defined once in the tree.
const ONCE: [&str; 10] = ["Ahead", "Link", "Op", "Steps", "Window", "Permit", "Cost", "Answer", "Network", "Net"];

#[test]
fn imports_point_down() {
    let (tree, mut found) = (Tree::new(LIBRARY, &sources()), Vec::new());
    for (path, module) in tree.0.iter().filter(|(path, _)| !path.is_empty()) {
        let Some(here) = floor(&path[0]) else {
            found.push(format!("src/{} is on no floor: add it to the list", module.file));
            continue;
        };
        for (target, line, written) in tree.imports(path) {
            // the crate's root holds re-exports alone
            let there = target.first().map_or(Some(0), |top| floor(top));
            if there.is_none_or(|there| there > here) {
                found.push(format!("src/{}:{line} uses {written}, which lies above it", module.file));
            }
        }
    }
    report("Imports that point up", &found);
}

#[test]
fn no_circles() {
    let sources = sources();
    report("Circles", &[LIBRARY, BINARY].iter().flat_map(|root| Tree::new(root, &sources).circles(root)).collect::<Vec<_>>());
}

#[test]
fn files_open_with_what_they_are_and_send_print_and_are_unsafe_only_where_they_may() {
    let mut found = Vec::new();
    for Source { file, text, tokens } in sources() {
        let name = file.trim_end_matches(".rs");
        let top = name.split('/').next().expect("a path has a first part");
        let has = |texts: &[&str]| tokens.windows(texts.len()).any(|w| w.iter().zip(texts).all(|(t, text)| t.text == *text));
        let mut rule = |broken: bool, what: &str| found.extend(broken.then(|| format!("src/{file} {what}")));
        rule(!text.starts_with("//!"), "does not open with what it is");
        rule(
            top == "protocol" && has(&[".", "send", "("]) && !["protocol/reshare", "protocol/io"].contains(&name),
            "sends: only reshare and io may",
        );
        // vector code, bytes of pipelines, and the environment before there is a second thread
        let unsafe_here = name.starts_with("device/vector") || ["device/gpu/pipeline", "bin/trishade/main"].contains(&name);
        rule(has(&["unsafe"]) && !unsafe_here, "is unsafe");
        let prints = ["println", "print", "eprintln", "eprint", "dbg"].iter().any(|m| has(&[m, "!"]));
        rule(prints && !file.starts_with(BINARY), "prints: only the command line may");
    }
    report("Files", &found);
}

#[test]
fn functions_are_short() {
    let (mut found, mut listed) = (Vec::new(), BTreeSet::new());
    for source in sources() {
        for (name, line, lines) in functions(&source.tokens).into_iter().filter(|(_, _, lines)| *lines > LONGEST) {
            match LONG.iter().find(|(file, function, _)| *file == source.file && *function == name) {
                Some(entry) => _ = listed.insert(entry),
                None => found.push(format!("src/{}:{line} {name}: {lines} lines", source.file)),
            }
        }
    }
    let stale = LONG.iter().filter(|entry| !listed.contains(entry));
    found.extend(stale.map(|(file, name, _)| format!("src/{file} {name} is listed as long and is not")));
    report(&format!("Functions over {LONGEST} lines"), &found);
}

#[test]
fn doc_lines_begin_with_what_they_describe() {
    let mut found = Vec::new();
    for source in sources() {
        found.extend(scenes(&source.text).iter().map(|line| format!("src/{}:{line}", source.file)));
    }
    report("Doc lines that begin with What, Of, All that or Whoever", &found);
}

#[test]
fn names_are_the_fields() {
    let mut found = Vec::new();
    for source in sources() {
        found.extend(dialect(&source).iter().map(|line| format!("src/{}:{line}", source.file)));
    }
    report("Words that are not used", &found);
}

#[test]
fn one_name_is_one_thing() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources() {
        for pair in source.tokens.windows(2).filter(|p| ["struct", "enum", "trait", "type"].contains(&p[0].text.as_str())) {
            places.entry(pair[1].text.clone()).or_default().push(format!("src/{}:{}", source.file, pair[1].line));
        }
    }
    let twice = places.iter().filter(|(name, places)| ONCE.contains(&name.as_str()) && places.len() > 1);
    report("Names of several things", &twice.map(|(name, places)| format!("{name}: {}", places.join(", "))).collect::<Vec<_>>());
}

fn report(title: &str, found: &[String]) {
    assert!(found.is_empty(), "{title}: {}\n  {}\n", found.len(), found.join("\n").replace('\n', "\n  "));
}

fn floor(top: &str) -> Option<usize> {
    FLOORS.iter().position(|row| row.contains(&top))
}

/// Line and text of doc lines with an opening that is not used.
fn scenes(text: &str) -> Vec<String> {
    let opens = |line: &str| OPENINGS.iter().any(|o| line.strip_prefix(o).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric)));
    let doc =
        |line: &str| line.trim_start().strip_prefix("///").or(line.trim_start().strip_prefix("//!")).map(str::trim_start).map(String::from);
    text.lines().enumerate().filter_map(|(i, line)| doc(line).filter(|d| opens(d)).map(|d| format!("{} {d}", i + 1))).collect()
}

/// Line, word and remedy for every word, phrase and name that is not used.
fn dialect(source: &Source) -> Vec<String> {
    let mut out = Vec::new();
    for (i, line) in source.text.lines().enumerate() {
        let parts = words(&FOREIGN.iter().fold(line.to_string(), |line, (name, _)| line.replace(name, "")));
        let used = |word: &str| parts.iter().any(|p| *p == word || p.strip_suffix('s') == Some(word));
        let found =
            WORDS.iter().filter(|(word, _)| used(word)).chain(PHRASES.iter().filter(|(phrase, _)| line.to_lowercase().contains(phrase)));
        out.extend(found.map(|(word, better)| (i + 1, format!("{} \"{word}\": {better}", i + 1))));
    }
    for token in &source.tokens {
        out.extend(
            NAMES
                .iter()
                .filter(|(name, _)| token.text == *name)
                .map(|(name, better)| (token.line, format!("{} `{name}`: {better}", token.line))),
        );
    }
    out.sort();
    out.dedup();
    out.into_iter().map(|(_, finding)| finding).collect()
}

/// The words of a line in lower case: names are cut at underscores and before capitals.
fn words(line: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut before = ' ';
    for c in line.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase()) {
            out.push(String::new());
        }
        if c.is_alphanumeric() {
            out.last_mut().expect("never empty").extend(c.to_lowercase());
        }
        before = c;
    }
    out.retain(|word| !word.is_empty());
    out
}

#[test]
fn functions_are_measured_and_words_are_found() {
    let text = "//! What is here.\n/// Often.\nfn f(x: [u8; 2]) -> impl Fn() {\n    let oracle = \"a Visitor\";\n}\nfn g();\n// The dry_run of laundry\nstruct Room;";
    let source = Source::new("x.rs", text);
    assert_eq!(functions(&source.tokens), [("f".to_string(), 3, 3)]);
    assert_eq!(scenes(text), ["1 What is here."]);
    let expected = ["4 \"oracle\": reference", "4 \"visitor\": client connection", "7 \"dry\": shape-only", "8 `Room`: Budget"];
    assert_eq!(dialect(&source), expected);
}
