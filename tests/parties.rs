//! Three parties on sockets, and their clients: the same answers as in one process, and what is refused.
#![allow(missing_docs, reason = "tests")]

#[path = "common/cluster.rs"]
mod cluster;

use cluster::{Cluster, limits};
use std::{path::Path, sync::atomic::Ordering};
use trishade::{
    device::Device,
    fixed::Fixed,
    net::Asking,
    nn::{Graph, Reveal, Session, onnx},
};

fn example(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

fn lenet() -> (Graph, Vec<f32>) {
    let bytes = std::fs::read(example("data/mnist100.npy")).unwrap();
    let images: Vec<u8> = npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap();
    (onnx::open(&example("models/lenet_mnist.onnx")).unwrap(), images.iter().map(|&v| f32::from(v) / 255.0).collect())
}

fn locally(graph: &Graph, values: &[f32], batch: usize) -> Vec<usize> {
    let device = Device::cpu(2).unwrap();
    let session = Session::new([device.clone(), device.clone(), device], Fixed::default()).unwrap();
    let model = session.load(graph).unwrap();
    pollster::block_on(session.infer(&model, values, batch, Reveal::Logits, |_| {})).unwrap().predictions
}

const ALL: Asking = Asking { batch: 10, in_flight: 4, reveal: Reveal::Logits };

#[test]
fn lenet_on_sockets_reads_as_in_one_process() {
    let mut cluster = Cluster::new("lenet", None, &limits());
    cluster.start_all();
    let (graph, images) = lenet();
    let owner = cluster.connect();
    let id = owner.upload("lenet", &graph, |_| {}).unwrap();
    assert_eq!(owner.find("lenet").unwrap(), id);
    let architecture = owner.architecture(&id).unwrap();
    let answer = owner.infer(&id, &architecture, &images, ALL, |_| {}).unwrap();
    assert_eq!(answer.predictions, locally(&graph, &images, 10));
    let argmax = owner.infer(&id, &architecture, &images[..784 * 7], Asking { batch: 3, in_flight: 2, reveal: Reveal::Argmax }, |_| {});
    assert_eq!(argmax.unwrap().predictions, answer.predictions[..7]);

    // a party that starts anew finds what it keeps, and the session begins again
    drop(owner);
    cluster.parties[1].take().unwrap().stop();
    cluster.start(1);
    cluster.wait();
    let owner = cluster.connect();
    owner.ready().unwrap();
    let again = owner.infer(&id, &architecture, &images[..784 * 10], ALL, |_| {}).unwrap();
    assert_eq!(again.predictions, answer.predictions[..10]);
    let answered = cluster.parties[0].as_ref().unwrap().metrics().answered.load(Ordering::Relaxed);
    assert_eq!(answered, 10 + 3 + 1);
}

#[test]
fn the_meter_counts_what_the_sockets_see() {
    let mut cluster = Cluster::new("meter", None, &limits());
    cluster.start_all();
    let (graph, images) = lenet();
    let owner = cluster.connect();
    let id = owner.upload("lenet", &graph, |_| {}).unwrap();
    let architecture = owner.architecture(&id).unwrap();
    let one = Asking { batch: 1, in_flight: 1, reveal: Reveal::Logits };
    let answer = owner.infer(&id, &architecture, &images[..784 * 20], one, |_| {}).unwrap();
    drop(owner);
    let metrics = [0, 1, 2].map(|i| cluster.parties[i].as_ref().unwrap().metrics());
    let page = metrics[0].page();
    assert!(page.contains("trishade_requests_answered_total 20\n"), "{page}");
    cluster.parties.iter_mut().filter_map(Option::take).for_each(trishade::net::Server::stop);
    for (party, metrics) in metrics.iter().enumerate() {
        let (counted, seen) = (metrics.protocol_bytes.load(Ordering::Relaxed), metrics.socket_bytes.load(Ordering::Relaxed));
        assert_eq!(counted, answer.cost.bytes_sent[party]);
        let more = seen as f64 / counted as f64 - 1.0;
        println!("party {party}: {counted} bytes counted, {seen} on the sockets: {:.2} % more", more * 100.0);
        assert!((0.0..0.02).contains(&more), "party {party}: {counted} bytes counted, {seen} on the sockets");
    }
}
