//! Whole networks on a GPU: every score is the CPU's, bit for bit, and so every prediction. LeNet with its trained weights is in
//! tests/cli.rs.
#![allow(missing_docs, reason = "tests")]
#![cfg(feature = "gpu")]

mod common;

use trishade::{
    device::{Device, gpu::Prelude},
    fixed::Fixed,
    nn::{Answer, Graph, Reveal, Session, builder::Builder, reference, zoo},
};

fn infer(device: &Device, graph: &Graph, batch: usize, fixed: Fixed) -> Answer {
    let session = Session::seeded([device.clone(), device.clone(), device.clone()], fixed, 3);
    let model = session.load(graph).unwrap();
    pollster::block_on(session.infer(&model, &values(graph, batch), batch, Reveal::Logits, |_| {})).unwrap()
}

fn values(graph: &Graph, batch: usize) -> Vec<f32> {
    (0..batch * graph.input_size()).map(|i| (i * 37 % 101) as f32 / 101.0).collect()
}

#[test]
fn networks_give_the_scores_of_the_cpu() {
    let Some(gpu) = common::gpu(None) else { return };
    let cpu = Device::cpu(0).unwrap();
    for (name, batch) in [("lenet-max", 2), ("alexnet-cifar10", 1), ("alexnet-cifar10-max", 1), ("resnet20-cifar10", 2)] {
        let graph = zoo::network(name).unwrap();
        let (on_gpu, on_cpu) = (infer(&gpu, &graph, batch, Fixed::default()), infer(&cpu, &graph, batch, Fixed::default()));
        assert_eq!(on_gpu.logits, on_cpu.logits, "{name}");
        assert_eq!((on_gpu.predictions, on_gpu.cost.bytes_sent), (on_cpu.predictions, on_cpu.cost.bytes_sent), "{name}");
    }
}

/// The average has the fraction bits of its divisor besides its own, so that the product after it is truncated by 32 bits and more:
/// beyond the words of a shader.
#[test]
fn averages_over_many_elements_are_those_of_the_cpu() {
    let cpu = Device::cpu(0).unwrap();
    for prelude in [None, Some(Prelude::Limbs)] {
        let Some(gpu) = common::gpu(prelude) else { return };
        for (size, fraction_bits) in [(64, 20), (32, 22), (16, 24), (8, 26)] {
            let graph = Builder::new(&[4, size, size], 1).unwrap().global_average_pool().unwrap().linear(64).unwrap().build();
            let fixed = Fixed::new(fraction_bits).unwrap();
            let (on_gpu, on_cpu) = (infer(&gpu, &graph, 3, fixed), infer(&cpu, &graph, 3, fixed));
            assert_eq!(on_gpu.logits, on_cpu.logits, "{size} x {size} at {fraction_bits} bits");
            let plain = reference::run_f32(&graph, &values(&graph, 3), 3).unwrap().values;
            let apart = plain.iter().zip(on_cpu.logits.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // the sum of 4096 floats has an error of its own
            assert!(apart < 5e-5, "{size} x {size} at {fraction_bits} bits: {apart}");
        }
    }
}
