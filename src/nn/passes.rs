//! Semantics-preserving rewrites that lower the cost, each a graph to graph.
//!
//! Passes know how nodes hang together; an operation says in its own file what may be done with it (`ops::Operation`).

use super::{
    graph::{Graph, Node},
    ops::{Expansion, Joins, Lowered, Op, Sum},
    value::{Tensor, Value, ValueId},
};
use crate::{Error, Result, kernels::gather::NONE};
use std::{collections::BTreeMap, sync::Arc};

/// All of them: normalisation folded into weights, operations that others stand for written out, pools before activations, one
/// layout operation for several, public factors into each other and into the next weights, weights of layers brought together, parts of weights that only ever meet padding cut off.
pub fn normalise(mut graph: Graph) -> Result<Graph> {
    let shapes = graph.shapes(1)?;
    while fold_affine(&mut graph, &shapes) {}
    while expand(&mut graph)? {}
    while pool_before_activation(&mut graph) {}
    layouts(&mut graph)?;
    while factors_in_a_row(&mut graph) {}
    while factor_into_weights(&mut graph) {}
    balance(&mut graph);
    trim(&mut graph)?;
    Ok(graph)
}

/// Runs `f` on a node's operation with those of its constants that nothing else reads.
fn with_constants<T>(graph: &mut Graph, node: usize, f: impl FnOnce(&mut Op, &mut [Option<&mut Tensor>]) -> T) -> T {
    let inputs = graph.nodes[node].inputs.clone();
    let mut own: BTreeMap<ValueId, Arc<Tensor>> = BTreeMap::new();
    for &value in &inputs {
        if graph.readers(value) == 1 {
            own.extend(graph.constants.remove_entry(&value));
        }
    }
    let mut taken: BTreeMap<ValueId, &mut Tensor> = own.iter_mut().map(|(value, tensor)| (*value, Arc::make_mut(tensor))).collect();
    let mut constants: Vec<Option<&mut Tensor>> = inputs.iter().map(|value| taken.remove(value)).collect();
    let result = f(&mut graph.nodes[node].op, &mut constants);
    graph.constants.extend(own);
    result
}

/// `scale (W x + b) + shift` is one product; the product must have no other reader.
fn fold_affine(graph: &mut Graph, shapes: &[Option<Value>]) -> bool {
    for i in 0..graph.nodes.len() {
        let from = graph.nodes[i].inputs[0];
        let held: Vec<Option<Arc<Tensor>>> = graph.nodes[i].inputs.iter().map(|value| graph.constants.get(value).cloned()).collect();
        let held: Vec<Option<&Tensor>> = held.iter().map(Option::as_deref).collect();
        let Some([scale, shift]) = graph.nodes[i].op.scale_and_shift(&held) else { continue };
        let Some(maker) = graph.maker(from).filter(|_| graph.readers(from) == 1) else { continue };
        let Some(value) = shapes.get(from).and_then(Option::as_ref) else { continue };
        if !with_constants(graph, maker, |op, constants| op.take_affine(constants, value.item(), &scale, &shift)) {
            continue;
        }
        graph.nodes[maker].output = graph.nodes[i].output;
        remove(graph, i);
        return true;
    }
    false
}

/// Takes a node away, and constants that nobody else reads.
fn remove(graph: &mut Graph, node: usize) {
    for value in graph.nodes.remove(node).inputs {
        if graph.readers(value) == 0 {
            graph.constants.remove(&value);
        }
    }
}

/// Operations that others stand for are replaced by them, once.
fn expand(graph: &mut Graph) -> Result<bool> {
    let shapes = graph.shapes(1)?;
    let mut expanded = false;
    for node in std::mem::take(&mut graph.nodes) {
        let inputs: Vec<Value> = node.inputs.iter().filter_map(|&v| shapes[v].clone()).collect();
        let Some(Expansion { chain, main, constants }) = node.op.expansion(&inputs)? else {
            graph.nodes.push(node);
            continue;
        };
        expanded = true;
        for (value, shape) in node.inputs[1..].iter().zip(constants) {
            let tensor = graph.constants.get(value).ok_or_else(|| Error::Model(format!("node '{}' needs constants", node.name)))?;
            let tensor = Tensor { shape, values: tensor.values.clone() };
            graph.constants.insert(*value, tensor.into());
        }
        let (mut from, last) = (node.inputs[0], chain.len() - 1);
        for (i, op) in chain.into_iter().enumerate() {
            let constants = if i == main { &node.inputs[1..] } else { &[] };
            let output = if i == last { node.output } else { graph.fresh() };
            let name = if i == main { node.name.clone() } else { format!("{} {}", node.name, op.kind().to_lowercase()) };
            graph.nodes.push(Node { name, op, inputs: [&[from], constants].concat(), output });
            from = output;
        }
    }
    Ok(expanded)
}

/// Maximum and monotone operations commute, and after the pool a fraction of the elements is left.
fn pool_before_activation(graph: &mut Graph) -> bool {
    for i in 0..graph.nodes.len() {
        if !graph.nodes[i].op.is_monotone() {
            continue;
        }
        let Some(reader) = graph.only_reader(graph.nodes[i].output) else { continue };
        if graph.nodes[reader].op.takes_maxima() {
            let (first, second) = (graph.nodes[i].op.clone(), graph.nodes[reader].op.clone());
            (graph.nodes[i].op, graph.nodes[reader].op) = (second, first);
            let (a, b) = (graph.nodes[i].name.clone(), graph.nodes[reader].name.clone());
            (graph.nodes[i].name, graph.nodes[reader].name) = (b, a);
            return true;
        }
    }
    false
}

/// Layout operations of every kind become tables of indices, several in a row one; a table that leaves every element where it is
/// only reshapes.
fn layouts(graph: &mut Graph) -> Result<()> {
    let shapes = graph.shapes(1)?;
    let value = |v: ValueId| shapes[v].as_ref().ok_or_else(|| Error::Model("a value without a shape".into()));
    for node in &mut graph.nodes {
        let to = value(node.output)?;
        if let Some(indices) = node.op.layout(value(node.inputs[0])?, to) {
            node.op = Op::gather(to.item().to_vec(), indices);
        }
    }
    while one_layout(graph, &shapes) {}
    for node in &mut graph.nodes {
        let (from, to) = (value(node.inputs[0])?, value(node.output)?);
        let Some(indices) = node.op.layout(from, to) else { continue };
        let all = from.item().iter().product::<usize>() == indices.len();
        if all && indices.iter().enumerate().all(|(i, &at)| i == at as usize) {
            node.op = Op::reshape(to.item().to_vec());
        }
    }
    Ok(())
}

/// Elements moved twice, or reshaped and moved, are moved once.
fn one_layout(graph: &mut Graph, shapes: &[Option<Value>]) -> bool {
    let indices = |graph: &Graph, i: usize| match (&shapes[graph.nodes[i].inputs[0]], &shapes[graph.nodes[i].output]) {
        (Some(from), Some(to)) => graph.nodes[i].op.layout(from, to).map(|indices| (indices, to.item().to_vec())),
        _ => None,
    };
    for i in 0..graph.nodes.len() {
        let Some((after, extents)) = indices(graph, i) else { continue };
        let from = graph.nodes[i].inputs[0];
        let Some(maker) = graph.maker(from).filter(|_| graph.readers(from) == 1) else { continue };
        let composed: Arc<[u32]> = match indices(graph, maker) {
            Some((before, _)) => after.iter().map(|&at| if at == NONE { NONE } else { before[at as usize] }).collect(),
            None if graph.nodes[maker].op.only_reshapes() => after,
            None => continue,
        };
        graph.nodes[i].op = Op::gather(extents, composed);
        graph.nodes[i].inputs = graph.nodes[maker].inputs.clone();
        graph.nodes.remove(maker);
        return true;
    }
    false
}

/// Entries of biases from this size on are added to what a product gives, after its truncation: before it they would not fit.
pub fn late_biases(graph: &mut Graph, size: f32) -> Result<()> {
    let shapes = graph.shapes(1)?;
    for i in (0..graph.nodes.len()).rev() {
        let Some(&value) = graph.nodes[i].inputs.get(2).filter(|_| matches!(graph.nodes[i].op.lowered(), Lowered::Form(_))) else {
            continue;
        };
        let (Some(bias), Some(output)) = (graph.constants.get(&value).cloned(), &shapes[graph.nodes[i].output]) else { continue };
        if bias.largest() < size {
            continue;
        }
        let part = |late: bool| bias.values.iter().map(move |&b| if (b.abs() >= size) == late { b } else { 0.0 });
        let before = graph.constant(Tensor { shape: bias.shape.clone(), values: part(false).collect() });
        let copies = if matches!(graph.nodes[i].op, Op::Conv(_)) { 1 } else { output.item().iter().product::<usize>() / bias.values.len() };
        let late = part(true).collect::<Vec<f32>>().repeat(copies);
        let late = graph.constant(Tensor::new([late.len()], late)?);
        let (name, output) = (format!("{} bias", graph.nodes[i].name), graph.nodes[i].output);
        let product = graph.fresh();
        graph.nodes[i].inputs[2] = before;
        graph.nodes[i].output = product;
        graph.nodes.insert(i + 1, Node { name, op: Sum::of_two().into(), inputs: vec![product, late], output });
        if graph.readers(value) == 0 {
            graph.constants.remove(&value);
        }
    }
    Ok(())
}

/// Factors beyond this, or below its inverse, would take too many bits of the weights that they go into.
const LARGEST_FACTOR: f32 = 16.0;

/// A multiplication with a positive public number goes into the next weights, through operations that commute with it.
fn factor_into_weights(graph: &mut Graph) -> bool {
    for i in 0..graph.nodes.len() {
        let Joins::Sum(&[factor], 0.0) = graph.nodes[i].op.joins() else { continue };
        if !(1.0 / LARGEST_FACTOR..=LARGEST_FACTOR).contains(&factor) {
            continue;
        }
        let (mut value, output) = (graph.nodes[i].output, graph.nodes[i].output);
        while let Some(reader) = graph.only_reader(value).filter(|&reader| graph.nodes[reader].inputs[0] == value) {
            if with_constants(graph, reader, |op, constants| op.take_factor(constants, factor)) {
                let from = graph.nodes.remove(i).inputs[0];
                let inputs = graph.nodes.iter_mut().flat_map(|node| &mut node.inputs);
                inputs.filter(|input| **input == output).for_each(|input| *input = from);
                return true;
            }
            if !graph.nodes[reader].op.is_homogeneous() {
                break;
            }
            value = graph.nodes[reader].output;
        }
    }
    false
}

/// Public factors and addends one after another are one: a small and a large one may be neither.
fn factors_in_a_row(graph: &mut Graph) -> bool {
    for i in 0..graph.nodes.len() {
        let Joins::Sum(&[factor], constant) = graph.nodes[i].op.joins() else { continue };
        let Some(reader) = graph.only_reader(graph.nodes[i].output) else { continue };
        let Joins::Sum(&[after], more) = graph.nodes[reader].op.joins() else { continue };
        graph.nodes[reader].op = Sum { factors: vec![factor * after], constant: constant * after + more }.into();
        graph.nodes[reader].inputs = graph.nodes[i].inputs.clone();
        graph.nodes.remove(i);
        return true;
    }
    false
}

/// The largest weights of two layers are more than so many bits apart where the second takes a factor of the first.
const UNBALANCED: f32 = 10.0;

/// A layer of tiny weights before one of huge ones, or the other way round, as rescaling across layers leaves them, would lose what lies
/// between them. A power of two that the operations between them commute with brings them together.
fn balance(graph: &mut Graph) {
    let largest = |graph: &Graph, node: usize| -> Option<f32> {
        let weights = graph.constants.get(graph.nodes[node].inputs.get(1)?)?;
        Some(weights.largest()).filter(|&most| most > 0.0)
    };
    for i in 0..graph.nodes.len() {
        let Some(first) = largest(graph, i) else { continue };
        let channels = graph.nodes[i].inputs.get(2).and_then(|bias| graph.constants.get(bias)).map_or(0, |bias| bias.values.len());
        let mut value = graph.nodes[i].output;
        while let Some(reader) = graph.only_reader(value).filter(|&reader| graph.nodes[reader].inputs[0] == value) {
            value = graph.nodes[reader].output;
            let apart = largest(graph, reader).map_or(0.0, |second| (second / first).log2());
            if apart.abs() <= UNBALANCED {
                if graph.nodes[reader].op.is_homogeneous() {
                    continue;
                }
                break;
            }
            let factor = f32::powi(2.0, (apart / 2.0) as i32);
            if with_constants(graph, reader, |op, constants| op.take_factor(constants, 1.0 / factor)) {
                let (scale, shift) = (vec![factor; channels], vec![0.0; channels]);
                if !with_constants(graph, i, |op, constants| op.take_affine(constants, &[channels], &scale, &shift)) {
                    with_constants(graph, reader, |op, constants| op.take_factor(constants, factor));
                }
            }
            break;
        }
    }
}

/// Parts of weights that never matter are cut off: taps that only ever meet padding.
fn trim(graph: &mut Graph) -> Result<()> {
    let shapes = graph.shapes(1)?;
    for i in 0..graph.nodes.len() {
        let inputs: Vec<Value> = graph.nodes[i].inputs.iter().filter_map(|&v| shapes[v].clone()).collect();
        let Some(output) = shapes[graph.nodes[i].output].clone() else { continue };
        with_constants(graph, i, |op, constants| op.trim(&inputs, &output, constants))?;
    }
    Ok(())
}
