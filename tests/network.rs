//! Whole networks: the private result beside both references, its cost, and every way to run it.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::path::Path;
use trishade::{
    device::Device,
    fixed::Fixed,
    kernels::gather::NONE,
    nn::{Answer, Graph, Leads, Model, Reveal, Session, Tensor, lower, onnx, ops::*, plan, plan_on, reference},
    party::Transport,
    shape::Axis,
};

fn example(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

fn numbers<T: npyz::Deserialize>(name: &str) -> Vec<T> {
    let bytes = std::fs::read(example(name)).unwrap();
    npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap()
}

fn lenet() -> (Graph, Vec<f32>) {
    let images: Vec<u8> = numbers("data/mnist100.npy");
    (onnx::open(&example("models/lenet_mnist.onnx")).unwrap(), images.iter().map(|&v| f32::from(v) / 255.0).collect())
}

fn session(seed: u64) -> Session {
    let device = Device::cpu(2).unwrap();
    Session::seeded([device.clone(), device.clone(), device], Fixed::default(), seed)
}

fn infer(session: &Session, graph: &Graph, values: &[f32], batch: usize, reveal: Reveal) -> Answer {
    let model = session.load(graph).unwrap();
    pollster::block_on(session.infer(&model, values, batch, reveal, |_| {})).unwrap()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn the_plain_network_gives_the_logits_of_the_file() {
    let (graph, images) = lenet();
    let logits: Vec<f32> = numbers("data/mnist100_logits.npy");
    let plain = reference::run_f32(&graph, &images, 100).unwrap();
    assert!(largest_difference(&plain.values, &logits) < 1e-4);
}

#[test]
fn lenet_reads_digits_on_shares() {
    let (graph, images) = lenet();
    let logits: Vec<f32> = numbers("data/mnist100_logits.npy");
    let labels: Vec<u8> = numbers("data/mnist100_labels.npy");
    let answer = infer(&session(1), &graph, &images, 40, Reveal::Logits);
    let right = answer.predictions.iter().zip(&labels).filter(|(p, l)| **p == **l as usize).count();
    assert!(right >= 98, "{right} of 100");
    assert!(largest_difference(&answer.logits.concat(), &logits) < 1e-3);
    let of_plain: Vec<usize> = logits.chunks(10).map(|row| (0..10).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap()).collect();
    assert_eq!(answer.predictions, of_plain);

    // the fixed-point reference truncates to the floor, the protocol now and then to one more
    let fixed = reference::run_fixed(&lower(&graph, Fixed::default()).unwrap(), &images, 100).unwrap();
    let ulp = 1.0 / (1 << 20) as f32;
    let apart = largest_difference(&answer.logits.concat(), &fixed) / ulp;
    assert!(apart <= 64.0, "{apart} ulps");

    let cost = answer.cost;
    assert_eq!(cost.rounds, 3 * 34, "three batches");
    assert_eq!(cost.bytes_to_owner, 100 * 10 * 8 * 3);
}

#[test]
fn one_image_costs_what_the_plan_says() {
    let (graph, images) = lenet();
    let session = session(2);
    let answer = infer(&session, &graph, &images[..784], 1, Reveal::Logits);
    let sent: u64 = answer.cost.bytes_sent.iter().sum();
    assert!(sent <= 1_800_000 && answer.cost.rounds <= 45, "{sent} bytes, {} rounds", answer.cost.rounds);
    assert_eq!(session.parties()[0].meter().received, 0, "the lead receives nothing");
    let plan = pollster::block_on(plan(&graph, 1, Fixed::default(), Reveal::Logits)).unwrap();
    assert_eq!((plan.rounds, plan.bytes_sent), (answer.cost.rounds, answer.cost.bytes_sent));
    assert_eq!(plan.bytes_from_owners, answer.cost.bytes_from_owners);
    let by_layer: u64 = plan.layers.iter().flat_map(|l| l.bytes_sent).sum();
    // the frames' headers and the credits belong to no layer
    assert!(by_layer <= sent && sent - by_layer < 4096, "{by_layer} of {sent}");
    assert!(plan.memory.iter().all(|&m| m > 431_080 * 16), "both components of the weights");
}

#[test]
fn every_way_to_run_gives_the_same_digits() {
    let (graph, images) = lenet();
    let images = &images[..784 * 7];
    let plain = infer(&session(3), &graph, images, 7, Reveal::Logits);
    let over_bytes = infer(&session(3).with_transport(Transport::Bytes), &graph, images, 7, Reveal::Logits);
    assert_eq!(plain.logits, over_bytes.logits);
    assert_eq!((plain.cost.rounds, plain.cost.bytes_sent), (over_bytes.cost.rounds, over_bytes.cost.bytes_sent));
    let three = infer(&session(3).with_leads(Leads::Three), &graph, images, 7, Reveal::Logits);
    assert_eq!(plain.predictions, three.predictions);
    assert_eq!(plain.cost.rounds, three.cost.rounds, "three parts share the rounds");
    let [low, high] = [three.cost.bytes_sent.iter().min().unwrap(), three.cost.bytes_sent.iter().max().unwrap()];
    assert!(*high < 2 * low, "{:?}: the bytes are spread", three.cost.bytes_sent);
    for leads in [Leads::One, Leads::Three] {
        let pieces = infer(&session(3).with_leads(leads).with_micro_batches(2), &graph, images, 7, Reveal::Logits);
        assert_eq!((&pieces.predictions, pieces.cost.rounds), (&plain.predictions, plain.cost.rounds), "{leads:?}");
        assert!(largest_difference(&pieces.logits.concat(), &plain.logits.concat()) < 1e-4);
    }
    let argmax = infer(&session(4), &graph, images, 3, Reveal::Argmax);
    assert_eq!(plain.predictions, argmax.predictions);
    assert!(argmax.logits.is_empty());
}

#[cfg(feature = "gpu")]
#[test]
fn a_gpu_gives_the_same_logits_to_the_last_bit() {
    use trishade::device::gpu::Prelude;
    let (graph, images) = lenet();
    let images = &images[..784 * 2];
    let logits = |devices| infer(&Session::seeded(devices, Fixed::default(), 11), &graph, images, 2, Reveal::Logits).logits;
    let cpu = Device::cpu(1).unwrap();
    let want = logits([cpu.clone(), cpu.clone(), cpu.clone()]);
    for prelude in [Prelude::Limbs, Prelude::Native] {
        let Some(gpu) = common::gpu(Some(prelude)) else { return };
        assert_eq!(logits([gpu.clone(), gpu.clone(), gpu.clone()]), want, "{prelude:?}");
        assert_eq!(logits([cpu.clone(), gpu.clone(), gpu]), want, "{prelude:?}, party 0 on the CPU");
    }
}

/// A small generator: values in -1..1.
struct Rng(u64);

impl Rng {
    fn values(&mut self, n: usize) -> Vec<f32> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    fn tensor(&mut self, extents: &[usize]) -> Tensor {
        Tensor::new(extents, self.values(extents.iter().product())).unwrap()
    }

    fn conv(&mut self, [o, c, k]: [usize; 3], axis: Axis, groups: usize) -> (Op, Vec<Tensor>) {
        (Conv { axes: [axis, axis], groups }.into(), vec![self.tensor(&[o, c / groups, k, k]), self.tensor(&[o])])
    }

    fn linear(&mut self, out: usize, inner: usize) -> (Op, Vec<Tensor>) {
        (MatMul { transposed: true }.into(), vec![self.tensor(&[out, inner]), self.tensor(&[out])])
    }

    fn affine(&mut self, count: usize) -> (Op, Vec<Tensor>) {
        (Affine.into(), vec![self.tensor(&[count]), self.tensor(&[count])])
    }
}

/// An operation that brings no tensors.
fn op(op: impl Into<Op>) -> (Op, Vec<Tensor>) {
    (op.into(), Vec::new())
}

/// An operation, its constants, and its inputs: 0 is the network's, `i` what node `i` makes.
type Counted<'a> = ((Op, Vec<Tensor>), &'a [usize]);

/// Nodes whose inputs are counted.
fn graph(input_extents: &[usize], nodes: Vec<Counted<'_>>) -> Graph {
    let mut graph = Graph::new(input_extents);
    let mut made = vec![0];
    for (i, ((op, tensors), inputs)) in (1..).zip(nodes) {
        let mut inputs: Vec<usize> = inputs.iter().map(|&input| made[input]).collect();
        inputs.extend(tensors.into_iter().map(|tensor| graph.constant(tensor)));
        made.push(graph.push(format!("node {i}"), op, &inputs));
    }
    let last = made[made.len() - 1];
    graph.with_outputs(&[("y", last)])
}

fn axis(kernel: usize, stride: usize, pad: usize, dilation: usize) -> Axis {
    Axis { kernel, stride, pad_begin: pad, pad_end: pad, dilation }
}

fn agrees(graph: &Graph, batch: usize, tolerance: f32) {
    let inner = graph.input_size();
    let x = Rng(99).values(batch * inner);
    let plain = reference::run_f32(graph, &x, batch).unwrap();
    let private = infer(&session(5), graph, &x, batch, Reveal::Logits);
    let apart = largest_difference(&private.logits.concat(), &plain.values);
    assert!(apart < tolerance, "{apart}");
    let plan = pollster::block_on(plan(graph, batch, Fixed::default(), Reveal::Logits)).unwrap();
    assert_eq!((plan.rounds, plan.bytes_sent), (private.cost.rounds, private.cost.bytes_sent));
}

#[test]
fn a_residual_network_with_every_operation() {
    let r = &mut Rng(7);
    let mean = |k| op(AveragePool { axes: [axis(k, k, 0, 1); 2] });
    let g = graph(
        &[3, 9, 8],
        vec![
            (r.conv([8, 3, 3], axis(3, 1, 1, 1), 1), &[0]),
            (r.affine(8), &[1]),
            (op(Relu), &[2]),
            (r.conv([8, 8, 3], axis(3, 1, 2, 2), 4), &[3]),
            (r.affine(8), &[4]),
            (op(Sum::of_two()), &[5, 3]),
            (op(Relu), &[6]),
            (op(MaxPool { axes: [axis(3, 2, 1, 1); 2] }), &[7]),
            (r.conv([6, 8, 1], axis(1, 1, 0, 1), 2), &[8]),
            (op(Relu), &[9]),
            (mean(2), &[10]),
            (op(Op::reshape(vec![24])), &[11]),
            (r.linear(5, 24), &[12]),
        ],
    );
    agrees(&g, 1, 1e-3);
    agrees(&g, 4, 1e-3);
}

#[test]
fn nodes_that_stand_alone() {
    let r = &mut Rng(8);
    let alone = |node| vec![(node, &[0][..])];
    let axes = [axis(2, 2, 0, 1), axis(3, 1, 1, 1)];
    agrees(&graph(&[2, 6, 5], alone(op(MaxPool { axes }))), 2, 1e-5);
    agrees(&graph(&[2, 6, 5], alone(op(AveragePool { axes }))), 2, 1e-5);
    agrees(&graph(&[4, 3, 3], alone(r.affine(4))), 2, 1e-5);
    agrees(&graph(&[4], alone(r.affine(4))), 3, 1e-5);
    agrees(&graph(&[17], alone(op(Relu))), 3, 1e-5);
    agrees(&graph(&[5], vec![(op(Sum::of_two()), &[0, 0])]), 2, 1e-5);
    agrees(&graph(&[5], vec![(r.linear(3, 5), &[0]), (r.linear(3, 5), &[0]), (op(Sum::of_two()), &[1, 2])]), 2, 1e-4);
}

/// Reverses each channel and puts a zero in front.
fn moved(channels: usize, inner: usize) -> (Op, Vec<Tensor>) {
    let row = |c: usize| std::iter::once(NONE).chain((0..inner).rev().map(move |i| (c * inner + i) as u32));
    op(Op::gather(vec![channels, inner + 1], (0..channels).flat_map(row).collect()))
}

#[test]
fn bounds_sums_and_movements() {
    let r = &mut Rng(18);
    let clip = |low, high| op(Clip { low, high });
    let none = f32::INFINITY;
    for (low, high) in [(-0.25, 0.5), (0.0, 0.25), (-none, 0.125), (0.125, none), (0.0, none), (0.25, 0.25)] {
        agrees(&graph(&[41], vec![(clip(low, high), &[0])]), 3, 1e-5);
        agrees(&graph(&[7], vec![(r.linear(33, 7), &[0]), (clip(low, high), &[1])]), 3, 1e-4);
    }
    let sum = |factors: &[f32], constant| op(Sum { factors: factors.to_vec(), constant });
    agrees(&graph(&[9], vec![(op(Relu), &[0]), (sum(&[2.0, -3.0], 0.5), &[0, 1])]), 2, 1e-5);
    agrees(&graph(&[9], vec![(op(Relu), &[0]), (sum(&[0.3, -0.7, 1.0], -0.25), &[0, 1, 0])]), 2, 1e-5);
    // what a product takes in: its own factor and constant, whole and broken ones of residuals
    for factors in [[1.0, 1.0], [-1.0, 1.0], [0.5, 2.0], [3.0, -0.375]] {
        agrees(&graph(&[6], vec![(r.linear(6, 6), &[0]), (sum(&factors, 0.75), &[1, 0]), (op(Relu), &[2])]), 2, 1e-4);
    }
    agrees(&graph(&[3, 5], vec![(moved(3, 5), &[0])]), 2, 1e-5);
    agrees(&graph(&[3, 5], vec![(moved(3, 5), &[0]), (moved(3, 6), &[1]), (op(Relu), &[2])]), 2, 1e-5);
    let concat = |axis| op(Concat { axis });
    agrees(&graph(&[3, 4, 2], vec![(op(Relu), &[0]), (concat(0), &[0, 1, 0])]), 3, 1e-5);
    agrees(&graph(&[3, 4, 2], vec![(op(Relu), &[0]), (concat(2), &[0, 1]), (concat(1), &[2, 2, 2])]), 2, 1e-5);
    // rows of a matrix
    agrees(&graph(&[4, 6], vec![(r.linear(3, 6), &[0]), (op(Relu), &[1]), (r.linear(2, 3), &[2])]), 2, 1e-4);
    agrees(&graph(&[2, 3, 4], vec![(r.affine(24), &[0])]), 2, 1e-5);
}

#[test]
fn several_outputs() {
    let r = &mut Rng(19);
    let mut g = graph(&[6], vec![(r.linear(4, 6), &[0]), (op(Relu), &[1]), (r.linear(3, 4), &[2])]);
    let (scores, features) = (g.nodes[2].output, g.nodes[1].output);
    g = g.with_outputs(&[("scores", scores), ("features", features), ("again", scores)]);
    let x = r.values(5 * 6);
    let plain = reference::run_all_f32(&g, &x, 5).unwrap();
    let answer = infer(&session(5), &g, &x, 2, Reveal::Logits);
    assert!(largest_difference(&answer.logits.concat(), &plain[0].values) < 1e-4);
    assert_eq!(answer.others.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["features", "again"]);
    for (other, plain) in answer.others.iter().zip(&plain[1..]) {
        assert_eq!(other.values.len(), 5);
        assert!(largest_difference(&other.values.concat(), &plain.values) < 1e-4);
    }
    let argmax = infer(&session(5), &g, &x, 2, Reveal::Argmax);
    assert_eq!((argmax.predictions, argmax.others.len()), (answer.predictions, 0));
}

#[test]
fn taps_that_meet_only_padding_are_not_shared() {
    let r = &mut Rng(12);
    let narrow = |r: &mut Rng| {
        vec![
            (r.conv([5, 3, 5], axis(5, 1, 2, 1), 1), &[0][..]),
            (op(Relu), &[1]),
            (op(MaxPool { axes: [axis(2, 2, 0, 1); 2] }), &[2]),
            (r.conv([6, 5, 3], axis(3, 1, 1, 1), 1), &[3]),
            (r.conv([4, 6, 3], axis(3, 1, 3, 2), 2), &[4]),
        ]
    };
    let g = graph(&[3, 2, 2], narrow(r));
    agrees(&g, 1, 1e-4);
    agrees(&g, 9, 1e-4);
    let program = lower(&g, Fixed::default()).unwrap().program;
    let weights: Vec<usize> = program.parameters().iter().map(|parameter| parameter.shape.elements()).collect();
    assert_eq!(weights[..4], [5 * 3 * 9, 5, 6 * 5, 6]);
}

#[test]
fn proven_ranges_make_comparisons_cheaper() {
    let (graph, images) = lenet();
    let session = session(13);
    let run = |model: &Model, values: &[f32]| pollster::block_on(session.infer(model, values, 20, Reveal::Logits, |_| {}));
    let whole = run(&session.load(&graph).unwrap(), &images).unwrap();
    let model = session.load_for(&graph, Some(0.0..=1.0)).unwrap();
    let narrow = run(&model, &images).unwrap();
    assert_eq!(whole.predictions, narrow.predictions);
    assert!(largest_difference(&whole.logits.concat(), &narrow.logits.concat()) < 1e-4);
    let sent = |answer: &Answer| answer.cost.bytes_sent.iter().sum::<u64>();
    assert!(sent(&narrow) * 20 < sent(&whole) * 19, "{} {}", sent(&narrow), sent(&whole));
    let shape_only = Session::shape_only(Fixed::default()).unwrap();
    let plan = pollster::block_on(plan_on(&shape_only, &graph, Some(0.0..=1.0), 20, Reveal::Logits)).unwrap();
    assert_eq!(plan.bytes_sent.map(|b| 5 * b), narrow.cost.bytes_sent, "five batches");
    assert!(plan.layers.iter().zip(model.bits()).all(|(layer, bits)| layer.bits == bits));
    assert!(model.bits().iter().any(|bits| bits.relu < 64));
    let mut bright = images[..784].to_vec();
    bright[100] = 1.5;
    assert!(run(&model, &bright).unwrap_err().to_string().contains("element 100"));
    assert!(session.load_for(&graph, Some(f32::NAN..=1.0)).is_err());
}

#[test]
fn proven_ranges_hold_at_the_ends_of_the_inputs() {
    let r = &mut Rng(21);
    let g = graph(
        &[2, 7, 7],
        vec![
            (r.conv([6, 2, 3], axis(3, 1, 1, 1), 1), &[0]),
            (op(MaxPool { axes: [axis(2, 2, 0, 1); 2] }), &[1]),
            (op(Relu), &[2]),
            (r.conv([6, 6, 3], axis(3, 1, 1, 1), 2), &[3]),
            (op(Sum::of_two()), &[4, 3]),
            (op(Relu), &[5]),
            (op(AveragePool { axes: [axis(3, 1, 1, 1); 2] }), &[6]),
            (op(Op::reshape(vec![54])), &[7]),
            (r.linear(9, 54), &[8]),
            (op(Relu), &[9]),
            (r.linear(4, 9), &[10]),
        ],
    );
    let session = session(22);
    let model = session.load_for(&g, Some(-3.0..=5.0)).unwrap();
    assert!(model.bits().iter().all(|bits| bits.relu >= 41), "sums have 40 fraction bits: {:?}", model.bits());
    assert!(model.bits()[0].relu < 57 && model.bits()[0].pool >= model.bits()[0].relu);
    // each input at one end or the other
    let x: Vec<f32> = r.values(16 * 98).iter().map(|&v| if v < 0.0 { -3.0 } else { 5.0 }).collect();
    let private = pollster::block_on(session.infer(&model, &x, 16, Reveal::Logits, |_| {})).unwrap();
    let plain = reference::run_f32(&g, &x, 16).unwrap();
    assert!(largest_difference(&private.logits.concat(), &plain.values) < 1e-2);
}

#[test]
fn branches_share_rounds() {
    let r = &mut Rng(9);
    let one = graph(&[16], vec![(r.linear(8, 16), &[0]), (op(Relu), &[1])]);
    let two = graph(
        &[16],
        vec![(r.linear(8, 16), &[0]), (op(Relu), &[1]), (r.linear(8, 16), &[0]), (op(Relu), &[3]), (op(Sum::of_two()), &[2, 4])],
    );
    let rounds = |g: &Graph| pollster::block_on(plan(g, 3, Fixed::default(), Reveal::Logits)).unwrap().rounds;
    assert_eq!(rounds(&one), rounds(&two));
}

#[test]
fn what_does_not_fit_is_an_error() {
    let r = &mut Rng(10);
    let g = graph(&[4], vec![(r.linear(2, 4), &[0])]);
    let s = session(6);
    let model = s.load(&g).unwrap();
    let run = |values: &[f32], batch| {
        pollster::block_on(s.infer(&model, values, batch, Reveal::Logits, |_| {})).map(|_| ()).map_err(|e| e.to_string())
    };
    assert!(run(&[0.0; 5], 1).unwrap_err().contains("an input of the model has 4"));
    assert!(run(&[], 1).is_err() && run(&[0.0; 4], 0).is_err());
    assert!(run(&[0.0, f32::NAN, 0.0, 0.0], 1).unwrap_err().contains("element 1"));
    assert!(run(&[0.0, 1e9, 0.0, 0.0], 1).unwrap_err().contains("range"));
    assert!(run(&[0.5; 8], 1).is_ok());
    let huge =
        graph(&[4], vec![((MatMul { transposed: true }.into(), vec![Tensor::new([1, 4], vec![1e30; 4]).unwrap(), r.tensor(&[1])]), &[0])]);
    let error = s.load(&huge).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("node 1") && error.contains("fraction bits"), "{error}");
}
