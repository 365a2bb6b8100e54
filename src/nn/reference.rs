//! Two references: the network in f32, and in the same fixed point without sharing.
//!
//! The f32 one walks the graph as it was imported, so that it checks the passes too. The fixed-point one walks the program,
//! truncates to the floor (the protocol gives the floor or one more) and finds every value that leaves the range.

use super::{
    graph::{Graph, GraphOutput},
    lower::LoweredModel,
    ops::{Float, Word64},
    value::{ROOM, Tensor, Value},
};
use crate::{Error, Result, fixed::decode_all, ring::Word};

/// The first output of the graph on a batch of inputs, in f32.
pub fn run_f32(graph: &Graph, input: &[f32], batch: usize) -> Result<Tensor> {
    Ok(run_all_f32(graph, input, batch)?.swap_remove(0))
}

/// All outputs of the graph on a batch of items, in f32; an item has the numbers of all inputs, one after another.
pub fn run_all_f32(graph: &Graph, items: &[f32], batch: usize) -> Result<Vec<Tensor>> {
    let shapes = graph.shapes(batch)?;
    let shape = |v: usize| shapes[v].as_ref().ok_or_else(|| Error::Model("a value without a maker".into()));
    expect_items(graph.input_size(), batch, items.len())?;
    let mut values: Vec<Option<Vec<f32>>> = vec![None; graph.values];
    let mut first = 0;
    for (value, input) in graph.inputs.iter().enumerate() {
        let size: usize = input.extents.iter().product();
        let item = |item: &[f32]| item[first..first + size].to_vec();
        values[value] = Some(items.chunks(graph.input_size()).flat_map(item).collect());
        first += size;
    }
    for node in &graph.nodes {
        let input = |&v: &usize| {
            let held = values[v].as_deref().or_else(|| graph.constants.get(&v).map(|tensor| &tensor.values[..]));
            Ok(Float { value: shape(v)?, values: held.ok_or_else(|| Error::Model("a value that is read before it is made".into()))? })
        };
        let inputs = node.inputs.iter().map(input).collect::<Result<Vec<Float<'_>>>>()?;
        let output = node.op.floats(&inputs, shape(node.output)?);
        values[node.output] = Some(output);
    }
    let result = |output: &GraphOutput| {
        let values = values[output.value].clone().ok_or_else(|| Error::Model(format!("no node makes the output '{}'", output.name)))?;
        Ok(Tensor { shape: shape(output.value)?.shape.clone(), values })
    };
    graph.outputs.iter().map(result).collect()
}

/// The first output of a model on items, in fixed point. Errors name the step whose values leave the range.
pub fn run_fixed(model: &LoweredModel, items: &[f32], batch: usize) -> Result<Vec<f32>> {
    let f = model.program.fixed().fraction_bits();
    let outputs = walk_fixed(model, items, batch, |number, bits| match bits {
        0..=ROOM => Ok(()),
        bits => Err(Error::Range(format!(
            "step '{}': a value needs {bits} bits before truncation, {ROOM} are there at {f} fraction bits; use fewer",
            model.program.steps()[number].name
        ))),
    })?;
    let bits = model.program.results(batch)?[0].fraction_bits;
    Ok(decode_all(&outputs[0], bits))
}

/// All outputs of a model as words. `watch` hears the number of each step and the bits that its largest absolute value needs, before
/// truncation if it has one; what needs more than [`ROOM`] goes on as the largest value there is.
pub fn walk_fixed(
    model: &LoweredModel,
    items: &[f32],
    batch: usize,
    mut watch: impl FnMut(usize, u32) -> Result<()>,
) -> Result<Vec<Vec<Word>>> {
    let program = &model.program;
    let operands = program.operands(batch)?;
    expect_items(program.input_size(), batch, items.len())?;
    let signed = |words: Vec<Word>| words.into_iter().map(|w| w as i64).collect::<Vec<i64>>();
    let mut values: Vec<Option<Vec<i64>>> = vec![None; program.values()];
    for input in 0..program.inputs().len() {
        values[input] = Some(signed(program.encode(input, items)?));
    }
    for (place, parameter) in program.parameters().iter().zip(model.parameters.encoded()) {
        values[place.value] = Some(signed(parameter?.words));
    }
    for (number, step) in program.steps().iter().enumerate() {
        let operand = |v: usize| operands[v].as_ref().expect("a program makes each value before it is read");
        let value = |v: usize| -> &Value { &operand(v).value };
        let held = |v: usize| values[v].as_deref().expect("a program makes each value before it is read");
        let inputs: Vec<Word64<'_>> = step.inputs.iter().map(|&v| Word64 { value: value(v), words: held(v) }).collect();
        let mut narrow = |wide: Vec<i128>| {
            let most = wide.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0);
            watch(number, 128 - most.leading_zeros())?;
            Ok(wide.iter().map(|&v| v.clamp(1 - (1 << ROOM), (1 << ROOM) - 1) as i64).collect())
        };
        let output = step.action.fixed(&inputs, operand(step.output), &mut narrow)?;
        values[step.output] = Some(output);
    }
    let result = |output: &GraphOutput| values[output.value].iter().flatten().map(|&v| v as u64).collect();
    Ok(program.outputs().iter().map(result).collect())
}

fn expect_items(size: usize, batch: usize, found: usize) -> Result<()> {
    match size * batch == found {
        true => Ok(()),
        false => Err(Error::Input(format!("{found} input values for {batch} items of {size}"))),
    }
}
