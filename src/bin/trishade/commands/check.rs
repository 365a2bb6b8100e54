//! `trishade check`: can this model run, what will it cost, and do its values fit?

use crate::{args::Check, engine, failure::Failure, inputs, npy, terminal};
use serde_json::json;
use trishade::{
    Error,
    fixed::{Fixed, decode_all},
    nn::{Graph, Reveal, Session, estimate::Plan, lower, onnx, plan_on, reference, value::ROOM},
};

/// Findings of a run on sample data in the clear.
struct Calibration {
    inputs: usize,
    /// The most bits of an absolute value at each step: name, kind, bits.
    steps: Vec<(String, String, u32)>,
    /// Predictions of the fixed point that are those of floats, and the largest difference of scores.
    same: usize,
    apart: f32,
    /// The largest score of floats.
    largest: f32,
    /// The error of the first step that a value overflows.
    overflow: Option<Error>,
}

/// Fewer bits than these are left to a step that is at risk.
const MARGIN: u32 = 3;

pub fn run(options: &Check) -> Result<(), Failure> {
    let operators = match options.model.to_str().is_some_and(|name| name.starts_with("zoo:")) {
        true => Vec::new(),
        false => onnx::operators(&npy::read(&options.model)?)?,
    };
    if !options.json {
        coverage(&operators);
    }
    let graph = engine::graph(&options.model, &options.shapes, &options.calibrate).map_err(|e| match e {
        Error::Model(what) | Error::Range(what) => Failure::Check(what),
        other => Failure::Library(other),
    })?;
    let fixed = Fixed::new(options.fraction_bits)?;
    let plan = engine::wait(plan_on(&Session::shape_only(fixed)?, &graph, None, options.batch.max(1), Reveal::Logits))?;
    let calibration = match &options.calibrate[..] {
        [] => None,
        paths => Some(calibrate(&graph, fixed, inputs::read(paths, &graph.inputs, options.preprocess)?)?),
    };
    if options.json {
        print(&operators, &plan, calibration.as_ref());
    } else {
        report(options.batch.max(1), &plan, calibration.as_ref(), fixed);
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
    let first = most.iter().position(|&bits| bits > ROOM);
    let best = |scores: &[f32]| trishade::nn::answer::best(scores, 1)[0];
    Ok(Calibration {
        inputs: samples.count,
        steps: steps.iter().zip(&most).map(|(step, &bits)| (step.name.clone(), step.action.describe(), bits)).collect(),
        same: scores.chunks(row).zip(floats.chunks(row)).filter(|(a, b)| best(a) == best(b)).count(),
        apart: scores.iter().zip(&floats).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max),
        largest: floats.iter().map(|v| v.abs()).fold(0.0, f32::max),
        overflow: first.map(|step| reference::overflow(&lowered, step, most[step])),
    })
}

fn coverage(operators: &[onnx::Coverage]) {
    if operators.is_empty() {
        return;
    }
    let mut rows = vec![["operator", "nodes", ""].map(String::from).to_vec()];
    for one in operators {
        let said = if one.supported { "supported".into() } else { terminal::colour("not supported", "31") };
        rows.push(vec![one.operator.clone(), one.nodes.to_string(), said]);
    }
    terminal::columns(&rows);
    terminal::say("");
}

fn report(batch: usize, plan: &Plan, calibration: Option<&Calibration>, fixed: Fixed) {
    if let Some(c) = calibration {
        let mut rows = vec![["step", "does", "bits", "left"].map(String::from).to_vec()];
        for (name, kind, bits) in c.steps.iter().filter(|(_, _, bits)| *bits > 0) {
            let left = match ROOM.checked_sub(*bits) {
                None => terminal::colour("overflow", "31;1"),
                Some(left) if left < MARGIN => terminal::colour(&format!("{left}, at risk"), "33"),
                Some(left) => left.to_string(),
            };
            rows.push(vec![name.clone(), kind.clone(), bits.to_string(), left]);
        }
        terminal::columns(&rows);
        terminal::say("");
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
            rows.push(("same prediction as with floats", format!("{} of {}", c.same, c.inputs)));
            rows.push(("largest score difference", format!("{:.6}", c.apart)));
        }
    }
    terminal::table(&rows);
}

fn print(operators: &[onnx::Coverage], plan: &Plan, calibration: Option<&Calibration>) {
    let operators: Vec<_> = operators.iter().map(|o| json!({"operator": o.operator, "nodes": o.nodes, "supported": o.supported})).collect();
    let calibration = calibration.map(|c| {
        let steps: Vec<_> = c.steps.iter().map(|(name, kind, bits)| json!({"name": name, "kind": kind, "bits": bits})).collect();
        json!({"inputs": c.inputs, "bits_there": ROOM, "steps": steps, "same_predictions": c.same, "largest_difference": c.apart})
    });
    let object = json!({"operators": operators, "rounds": plan.rounds, "bytes_sent": plan.bytes_sent, "memory": plan.memory,
        "memory_of_one_process": plan.process, "calibration": calibration});
    terminal::print(&object.to_string());
}
