//! Modules of a crate and what they import: circles among the children of a folder.

use super::source::{Source, Token, closed};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write,
};

/// A leaf of a `use` tree: the path, and the name under which it is known here.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    path: Vec<String>,
    name: String,
    public: bool,
    line: usize,
}

/// A module: its file, its children, the names that its `use` lines bind, and its code beside them.
#[derive(Default)]
pub struct Module {
    pub file: String,
    children: BTreeSet<String>,
    leaves: Vec<Leaf>,
    rest: Vec<Token>,
}

/// Modules of one crate by path; the crate's own file is the empty path.
pub struct Tree(pub BTreeMap<Vec<String>, Module>);

/// Edges of one folder: from child, to child, and the lines that import.
type Edges = BTreeMap<(String, String), Vec<String>>;

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
    pub fn new(root: &str, sources: &[Source]) -> Self {
        let mut tree = BTreeMap::<Vec<String>, Module>::new();
        for source in sources.iter().filter(|s| s.file.starts_with(root) && (root.starts_with("bin/") || !s.file.starts_with("bin/"))) {
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
    pub fn imports(&self, path: &[String]) -> Vec<(Vec<String>, usize, String)> {
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
    pub fn circles(&self, root: &str) -> Vec<String> {
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
                ways.push_back([way.as_slice(), std::slice::from_ref(to)].concat());
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
    Tree::new("", &files.iter().map(|(file, text)| Source::new(file, text)).collect::<Vec<_>>()).circles("")
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
