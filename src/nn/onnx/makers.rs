//! Makers of a graph's names: each name is made once, by an input, a constant or one output of a node.

use super::schema::{GraphProto, NodeProto};
use crate::{Error, Result};
use std::collections::{HashMap, hash_map::Entry};

/// An error that names both makers of a name that has two. An initializer may be the default of an input of its name.
pub fn check(graph: &GraphProto) -> Result<()> {
    let mut makers = HashMap::new();
    let sparse = graph.sparse_initializer.iter().filter_map(|sparse| sparse.values.as_ref());
    for tensor in graph.initializer.iter().chain(sparse) {
        once(&mut makers, &tensor.name, || "an initializer".into())?;
    }
    let defaults = makers.clone();
    for input in graph.input.iter().filter(|input| !defaults.contains_key(input.name.as_str())) {
        once(&mut makers, &input.name, || "an input".into())?;
    }
    for (i, node) in graph.node.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            once(&mut makers, name, || describe(node, i))?;
        }
    }
    Ok(())
}

fn once<'a>(makers: &mut HashMap<&'a str, String>, name: &'a str, maker: impl Fn() -> String) -> Result<()> {
    match makers.entry(name) {
        Entry::Vacant(entry) => {
            entry.insert(maker());
            Ok(())
        }
        Entry::Occupied(first) => Err(Error::Model(format!("the name '{name}' is made twice, by {} and by {}", first.get(), maker()))),
    }
}

/// A node by its name, or by its place among the others.
pub fn describe(node: &NodeProto, index: usize) -> String {
    if node.name.is_empty() { format!("{} (node {index})", node.op_type) } else { format!("{} '{}'", node.op_type, node.name) }
}
