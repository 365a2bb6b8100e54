//! `trishade client`: models and inputs of their owners, shared among three parties.

use super::caller;
use crate::{
    answers::{self, Names, Results},
    args::{Caller, ClientCommand, ClientInfer, InputRange, ModelChoice, Preprocess},
    engine,
    failure::Failure,
    inputs,
    outputs::{Destination, Outline},
    progress::Progress,
    terminal::{self, escaped},
};
use serde_json::json;
use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
};
use trishade::{
    Error,
    net::{Connection, InferOptions, InferProgress, UploadOptions, UploadStage},
    nn::{RangeOrigin, Ranges},
};

/// Part of an inference that sharing the inputs is taken for.
const SHARING: f64 = 0.05;

pub fn run(command: &ClientCommand) -> Result<(), Failure> {
    match command {
        ClientCommand::Upload { caller, model, name, range_bits, calibrate, preprocess } => {
            let upload = Upload { model, name: name.as_deref(), range: range_bits.clone(), calibrate, preprocess: *preprocess };
            upload.run(caller)?;
        }
        ClientCommand::Models { caller, json } => models(caller, *json)?,
        ClientCommand::Infer(options) => infer(options)?,
    }
    Ok(())
}

/// Options of an upload.
struct Upload<'a> {
    model: &'a ModelChoice,
    name: Option<&'a str>,
    range: Option<InputRange>,
    calibrate: &'a [PathBuf],
    preprocess: Option<Preprocess>,
}

impl Upload<'_> {
    fn run(self, caller: &Caller) -> Result<(), Failure> {
        let Self { model, name, range, calibrate, preprocess } = self;
        let work = Progress::begin("reading the model");
        let graph = engine::graph(model, calibrate)?;
        let samples = match calibrate {
            [] => Vec::new(),
            paths => {
                let samples = inputs::read(paths, &graph.inputs, preprocess, None)?;
                samples.tell();
                samples.values
            }
        };
        let (setup, how) = caller::open(caller)?;
        let connection = Connection::open(&setup, how)?;
        let name = name.map_or_else(|| name_of(model.path()), str::to_owned);
        let options = UploadOptions { range_bits: range.map(RangeInclusive::from), calibration: &samples, ranges: None };
        let uploaded = connection.upload_with(&name, &graph, options, |stage, done| work.stage(stage_name(stage), done));
        drop(work);
        let uploaded = uploaded.map_err(|error| match error {
            Error::Range(what) if !samples.is_empty() => Failure::Check(what),
            other => Failure::Library(other),
        })?;
        terminal::say(&escaped(&format!("model {name}, version {}, id:", uploaded.version)));
        terminal::print(&escaped(&uploaded.id));
        Ok(())
    }
}

fn stage_name(stage: UploadStage) -> &'static str {
    match stage {
        UploadStage::Calibrating => "calibrating",
        UploadStage::Sharing => "sharing the weights",
        UploadStage::Storing => "waiting for the parties",
    }
}

/// A model's name unless another is given: that of its file, or of the network.
fn name_of(model: &Path) -> String {
    let text = model.display().to_string();
    let stem = model.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    text.strip_prefix("zoo:").map(str::to_owned).or(stem).unwrap_or_default()
}

fn models(caller: &Caller, as_json: bool) -> Result<(), Error> {
    let (setup, how) = caller::open(caller)?;
    let models = Connection::open(&setup, how)?.models()?;
    if as_json {
        let rows: Vec<_> = models
            .iter()
            .map(|m| json!({"id": m.id, "name": m.name(), "version": m.version, "uploaded": m.uploaded, "bytes": m.bytes}))
            .collect();
        terminal::print_json(&json!(rows));
    } else {
        models.iter().for_each(|model| terminal::print(&escaped(&format!("{}  version {}", model.id, model.version))));
    }
    Ok(())
}

/// Warns where nothing says that an input's values do not overflow.
fn warn_without_range(name: &str, ranges: Option<&Ranges>) {
    let fault = match ranges.map(|ranges| ranges.origin) {
        None => "carries no range of inputs for which its values are known to fit",
        Some(RangeOrigin::Stated) => "carries a range of inputs for which nobody has tried whether its values fit",
        Some(RangeOrigin::Calibrated | RangeOrigin::Proven) => return,
    };
    let remedy = "its owner can upload it with --calibrate SAMPLES";
    terminal::warn(&format!("model {name} {fault}: inputs that are too large would give wrong scores without an error; {remedy}"));
}

fn infer(options: &ClientInfer) -> Result<(), Failure> {
    let (setup, how) = caller::open(&options.caller)?;
    let connection = Connection::open(&setup, how)?;
    connection.ready()?;
    let model = connection.find_model(&options.model_id)?;
    let program = connection.architecture(&model.id)?;
    terminal::say(&escaped(&format!("model {}, version {}, id {}", model.name(), model.version, model.id)));
    warn_without_range(model.name(), program.ranges());
    let outlines = Outline::of_program(&program)?;
    let destination = Destination::new(options.output.as_ref(), outlines.len())?;
    let work = Progress::begin("reading the inputs");
    let inputs = inputs::read(&options.input, program.inputs(), options.preprocess, Some(&options.classes))?;
    inputs.tell();
    let truth = inputs.truth(&options.classes, &outlines[0])?;
    let classes = inputs.class_names(&options.classes)?;
    answers::worth_an_index(&outlines[0], truth.as_ref(), options.reveal)?;
    let request = InferOptions { batch: options.batch.into(), in_flight: options.in_flight.into(), reveal: options.reveal.into() };
    connection.prepare(&model.id, inputs.count, request)?;
    let part = |now: InferProgress| (SHARING * now.shared as f64 + (1.0 - SHARING) * now.answered as f64) / inputs.count as f64;
    let moved = |now: InferProgress| work.stage("private inference", part(now));
    let answer = connection.infer_with(&model.id, &program, &inputs.values, request, moved);
    drop(work);
    let answer = answer?;
    let results = Results::new(&answer, &outlines, program.inputs(), truth.as_ref(), options.classes.classes.is_some());
    if let Some(destination) = destination {
        destination.write(&results.outputs, &inputs.names)?;
    }
    let device = format!("three parties of {}", escaped(&options.caller.cluster.display().to_string()));
    if options.json {
        results.print(None, &device);
    } else {
        results.show(&Names { items: &inputs.names, classes: &classes, top: options.classes.top });
        results.report(&device);
    }
    Ok(())
}
