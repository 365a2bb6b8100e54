//! Sources as words and signs: without comments, texts and unit tests.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A word or sign of Rust, and the line it stands in.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// A source file, read: its text and its code without comments, texts and unit tests.
pub struct Source {
    pub file: String,
    pub text: String,
    pub tokens: Vec<Token>,
}

pub fn sources() -> Vec<Source> {
    pub fn walk(directory: &Path, out: &mut Vec<PathBuf>) {
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
    pub fn new(file: &str, text: &str) -> Self {
        Self { file: file.into(), text: text.into(), tokens: without_tests(&tokens(text)) }
    }
}

impl Token {
    pub fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Words and signs of the text: comments are left out, literals are a sign.
pub fn tokens(text: &str) -> Vec<Token> {
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
pub fn token_end(chars: &[char], i: usize) -> (usize, Option<bool>) {
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
pub fn string_end(chars: &[char], i: usize) -> usize {
    let mut k = i + 1;
    while k < chars.len() && chars[k] != '"' {
        k += if chars[k] == '\\' { 2 } else { 1 };
    }
    k + 1
}

/// End of the raw string that begins at `i`, if one does: `r`, `br` or `cr`, number signs, a quotation mark.
pub fn raw_string_end(chars: &[char], i: usize) -> Option<usize> {
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
pub fn closed(tokens: &[Token], at: usize) -> usize {
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
pub fn item_end(tokens: &[Token], mut at: usize) -> usize {
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
pub fn without_tests(tokens: &[Token]) -> Vec<Token> {
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
pub fn functions(tokens: &[Token]) -> Vec<(String, usize, usize)> {
    let begins = |i: usize| tokens[i].text == "fn" && tokens.get(i + 1).is_some_and(Token::is_word);
    let measured = |i: usize| {
        let last = &tokens[item_end(tokens, i) - 1];
        (last.text == "}").then(|| (tokens[i + 1].text.clone(), tokens[i].line, last.line + 1 - tokens[i].line))
    };
    (0..tokens.len()).filter(|i| begins(*i)).filter_map(measured).collect()
}

#[test]
fn literals_and_comments_are_no_code() {
    let code = "a r#\"} \"x\" use b::c\"# /* d /* e */ f */ 'g' '\\'' &'h b\"i\" // j\nk::l";
    let texts: Vec<_> = tokens(code).into_iter().map(|t| t.text).collect();
    assert_eq!(texts, ["a", "\"", "\"", "\"", "&", "'h", "\"", "k", "::", "l"]);
    assert_eq!(tokens(code).last().unwrap().line, 2);
}
