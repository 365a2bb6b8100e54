//! The README's code is the example that it names.
#![allow(missing_docs, reason = "tests")]

#[test]
fn the_readmes_code_is_the_first_example() {
    let readme = include_str!("../README.md");
    let code = readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the README has code");
    let example = include_str!("../examples/hello.rs");
    let (said, rest) = example.split_once("\n\n").expect("the example opens with what it is");
    assert!(said.lines().all(|line| line.starts_with("//!")), "{said}");
    assert_eq!(code, rest, "README.md and examples/hello.rs differ");
}
