//! Rules of the source tree: imports point down and never in a circle, only two files send, unsafe code and output stay in
//! their files, functions are short, names and doc lines are the field's. Each rule prints all its findings.
#![allow(missing_docs, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

/// Files and folders of the library, lowest first; those of one row may use one another, but not in a circle.
const FLOORS: [&[&str]; 9] = [
    &["error", "ring", "fixed", "shape", "clock", "data", "stream"],
    &["device"],
    &["kernels"],
    &["share"],
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

/// A word or sign of Rust, and the line it stands in.
#[derive(Clone, Debug, PartialEq)]
struct Token {
    text: String,
    line: usize,
}

/// A source file, read: its text and its code without comments, texts and unit tests.
struct Source {
    file: String,
    text: String,
    tokens: Vec<Token>,
}

/// A leaf of a `use` tree: the path, and the name under which it is known here.
#[derive(Clone, Debug, PartialEq)]
struct Leaf {
    path: Vec<String>,
    name: String,
    public: bool,
    line: usize,
}

/// A module: its file, its children, the names that its `use` lines bind, and its code beside them.
#[derive(Default)]
struct Module {
    file: String,
    children: BTreeSet<String>,
    leaves: Vec<Leaf>,
    rest: Vec<Token>,
}

/// Modules of one crate by path; the crate's own file is the empty path.
struct Tree(BTreeMap<Vec<String>, Module>);

/// Edges of one folder: from child, to child, and the lines that import.
type Edges = BTreeMap<(String, String), Vec<String>>;

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
        let unsafe_here = name.starts_with("device/vector") || name == "device/gpu/pipeline";
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

fn sources() -> Vec<Source> {
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
    files.sort();
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
    files.iter().map(|path| Source::new(&name(path), &fs::read_to_string(path).unwrap())).collect()
}

impl Source {
    fn new(file: &str, text: &str) -> Self {
        Self { file: file.into(), text: text.into(), tokens: without_tests(&tokens(text)) }
    }
}

impl Token {
    fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Words and signs of the text: comments are left out, literals are a sign.
fn tokens(text: &str) -> Vec<Token> {
    let (chars, mut out) = (text.chars().collect::<Vec<_>>(), Vec::new());
    let (mut i, mut line) = (0, 1);
    while i < chars.len() {
        let (end, kept) = token_end(&chars, i);
        let text: String = chars[i..end].iter().collect();
        if let Some(name) = kept {
            out.push(Token { text: if name { text.clone() } else { "\"".into() }, line });
        }
        line += text.matches('\n').count();
        i = end;
    }
    out
}

/// End of what begins at `i`, and whether it is kept: as it stands, as a literal, or not.
fn token_end(chars: &[char], i: usize) -> (usize, Option<bool>) {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let at = |k: usize| chars.get(k).copied().unwrap_or('\0');
    let run = |from: usize, is: &dyn Fn(char) -> bool| (from..chars.len()).find(|k| !is(chars[*k])).unwrap_or(chars.len());
    match (chars[i], at(i + 1)) {
        (c, _) if c.is_whitespace() => (i + 1, None),
        ('/', '/') => (run(i, &|c| c != '\n'), None),
        ('/', '*') => {
            let (mut k, mut depth) = (i + 2, 1);
            while k < chars.len() && depth > 0 {
                match (chars[k], at(k + 1)) {
                    ('/', '*') => (k, depth) = (k + 2, depth + 1),
                    ('*', '/') => (k, depth) = (k + 2, depth - 1),
                    _ => k += 1,
                }
            }
            (k, None)
        }
        ('"', _) => (string_end(chars, i), Some(false)),
        ('r' | 'b' | 'c', '"' | '#' | 'r') if raw_string_end(chars, i).is_some() => {
            (raw_string_end(chars, i).expect("seen in the guard"), Some(false))
        }
        ('b' | 'c', '"') => (string_end(chars, i + 1), Some(false)),
        ('\'', '\\') => (run(i + 3, &|c| c != '\'') + 1, Some(false)),
        ('\'', _) if at(i + 2) == '\'' => (i + 3, Some(false)),
        ('\'', _) => (run(i + 1, &word), Some(true)),
        (':', ':') => (i + 2, Some(true)),
        (c, _) if word(c) => (run(i, &word), Some(true)),
        _ => (i + 1, Some(true)),
    }
}

/// End of the string whose quotation mark stands at `i`.
fn string_end(chars: &[char], i: usize) -> usize {
    let mut k = i + 1;
    while k < chars.len() && chars[k] != '"' {
        k += if chars[k] == '\\' { 2 } else { 1 };
    }
    k + 1
}

/// End of the raw string that begins at `i`, if one does: `r`, `br` or `cr`, number signs, a quotation mark.
fn raw_string_end(chars: &[char], i: usize) -> Option<usize> {
    let open = i + if chars[i] == 'r' { 1 } else { 2 };
    if chars.get(open - 1) != Some(&'r') {
        return None;
    }
    let signs = chars[open..].iter().take_while(|c| **c == '#').count();
    if chars.get(open + signs) != Some(&'"') {
        return None;
    }
    let close = |k: usize| chars[k] == '"' && chars[k + 1..].iter().take_while(|c| **c == '#').count() >= signs;
    (open + signs + 1..chars.len()).find(|k| close(*k)).map(|k| k + 1 + signs)
}

/// Position after the bracket that closes the one at `at`.
fn closed(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 1 => return i + 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Position after the item that begins at `at`: its semicolon or its braces.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            ";" => return at + 1,
            "{" => return closed(tokens, at),
            "(" | "[" => at = closed(tokens, at),
            _ => at += 1,
        }
    }
    at
}

/// The code without the items that only tests have: `#[cfg(test)]`, `#[cfg(all(test, ..))]`.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let begins = |at: usize, with: &[&str]| with.iter().enumerate().all(|(k, text)| tokens.get(at + k).is_some_and(|t| t.text == *text));
    let (mut out, mut i) = (Vec::new(), 0);
    while i < tokens.len() {
        let test = begins(i, &["#", "[", "cfg", "(", "test", ")"]) || begins(i, &["#", "[", "cfg", "(", "all", "(", "test"]);
        if !test {
            out.push(tokens[i].clone());
            i += 1;
            continue;
        }
        while begins(i, &["#"]) {
            i = closed(tokens, i + 1);
        }
        // an `use` has braces before its semicolon
        let is_use = tokens[i..].iter().take_while(|t| t.text != ";" && t.text != "{").any(|t| t.text == "use");
        i = match is_use {
            true => (i..tokens.len()).find(|k| tokens[*k].text == ";").map_or(tokens.len(), |k| k + 1),
            false => item_end(tokens, i),
        };
    }
    out
}

/// Name, line and lines of every function with a body.
fn functions(tokens: &[Token]) -> Vec<(String, usize, usize)> {
    let begins = |i: usize| tokens[i].text == "fn" && tokens.get(i + 1).is_some_and(Token::is_word);
    let measured = |i: usize| {
        let last = &tokens[item_end(tokens, i) - 1];
        (last.text == "}").then(|| (tokens[i + 1].text.clone(), tokens[i].line, last.line + 1 - tokens[i].line))
    };
    (0..tokens.len()).filter(|i| begins(*i)).filter_map(measured).collect()
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
        let parts = words(line);
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

/// Leaves of the `use` tree that begins at `at`, and the position after it.
fn use_tree(tokens: &[Token], mut at: usize, prefix: &[String], public: bool) -> (Vec<Leaf>, usize) {
    let mut path = prefix.to_vec();
    let line = tokens[at].line;
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "::" => at += 1,
            "{" => {
                let (end, mut out) = (closed(tokens, at), Vec::new());
                at += 1;
                while at < end - 1 {
                    let (leaves, next) = use_tree(tokens, at, &path, public);
                    out.extend(leaves);
                    at = next.max(at + 1);
                    at += usize::from(tokens[at.min(end - 1)].text == ",");
                }
                return (out, end);
            }
            "self" if !path.is_empty() => at += 1,
            "*" => {
                path.push("*".into());
                at += 1;
            }
            _ if token.is_word() && token.text != "as" => {
                path.push(token.text.clone());
                at += 1;
            }
            _ => break,
        }
    }
    let mut name = path.last().cloned().unwrap_or_default();
    if tokens.get(at).is_some_and(|t| t.text == "as") {
        name = tokens[at + 1].text.clone();
        at += 2;
    }
    (vec![Leaf { path, name, public, line }], at)
}

impl Tree {
    /// The crate whose files lie below `root`.
    fn new(root: &str, sources: &[Source]) -> Self {
        let mut tree = BTreeMap::<Vec<String>, Module>::new();
        for source in sources.iter().filter(|s| s.file.starts_with(root) && (root == BINARY || !s.file.starts_with("bin/"))) {
            let name = source.file[root.len()..].trim_end_matches(".rs");
            let name = name.strip_suffix("/mod").unwrap_or(if ["lib", "main"].contains(&name) { "" } else { name });
            let path: Vec<String> = name.split('/').filter(|part| !part.is_empty()).map(String::from).collect();
            for depth in 0..path.len() {
                tree.entry(path[..depth].to_vec()).or_default().children.insert(path[depth].clone());
            }
            let module = tree.entry(path).or_default();
            module.file = source.file.clone();
            (module.leaves, module.rest) = divided(&source.tokens);
        }
        Self(tree)
    }

    /// Module that defines the path, followed through re-exports from the crate's root, and whether the path is the module itself.
    fn resolve(&self, path: &[String], depth: usize) -> (Vec<String>, bool) {
        let mut here = Vec::new();
        for (i, part) in path.iter().enumerate() {
            let module = &self.0[&here];
            if module.children.contains(part) {
                here.push(part.clone());
                continue;
            }
            let bound = module.leaves.iter().find(|leaf| leaf.name == *part).and_then(|leaf| self.absolute(&here, &leaf.path));
            return match bound.filter(|_| depth < 8) {
                Some(bound) => self.resolve(&[&bound, &path[i + 1..]].concat(), depth + 1),
                None => (here, false),
            };
        }
        (here, true)
    }

    /// The path from the crate's root, if it begins with `crate`, `self`, `super`, a child of the module, or a name that it imports.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Vec<String>> {
        let mut base = module.to_vec();
        let supers = path.iter().take_while(|part| *part == "super").count();
        match path.first()?.as_str() {
            "crate" => return Some(path[1..].to_vec()),
            "self" => return Some([&base, &path[1..]].concat()),
            "super" => base.truncate(base.len().saturating_sub(supers)),
            first if self.0[module].children.contains(first) => {}
            _ => return None,
        }
        Some([&base, &path[supers..]].concat())
    }

    /// Everything that a module uses: the defining module, the line, and the path as written.
    fn imports(&self, path: &[String]) -> Vec<(Vec<String>, usize, String)> {
        let module = &self.0[path];
        let mut out = Vec::new();
        for leaf in &module.leaves {
            let Some(target) = self.absolute(path, &leaf.path).map(|absolute| self.resolve(&absolute, 0)) else { continue };
            let from_below = target.0.len() > path.len() && target.0.starts_with(path);
            let used = module.rest.iter().any(|token| token.text == leaf.name);
            // a re-export of what lies below is no use of it; a name for a module above is used where a path begins with it
            let re_export = leaf.public && from_below && !used;
            let above = target.1 && path.starts_with(&target.0);
            if !re_export && !above {
                out.push((target.0, leaf.line, leaf.path.join("::")));
            }
        }
        for (written, line) in self.paths(path) {
            // what begins with an imported name has its edge by the import, unless that names a module above
            let bound = module.leaves.iter().find(|leaf| leaf.name == written[0]);
            let above = |leaf: &Leaf| self.absolute(path, &leaf.path).is_some_and(|to| path.starts_with(&self.resolve(&to, 0).0));
            if bound.is_some_and(|leaf| !above(leaf)) {
                continue;
            }
            let whole = bound.map_or(written.clone(), |leaf| [&leaf.path, &written[1..]].concat());
            out.extend(self.absolute(path, &whole).map(|absolute| (self.resolve(&absolute, 0).0, line, written.join("::"))));
        }
        out
    }

    /// Paths in the code beside `use` lines, and their lines. In a module within the file the first `super` is the file itself.
    fn paths(&self, path: &[String]) -> Vec<(Vec<String>, usize)> {
        let (tokens, mut out, mut inner) = (&self.0[path].rest, Vec::new(), Vec::<usize>::new());
        let is = |i: usize, text: &str| tokens.get(i).is_some_and(|t| t.text == text);
        let mut i = 0;
        while i < tokens.len() {
            inner.retain(|end| *end > i);
            if is(i, "mod") && is(i + 2, "{") {
                inner.push(closed(tokens, i + 2));
            }
            let visibility = i > 1 && is(i - 1, "in") && is(i - 2, "(");
            if !tokens[i].is_word() || !is(i + 1, "::") || (i > 0 && is(i - 1, "::")) || visibility {
                i += 1;
                continue;
            }
            let (start, mut parts) = (i, vec![tokens[i].text.clone()]);
            while is(i + 1, "::") && tokens.get(i + 2).is_some_and(Token::is_word) {
                parts.push(tokens[i + 2].text.clone());
                i += 2;
            }
            let own = parts.iter().take_while(|part| *part == "super").count().min(inner.len());
            parts.drain(..own);
            if own > 0 && parts.first().is_some_and(|first| first != "super") {
                parts.insert(0, "self".into());
            }
            out.extend((!parts.is_empty()).then_some((parts, tokens[start].line)));
            i += 1;
        }
        out
    }

    /// Edges among the children of every folder; its own file is the child `mod`.
    fn edges(&self) -> BTreeMap<String, Edges> {
        let mut out: BTreeMap<String, Edges> = BTreeMap::new();
        for (from, module) in &self.0 {
            for (to, line, written) in self.imports(from).into_iter().filter(|(to, ..)| to != from) {
                let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                let child = |path: &[String]| path.get(shared).cloned().unwrap_or("mod".into());
                let lines = out.entry(from[..shared].join("/")).or_default().entry((child(from), child(&to))).or_default();
                let evidence = format!("src/{}:{line} {written}", module.file);
                lines.extend((!lines.contains(&evidence)).then_some(evidence));
            }
        }
        out
    }

    /// Every shortest circle through an edge, folder by folder, with the lines that import.
    fn circles(&self, root: &str) -> Vec<String> {
        let mut out = Vec::new();
        for (folder, edges) in self.edges() {
            let circles: BTreeSet<Vec<String>> = edges.keys().filter_map(|(a, b)| circle(&edges, a, b)).collect();
            for circle in circles {
                let mut text = format!("src/{root}{folder}: {} -> {}", circle.join(" -> "), circle[0]);
                for (i, from) in circle.iter().enumerate() {
                    let lines = &edges[&(from.clone(), circle[(i + 1) % circle.len()].clone())];
                    let more = if lines.len() > 4 { format!(" and {} more", lines.len() - 4) } else { String::new() };
                    write!(text, "\n    {}{more}", lines[..lines.len().min(4)].join("\n    ")).expect("a String takes all");
                }
                out.push(text);
            }
        }
        out.sort_by_key(|text| text.lines().next().map(|line| (line.split(':').next().map(String::from), line.matches("->").count())));
        out
    }
}

/// The shortest way from `b` back to `a`, as a circle that begins with its first name.
fn circle(edges: &Edges, a: &str, b: &str) -> Option<Vec<String>> {
    let mut ways = VecDeque::from([vec![b.to_string()]]);
    let mut seen = BTreeSet::from([b.to_string()]);
    while let Some(way) = ways.pop_front() {
        let last = way.last().expect("a way has a beginning");
        if last == a {
            let least = way.iter().min().expect("a way has a beginning");
            let at = way.iter().position(|name| name == least).expect("it is of the way");
            return Some([&way[at..], &way[..at]].concat());
        }
        for (_, to) in edges.keys().filter(|(from, _)| from == last) {
            if seen.insert(to.clone()) {
                ways.push_back([way.as_slice(), &[to.clone()]].concat());
            }
        }
    }
    None
}

/// The leaves of all `use` lines, and the rest of the code without `mod` lines.
fn divided(tokens: &[Token]) -> (Vec<Leaf>, Vec<Token>) {
    let (mut leaves, mut rest, mut i) = (Vec::new(), Vec::<Token>::new(), 0);
    let begins = |rest: &[Token]| rest.last().is_none_or(|t| [";", "}", "{", "]", ")", "pub"].contains(&t.text.as_str()));
    while i < tokens.len() {
        let is_mod = tokens[i].text == "mod" && tokens.get(i + 2).is_some_and(|t| t.text == ";");
        if tokens[i].text != "use" || !begins(&rest) {
            i += if is_mod { 3 } else { 1 };
            rest.extend((!is_mod).then(|| tokens[i - 1].clone()));
            continue;
        }
        // `pub`, `pub(crate)`, `pub(in path)`
        let visibility =
            rest.iter().rposition(|t| t.text == "pub").filter(|at| closed(&rest, at + 1) == rest.len() || at + 1 == rest.len());
        let public = visibility.is_some_and(|at| rest.get(at + 1).is_none_or(|t| t.text == "("));
        if let Some(at) = visibility.filter(|_| public) {
            rest.truncate(at);
        }
        let (found, next) = use_tree(tokens, i + 1, &[], public);
        leaves.extend(found);
        i = next + 1;
    }
    (leaves, rest)
}

/// Circles of made-up sources.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    Tree::new(LIBRARY, &files.iter().map(|(file, text)| Source::new(file, text)).collect::<Vec<_>>()).circles(LIBRARY)
}

#[test]
fn a_circle_of_three_files_is_found_with_its_lines() {
    let files = [
        ("net/mod.rs", "mod a;\nmod b;\nmod c;"),
        ("net/a.rs", "use super::b::B;\nuse std::{fs, c::C};"),
        ("net/b.rs", "use crate::{error::Error, net::{c::{self, C as D}, other}};"),
        ("net/c.rs", "fn f() {\n    super::a::g(\"super::x\"); // super::y\n}"),
    ];
    let expected = "src/net: a -> b -> c -> a\n    src/net/a.rs:1 super::b::B\n    src/net/b.rs:1 crate::net::c\n    \
        src/net/b.rs:1 crate::net::c::C\n    src/net/c.rs:2 super::a::g";
    assert_eq!(circles_of(&files), [expected]);
    assert_eq!(circles_of(&files[..3]), [""; 0], "without the edge back there is none");
}

#[test]
fn a_circle_through_the_folders_own_file_is_found() {
    let uses = |line: &str| circles_of(&[("a/mod.rs", line), ("a/x.rs", "use super::State;"), ("a/y.rs", "")]);
    assert_eq!(uses("mod x;\nuse x::X;\nstruct State(X);").len(), 1);
    assert_eq!(uses("mod x;\nstruct State(x::X);").len(), 1, "a path in code");
    assert_eq!(uses("mod x;\npub use x::X;\nstruct State(X);").len(), 1, "a re-exported name that the file uses itself");
    assert_eq!(uses("mod x;\npub use x::X;\nstruct State;").len(), 0, "a re-export alone");
    assert_eq!(uses("mod x;\nmod y;\nuse y::Y;\nstruct State(Y);").len(), 0, "no way back");
    assert_eq!(uses("mod x;\nstruct State;\n#[cfg(test)]\nmod tests {\n    use super::x::X;\n}").len(), 0, "unit tests do not count");
    assert_eq!(uses("mod x;\nstruct State;\n#[cfg(test)]\nuse x::{X, Y};").len(), 0, "nor their imports");
}

#[test]
fn re_exports_are_followed_to_where_a_thing_is_defined() {
    let files = |c: &'static str| {
        [
            ("lib.rs", "pub mod a;\npub use a::{b::B as Bee, c::C};"),
            ("a/mod.rs", "mod b;\nmod c;\npub(crate) use self::b::B;\npub use c::{C, f};"),
            ("a/b.rs", "use super::C;"),
            ("a/c.rs", c),
        ]
    };
    assert_eq!(circles_of(&files("")).len(), 0);
    let circle = "src/a: b -> c -> b";
    for text in [
        "use super::B;",
        "use crate::Bee;",
        "use crate::{self as root, a};\nfn f(_: a::B) {}",
        "mod inner { fn f() -> super::super::B {} }",
    ] {
        let found = circles_of(&files(text));
        assert!(found.len() == 1 && found[0].starts_with(circle), "{text}: {found:?}");
    }
    assert_eq!(circles_of(&files("pub(in crate::a) use std::b::B;\nmod inner { fn f() -> super::B {} }")).len(), 0, "`super` is the file");
}

#[test]
fn sub_folders_are_one_child_each_and_every_folder_is_searched() {
    let files = [
        ("lib.rs", "mod low;\nmod a;"),
        ("low.rs", "use crate::a::deep::one::Thing;"),
        ("a/mod.rs", "pub mod deep;"),
        ("a/deep.rs", "pub mod one;\nmod two;"),
        ("a/deep/one.rs", "use super::two::f;\nuse crate::low;"),
        ("a/deep/two.rs", "use super::one::g;"),
    ];
    let heads: Vec<_> = circles_of(&files).iter().map(|c| c.lines().next().unwrap().to_string()).collect();
    assert_eq!(heads, ["src/: a -> low -> a", "src/a/deep: one -> two -> one"]);
}

#[test]
fn literals_and_comments_are_no_code() {
    let code = "a r#\"} \"x\" use b::c\"# /* d /* e */ f */ 'g' '\\'' &'h b\"i\" // j\nk::l";
    let texts: Vec<_> = tokens(code).into_iter().map(|t| t.text).collect();
    assert_eq!(texts, ["a", "\"", "\"", "\"", "&", "'h", "\"", "k", "::", "l"]);
    assert_eq!(tokens(code).last().unwrap().line, 2);
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
