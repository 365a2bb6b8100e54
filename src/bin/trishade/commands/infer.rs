//! `trishade infer`: private inference of an ONNX model on an array.

use crate::{answers, args::Infer, engine, failure::Failure, inputs, memory, terminal};
use std::{ops::RangeInclusive, time::Instant};
use trishade::{
    Error,
    fixed::Fixed,
    nn::{Graph, Profile, Progress, lower, plan_on, reference},
};

/// Inputs in one run, unless asked for.
const BATCH: usize = 128;

/// Steps of a progress bar.
const STEPS: u64 = 1000;

pub fn run(options: &Infer) -> Result<(), Failure> {
    let graph = engine::graph(&options.model, &options.shapes, &options.input)?;
    let inputs = inputs::read(&options.input, &graph.inputs, options.preprocess)?;
    let count = inputs.count;
    let labels = inputs.true_classes(options.classes.labels.as_deref())?;
    let classes = inputs.class_names(options.classes.classes.as_deref())?;
    let batch = options.batch.unwrap_or(BATCH).min(count);
    if batch == 0 {
        return Err(Error::Input("--batch 0: at least one input a run".into()).into());
    }
    answers::worth_an_index(graph.output_shape(1)?.elements(), options.reveal)?;
    let micro = options.micro_batch.map_or(usize::MAX, usize::from);
    let mut session = engine::session(&options.engine)?.with_micro_batches(micro);
    if options.profile || options.trace.is_some() {
        session = session.with_profile();
    }
    let reveal = options.reveal.into();
    let range = options.range_bits.clone().map(RangeInclusive::from);
    let shape_only = engine::shape_only_session(&options.engine)?.with_micro_batches(micro);
    let plan = engine::wait(plan_on(&shape_only, &graph, range.clone(), batch, reveal))?;
    let batches = count.div_ceil(batch).min(options.prepare);
    // what is dealt beforehand lies there until it is taken
    memory::fits(plan.process + batches as u64 * plan.bytes_sent[0], options.engine.max_memory, batch)?;
    let range_check = if options.no_range_check { None } else { Some(check_range(&graph, &inputs.values, batch, options)?) };
    let model = session.load_for(&graph, range)?;
    let sizes = (0..batches).map(|i| batch.min(count - i * batch));
    let prepared = sizes.map(|size| engine::wait(session.prepare(&model, size, reveal))).collect::<Result<Vec<_>, Error>>()?;
    let bar = terminal::progress(STEPS, "private inference");
    let moved = |progress: Progress| bar.set_position((progress.share * STEPS as f64) as u64);
    let answer = engine::wait(session.infer_prepared(&model, prepared, &inputs.values, batch, reveal, moved));
    bar.finish_and_clear();
    let answer = answer?;
    if let (Some(path), Some(profile)) = (&options.trace, &answer.profile) {
        std::fs::write(path, profile.trace()).map_err(|e| Error::File(format!("cannot write the trace {}: {e}", path.display())))?;
    }
    let accuracy = answers::right(labels.as_deref(), &answer);
    let device = session.parties()[0].device().name();
    if options.json {
        answers::print(&answer, accuracy, range_check, &device)
    } else {
        answers::predictions(&answer, &inputs.names, &classes, options.classes.top);
        answers::report(&answer, accuracy, &format!("{device}, three parties in one process"));
        if let Some(seconds) = range_check {
            terminal::table(&[("range checked before", terminal::seconds(seconds))]);
        }
    }
    if let Some(profile) = answer.profile.filter(|_| options.profile) {
        layers(&profile);
    }
    Ok(())
}

/// Seconds that it took to see, in the clear, that no value of these items leaves the range of the fixed-point numbers: the owner of
/// model and data may look. A check that does not pass names the step.
fn check_range(graph: &Graph, items: &[f32], batch: usize, options: &Infer) -> Result<f64, Failure> {
    let began = Instant::now();
    let lowered = lower(graph, Fixed::new(options.engine.fraction_bits)?)?;
    for input in 0..lowered.program.inputs().len() {
        lowered.program.encode(input, items)?;
    }
    let size = graph.input_size();
    for items in items.chunks(batch * size) {
        reference::check_range(&lowered, items, items.len() / size).map_err(|e| match e {
            Error::Range(what) => Failure::Check(what),
            other => Failure::Library(other),
        })?;
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Where the time went.
fn layers(profile: &Profile) {
    let seconds: f64 = profile.layers.iter().map(|layer| layer.seconds).sum();
    let mut rows = vec![["layer", "does", "time", "share", "rounds", "bytes"].map(String::from).to_vec()];
    for layer in &profile.layers {
        let share = format!("{:.1} %", layer.seconds / seconds.max(f64::MIN_POSITIVE) * 100.0);
        let costs = [terminal::seconds(layer.seconds), share, layer.rounds.to_string(), terminal::bytes(layer.bytes)];
        rows.push([&[layer.name.clone(), layer.kind.clone()], &costs[..]].concat());
    }
    terminal::say("");
    terminal::columns(&rows);
}
