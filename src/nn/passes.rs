//! Rewrites that leave the function and lower the cost, each a graph to graph.

use super::graph::{Graph, Node, Op, Tensor};
use crate::{
    Result,
    shape::{Axis, Shape},
};
use std::ops::Range;

/// All of them: normalisation folded into weights, pools before ReLU, divisors of averages into the next weights, taps that
/// only ever meet padding cut off.
pub fn normalise(mut graph: Graph) -> Result<Graph> {
    while fold_affine(&mut graph) {}
    affine_as_convolution(&mut graph)?;
    while pool_before_relu(&mut graph) {}
    while average_as_sum(&mut graph) {}
    cut_taps(&mut graph)?;
    Ok(graph)
}

/// `scale (W x + b) + shift` is one product; the product must have no other reader.
fn fold_affine(graph: &mut Graph) -> bool {
    for i in 0..graph.nodes.len() {
        let Op::Affine { scale, shift } = &graph.nodes[i].op else { continue };
        let (scale, shift) = (scale.clone(), shift.clone());
        let from = graph.nodes[i].inputs[0];
        let Some(maker) = graph.maker(from).filter(|_| graph.readers(from) == 1) else { continue };
        let (Op::Conv { weights, bias, .. } | Op::Linear { weights, bias }) = &mut graph.nodes[maker].op else { continue };
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

/// What could not be folded is a depthwise 1 x 1 convolution.
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
        let x = shapes[node.inputs[0]].clone();
        let flat = x.as_ref().is_some_and(|x| x.rank() != 4);
        if flat {
            let name = node.name.clone();
            let (image, done, output) = (graph.fresh(), graph.fresh(), node.output);
            let reshape = |name: String, inputs, output, extents| Node { name, op: Op::Reshape { extents }, inputs, output };
            nodes.push(reshape(format!("{name} in"), node.inputs, image, vec![channels, 1, 1]));
            nodes.push(Node { name: name.clone(), op: conv, inputs: vec![image], output: done });
            nodes.push(reshape(format!("{name} out"), vec![done], output, vec![channels]));
        } else {
            node.op = conv;
            nodes.push(node);
        }
    }
    graph.nodes = nodes;
    Ok(())
}

/// Maximum and ReLU commute, and after the pool a fraction of the ReLUs is left.
fn pool_before_relu(graph: &mut Graph) -> bool {
    for i in 0..graph.nodes.len() {
        if !matches!(graph.nodes[i].op, Op::Relu) {
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

/// An average is a sum whose divisor goes into the next weights, through what commutes with a positive factor; where
/// there are none, a multiplication by a public number follows.
fn average_as_sum(graph: &mut Graph) -> bool {
    let Some(i) = graph.nodes.iter().position(|n| matches!(n.op, Op::AveragePool { .. })) else { return false };
    let Op::AveragePool { axes } = graph.nodes[i].op else { return false };
    graph.nodes[i].op = Op::SumPool { axes };
    let factor = 1.0 / (axes[0].kernel * axes[1].kernel) as f32;
    let mut value = graph.nodes[i].output;
    while let Some(reader) = graph.only_reader(value) {
        match &mut graph.nodes[reader].op {
            Op::Conv { weights, .. } | Op::Linear { weights, .. } => {
                weights.values.iter_mut().for_each(|w| *w *= factor);
                return true;
            }
            Op::Relu | Op::Reshape { .. } | Op::MaxPool { .. } | Op::SumPool { .. } | Op::AveragePool { .. } => {
                value = graph.nodes[reader].output
            }
            _ => break,
        }
    }
    let output = graph.nodes[i].output;
    let sum = graph.fresh();
    graph.nodes[i].output = sum;
    let name = format!("{} scale", graph.nodes[i].name);
    graph.nodes.insert(i + 1, Node { name, op: Op::Scale { factor }, inputs: vec![sum], output });
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
