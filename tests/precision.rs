//! Numbers far from one: small factors and weights, means of many elements, layers out of balance, bounds at the end of the floats, and
//! values that leave the range, which are an error and never a wrong number.
#![allow(missing_docs, reason = "tests")]

use trishade::{
    device::Device,
    fixed::Fixed,
    nn::{Graph, Reveal, Session, Tensor, lower, ops::*, reference},
    shape::Axis,
};

/// A small generator: values in -1..1.
fn values(n: usize, seed: u64) -> Vec<f32> {
    let word = |i: usize| (i as u64 + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (0..n).map(|i| (word(i) >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
}

fn private(graph: &Graph, items: &[f32], fraction_bits: u32) -> Vec<f32> {
    let device = Device::cpu(1).unwrap();
    let session = Session::new([device.clone(), device.clone(), device], Fixed::new(fraction_bits).unwrap()).unwrap();
    let model = session.load(graph).unwrap();
    let count = items.len() / graph.input_size();
    pollster::block_on(session.infer(&model, items, count, Reveal::Logits, |_| {})).unwrap().logits.concat()
}

/// The private result is that of floats to a part of its largest number.
#[track_caller]
fn agrees(graph: &Graph, items: &[f32], part: f32) {
    let count = items.len() / graph.input_size();
    reference::check_range(&lower(graph, Fixed::default()).unwrap(), items, count).unwrap();
    let floats = reference::run_f32(graph, items, count).unwrap().values;
    let shared = private(graph, items, 20);
    let largest = floats.iter().fold(0.0, |most: f32, v| most.max(v.abs()));
    let apart = floats.iter().zip(&shared).fold(0.0, |most: f32, (a, b)| most.max((a - b).abs()));
    assert!(apart <= part * largest + 4e-6, "{apart} apart of {largest}");
}

fn list(graph: &mut Graph, extents: &[usize], numbers: Vec<f32>) -> usize {
    graph.constant(Tensor::new(extents, numbers).unwrap())
}

/// `W x + b` of so many features, weights and bias so large.
fn linear(graph: &mut Graph, x: usize, [from, to]: [usize; 2], size: f32, bias: f32) -> usize {
    let weights = values(from * to, 7).iter().map(|w| w * size).collect();
    let [weights, bias] = [list(graph, &[to, from], weights), list(graph, &[to], values(to, 8).iter().map(|b| b * bias).collect())];
    graph.push("linear", MatMul { transposed: true }, &[x, weights, bias])
}

#[test]
fn factors_one_after_another_do_not_vanish() {
    let x: Vec<f32> = values(16, 1).iter().map(|v| v * 50.0).collect();
    for (first, second) in [(1e-7, 1e6), (1e6, 1e-7), (3e-6, 1e4), (-1e-3, 1e-3)] {
        // secret ones, and public ones
        let mut graph = Graph::new(&[8]);
        let scale = |graph: &mut Graph, x: usize, factor: f32| {
            let [scale, shift] = [list(graph, &[8], vec![factor; 8]), list(graph, &[8], vec![0.0; 8])];
            graph.push("scale", Affine, &[x, scale, shift])
        };
        let y = scale(&mut graph, 0, first);
        let y = scale(&mut graph, y, second);
        agrees(&graph.with_outputs(&[("y", y)]), &x, 1e-4);
        let mut graph = Graph::new(&[8]);
        let y = graph.push("first", Sum::scaled(first), &[0]);
        let y = graph.push("second", Sum { factors: vec![second], constant: 0.5 }, &[y]);
        agrees(&graph.with_outputs(&[("y", y)]), &x, 1e-4);
    }
}

#[test]
fn a_factor_has_the_bits_that_it_needs() {
    for exponent in 0..24 {
        let factor = 1.3 * f32::powi(2.0, -exponent);
        let x: Vec<f32> = values(16, 2).iter().map(|v| v * f32::powi(2.0, exponent.min(21))).collect();
        for factor in [factor, -factor] {
            let mut graph = Graph::new(&[8]);
            let y = graph.push("scale", Sum { factors: vec![factor], constant: 0.25 }, &[0]);
            agrees(&graph.with_outputs(&[("y", y)]), &x, 1e-4);
        }
    }
}

#[test]
fn means_of_many_elements() {
    for (rows, columns) in [(3, 3), (7, 7), (16, 16), (64, 64), (100, 300), (500, 500), (251, 997)] {
        let mut graph = Graph::new(&[1, rows, columns]);
        let mean = graph.push("mean", AveragePool { axes: [Axis::new(rows), Axis::new(columns)] }, &[0]);
        let mut divided = Graph::new(&[1, rows, columns]);
        let sum = divided.push("sum", Reduce { axes: vec![1, 2], reduction: Reduction::Sum }, &[0]);
        let [scale, shift] = [list(&mut divided, &[1], vec![1.0 / (rows * columns) as f32]), list(&mut divided, &[1], vec![0.0])];
        let quotient = divided.push("quotient", Affine, &[sum, scale, shift]);
        for middle in [3.0, 1000.0] {
            let x: Vec<f32> = values(rows * columns, 3).iter().map(|v| v + middle).collect();
            // a sum of a thousand each in 250,000 elements is beyond 2^22 by itself
            agrees(&graph.clone().with_outputs(&[("y", mean)]), &x, 1e-4);
            if middle * ((rows * columns) as f32) < 4e6 {
                agrees(&divided.clone().with_outputs(&[("y", quotient)]), &x, 1e-4);
            }
        }
    }
}

#[test]
fn small_weights_are_as_precise_as_large_ones() {
    for exponent in 0..=16 {
        let size = f32::powi(2.0, -exponent);
        let x: Vec<f32> = values(24, 4).iter().map(|v| v * f32::powi(2.0, exponent.min(12))).collect();
        for bias in [0.0, 100.0] {
            for bounds in [None, Some([0.0, f32::INFINITY]), Some([-0.5, 0.75]), Some([-1e4, 1e4]), Some([f32::MIN, f32::MAX])] {
                let mut graph = Graph::new(&[12]);
                let mut y = linear(&mut graph, 0, [12, 5], size, bias);
                if let Some([low, high]) = bounds {
                    y = graph.push("bounds", Clip { low, high }, &[y]);
                }
                agrees(&graph.with_outputs(&[("y", y)]), &x, 2e-4);
            }
        }
    }
}

#[test]
fn layers_out_of_balance_lose_nothing() {
    for (first, second) in [(1e-4, 1e4), (1e-5, 1e5), (1e4, 1e-4), (1e-4, 1.0), (1.0, 1e-4), (1e-4, 1e-4)] {
        let mut graph = Graph::new(&[4]);
        let hidden = linear(&mut graph, 0, [4, 6], first, first);
        let relu = graph.push("relu", Relu, &[hidden]);
        let flat = graph.push("flat", Op::reshape(vec![6]), &[relu]);
        let y = linear(&mut graph, flat, [6, 3], second, 0.5);
        agrees(&graph.with_outputs(&[("y", y)]), &values(12, 5), 1e-3);
    }
}

#[test]
fn a_value_that_leaves_the_range_is_an_error_that_names_its_step() {
    let mut graph = Graph::new(&[4]);
    let hidden = linear(&mut graph, 0, [4, 6], 1.0, 0.0);
    let relu = graph.push("relu", Relu, &[hidden]);
    let y = linear(&mut graph, relu, [6, 3], 3000.0, 0.0);
    graph.nodes[2].name = "the last".into();
    let graph = graph.with_outputs(&[("y", y)]);
    let x = values(8, 6);
    agrees(&graph, &x, 1e-4);
    let lowered = lower(&graph, Fixed::default()).unwrap();
    let large: Vec<f32> = x.iter().map(|v| v * 2000.0).collect();
    let error = reference::check_range(&lowered, &large, 2).unwrap_err().to_string();
    for word in ["the last", "bits", "62", "20 fraction bits", "scale the inputs"] {
        assert!(error.contains(word), "{error}");
    }
    // with as many as it says there are enough
    let bits: u32 = error.split("use at most ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    reference::check_range(&lower(&graph, Fixed::new(bits).unwrap()).unwrap(), &large, 2).unwrap();
    // the look in floats finds what exact sums find
    for scale in [1.0, 100.0, 500.0, 1000.0, 1500.0, 4000.0] {
        let scaled: Vec<f32> = x.iter().map(|v| v * scale).collect();
        let exact = reference::run_fixed(&lowered, &scaled, 2);
        assert_eq!(exact.is_err(), reference::check_range(&lowered, &scaled, 2).is_err(), "{scale}");
    }
}
