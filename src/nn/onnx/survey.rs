//! The survey of a model: its operators, and everything that keeps it from being imported, not only the first.

use super::{
    batch::Batch,
    classical,
    external::Folder,
    importer::Importer,
    inputs::Shapes,
    makers::describe,
    operators::{self, SUPPORTED},
    schema::{GraphProto, NodeProto},
};
use crate::{Error, nn::graph::Graph};
use std::collections::{BTreeMap, HashSet};

/// The operators of a model, and what keeps it from being imported.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Survey {
    /// Its operators by name.
    pub operators: Vec<Coverage>,
    /// Reasons in the order of the nodes; none if the model can be imported.
    pub blockers: Vec<Blocker>,
    /// The graph, if there are none.
    pub graph: Option<Graph>,
}

/// An operator of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// Its name, after its domain if that is not ONNX's own.
    pub operator: String,
    /// Nodes of it.
    pub nodes: usize,
    /// Whether no node of it is a blocker.
    pub supported: bool,
}

/// A reason why a model cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// The operator; empty if it is about the model as a whole.
    pub operator: String,
    /// Nodes with this reason.
    pub nodes: usize,
    /// The first of them, or the model.
    pub first: String,
    /// The reason, and what can be done.
    pub why: String,
}

impl Survey {
    /// The operators of a model with these blockers, or of which this graph was made.
    pub(super) fn new(proto: &GraphProto, blockers: Vec<Blocker>, graph: Option<Graph>) -> Self {
        let mut counts = BTreeMap::<String, usize>::new();
        proto.node.iter().for_each(|node| *counts.entry(full_name(node)).or_default() += 1);
        let supported = |operator: &String| blockers.iter().all(|one| one.operator != *operator);
        let operators = counts.into_iter().map(|(operator, nodes)| Coverage { supported: supported(&operator), operator, nodes }).collect();
        Self { operators, blockers, graph }
    }
}

/// Every reason that keeps a graph from being imported, which has ended with this error. Nothing is known of what follows a node that cannot
/// be read: of the nodes there only operators that are not supported at all are told.
pub(super) fn blockers(
    (proto, opset): &(GraphProto, i64),
    folder: Option<&Folder>,
    shapes: &Shapes,
    batch: Batch,
    error: Error,
) -> Vec<Blocker> {
    let found = Importer::new((proto, *opset), folder, shapes, batch).map_or(Vec::new(), |importer| of_nodes(importer, proto));
    match found.is_empty() {
        true => vec![Blocker { operator: String::new(), nodes: 0, first: "the model".into(), why: reason(error) }],
        false => found,
    }
}

fn of_nodes(mut importer: Importer, proto: &GraphProto) -> Vec<Blocker> {
    let (mut found, mut unknown) = (Vec::<Blocker>::new(), HashSet::<&str>::new());
    for (i, node) in proto.node.iter().enumerate() {
        let (operator, follows) = (full_name(node), node.input.iter().any(|name| unknown.contains(name.as_str())));
        let why = match follows {
            true => (!is_supported(&operator)).then(|| operators::refusal(&operator)),
            false => importer.read(node, i).err().map(reason),
        };
        if follows || why.is_some() {
            unknown.extend(node.output.iter().filter(|name| !name.is_empty()).map(String::as_str));
        }
        let Some(why) = why else { continue };
        match found.iter_mut().find(|one| one.operator == operator && one.why == why) {
            Some(same) => same.nodes += 1,
            None => found.push(Blocker { operator, nodes: 1, first: describe(node, i), why }),
        }
    }
    found
}

fn full_name(node: &NodeProto) -> String {
    let own = node.domain.is_empty() || node.domain == "ai.onnx";
    if own { node.op_type.clone() } else { format!("{}.{}", node.domain, node.op_type) }
}

fn is_supported(operator: &str) -> bool {
    let listed = |all: &str, name: &str| all.split(", ").any(|one| one.split(' ').next() == Some(name));
    match operator.strip_prefix(classical::DOMAIN).and_then(|name| name.strip_prefix('.')) {
        Some(name) => listed(classical::SUPPORTED, name),
        None => listed(SUPPORTED, operator),
    }
}

fn reason(error: Error) -> String {
    match error {
        Error::Model(what) | Error::Range(what) | Error::Input(what) => what,
        other => other.to_string(),
    }
}
