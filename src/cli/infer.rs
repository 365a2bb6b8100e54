//! `trishade infer`: private inference of an ONNX model on an array.

use super::{
    Failure,
    args::{Infer, Reveal},
    engine, inputs, memory, paint,
};
use crate::{
    Error,
    nn::{self, Answer, Profile, Session, answer, estimate::Plan, plan_on},
};
use serde_json::json;
use std::{ops::RangeInclusive, sync::Arc};

/// Inputs in one run, unless asked for.
const BATCH: usize = 128;

pub fn run(options: &Infer) -> Result<(), Failure> {
    let graph = engine::graph(&options.model)?;
    let inputs = inputs::read(&options.input, graph.input_extents(), options.preprocess)?;
    let count = inputs.count;
    let labels = options.labels.as_ref().map(|path| inputs::labels(path, count)).transpose()?.or_else(|| inputs.labels.clone());
    let classes = options.classes.as_ref().map(|path| inputs::classes(path)).transpose()?.unwrap_or_else(|| inputs.classes.clone());
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
    let batches = count.div_ceil(batch).min(options.prepare);
    // what is dealt beforehand lies there until it is taken
    memory::fits(plan.process + batches as u64 * plan.bytes_sent[0], options.engine.max_memory, batch)?;
    let model = session.load_for(&graph, range)?;
    let sizes = (0..batches).map(|i| batch.min(count - i * batch));
    let prepared = sizes.map(|size| engine::wait(session.prepare(&model, size, reveal))).collect::<Result<Vec<_>, Error>>()?;
    let bar = progress(&session, &plan, batch.min(micro), count);
    let answer = engine::wait(session.infer_prepared(&model, prepared, &inputs.values, batch, reveal, |_| {}));
    bar.finish_and_clear();
    let answer = answer?;
    if let (Some(path), Some(profile)) = (&options.trace, &answer.profile) {
        std::fs::write(path, profile.trace()).map_err(|e| Error::File(format!("cannot write the trace {}: {e}", path.display())))?;
    }
    let accuracy = labels.map(|labels| accuracy(&labels, &answer.predictions));
    let device = session.parties()[0].device().name();
    if options.json {
        print(&answer, accuracy, &device)
    } else {
        predictions(&answer, &inputs.names, &classes, options.top);
        report(&answer, accuracy, &format!("{device}, three parties in one process"))
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

/// The share of predictions that are right.
pub fn accuracy(labels: &[usize], predictions: &[usize]) -> f64 {
    let right = labels.iter().zip(predictions).filter(|(label, found)| label == found).count();
    right as f64 / predictions.len().max(1) as f64
}

pub fn print(answer: &Answer, accuracy: Option<f64>, device: &str) {
    let cost = &answer.cost;
    let others: serde_json::Map<_, _> = answer.others.iter().map(|other| (other.name.clone(), json!(other.values))).collect();
    let mut object = json!({
        "predictions": answer.predictions,
        "logits": answer.logits,
        "others": others,
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

/// The best classes of the first inputs.
pub fn predictions(answer: &Answer, names: &[String], classes: &[String], top: usize) {
    for (i, prediction) in answer.predictions.iter().enumerate().take(20) {
        let name = names.get(i).cloned().unwrap_or_else(|| format!("input {i}"));
        let line = |class: usize| {
            let score = answer.logits.get(i).map_or(String::new(), |row| format!("  (score {:.4})", row[class]));
            format!("class {class}{}{score}", classes.get(class).map_or(String::new(), |name| format!(" {name}")))
        };
        let best = match answer.logits.get(i) {
            Some(row) if top > 1 => answer::best(row, top),
            _ => vec![*prediction],
        };
        match &best[..] {
            [one] => paint::say(&format!("  {name}: {}", line(*one))),
            many => {
                paint::say(&format!("  {name}:"));
                many.iter().for_each(|&class| paint::say(&format!("    {}", line(class))));
            }
        }
    }
    if answer.predictions.len() > 20 {
        paint::say(&format!("  and {} more; --json prints all", answer.predictions.len() - 20));
    }
}

pub fn report(answer: &Answer, accuracy: Option<f64>, device: &str) {
    let mut rows = vec![];
    if let Some(accuracy) = accuracy {
        rows.push(("accuracy", format!("{:.2} %", accuracy * 100.0)));
    }
    rows.extend(costs(answer));
    rows.push(("device", device.to_owned()));
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
