//! `trishade zoo`: the networks that the program knows, and their ONNX files.

use crate::{
    args::Zoo,
    failure::Failure,
    files,
    terminal::{self, To},
};
use serde_json::json;
use std::sync::Arc;
use trishade::{
    Error,
    nn::{Weights, graph::Counts, onnx, zoo},
};

pub fn run(options: &Zoo) -> Result<(), Failure> {
    match options {
        Zoo::List { json } => list(*json),
        Zoo::Export { name, weights, output } => {
            let weights = weights.as_ref().map(|path| Weights::from_safetensors(&files::read(path)?)).transpose()?;
            let bytes = onnx::export(&zoo::network_with(name, weights.map(Arc::new))?, name)?;
            std::fs::write(output, &bytes).map_err(|e| Error::File(format!("cannot write {}: {e}", output.display())))?;
            terminal::say(&format!("  {} in {}", terminal::bytes(bytes.len() as u64), terminal::escaped(&output.display().to_string())));
            Ok(())
        }
    }
}

fn list(as_json: bool) -> Result<(), Failure> {
    let mut rows = vec![["network", "input", "parameters", "multiply-adds", "compared"].map(String::from).to_vec()];
    let mut objects = Vec::new();
    for (i, name) in zoo::NAMES.iter().enumerate() {
        let (extents, Counts { parameters, multiply_adds: products, activations: compared }) = zoo::counts(name)?;
        let input: Vec<String> = extents.iter().map(ToString::to_string).collect();
        let millions = |n: u64| format!("{:.2} M", n as f64 / 1e6);
        let title = if i < zoo::POOLED { format!("{name}, {name}-max") } else { (*name).into() };
        rows.push(vec![title, input.join(" x "), millions(parameters), millions(products), millions(compared)]);
        objects.push(json!({"name": name, "pooled_by_maxima_too": i < zoo::POOLED, "input": extents, "parameters": parameters,
            "multiply_adds": products, "compared": compared}));
    }
    if as_json {
        terminal::print_json(&json!(objects));
    } else {
        To::Output.columns(&rows);
    }
    Ok(())
}
