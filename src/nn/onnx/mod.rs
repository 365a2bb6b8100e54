//! ONNX import: a model's bytes to a [`Graph`]. Nothing is trusted: every length, shape and number is checked, and what is
//! not supported is an error that names the operator, the node and what is supported.
//!
//! A model is read with the batch that it declares, or with any, whose axis is followed (`batch`). Constants are computed at once
//! (`fold`); what only moves an activation's elements moves an array of their places (`array`) and becomes one `Gather`.

mod array;
mod attributes;
mod batch;
mod comparison;
mod constant;
mod elements;
mod elementwise;
mod ends;
mod export;
mod fold;
mod importer;
mod layout;
mod layouts;
mod operators;
mod resize;
pub mod schema;
mod spatial;
mod tensor;
mod walk;

pub use export::export;
pub use importer::Options;
pub use operators::SUPPORTED;

use super::graph::Graph;
use crate::{Error, Result};
use batch::Batch;
use importer::Importer;
use prost::Message;
use schema::{GraphProto, ModelProto};
use std::path::Path;

/// Operator sets that are read. From 23 on nothing but types and attributes has been added to what is supported, and attributes that are
/// not known are errors.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=28;

/// Reads a model from a file, and from data files beside it.
pub fn open(path: &Path) -> Result<Graph> {
    let bytes = std::fs::read(path).map_err(|e| Error::File(format!("cannot read the model {}: {e}", path.display())))?;
    import_from(&bytes, path.parent(), Options::default()).map_err(|e| match e {
        Error::Model(what) => Error::Model(format!("{}: {what}", path.display())),
        Error::Range(what) => Error::Range(format!("{}: {what}", path.display())),
        other => other,
    })
}

/// Reads a model: operator sets 7 to 28, inputs with a free or any batch.
pub fn import(bytes: &[u8]) -> Result<Graph> {
    import_with(bytes, Options::default())
}

/// The same with other options.
pub fn import_with(bytes: &[u8], options: Options) -> Result<Graph> {
    import_from(bytes, None, options)
}

fn import_from(bytes: &[u8], folder: Option<&Path>, options: Options) -> Result<Graph> {
    let proto = decode(bytes)?;
    let read = |batch| Importer::new((&proto.0, proto.1), folder, batch)?.run(&proto.0);
    let declared = if options.batched { Batch::declared(batch::given(&proto.0))? } else { Some(Batch::Absent) };
    if let Some(batch) = declared {
        return Ok(read(batch)?.0);
    }
    // what was computed from the size of a batch must not depend on it
    let uneven = || Error::Model("the model computes something else for every size of a batch, besides shapes; export it for one".into());
    let [first, second] = ANY_BATCH.map(Batch::Many);
    match read(first) {
        Ok((graph, true)) if read(second).map_or(true, |(other, _)| other != graph) => Err(uneven()),
        Ok((graph, _)) => Ok(graph),
        // a model for any batch may hold shapes for one input
        Err(_) => match read(Batch::Written(ANY_BATCH[0])).map_err(of_any_batch)? {
            (_, true) => Err(uneven()),
            (graph, false) => Ok(graph),
        },
    }
}

/// An error that names shapes, which hold a batch that the model does not know of.
fn of_any_batch(error: Error) -> Error {
    match error {
        Error::Model(what) if what.contains('[') => {
            let batch = ANY_BATCH[0];
            Error::Model(format!("{what} (read with a batch of {batch}; if shapes depend on it, export the model for a batch of one)"))
        }
        other => other,
    }
}

/// Batches that a model for any is read with: numbers that no shape is likely to hold.
const ANY_BATCH: [usize; 2] = [7, 11];

/// An operator of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// Its name, after its domain if that is not ONNX's own.
    pub operator: String,
    /// Nodes of it.
    pub nodes: usize,
    /// Whether it is among those that are [`SUPPORTED`].
    pub supported: bool,
}

/// The operators of a model by name, whether or not it can be imported.
pub fn operators(bytes: &[u8]) -> Result<Vec<Coverage>> {
    let (graph, _) = decode(bytes)?;
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for node in &graph.node {
        let own = node.domain.is_empty() || node.domain == "ai.onnx";
        *counts.entry(if own { node.op_type.clone() } else { format!("{}.{}", node.domain, node.op_type) }).or_default() += 1;
    }
    let supported = |name: &str| SUPPORTED.split(", ").any(|one| one.split(' ').next() == Some(name));
    Ok(counts.into_iter().map(|(operator, nodes)| Coverage { supported: supported(&operator), operator, nodes }).collect())
}

/// The graph of a model and its operator set, if that is supported.
fn decode(bytes: &[u8]) -> Result<(GraphProto, i64)> {
    let model = ModelProto::decode(bytes).map_err(|e| Error::Model(format!("not an ONNX model, or a damaged one: {e}")))?;
    let opset = model.opset_import.iter().find(|o| o.domain.is_empty() || o.domain == "ai.onnx").map(|o| o.version);
    let opset = match opset {
        Some(version) if OPSETS.contains(&version) => version,
        Some(version) => {
            let (first, last) = (OPSETS.start(), OPSETS.end());
            return Err(Error::Model(format!(
                "operator set {version} is not supported; {first} to {last} are: export with one of them, or convert the model with onnx.version_converter"
            )));
        }
        None => return Err(Error::Model("not an ONNX model: it names no operator set".into())),
    };
    Ok((model.graph.ok_or_else(|| Error::Model("the model has no graph".into()))?, opset))
}
