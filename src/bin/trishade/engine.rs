//! From the options to a device, and from a device to a session.

#[cfg(feature = "gpu")]
use crate::tuning::tuned;
use crate::{
    args::{Engine, ModelChoice, NamedShape},
    failure::Failure,
    inputs,
};
use std::path::{Path, PathBuf};
use trishade::{
    Result,
    device::Device,
    fixed::Fixed,
    nn::{
        Graph, Session,
        onnx::{self, Source, Survey},
        zoo,
    },
};

/// The device that a name means. A GPU multiplies as it was found to do best, which is measured anew if `retune`.
pub fn device(name: &str, threads: usize, retune: bool) -> Result<Device> {
    let device = match name {
        "cpu" => Device::cpu(threads),
        "auto" => hardware().unwrap_or_else(|| Device::cpu(threads)),
        name => named(name),
    }?;
    tuned(device, retune)
}

/// Three parties on one device.
pub fn session(options: &Engine) -> Result<Session> {
    let fixed = Fixed::new(options.fraction_bits)?;
    let device = device(&options.device, options.threads, options.retune)?;
    Ok(limited(Session::new([device.clone(), device.clone(), device], fixed)?, options))
}

/// Three parties that keep sizes and no words, otherwise alike.
pub fn shape_only_session(options: &Engine) -> Result<Session> {
    Ok(limited(Session::shape_only(Fixed::new(options.fraction_bits)?)?, options))
}

fn limited(session: Session, options: &Engine) -> Session {
    if let Some(bytes) = options.max_memory {
        // the rest is for the model's own numbers and the program
        session.parties()[0].device().limit_memory(bytes / 10 * 9);
    }
    session.with_sign(options.sign.into())
}

#[cfg(feature = "gpu")]
fn hardware() -> Option<Result<Device>> {
    Device::auto()
}

#[cfg(not(feature = "gpu"))]
fn hardware() -> Option<Result<Device>> {
    None
}

#[cfg(not(feature = "gpu"))]
fn tuned(device: Device, _: bool) -> Result<Device> {
    Ok(device)
}

#[cfg(feature = "gpu")]
fn named(name: &str) -> Result<Device> {
    Device::gpu(name)
}

#[cfg(not(feature = "gpu"))]
fn named(name: &str) -> Result<Device> {
    Err(trishade::device::no_device(name, &["cpu".into()]))
}

/// The model that a command names: an ONNX file, or `zoo:NAME` with random weights. Extents that it leaves free are those that are given,
/// else those of the inputs at hand.
pub fn graph(model: &ModelChoice, inputs: &[PathBuf]) -> std::result::Result<Graph, Failure> {
    graph_at(model.path(), &model.shape, inputs)
}

/// The same of a path.
pub fn graph_at(model: &Path, shapes: &[NamedShape], inputs: &[PathBuf]) -> std::result::Result<Graph, Failure> {
    if let Some(name) = of_zoo(model) {
        return match shapes.is_empty() {
            true => zoo::network(name).map_err(|e| Failure::Usage(e.to_string())),
            false => Err(Failure::Usage(format!("--shape: the extents of zoo:{name} are not free"))),
        };
    }
    let (source, options) = opened(model, shapes, inputs)?;
    Ok(source.import(&options)?)
}

/// The operators of a model, and what keeps it from being imported, or its graph; of a network that the program knows the graph alone.
pub fn survey(model: &ModelChoice, inputs: &[PathBuf]) -> std::result::Result<Survey, Failure> {
    if of_zoo(model.path()).is_some() {
        return Ok(Survey { graph: Some(graph(model, inputs)?), ..Survey::default() });
    }
    let (source, options) = opened(model.path(), &model.shape, inputs)?;
    Ok(source.survey(&options))
}

fn opened(model: &Path, shapes: &[NamedShape], inputs: &[PathBuf]) -> Result<(Source, onnx::Options)> {
    let source = Source::open(model)?;
    let shapes = inputs::shapes(&source.inputs()?, shapes, inputs)?;
    Ok((source, onnx::Options { shapes, ..onnx::Options::default() }))
}

/// The name of a network that the program knows.
fn of_zoo(model: &Path) -> Option<&str> {
    model.to_str()?.strip_prefix("zoo:")
}

/// Runs a future to its end on this thread.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    pollster::block_on(future)
}
