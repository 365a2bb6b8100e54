//! `trishade check`: can this model run, what will it cost, and do its values fit?

use crate::{
    args::Check,
    engine,
    failure::Failure,
    inputs,
    outputs::Outline,
    terminal::{self, To, escaped},
};
use serde_json::json;
use trishade::{
    Error,
    fixed::{Fixed, decode_all},
    nn::{
        Graph, Reveal, Session,
        estimate::Plan,
        lower,
        onnx::{Blocker, Coverage, Survey},
        plan_on, reference,
        value::ROOM,
    },
};

/// Findings of a run on sample data in the clear.
struct Calibration {
    inputs: usize,
    /// The most bits of an absolute value at each step: name, kind, bits.
    steps: Vec<(String, String, u32)>,
    /// Predictions of the fixed point that are those of floats, where there are classes to predict.
    same: Option<usize>,
    /// The largest difference of scores.
    apart: f32,
    /// The largest score of floats.
    largest: f32,
    /// The error of the first step that a value overflows.
    overflow: Option<Error>,
}

/// Fewer bits than these are left to a step that is at risk.
const MARGIN: u32 = 3;

pub fn run(options: &Check) -> Result<(), Failure> {
    let survey = engine::survey(&options.model, &options.calibrate)?;
    if !options.json {
        coverage(&survey.operators);
    }
    let Some(graph) = &survey.graph else { return Err(blocked(&survey, options.json)) };
    let fixed = Fixed::new(options.fraction_bits)?;
    let plan = engine::wait(plan_on(&Session::shape_only(fixed)?, graph, None, options.batch, Reveal::Logits))?;
    let calibration = match &options.calibrate[..] {
        [] => None,
        paths => {
            let samples = inputs::read(paths, &graph.inputs, options.preprocess, None)?;
            samples.tell();
            Some(calibrate(graph, fixed, samples)?)
        }
    };
    if options.json {
        print(&survey.operators, &plan, calibration.as_ref());
    } else {
        report(options.batch, &plan, calibration.as_ref(), fixed);
    }
    match calibration {
        Some(Calibration { overflow: Some(error), .. }) => Err(Failure::Check(error.to_string())),
        Some(Calibration { apart, largest, .. }) if apart > options.tolerance * largest => Err(Failure::Check(format!(
            "the scores are up to {apart:.3e} apart from those of floats, more than {} of the largest ({largest:.3e}); use more than {} fraction bits, or scale the model",
            options.tolerance, options.fraction_bits
        ))),
        _ => Ok(()),
    }
}

fn calibrate(graph: &Graph, fixed: Fixed, samples: inputs::Inputs) -> Result<Calibration, Error> {
    let lowered = lower(graph, fixed)?;
    let steps = lowered.program.steps();
    let mut most = vec![0; steps.len()];
    let watch = |step: usize, bits: u32| {
        most[step] = most[step].max(bits);
        Ok(())
    };
    let scores = reference::walk_fixed(&lowered, &samples.values, samples.count, watch)?.swap_remove(0);
    let scores = decode_all(&scores, lowered.program.results(1)?[0].fraction_bits);
    let floats = reference::run_f32(graph, &samples.values, samples.count)?.values;
    let row = floats.len() / samples.count;
    let overflowing = most.iter().position(|&bits| bits > ROOM);
    let best = |scores: &[f32]| trishade::nn::answer::best(scores, 1)[0];
    let same = |(a, b): &(&[f32], &[f32])| best(a) == best(b);
    let first_output = Outline::of_graph(graph)?.swap_remove(0);
    Ok(Calibration {
        inputs: samples.count,
        steps: steps.iter().zip(&most).map(|(step, &bits)| (step.name.clone(), step.action.describe(), bits)).collect(),
        same: first_output.is_of_classes(&graph.inputs).then(|| scores.chunks(row).zip(floats.chunks(row)).filter(same).count()),
        apart: scores.iter().zip(&floats).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max),
        largest: floats.iter().map(|v| v.abs()).fold(0.0, f32::max),
        overflow: overflowing.map(|step| reference::overflow(&lowered, step, most[step])),
    })
}

/// Shows all that keeps the model from running.
fn blocked(survey: &Survey, as_json: bool) -> Failure {
    if as_json {
        let blockers: Vec<_> =
            survey.blockers.iter().map(|b| json!({"operator": b.operator, "nodes": b.nodes, "first": b.first, "why": b.why})).collect();
        terminal::print_json(&json!({"operators": listed(&survey.operators), "blockers": blockers}));
    } else {
        for Blocker { nodes, first, why, .. } in &survey.blockers {
            // the list of all operators is no answer to a question about one
            let why = why.split(". Supported: ").next().unwrap_or_default();
            let others = match nodes {
                0 | 1 => String::new(),
                n => format!(" and {} more", n - 1),
            };
            terminal::show(&format!("  {}{others}: {}", escaped(first), escaped(why)));
        }
        terminal::show("");
    }
    let kinds = survey.blockers.len();
    Failure::Check(format!("the model cannot run: {kinds} {}", if kinds == 1 { "reason" } else { "reasons" }))
}

fn listed(operators: &[Coverage]) -> Vec<serde_json::Value> {
    operators.iter().map(|o| json!({"operator": o.operator, "nodes": o.nodes, "supported": o.supported})).collect()
}

fn coverage(operators: &[Coverage]) {
    if operators.is_empty() {
        return;
    }
    let mut rows = vec![["operator", "nodes", ""].map(String::from).to_vec()];
    for one in operators {
        let said = if one.supported { "supported".into() } else { To::Output.colour("not supported", "31") };
        rows.push(vec![escaped(&one.operator), one.nodes.to_string(), said]);
    }
    To::Output.columns(&rows);
    terminal::show("");
}

fn report(batch: usize, plan: &Plan, calibration: Option<&Calibration>, fixed: Fixed) {
    if let Some(c) = calibration {
        let mut rows = vec![["step", "does", "bits", "left"].map(String::from).to_vec()];
        for (name, kind, bits) in c.steps.iter().filter(|(_, _, bits)| *bits > 0) {
            let left = match ROOM.checked_sub(*bits) {
                None => To::Output.colour("overflow", "31;1"),
                Some(left) if left < MARGIN => To::Output.colour(&format!("{left}, at risk"), "33"),
                Some(left) => left.to_string(),
            };
            rows.push(vec![escaped(name), escaped(kind), bits.to_string(), left]);
        }
        To::Output.columns(&rows);
        terminal::show("");
    }
    let mut rows = vec![
        ("batch", batch.to_string()),
        ("rounds", plan.rounds.to_string()),
        ("sent by the parties", plan.bytes_sent.map(terminal::bytes).join(" + ")),
        ("memory of each party", plan.memory.map(terminal::bytes).join(", ")),
        ("all in one process", terminal::bytes(plan.process)),
    ];
    match calibration {
        None => rows.push(("ranges", "not looked at: give sample inputs with --calibrate".into())),
        Some(c) => {
            rows.push(("samples", format!("{}, at {} fraction bits", c.inputs, fixed.fraction_bits())));
            rows.extend(c.same.map(|same| ("same prediction as with floats", format!("{same} of {}", c.inputs))));
            rows.push(("largest score difference", format!("{:.6}", c.apart)));
        }
    }
    To::Output.table(&rows);
}

fn print(operators: &[Coverage], plan: &Plan, calibration: Option<&Calibration>) {
    let calibration = calibration.map(|c| {
        let steps: Vec<_> = c.steps.iter().map(|(name, kind, bits)| json!({"name": name, "kind": kind, "bits": bits})).collect();
        json!({"inputs": c.inputs, "bits_there": ROOM, "steps": steps, "same_predictions": c.same, "largest_difference": c.apart})
    });
    let object = json!({"operators": listed(operators), "blockers": [], "rounds": plan.rounds, "bytes_sent": plan.bytes_sent, "memory": plan.memory,
        "memory_of_one_process": plan.process, "calibration": calibration});
    terminal::print_json(&object);
}
