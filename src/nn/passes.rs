//! Rewrites that leave the function and lower the cost, each a graph to graph.

use super::graph::{Graph, Node, Op, Tensor};
use crate::{
    Result,
    kernels::gather::NONE,
    shape::{Axis, Shape},
};
use std::ops::Range;

/// All of them: normalisation folded into weights, pools before ReLU, divisors of averages into the next weights, one movement
/// of elements for several, taps that only ever meet padding cut off.
pub fn normalise(mut graph: Graph) -> Result<Graph> {
    let shapes = graph.shapes(1)?;
    while fold_affine(&mut graph, &shapes) {}
    affine_as_convolution(&mut graph)?;
    simplify(&mut graph);
    while pool_before_activation(&mut graph) {}
    while one_movement(&mut graph) {}
    no_movement(&mut graph)?;
    while average_as_sum(&mut graph) {}
    cut_taps(&mut graph)?;
    Ok(graph)
}

/// `scale (W x + b) + shift` is one product; the product must have no other reader.
fn fold_affine(graph: &mut Graph, shapes: &[Option<Shape>]) -> bool {
    for i in 0..graph.nodes.len() {
        let Op::Affine { scale, shift } = &graph.nodes[i].op else { continue };
        let (scale, shift) = (scale.clone(), shift.clone());
        let from = graph.nodes[i].inputs[0];
        let Some(maker) = graph.maker(from).filter(|_| graph.readers(from) == 1) else { continue };
        let flat = shapes.get(from).and_then(Option::as_ref).is_some_and(|shape| shape.rank() == 2);
        let (weights, bias, scale, shift) = match &mut graph.nodes[maker].op {
            Op::Conv { weights, bias, .. } if scale.len() == bias.len() => (weights, bias, &scale[..], &shift[..]),
            Op::Linear { weights, bias } if flat || (repeats(&scale, bias.len()) && repeats(&shift, bias.len())) => {
                let out = bias.len();
                (weights, bias, &scale[..out], &shift[..out])
            }
            _ => continue,
        };
        let row = weights.values.len() / bias.len();
        for (o, weights) in weights.values.chunks_mut(row).enumerate() {
            weights.iter_mut().for_each(|w| *w *= scale[o]);
            bias[o] = bias[o] * scale[o] + shift[o];
        }
        graph.nodes[maker].output = graph.nodes[i].output;
        graph.nodes.remove(i);
        return true;
    }
    false
}

/// Whether every `period` numbers are the same.
fn repeats(numbers: &[f32], period: usize) -> bool {
    numbers.len().is_multiple_of(period) && numbers.chunks(period).all(|chunk| chunk == &numbers[..period])
}

/// What could not be folded is a depthwise 1 x 1 convolution of as many channels as there are factors.
fn affine_as_convolution(graph: &mut Graph) -> Result<()> {
    let shapes = graph.shapes(1)?;
    let mut nodes = Vec::new();
    for mut node in std::mem::take(&mut graph.nodes) {
        let Op::Affine { scale, shift } = &node.op else {
            nodes.push(node);
            continue;
        };
        let channels = scale.len();
        let conv = Op::Conv {
            weights: Tensor { shape: Shape::new([channels, 1, 1, 1])?, values: scale.clone() },
            bias: shift.clone(),
            axes: [Axis::new(1), Axis::new(1)],
            groups: channels,
        };
        let extents = shapes[node.inputs[0]].as_ref().map_or(&[][..], |x| &x.extents()[1..]).to_vec();
        if extents.len() == 3 && extents[0] == channels {
            node.op = conv;
            nodes.push(node);
        } else {
            let name = node.name.clone();
            let (image, done, output) = (graph.fresh(), graph.fresh(), node.output);
            let reshape = |name: String, inputs, output, extents| Node { name, op: Op::Reshape { extents }, inputs, output };
            let inner = extents.iter().product::<usize>() / channels;
            nodes.push(reshape(format!("{name} in"), node.inputs, image, vec![channels, inner, 1]));
            nodes.push(Node { name: name.clone(), op: conv, inputs: vec![image], output: done });
            nodes.push(reshape(format!("{name} out"), vec![done], output, extents));
        }
    }
    graph.nodes = nodes;
    Ok(())
}

/// Bounds that are a ReLU's.
fn simplify(graph: &mut Graph) {
    for node in &mut graph.nodes {
        if let Op::Clip { low: 0.0, high: f32::INFINITY } = node.op {
            node.op = Op::Relu;
        }
    }
}

/// Elements moved twice, or reshaped and moved, are moved once.
fn one_movement(graph: &mut Graph) -> bool {
    for i in 0..graph.nodes.len() {
        let Op::Select { extents, table } = &graph.nodes[i].op else { continue };
        let from = graph.nodes[i].inputs[0];
        let Some(maker) = graph.maker(from).filter(|_| graph.readers(from) == 1) else { continue };
        let table = match &graph.nodes[maker].op {
            Op::Select { table: before, .. } => table.iter().map(|&at| if at == NONE { NONE } else { before[at as usize] }).collect(),
            Op::Reshape { .. } => table.clone(),
            _ => continue,
        };
        graph.nodes[i].op = Op::Select { extents: extents.clone(), table };
        graph.nodes[i].inputs = graph.nodes[maker].inputs.clone();
        graph.nodes.remove(maker);
        return true;
    }
    false
}

/// A movement that leaves every element where it is only reshapes.
fn no_movement(graph: &mut Graph) -> Result<()> {
    let shapes = graph.shapes(1)?;
    for node in &mut graph.nodes {
        let Op::Select { extents, table } = &node.op else { continue };
        let all = shapes[node.inputs[0]].as_ref().is_some_and(|x| x.elements() == table.len());
        if all && table.iter().enumerate().all(|(i, &at)| i == at as usize) {
            node.op = Op::Reshape { extents: extents.clone() };
        }
    }
    Ok(())
}

/// Maximum and ReLU commute, and after the pool a fraction of the ReLUs is left. So it is with bounds.
fn pool_before_activation(graph: &mut Graph) -> bool {
    for i in 0..graph.nodes.len() {
        if !matches!(graph.nodes[i].op, Op::Relu | Op::Clip { .. }) {
            continue;
        }
        let Some(reader) = graph.only_reader(graph.nodes[i].output) else { continue };
        if matches!(graph.nodes[reader].op, Op::MaxPool { .. }) {
            let (relu, pool) = (graph.nodes[i].op.clone(), graph.nodes[reader].op.clone());
            (graph.nodes[i].op, graph.nodes[reader].op) = (pool, relu);
            let (a, b) = (graph.nodes[i].name.clone(), graph.nodes[reader].name.clone());
            (graph.nodes[i].name, graph.nodes[reader].name) = (b, a);
            return true;
        }
    }
    false
}

/// Divisors above this would take too many bits of the weights that they go into.
const DIVISOR: usize = 16;

/// An average is a sum whose divisor goes into the next weights, through what commutes with a positive factor; where there are
/// none, and where the divisor is large, a multiplication by a public number follows.
fn average_as_sum(graph: &mut Graph) -> bool {
    let Some(i) = graph.nodes.iter().position(|n| matches!(n.op, Op::AveragePool { .. })) else { return false };
    let Op::AveragePool { axes } = graph.nodes[i].op else { return false };
    graph.nodes[i].op = Op::SumPool { axes };
    let taps = axes[0].kernel * axes[1].kernel;
    let factor = 1.0 / taps as f32;
    let mut value = graph.nodes[i].output;
    while let Some(reader) = graph.only_reader(value).filter(|_| taps <= DIVISOR) {
        match &mut graph.nodes[reader].op {
            Op::Conv { weights, .. } | Op::Linear { weights, .. } => {
                weights.values.iter_mut().for_each(|w| *w *= factor);
                return true;
            }
            Op::Relu | Op::Reshape { .. } | Op::Select { .. } | Op::MaxPool { .. } | Op::SumPool { .. } | Op::AveragePool { .. } => {
                value = graph.nodes[reader].output
            }
            _ => break,
        }
    }
    let output = graph.nodes[i].output;
    let sum = graph.fresh();
    graph.nodes[i].output = sum;
    let name = format!("{} scale", graph.nodes[i].name);
    graph.nodes.insert(i + 1, Node { name, op: Op::scaled(factor), inputs: vec![sum], output });
    true
}

/// Taps of a kernel that lie in the padding at every output are cut off at its edges: a 3 x 3 convolution of one padded pixel
/// is one of 1 x 1, with a ninth of the weights.
fn cut_taps(graph: &mut Graph) -> Result<()> {
    let shapes = graph.shapes(1)?;
    for node in &mut graph.nodes {
        let Op::Conv { weights, axes, .. } = &mut node.op else { continue };
        let (Some(x), Some(y)) = (&shapes[node.inputs[0]], &shapes[node.output]) else { continue };
        let live = [0, 1].map(|i| live_taps(axes[i], x.extents()[2 + i], y.extents()[2 + i]));
        let kernels = axes.map(|axis| axis.kernel);
        if live.iter().map(Range::len).eq(kernels) {
            continue;
        }
        let plane = |plane: &[f32]| -> Vec<f32> {
            plane.chunks(kernels[1]).skip(live[0].start).take(live[0].len()).flat_map(|row| row[live[1].clone()].to_vec()).collect()
        };
        let values = weights.values.chunks(kernels[0] * kernels[1]).flat_map(plane).collect();
        let channels = &weights.shape.extents()[..2];
        *weights = Tensor { shape: Shape::new([channels, &[live[0].len(), live[1].len()]].concat())?, values };
        for (axis, live) in axes.iter_mut().zip(&live) {
            axis.pad_begin -= live.start * axis.dilation;
            axis.pad_end -= (axis.kernel - live.end) * axis.dilation;
            axis.kernel = live.len();
        }
    }
    Ok(())
}

/// The taps between those that meet only padding at the beginning and at the end.
fn live_taps(axis: Axis, input: usize, output: usize) -> Range<usize> {
    let meets = |tap: usize| {
        let inside = axis.pad_begin..axis.pad_begin + input;
        (0..output).any(|o| inside.contains(&(o * axis.stride + tap * axis.dilation)))
    };
    let first = (0..axis.kernel - 1).take(axis.pad_begin / axis.dilation).take_while(|&tap| !meets(tap)).count();
    let last = (first + 1..axis.kernel).rev().take(axis.pad_end / axis.dilation).take_while(|&tap| !meets(tap)).count();
    first..axis.kernel - last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_taps_that_meet_nothing_are_cut() {
        let axis = |kernel, stride, pad, dilation| Axis { kernel, stride, pad_begin: pad, pad_end: pad, dilation };
        assert_eq!(live_taps(axis(3, 1, 1, 1), 1, 1), 1..2);
        assert_eq!(live_taps(axis(3, 1, 1, 1), 2, 2), 0..3);
        assert_eq!(live_taps(axis(5, 1, 2, 1), 2, 2), 1..4);
        assert_eq!(live_taps(axis(3, 1, 2, 2), 2, 2), 1..2);
        assert_eq!(live_taps(axis(11, 4, 9, 1), 32, 10), 0..11);
        assert_eq!(live_taps(axis(1, 1, 0, 1), 7, 7), 0..1);
        assert_eq!(live_taps(axis(2, 1, 1, 1), 1, 2), 0..2);
        // one that meets nothing at all keeps a tap
        assert_eq!(live_taps(axis(1, 3, 1, 1), 1, 1), 0..1);
    }
}
