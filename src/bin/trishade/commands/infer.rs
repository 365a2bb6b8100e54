//! `trishade infer`: private inference of an ONNX model on an array.

use crate::{
    answers::{self, Names, Results},
    args::Infer,
    engine,
    failure::Failure,
    inputs, memory,
    outputs::{Destination, Outline},
    progress,
    terminal::{self, To, escaped},
};
use std::{ops::RangeInclusive, time::Instant};
use trishade::{
    Error,
    fixed::Fixed,
    nn::{Graph, Profile, Progress, lower, plan_on, reference},
};

/// Inputs in one run, unless asked for.
const BATCH: usize = 128;

pub fn run(options: &Infer) -> Result<(), Failure> {
    let graph = progress::during("reading the model", || engine::graph(&options.model, &options.input))?;
    let outlines = Outline::of_graph(&graph)?;
    let destination = Destination::new(options.output.as_ref(), outlines.len())?;
    let read = || inputs::read(&options.input, &graph.inputs, options.preprocess, Some(&options.classes));
    let inputs = progress::during("reading the inputs", read)?;
    inputs.tell();
    let count = inputs.count;
    let truth = inputs.truth(&options.classes, &outlines[0])?;
    let classes = inputs.class_names(&options.classes)?;
    let batch = options.batch.unwrap_or(BATCH).min(count);
    answers::worth_an_index(&outlines[0], truth.as_ref(), options.reveal)?;
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
    let model = progress::during("sharing the model", || session.load_for(&graph, range))?;
    let sizes = (0..batches).map(|i| batch.min(count - i * batch));
    let prepared = sizes.map(|size| engine::wait(session.prepare(&model, size, reveal))).collect::<Result<Vec<_>, Error>>()?;
    let answer = progress::of("private inference", |bar| {
        let moved = |now: Progress| bar.set(now.share);
        engine::wait(session.infer_prepared(&model, prepared, &inputs.values, batch, reveal, moved))
    })?;
    if let (Some(path), Some(profile)) = (&options.trace, &answer.profile) {
        std::fs::write(path, profile.trace()).map_err(|e| Error::File(format!("cannot write the trace {}: {e}", path.display())))?;
    }
    let results = Results::new(&answer, &outlines, &graph.inputs, truth.as_ref(), options.classes.classes.is_some());
    if let Some(destination) = destination {
        destination.write(&results.outputs, &inputs.names)?;
    }
    let device = session.parties()[0].device().name();
    if options.json {
        results.print(range_check, &device)
    } else {
        results.show(&Names { items: &inputs.names, classes: &classes, top: options.classes.top });
        results.report(&format!("{device}, three parties in one process"));
        if let Some(seconds) = range_check {
            To::Error.table(&[("range checked before", terminal::seconds(seconds))]);
        }
    }
    drop(results);
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
    let checked = progress::of("checking the range", |bar| {
        items.chunks(batch * size).enumerate().try_for_each(|(i, part)| {
            bar.set((i * batch * size) as f64 / items.len() as f64);
            reference::check_range(&lowered, part, part.len() / size)
        })
    });
    match checked {
        Ok(()) => Ok(began.elapsed().as_secs_f64()),
        Err(Error::Range(what)) => Err(Failure::Check(what)),
        Err(other) => Err(other.into()),
    }
}

/// Where the time went.
fn layers(profile: &Profile) {
    let seconds: f64 = profile.layers.iter().map(|layer| layer.seconds).sum();
    let mut rows = vec![["layer", "does", "time", "share", "rounds", "bytes"].map(String::from).to_vec()];
    for layer in &profile.layers {
        let share = format!("{:.1} %", layer.seconds / seconds.max(f64::MIN_POSITIVE) * 100.0);
        let costs = [terminal::seconds(layer.seconds), share, layer.rounds.to_string(), terminal::bytes(layer.bytes)];
        rows.push([&[escaped(&layer.name), escaped(&layer.kind)], &costs[..]].concat());
    }
    terminal::say("");
    To::Error.columns(&rows);
}
