//! `trishade infer`: private inference of an ONNX model on an array.

use super::{
    Failure,
    args::{Infer, Reveal},
    engine, memory, npy, paint,
};
use crate::{
    Error,
    nn::{self, Answer, Graph, Profile, Session, plan::Plan, plan_on},
    shape::Shape,
};
use serde_json::json;
use std::{ops::RangeInclusive, sync::Arc};

/// Inputs in one run, unless asked for.
const BATCH: usize = 128;

pub fn run(options: &Infer) -> Result<(), Failure> {
    let graph = engine::graph(&options.model)?;
    let name = options.input.display().to_string();
    let (shape, values) = npy::inputs(npy::read(&options.input)?, &name, options.preprocess)?;
    let count = check(&graph, &shape, &name)?;
    let labels = match &options.labels {
        Some(path) => Some(npy::labels(npy::read(path)?, &path.display().to_string(), count)?),
        None => None,
    };
    let batch = options.batch.unwrap_or(BATCH).min(count);
    if batch == 0 {
        return Err(Error::Input("--batch 0: at least one input a run".into()).into());
    }
    let micro = options.micro_batch.map_or(usize::MAX, usize::from);
    let mut session = engine::session(&options.engine)?.with_micro_batches(micro);
    if options.profile || options.trace.is_some() {
        session = session.with_profile();
    }
    let reveal = match options.reveal {
        Reveal::Logits => nn::Reveal::Logits,
        Reveal::Argmax => nn::Reveal::Argmax,
    };
    let range = options.range_bits.clone().map(RangeInclusive::from);
    let dry = engine::dry_session(&options.engine)?.with_micro_batches(micro);
    let plan = engine::wait(plan_on(&dry, &graph, range.clone(), batch, reveal))?;
    memory::fits(plan.process, options.engine.max_memory, batch)?;
    let model = session.load_for(&graph, range)?;
    let batches = count.div_ceil(batch).min(options.prepare);
    let sizes = (0..batches).map(|i| batch.min(count - i * batch));
    let prepared = sizes.map(|size| engine::wait(session.prepare(&model, size, reveal))).collect::<Result<Vec<_>, Error>>()?;
    let bar = progress(&session, &plan, batch.min(micro), count);
    let answer = engine::wait(session.infer_prepared(&model, prepared, &values, batch, reveal, |_| {}));
    bar.finish_and_clear();
    let answer = answer?;
    if let (Some(path), Some(profile)) = (&options.trace, &answer.profile) {
        std::fs::write(path, profile.trace()).map_err(|e| Error::File(format!("cannot write the trace {}: {e}", path.display())))?;
    }
    let accuracy = labels.map(|labels| {
        let right = labels.iter().zip(&answer.predictions).filter(|(label, found)| label == found).count();
        right as f64 / count as f64
    });
    let device = session.parties()[0].device().name();
    if options.json {
        print(&answer, accuracy, &device)
    } else {
        report(&answer, accuracy, &device)
    }
    if let Some(profile) = answer.profile.filter(|_| options.profile) {
        layers(&profile);
    }
    Ok(())
}

/// A bar that moves with every layer of `pieces` inputs at a time, as far as the layer's bytes are of all.
fn progress(session: &Session, plan: &Plan, pieces: usize, count: usize) -> indicatif::ProgressBar {
    let weights: Vec<u64> = plan.layers.iter().map(|layer| 1 + layer.bytes_sent.iter().sum::<u64>()).collect();
    let bar = paint::progress(weights.iter().sum::<u64>() * count.div_ceil(pieces) as u64, "private inference");
    let moved = bar.clone();
    let ended = move |layer: u16| moved.inc(weights.get(usize::from(layer)).copied().unwrap_or(0));
    // the second of the pair, which ends last
    session.parties()[2].on_layer(Some(Arc::new(ended)));
    bar
}

/// Where the time went.
fn layers(profile: &Profile) {
    let seconds: f64 = profile.layers.iter().map(|layer| layer.seconds).sum();
    let mut rows = vec![["layer", "does", "time", "share", "rounds", "bytes"].map(String::from).to_vec()];
    for layer in &profile.layers {
        let share = format!("{:.1} %", layer.seconds / seconds.max(f64::MIN_POSITIVE) * 100.0);
        let costs = [paint::seconds(layer.seconds), share, layer.rounds.to_string(), paint::bytes(layer.bytes)];
        rows.push([&[layer.name.clone(), layer.kind.clone()], &costs[..]].concat());
    }
    paint::say("");
    paint::columns(&rows);
}

/// The number of inputs, if their shape is the model's.
fn check(graph: &Graph, shape: &Shape, name: &str) -> Result<usize, Error> {
    match shape.extents() {
        [count, extents @ ..] if extents == graph.input_extents => Ok(*count),
        _ => {
            let wanted: Vec<String> = graph.input_extents.iter().map(ToString::to_string).collect();
            Err(Error::Input(format!("{name}: an array {shape}; the model takes (N, {})", wanted.join(", "))))
        }
    }
}

fn print(answer: &Answer, accuracy: Option<f64>, device: &str) {
    let cost = &answer.cost;
    let mut object = json!({
        "predictions": answer.predictions,
        "logits": answer.logits,
        "accuracy": accuracy,
        "rounds": cost.rounds,
        "bytes_sent": cost.bytes_sent,
        "bytes_from_owners": cost.bytes_from_owners,
        "bytes_to_owner": cost.bytes_to_owner,
        "bytes_prepared": cost.bytes_prepared,
        "seconds": {"prepare": cost.seconds.prepare, "share": cost.seconds.share, "compute": cost.seconds.compute, "reveal": cost.seconds.reveal, "total": cost.seconds.total()},
        "device": device,
        "parties": 3,
    });
    if answer.softmax {
        object["probabilities"] = json!(answer.probabilities());
    }
    paint::print(&object.to_string());
}

fn report(answer: &Answer, accuracy: Option<f64>, device: &str) {
    for (i, prediction) in answer.predictions.iter().enumerate().take(20) {
        let score = answer.logits.get(i).map_or(String::new(), |row| format!("  (score {:.4})", row[*prediction]));
        paint::say(&format!("  input {i}: class {prediction}{score}"));
    }
    if answer.predictions.len() > 20 {
        paint::say(&format!("  and {} more; --json prints all", answer.predictions.len() - 20));
    }
    let mut rows = vec![];
    if let Some(accuracy) = accuracy {
        rows.push(("accuracy", format!("{:.2} %", accuracy * 100.0)));
    }
    rows.extend(costs(answer));
    rows.push(("device", format!("{device}, three parties in one process")));
    paint::table(&rows);
}

/// Rows that every report has.
pub fn costs(answer: &Answer) -> Vec<(&'static str, String)> {
    let cost = &answer.cost;
    let sent = cost.bytes_sent.map(paint::bytes).join(" + ");
    let s = &cost.seconds;
    let seconds = [s.share, s.compute, s.reveal].map(paint::seconds);
    let mut rows = vec![
        ("time", format!("{} (share {}, compute {}, reveal {})", paint::seconds(s.total()), seconds[0], seconds[1], seconds[2])),
        ("rounds", cost.rounds.to_string()),
        ("sent by the parties", sent),
        ("shared out by the owners", paint::bytes(cost.bytes_from_owners)),
    ];
    if cost.bytes_prepared > 0 {
        rows.push(("prepared by the lead", format!("{} in {}", paint::bytes(cost.bytes_prepared), paint::seconds(s.prepare))));
    }
    rows
}
