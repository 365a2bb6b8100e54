//! Whole networks on a GPU: every score is the CPU's, bit for bit, and so every prediction. LeNet with its trained weights is in
//! tests/cli.rs.
#![allow(missing_docs, reason = "tests")]
#![cfg(feature = "gpu")]

mod common;

use trishade::{
    device::Device,
    fixed::Fixed,
    nn::{Answer, Graph, Reveal, Session, zoo},
};

fn infer(device: &Device, graph: &Graph, batch: usize) -> Answer {
    let session = Session::seeded([device.clone(), device.clone(), device.clone()], Fixed::default(), 3);
    let model = session.load(graph).unwrap();
    let inner: usize = graph.input_size();
    let values: Vec<f32> = (0..batch * inner).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
    pollster::block_on(session.infer(&model, &values, batch, Reveal::Logits, |_| {})).unwrap()
}

#[test]
fn networks_give_the_scores_of_the_cpu() {
    let Some(gpu) = common::gpu(None) else { return };
    let cpu = Device::cpu(0).unwrap();
    for (name, batch) in [("lenet-max", 2), ("alexnet-cifar10", 1), ("alexnet-cifar10-max", 1), ("resnet20-cifar10", 2)] {
        let graph = zoo::network(name).unwrap();
        let (on_gpu, on_cpu) = (infer(&gpu, &graph, batch), infer(&cpu, &graph, batch));
        assert_eq!(on_gpu.logits, on_cpu.logits, "{name}");
        assert_eq!((on_gpu.predictions, on_gpu.cost.bytes_sent), (on_cpu.predictions, on_cpu.cost.bytes_sent), "{name}");
    }
}
