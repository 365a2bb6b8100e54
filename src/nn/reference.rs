//! Two references: the network in f32, and in the same fixed point without sharing.
//!
//! The f32 one walks the graph as it was imported, so that it checks the passes too. The fixed-point one walks the program,
//! truncates to the floor (the protocol gives the floor or one more) and finds every value that leaves the range.

use super::{
    graph::{Graph, GraphOutput},
    lower::LoweredModel,
    ops::{Float, Narrow, Word64},
    value::{ROOM, Tensor, Value},
};
use crate::{Error, Result, fixed::decode_all, ring::Word};
use std::collections::HashMap;

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
    let outputs = walk_fixed(model, items, batch, fits(model))?;
    let bits = model.program.results(batch)?[0].fraction_bits;
    Ok(decode_all(&outputs[0], bits))
}

/// All outputs of a model as words. `watch` hears the number of each step and the bits that its largest absolute value needs, before
/// truncation if it has one; what needs more than [`ROOM`] goes on as the largest value there is.
pub fn walk_fixed(
    model: &LoweredModel,
    items: &[f32],
    batch: usize,
    watch: impl FnMut(usize, u32) -> Result<()>,
) -> Result<Vec<Vec<Word>>> {
    walk(model, items, batch, true, watch)
}

/// Whether these items stay in the range of every step: sums in floats, so that a network takes a fraction of its private run.
///
/// [`Error::Range`] names the first step that one leaves, the bits that it needs and the remedy. Nothing else tells a run that has
/// overflowed from one that has not: its shares are uniform either way.
pub fn check_range(model: &LoweredModel, items: &[f32], batch: usize) -> Result<()> {
    walk(model, items, batch, false, fits(model)).map(drop)
}

/// Ends a walk at the first step that a value overflows.
fn fits(model: &LoweredModel) -> impl Fn(usize, u32) -> Result<()> + '_ {
    |step, bits| if bits > ROOM { Err(overflow(model, step, bits)) } else { Ok(()) }
}

/// The error of a value that needs more bits than there are.
pub fn overflow(model: &LoweredModel, step: usize, bits: u32) -> Error {
    let (step, f) = (&model.program.steps()[step], model.program.fixed().fraction_bits());
    // a product has twice the fraction bits
    let fewer = f.saturating_sub((bits - ROOM).div_ceil(2));
    let remedy = if fewer < 8 { "scale the inputs".into() } else { format!("use at most {fewer} fraction bits, or scale the inputs") };
    Error::Range(format!(
        "step '{}' ({}): a value needs {bits} bits, {ROOM} are there at {f} fraction bits; {remedy}",
        step.name,
        step.action.describe()
    ))
}

fn walk(
    model: &LoweredModel,
    items: &[f32],
    batch: usize,
    exact: bool,
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
    // parameters are encoded for the step that reads them
    let parameters: HashMap<usize, usize> = program.parameters().iter().enumerate().map(|(at, place)| (place.value, at)).collect();
    let mut readers = program.readers();
    for (number, step) in program.steps().iter().enumerate() {
        for value in &step.inputs {
            if let Some(at) = parameters.get(value) {
                values[*value] = Some(signed(model.parameters.encoded_at(*at)?.words));
            }
        }
        let operand = |v: usize| operands[v].as_ref().expect("a program makes each value before it is read");
        let value = |v: usize| -> &Value { &operand(v).value };
        let held = |v: usize| values[v].as_deref().expect("a program makes each value before it is read");
        let inputs: Vec<Word64<'_>> = step.inputs.iter().map(|&v| Word64 { value: value(v), words: held(v) }).collect();
        let mut narrow = |wide: Vec<i128>| {
            let most = wide.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0);
            watch(number, 128 - most.leading_zeros())?;
            Ok(wide.iter().map(|&v| v.clamp(1 - (1 << ROOM), (1 << ROOM) - 1) as i64).collect())
        };
        let output = step.action.fixed(&inputs, operand(step.output), &mut Narrow { exact, narrow: &mut narrow })?;
        values[step.output] = Some(output);
        for value in &step.inputs {
            readers[*value] -= 1;
            if readers[*value] == 0 || parameters.contains_key(value) {
                values[*value] = None;
            }
        }
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
