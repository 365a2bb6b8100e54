//! `trishade client`: models and inputs of their owners, shared among three parties.

use super::caller;
use crate::{
    answers,
    args::{Caller, ClientCommand, ClientInfer, InputRange},
    engine,
    failure::Failure,
    inputs, terminal,
};
use serde_json::json;
use std::{ops::RangeInclusive, path::Path};
use trishade::{
    Error,
    net::{Connection, InferOptions},
    nn::Graph,
};

pub fn run(command: &ClientCommand) -> Result<(), Failure> {
    match command {
        ClientCommand::Upload { caller, model, shapes, name, range_bits } => {
            upload(caller, engine::graph(model, shapes, &[])?, &name.clone().unwrap_or_else(|| name_of(model)), range_bits.clone())?
        }
        ClientCommand::Models { caller, json } => models(caller, *json)?,
        ClientCommand::Infer(options) => infer(options)?,
    }
    Ok(())
}

fn upload(caller: &Caller, graph: Graph, name: &str, range: Option<InputRange>) -> Result<(), Error> {
    let (setup, how) = caller::open(caller)?;
    let connection = Connection::open(&setup, how)?;
    let bar = terminal::progress(1000, "sharing the weights");
    let moved = |done| bar.set_position((done * 1000.0) as u64);
    let id = connection.upload_for(name, &graph, range.map(RangeInclusive::from), moved);
    bar.finish_and_clear();
    terminal::print(&id?);
    Ok(())
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
        let rows: Vec<_> = models.iter().map(|m| json!({"id": m.id, "uploaded": m.uploaded, "bytes": m.bytes})).collect();
        terminal::print(&json!(rows).to_string());
    } else {
        models.iter().for_each(|model| terminal::print(&model.id));
    }
    Ok(())
}

fn infer(options: &ClientInfer) -> Result<(), Error> {
    let (setup, how) = caller::open(&options.caller)?;
    let connection = Connection::open(&setup, how)?;
    connection.ready()?;
    let id = connection.find(&options.model_id)?;
    let program = connection.architecture(&id)?;
    answers::worth_an_index(program.results(1)?[0].value.shape.elements(), options.reveal)?;
    let inputs = inputs::read(&options.input, program.inputs(), options.preprocess)?;
    let labels = inputs.true_classes(options.classes.labels.as_deref())?;
    let classes = inputs.class_names(options.classes.classes.as_deref())?;
    let request = InferOptions { batch: options.batch.into(), in_flight: options.in_flight.into(), reveal: options.reveal.into() };
    connection.prepare(&id, inputs.count, request)?;
    let bar = terminal::progress(inputs.count as u64, "private inference");
    let answer = connection.infer(&id, &program, &inputs.values, request, |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    let answer = answer?;
    let accuracy = answers::right(labels.as_deref(), &answer);
    let device = format!("three parties of {}", options.caller.cluster.display());
    if options.json {
        answers::print(&answer, accuracy, None, &device);
    } else {
        answers::predictions(&answer, &inputs.names, &classes, options.classes.top);
        answers::report(&answer, accuracy, &device);
    }
    Ok(())
}
