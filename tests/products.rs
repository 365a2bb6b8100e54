//! Products of two computed values, from ONNX files of others to the private result: gates, attention without its softmax, powers.
//!
//! Files, inputs and right values were made with the `onnx` package and its reference evaluator.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};
use trishade::{
    device::Device,
    fixed::Fixed,
    nn::{Graph, Reveal, Session, Tensor, graph::GraphInput, graph::InputKind, lower, onnx, ops::*, plan, reference},
    shape::Axis,
};

/// Name, extents of an item.
const MODELS: [&str; 4] = ["squeeze_excite", "attention", "hard_swish", "weights_first"];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn numbers(name: &str) -> Vec<f32> {
    npyz::NpyFile::new(&std::fs::read(data(name)).unwrap()[..]).unwrap().into_vec().unwrap()
}

fn case(name: &str) -> (Graph, Vec<f32>, Vec<f32>) {
    (onnx::open(&data(&format!("{name}.onnx"))).unwrap(), numbers(&format!("{name}_x.npy")), numbers(&format!("{name}_y.npy")))
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn private(devices: [Device; 3], graph: &Graph, items: &[f32], batch: usize) -> (Vec<f32>, u32, [u64; 3]) {
    let session = Session::seeded(devices, Fixed::default(), 3);
    let model = session.load(graph).unwrap();
    let answer = pollster::block_on(session.infer(&model, items, batch, Reveal::Logits, |_| {})).unwrap();
    (answer.logits.concat(), answer.cost.rounds, answer.cost.bytes_sent)
}

fn cpu() -> [Device; 3] {
    let device = Device::cpu(2).unwrap();
    [device.clone(), device.clone(), device]
}

#[test]
fn files_of_others_give_their_values() {
    for name in MODELS {
        let (graph, x, y) = case(name);
        let batch = x.len() / graph.input_size();
        let floats = reference::run_f32(&graph, &x, batch).unwrap().values;
        assert!(largest_difference(&floats, &y) < 1e-5, "{name} in floats");
        let fixed = reference::run_fixed(&lower(&graph, Fixed::default()).unwrap(), &x, batch).unwrap();
        assert!(largest_difference(&fixed, &y) < 1e-4, "{name} in fixed point");
        let (shared, rounds, bytes) = private(cpu(), &graph, &x, batch);
        assert!(largest_difference(&shared, &y) < 1e-4, "{name} on shares");
        let plan = pollster::block_on(plan(&graph, batch, Fixed::default(), Reveal::Logits)).unwrap();
        assert_eq!((plan.rounds, plan.bytes_sent), (rounds, bytes), "{name}");
        let again = onnx::import(&onnx::export(&graph, name).unwrap()).unwrap();
        assert!(largest_difference(&reference::run_f32(&again, &x, batch).unwrap().values, &y) < 1e-5, "{name} written and read");
    }
}

#[cfg(feature = "gpu")]
#[test]
fn a_gpu_gives_the_same_to_the_last_bit() {
    use trishade::device::gpu::Prelude;
    for prelude in [Prelude::Limbs, Prelude::Native] {
        let Some(gpu) = common::gpu(Some(prelude)) else { return };
        for name in MODELS {
            let (graph, x, _) = case(name);
            let batch = x.len() / graph.input_size();
            let wanted = private(cpu(), &graph, &x, batch).0;
            assert_eq!(private([gpu.clone(), gpu.clone(), gpu.clone()], &graph, &x, batch).0, wanted, "{name} {prelude:?}");
        }
    }
}

/// A small generator: values in -1..1.
fn values(n: usize, seed: u64) -> Vec<f32> {
    let word = |i: usize| (i as u64 + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (0..n).map(|i| (word(i) >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
}

fn agrees(graph: &Graph, batch: usize, tolerance: f32) {
    let x = values(batch * graph.input_size(), 11);
    let floats = reference::run_f32(graph, &x, batch).unwrap().values;
    let (shared, rounds, bytes) = private(cpu(), graph, &x, batch);
    assert!(largest_difference(&shared, &floats) < tolerance);
    let plan = pollster::block_on(plan(graph, batch, Fixed::default(), Reveal::Logits)).unwrap();
    assert_eq!((plan.rounds, plan.bytes_sent), (rounds, bytes));
    // comparisons on as many bits as the values are proven to have
    let session = Session::new(cpu(), Fixed::default()).unwrap();
    let model = session.load_for(graph, Some(-1.0..=1.0)).unwrap();
    let narrow = pollster::block_on(session.infer(&model, &x, batch, Reveal::Logits, |_| {})).unwrap();
    assert!(largest_difference(&narrow.logits.concat(), &floats) < tolerance);
}

#[test]
fn products_of_matrices_sweep_their_shapes() {
    for (front, m, k, n) in [(vec![], 1, 1, 1), (vec![], 5, 3, 4), (vec![2], 3, 17, 2), (vec![2, 3], 2, 4, 5), (vec![1], 9, 1, 9)] {
        for transposed in [false, true] {
            for batch in [1, 2, 3] {
                let extents = |rows: usize, columns: usize| [&front[..], &[rows, columns]].concat();
                let (a, b) = (extents(m, k), if transposed { extents(n, k) } else { extents(k, n) });
                let inputs = [("a", a), ("b", b)].map(|(name, extents)| GraphInput { name: name.into(), extents, kind: InputKind::Floats });
                let mut graph = Graph::with_inputs(inputs.into());
                let product = graph.push("product", MatMul { transposed }, &[0, 1]);
                let y = graph.push("relu", Relu, &[product]);
                agrees(&graph.with_outputs(&[("y", y)]), batch, 1e-4);
            }
        }
    }
}

#[test]
fn everything_joins_a_product_of_two_values() {
    let image = |name: &str| GraphInput { name: name.into(), extents: vec![3, 4, 4], kind: InputKind::Floats };
    let axes = [Axis { stride: 2, ..Axis::new(2) }; 2];
    for (factor, constant) in [(1.0, 0.0), (0.5, 0.25), (-3.0, 0.0), (0.3, -1.0)] {
        let mut graph = Graph::with_inputs(vec![image("a"), image("b")]);
        let product = graph.push("product", Multiply, &[0, 1]);
        let sum = graph.push("sum", Sum { factors: vec![factor, 2.0], constant }, &[product, 0]);
        let pooled = graph.push("pool", MaxPool { axes }, &[sum]);
        let y = graph.push("clip", Clip { low: -0.5, high: 0.75 }, &[pooled]);
        agrees(&graph.with_outputs(&[("y", y)]), 2, 1e-4);
    }
    // averages keep more fraction bits, which a sum with others and a concatenation bring together
    let mut graph = Graph::with_inputs(vec![image("a"), image("b")]);
    let average = graph.push("average", AveragePool { axes }, &[0]);
    let largest = graph.push("largest", MaxPool { axes }, &[1]);
    let both = graph.push("both", Concat { axis: 0 }, &[average, largest]);
    let sum = graph.push("sum", Sum { factors: vec![1.0, -2.0], constant: 0.5 }, &[average, largest]);
    let square = graph.push("square", Multiply, &[average, average]);
    let more = graph.push("more", Sum { factors: vec![1.0, 0.25, 1.0], constant: 0.0 }, &[square, average, sum]);
    let y = graph.push("together", Concat { axis: 0 }, &[both, more]);
    agrees(&graph.with_outputs(&[("y", y)]), 3, 1e-4);
}

/// Kernels of so many channels, and a bias.
fn weights(graph: &mut Graph, shape: &[usize], seed: u64) -> [usize; 2] {
    let weights = Tensor::new(shape, values(shape.iter().product(), seed)).unwrap();
    let bias = Tensor::new([shape[0]], values(shape[0], seed + 1)).unwrap();
    [graph.constant(weights), graph.constant(bias)]
}

#[test]
fn products_that_are_added_are_truncated_once() {
    let axis = |kernel, stride, pad| Axis { kernel, stride, pad_begin: pad, pad_end: pad, dilation: 1 };
    // a residual block whose shortcut is a convolution, written before the other branch and after it, with factors or none
    for (first, factors, constant) in
        [(true, [1.0, 1.0], 0.0), (false, [1.0, 1.0], 0.0), (true, [0.5, -2.0], 0.25), (false, [-1.0, 3.0], -1.0)]
    {
        let mut graph = Graph::new(&[2, 6, 6]);
        let around = weights(&mut graph, &[3, 2, 1, 1], 1);
        let [one, two] = [weights(&mut graph, &[3, 2, 3, 3], 3), weights(&mut graph, &[3, 3, 3, 3], 5)];
        let shortcut = |graph: &mut Graph| graph.push("shortcut", Conv { axes: [axis(1, 2, 0); 2], groups: 1 }, &[0, around[0], around[1]]);
        let early = first.then(|| shortcut(&mut graph));
        let conv = graph.push("one", Conv { axes: [axis(3, 2, 1); 2], groups: 1 }, &[0, one[0], one[1]]);
        let relu = graph.push("relu", Relu, &[conv]);
        let conv = graph.push("two", Conv { axes: [axis(3, 1, 1); 2], groups: 1 }, &[relu, two[0], two[1]]);
        let shortcut = early.unwrap_or_else(|| shortcut(&mut graph));
        let sum = graph.push("sum", Sum { factors: factors.to_vec(), constant }, &[conv, shortcut]);
        let y = graph.push("end", Relu, &[sum]);
        let graph = graph.with_outputs(&[("y", y)]);
        agrees(&graph, 2, 1e-4);
        let steps: Vec<String> = lower(&graph, Fixed::default()).unwrap().program.steps().iter().map(|s| s.action.describe()).collect();
        assert_eq!(steps.len(), 2, "{steps:?}");
        assert!(steps[1].contains("3x3") && steps[1].contains("1x1") && steps[1].ends_with("relu"), "{steps:?}");
    }
    // of several forms; one that others read as well, or that has other fraction bits, stays apart
    let vector = |name: &str| GraphInput { name: name.into(), extents: vec![1, 4], kind: InputKind::Floats };
    let mut graph = Graph::with_inputs(vec![vector("a"), vector("b")]);
    let [matrix, _] = weights(&mut graph, &[4, 4], 9);
    let linear = graph.push("linear", MatMul { transposed: true }, &[0, matrix]);
    let product = graph.push("product", Multiply, &[0, 1]);
    let square = graph.push("square", Multiply, &[1, 1]);
    let sum = graph.push("sum", Sum { factors: vec![1.0; 4], constant: 0.0 }, &[linear, product, square, 0]);
    let one = graph.clone().with_outputs(&[("y", sum)]);
    assert_eq!(lower(&one, Fixed::default()).unwrap().program.steps().len(), 1);
    agrees(&one, 3, 1e-4);
    agrees(&graph.with_outputs(&[("y", sum), ("square", square)]), 3, 1e-4);
    let mut graph = Graph::new(&[2, 4, 4]);
    let average = graph.push("average", AveragePool { axes: [axis(2, 2, 0); 2] }, &[0]);
    let [after, bias] = weights(&mut graph, &[3, 2, 1, 1], 11);
    let [direct, direct_bias] = weights(&mut graph, &[3, 2, 2, 2], 13);
    let a = graph.push("after", Conv { axes: [axis(1, 1, 0); 2], groups: 1 }, &[average, after, bias]);
    let b = graph.push("direct", Conv { axes: [axis(2, 2, 0); 2], groups: 1 }, &[0, direct, direct_bias]);
    let sum = graph.push("sum", Sum::of_two(), &[a, b]);
    agrees(&graph.with_outputs(&[("y", sum)]), 2, 1e-4);
}

#[test]
fn axes_are_reduced_and_expanded_on_shares() {
    for axes in [vec![], vec![0], vec![1], vec![2], vec![0, 2], vec![1, 2], vec![0, 1, 2]] {
        for reduction in [Reduction::Sum, Reduction::Mean, Reduction::Max] {
            let mut graph = Graph::new(&[2, 3, 4]);
            let reduced = graph.push("reduced", Reduce { axes: axes.clone(), reduction }, &[0]);
            let kept: Vec<usize> = [2, 3, 4].iter().enumerate().map(|(d, &extent)| if axes.contains(&d) { 1 } else { extent }).collect();
            let kept = graph.push("kept", Op::reshape(kept), &[reduced]);
            let expanded = graph.push("expanded", Expand { extents: vec![2, 3, 4] }, &[kept]);
            let y = graph.push("product", Multiply, &[expanded, 0]);
            let graph = graph.with_outputs(&[("y", y), ("reduced", reduced)]);
            agrees(&graph, 2, 1e-4);
            // as a file of ONNX it means the same
            let again = onnx::import(&onnx::export(&graph, "reduced").unwrap()).unwrap();
            let x = values(48, 3);
            let [before, after] = [&graph, &again].map(|graph| reference::run_f32(graph, &x, 2).unwrap().values);
            assert!(largest_difference(&before, &after) < 1e-6, "{reduction:?} {axes:?}");
        }
    }
}

#[test]
fn integers_are_inputs_without_fraction_bits() {
    let pixels = GraphInput { name: "pixels".into(), extents: vec![6], kind: InputKind::Integers };
    let mut graph = Graph::with_inputs(vec![pixels]);
    let square = graph.push("square", Multiply, &[0, 0]);
    let weights = graph.constant(Tensor::new([2, 6], values(12, 5)).unwrap());
    let bias = graph.constant(Tensor::new([2], vec![0.5, -0.5]).unwrap());
    let y = graph.push("linear", MatMul { transposed: true }, &[square, weights, bias]);
    let graph = graph.with_outputs(&[("y", y)]);
    let x: Vec<f32> = (0..12).map(|i| (i * 21) as f32).collect();
    let floats = reference::run_f32(&graph, &x, 2).unwrap().values;
    let (shared, ..) = private(cpu(), &graph, &x, 2);
    let most = floats.iter().fold(0.0, |most: f32, v| most.max(v.abs()));
    assert!(largest_difference(&shared, &floats) < most * 1e-5, "{shared:?} {floats:?}");
    let session = Session::new(cpu(), Fixed::default()).unwrap();
    let model = session.load(&graph).unwrap();
    let error = pollster::block_on(session.infer(&model, &[0.5; 6], 1, Reveal::Logits, |_| {})).unwrap_err().to_string();
    assert!(error.contains("pixels") && error.contains("element 0"), "{error}");
}

#[test]
fn copies_side_by_side() {
    for (extents, repeats) in [(vec![3], vec![2]), (vec![2, 3], vec![3, 1]), (vec![1, 2, 2], vec![2, 2, 3])] {
        let mut graph = Graph::new(&extents);
        let tiled = graph.push("tile", Tile { repeats: repeats.clone() }, &[0]);
        let y = graph.push("relu", Relu, &[tiled]);
        agrees(&graph.with_outputs(&[("y", y)]), 2, 1e-5);
    }
    let mut graph = Graph::new(&[2, 2]);
    let y = graph.push("tile", Tile { repeats: vec![2, 2] }, &[0]);
    let graph = graph.with_outputs(&[("y", y)]);
    let tiled = reference::run_f32(&graph, &[1.0, 2.0, 3.0, 4.0], 1).unwrap().values;
    assert_eq!(tiled, [1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0, 1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0]);
    let again = onnx::import(&onnx::export(&graph, "tile").unwrap()).unwrap();
    assert_eq!(reference::run_f32(&again, &[1.0, 2.0, 3.0, 4.0], 1).unwrap().values, tiled);
}

#[test]
fn an_inference_tells_its_progress_and_ends_when_it_is_told() {
    use std::{cell::RefCell, ops::ControlFlow};
    use trishade::{Error, nn::Progress, nn::builder::Builder};
    // three layers of a few milliseconds each, so that there is a pause between them
    let b = Builder::new(&[64, 40, 40], 1).unwrap().conv(64, 3, 1, 1).unwrap().relu().unwrap();
    let graph = b.conv(64, 3, 1, 1).unwrap().relu().unwrap().conv(64, 3, 1, 1).unwrap().relu().unwrap().build();
    let session = Session::new(cpu(), Fixed::default()).unwrap();
    let model = session.load(&graph).unwrap();
    let x = vec![0.5; 2 * graph.input_size()];
    let told = RefCell::new(Vec::<Progress>::new());
    let run = |last: usize| {
        told.borrow_mut().clear();
        let tell = |progress: Progress| {
            told.borrow_mut().push(progress);
            if told.borrow().len() < last { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        pollster::block_on(session.infer(&model, &x, 1, Reveal::Argmax, tell)).map(|answer| answer.predictions)
    };
    let whole = run(usize::MAX).unwrap();
    let all = told.borrow().clone();
    assert!(all.len() > 4, "layers and batches: {all:?}");
    assert!(
        all.windows(2).all(|pair| pair[0].share <= pair[1].share && pair[0].bytes <= pair[1].bytes && pair[0].seconds <= pair[1].seconds)
    );
    let last = all[all.len() - 1];
    assert_eq!((last.inputs, last.of_inputs, last.layers, last.of_layers, last.share), (2, 2, 3, 3, 1.0));
    assert!(all.iter().any(|progress| (1..3).contains(&progress.layers) && progress.inputs == 0), "told between layers: {all:?}");
    for last in 1..all.len() {
        assert!(matches!(run(last), Err(Error::Cancelled)), "after {last}");
        assert_eq!(told.borrow().len(), last, "nothing is told after a break");
    }
    // a session that was stopped goes on with the next inference
    assert_eq!(run(usize::MAX).unwrap(), whole);
}

#[test]
fn a_constant_that_is_added_and_multiplied_must_fit_as_a_factor() {
    let graph = |constant: f32, multiplied: bool| {
        let mut graph = Graph::new(&[2, 2]);
        let c = graph.constant(Tensor::new([2, 2], vec![constant; 4]).unwrap());
        let [weights, bias] = weights(&mut graph, &[2, 2], 5);
        let sum = graph.push("sum", Sum::of_two(), &[0, c]);
        let product = graph.push("product", MatMul { transposed: true }, &[0, if multiplied { c } else { weights }, bias]);
        lower(&graph.with_outputs(&[("sum", sum), ("product", product)]), Fixed::default())?
            .parameters
            .encoded()
            .try_for_each(|one| one.map(drop))
    };
    graph(3.0, true).unwrap();
    graph(1e9, false).unwrap();
    assert!(matches!(graph(1e9, true), Err(trishade::Error::Range(_))));
}
