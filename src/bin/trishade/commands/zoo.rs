//! `trishade zoo`: the networks that the program knows, and their ONNX files.

use crate::{args::Zoo, failure::Failure, npy, terminal};
use serde_json::json;
use std::sync::Arc;
use trishade::{
    Error,
    nn::{Graph, Weights, graph::Op, onnx, zoo},
};

pub fn run(options: &Zoo) -> Result<(), Failure> {
    match options {
        Zoo::List { json } => list(*json),
        Zoo::Export { name, weights, output } => {
            let weights = weights.as_ref().map(|path| Weights::from_safetensors(&npy::read(path)?)).transpose()?;
            let bytes = onnx::export(&zoo::network_with(name, weights.map(Arc::new))?, name)?;
            std::fs::write(output, &bytes).map_err(|e| Error::File(format!("cannot write {}: {e}", output.display())))?;
            terminal::say(&format!("  {} in {}", terminal::bytes(bytes.len() as u64), output.display()));
            Ok(())
        }
    }
}

fn list(as_json: bool) -> Result<(), Failure> {
    let mut rows = vec![["network", "input", "parameters", "multiply-adds", "compared"].map(String::from).to_vec()];
    let mut objects = Vec::new();
    for (i, name) in zoo::NAMES.iter().enumerate() {
        let graph = zoo::network(name)?;
        let [parameters, products, compared] = counts(&graph)?;
        let input: Vec<String> = graph.input_extents.iter().map(ToString::to_string).collect();
        let millions = |n: u64| format!("{:.2} M", n as f64 / 1e6);
        let title = if i < zoo::POOLED { format!("{name}, {name}-max") } else { (*name).into() };
        rows.push(vec![title, input.join(" x "), millions(parameters), millions(products), millions(compared)]);
        objects.push(json!({"name": name, "pooled_by_maxima_too": i < zoo::POOLED, "input": graph.input_extents, "parameters": parameters,
            "multiply_adds": products, "compared": compared}));
    }
    if as_json {
        terminal::print(&json!(objects).to_string());
    } else {
        terminal::columns(&rows);
    }
    Ok(())
}

/// Parameters, multiply-adds, and elements of ReLUs and bounds, of one input.
fn counts(graph: &Graph) -> Result<[u64; 3], Error> {
    let shapes = graph.shapes(1)?;
    let mut counts = [0; 3];
    for node in &graph.nodes {
        let elements = shapes[node.output].as_ref().map_or(0, |shape| shape.elements() as u64);
        counts[0] += node.op.parameters() as u64;
        match &node.op {
            Op::Conv { weights, bias, .. } | Op::Linear { weights, bias } => {
                counts[1] += elements * (weights.values.len() / bias.len()) as u64
            }
            Op::Relu | Op::Clip { .. } => counts[2] += elements,
            _ => {}
        }
    }
    Ok(counts)
}
