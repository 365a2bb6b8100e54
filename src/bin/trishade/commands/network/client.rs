//! `trishade client`: models and inputs of their owners, shared among three parties.

use super::caller;
use crate::{
    answers::{self, Names, Results},
    args::{Caller, ClientCommand, ClientInfer, InputRange},
    engine,
    failure::Failure,
    inputs,
    outputs::{Destination, Outline},
    progress,
    terminal::{self, escaped},
};
use serde_json::json;
use std::{ops::RangeInclusive, path::Path};
use trishade::{
    Error,
    net::{Connection, InferOptions},
};

pub fn run(command: &ClientCommand) -> Result<(), Failure> {
    match command {
        ClientCommand::Upload { caller, model, name, range_bits } => upload(caller, model.path(), name.as_deref(), range_bits.clone())?,
        ClientCommand::Models { caller, json } => models(caller, *json)?,
        ClientCommand::Infer(options) => infer(options)?,
    }
    Ok(())
}

fn upload(caller: &Caller, model: &Path, name: Option<&str>, range: Option<InputRange>) -> Result<(), Failure> {
    let graph = engine::graph(model)?;
    let from_file = || {
        let text = model.display().to_string();
        let stem = model.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        text.strip_prefix("zoo:").map(str::to_owned).or(stem).unwrap_or_default()
    };
    let (setup, how) = caller::open(caller)?;
    let connection = Connection::open(&setup, how)?;
    let name = name.map_or_else(from_file, str::to_owned);
    let id = progress::of("sharing the weights", |bar| {
        connection.upload_for(&name, &graph, range.map(RangeInclusive::from), |done| bar.set(done))
    })?;
    terminal::print(&escaped(&id));
    Ok(())
}

fn models(caller: &Caller, as_json: bool) -> Result<(), Error> {
    let (setup, how) = caller::open(caller)?;
    let models = Connection::open(&setup, how)?.models()?;
    if as_json {
        let rows: Vec<_> = models.iter().map(|m| json!({"id": m.id, "uploaded": m.uploaded, "bytes": m.bytes})).collect();
        terminal::print_json(&json!(rows));
    } else {
        models.iter().for_each(|model| terminal::print(&escaped(&model.id)));
    }
    Ok(())
}

fn infer(options: &ClientInfer) -> Result<(), Failure> {
    let (setup, how) = caller::open(&options.caller)?;
    let connection = Connection::open(&setup, how)?;
    connection.ready()?;
    let id = connection.find(&options.model_id)?;
    let program = connection.architecture(&id)?;
    let outlines = Outline::of_program(&program)?;
    let destination = Destination::new(options.output.as_ref(), outlines.len())?;
    let inputs = inputs::read(&options.input, program.inputs(), options.preprocess, Some(&options.classes))?;
    inputs.tell();
    let truth = inputs.truth(&options.classes, &outlines[0])?;
    let classes = inputs.class_names(&options.classes)?;
    answers::worth_an_index(&outlines[0], truth.as_ref(), options.reveal)?;
    let request = InferOptions { batch: options.batch.into(), in_flight: options.in_flight.into(), reveal: options.reveal.into() };
    connection.prepare(&id, inputs.count, request)?;
    let answer = progress::of("private inference", |bar| {
        connection.infer(&id, &program, &inputs.values, request, |done| bar.set(done as f64 / inputs.count as f64))
    })?;
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
