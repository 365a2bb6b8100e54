//! ONNX import: a model's bytes to a [`Graph`]. Nothing is trusted: every length, shape and number is checked, and what is
//! not supported is an error that names the operator, the node and what is supported.
//!
//! A model is read with the batch that it declares, or with any, whose axis is followed (`batch`). Constants are computed at once
//! (`fold`); what only moves an activation's elements moves an array of their places (`array`) and becomes one `Gather`.

mod array;
mod attributes;
mod batch;
mod classical;
mod comparison;
mod constant;
mod elements;
mod elementwise;
mod ends;
mod export;
mod export_ends;
mod external;
mod fold;
mod functions;
mod importer;
mod inputs;
mod joins;
mod layout;
mod layouts;
mod makers;
mod operators;
mod resize;
pub mod schema;
mod spatial;
mod survey;
mod tensor;
mod walk;

pub use export::export;
pub use importer::Options;
pub use inputs::{DeclaredInput, Extent, Shapes};
pub use operators::SUPPORTED;
pub use survey::{Blocker, Coverage, Survey};

use super::graph::Graph;
use crate::{Error, Result};
use batch::Batch;
use external::Folder;
use importer::Importer;
use prost::Message;
use schema::{GraphProto, ModelProto};
use std::path::{Path, PathBuf};

/// Operator sets that are read. From 23 on nothing but types and attributes has been added to what is supported, and attributes that are
/// not known are errors.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=28;

/// Reads a model from a file, and from data files beside it.
pub fn open(path: &Path) -> Result<Graph> {
    Source::open(path)?.import(&Options::default())
}

/// Reads a model: operator sets 7 to 28, inputs with a free or any batch.
pub fn import(bytes: &[u8]) -> Result<Graph> {
    import_with(bytes, Options::default())
}

/// The same with other options.
pub fn import_with(bytes: &[u8], options: Options) -> Result<Graph> {
    Source::new(bytes)?.import(&options)
}

/// A model's file, read and not yet imported: it says which inputs it takes.
///
/// ```
/// use trishade::nn::onnx::{Options, Source};
/// # fn main() -> trishade::Result<()> {
/// let source = Source::open("examples/models/lenet_mnist.onnx".as_ref())?;
/// let mut options = Options::default();
/// for input in source.inputs()?.iter().filter(|input| input.is_free()) {
///     options.shapes.insert(input.name.clone(), vec![1, 3, 120, 160]);
/// }
/// let graph = source.import(&options)?;
/// # assert_eq!(graph.input_extents(), [1, 28, 28]);
/// # Ok(())
/// # }
/// ```
pub struct Source {
    proto: (GraphProto, i64),
    /// Where it lies, and where its data may lie.
    file: Option<(PathBuf, Folder)>,
}

impl Source {
    /// A file, and data files beside it.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::File(format!("cannot read the model {}: {e}", path.display())))?;
        let proto = decode(&bytes).map_err(|e| named(path, e))?;
        Ok(Self { proto, file: Some((path.into(), Folder::of(path))) })
    }

    /// The bytes of a file without others beside it.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        Ok(Self { proto: decode(bytes)?, file: None })
    }

    /// The inputs, of which extents may be free.
    pub fn inputs(&self) -> Result<Vec<DeclaredInput>> {
        inputs::declared(&self.proto.0)
    }

    /// The operators, and everything that keeps the model from being imported, each with a remedy where there is one.
    pub fn survey(&self, options: &Options) -> Survey {
        let folder = self.file.as_ref().map(|(_, folder)| folder);
        match import_from(&self.proto, folder, options) {
            Ok(graph) => Survey::new(&self.proto.0, Vec::new(), Some(graph)),
            Err(e) => {
                let declared = self.inputs().and_then(|inputs| Batch::declared(&inputs));
                let batch = declared.ok().flatten().unwrap_or(Batch::Many(1));
                Survey::new(&self.proto.0, survey::blockers(&self.proto, folder, &options.shapes, batch, e), None)
            }
        }
    }

    /// The graph, where all extents are known.
    pub fn import(&self, options: &Options) -> Result<Graph> {
        let folder = self.file.as_ref().map(|(_, folder)| folder);
        let imported = import_from(&self.proto, folder, options);
        match &self.file {
            Some((path, _)) => imported.map_err(|e| named(path, e)),
            None => imported,
        }
    }
}

/// An error about a model with its file's name in front.
fn named(path: &Path, error: Error) -> Error {
    match error {
        Error::Model(what) => Error::Model(format!("{}: {what}", path.display())),
        Error::Range(what) => Error::Range(format!("{}: {what}", path.display())),
        Error::Input(what) => Error::Input(format!("{}: {what}", path.display())),
        other => other,
    }
}

fn import_from(proto: &(GraphProto, i64), folder: Option<&Folder>, options: &Options) -> Result<Graph> {
    let read = |batch| Importer::new((&proto.0, proto.1), folder, &options.shapes, batch)?.run(&proto.0);
    let declared = if options.batched { Batch::declared(&inputs::declared(&proto.0)?)? } else { Some(Batch::Absent) };
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
        Err(first) => match read(Batch::Written(ANY_BATCH[0])) {
            Ok((_, true)) => Err(uneven()),
            Ok((graph, false)) => Ok(graph),
            Err(second) => Err(of_any_batch(if first.to_string().contains('[') { second } else { first })),
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

/// The graph of a model and its operator set, if that is supported.
fn decode(bytes: &[u8]) -> Result<(GraphProto, i64)> {
    let mut model = ModelProto::decode(bytes).map_err(|e| Error::Model(format!("not an ONNX model, or a damaged one: {e}")))?;
    let opset = model.opset_import.iter().find(|o| o.domain.is_empty() || o.domain == "ai.onnx").map(|o| o.version);
    let opset = match opset {
        Some(version) if OPSETS.contains(&version) => version,
        Some(version) => {
            let (first, last) = (OPSETS.start(), OPSETS.end());
            return Err(Error::Model(format!(
                "operator set {version} is not supported; {first} to {last} are: export with one of them, or convert the model with onnx.version_converter"
            )));
        }
        // all of its operators are of another domain
        None if model.opset_import.iter().any(|opset| opset.domain == classical::DOMAIN) => 13,
        None => return Err(Error::Model("not an ONNX model: it names no operator set".into())),
    };
    let graph = functions::inlined(&mut model)?;
    Ok((graph.ok_or_else(|| Error::Model("the model has no graph".into()))?, opset))
}
