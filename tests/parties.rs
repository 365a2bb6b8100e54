//! Three parties on sockets, and their clients: the same answers as in one process, and what is refused.
#![allow(missing_docs, reason = "tests")]

#[path = "common/cluster.rs"]
mod cluster;
mod common;

use cluster::{Cluster, client, client_options, limits};
use std::{path::Path, sync::atomic::Ordering};
use trishade::{
    Error,
    device::Device,
    fixed::Fixed,
    net::{
        Connection, Identity, InferOptions,
        config::{Client, Limits},
    },
    nn::{Graph, Reveal, Session, builder::Builder, lower, onnx},
    protocol::Sign,
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

const ALL: InferOptions = InferOptions { batch: 10, in_flight: 4, reveal: Reveal::Logits };

#[test]
fn lenet_on_sockets_reads_as_in_one_process() {
    let mut cluster = Cluster::new("lenet", None, &limits());
    cluster.start_all();
    let (graph, images) = lenet();
    let owner = cluster.connect();
    let id = owner.upload("lenet", &graph, |_| {}).unwrap();
    assert_eq!(owner.find("lenet").unwrap(), id);
    let program = owner.architecture(&id).unwrap();
    let answer = owner.infer(&id, &program, &images, ALL, |_| {}).unwrap();
    assert_eq!(answer.predictions, locally(&graph, &images, 10));
    let argmax = owner.infer(&id, &program, &images[..784 * 7], InferOptions { batch: 3, in_flight: 2, reveal: Reveal::Argmax }, |_| {});
    assert_eq!(argmax.unwrap().predictions, answer.predictions[..7]);

    // a party that starts anew finds what it keeps, and the session begins again
    drop(owner);
    cluster.parties[1].take().unwrap().stop();
    cluster.start(1);
    cluster.wait();
    let owner = cluster.connect();
    owner.ready().unwrap();
    let again = owner.infer(&id, &program, &images[..784 * 10], ALL, |_| {}).unwrap();
    assert_eq!(again.predictions, answer.predictions[..10]);
    let answered = cluster.parties[0].as_ref().unwrap().metrics().answered.load(Ordering::Relaxed);
    assert_eq!(answered, 10 + 3 + 1);
}

/// Messages are larger than frames, and go in parts.
fn in_parts(name: &str, devices: [Device; 3], inputs: usize) {
    let mut cluster = Cluster::new(name, None, &Limits { frame: 1 << 16, ..limits() });
    for (number, device) in devices.into_iter().enumerate() {
        cluster.device = device;
        cluster.start(number);
    }
    cluster.wait();
    let (graph, images) = lenet();
    let owner = cluster.connect();
    let id = owner.upload("lenet", &graph, |_| {}).unwrap();
    let program = owner.architecture(&id).unwrap();
    let images = &images[..784 * inputs];
    let options = InferOptions { batch: inputs, ..ALL };
    assert_eq!(owner.infer(&id, &program, images, options, |_| {}).unwrap().predictions, locally(&graph, images, inputs));
}

#[test]
fn messages_larger_than_a_frame_go_in_parts() {
    let device = Device::cpu(2).unwrap();
    in_parts("parts", [device.clone(), device.clone(), device], 20);
}

#[cfg(feature = "gpu")]
#[test]
fn parties_on_a_gpu_and_on_cpus_serve_together() {
    let (Some(gpu), cpu) = (common::gpu(None), Device::cpu(1).unwrap()) else { return };
    in_parts("gpu", [cpu.clone(), gpu.clone(), cpu], 4);
    let other = common::gpu(None).unwrap();
    in_parts("gpus", [gpu.clone(), other, gpu], 4);
}

#[test]
fn what_does_not_fit_is_refused_before_it_runs() {
    let mut cluster = Cluster::new("memory", None, &limits());
    let (graph, images) = lenet();
    let program = lower(&graph, Fixed::default()).unwrap().program;
    let needs = |count| {
        let memory = program.memory(count, Reveal::Logits, Sign::Auto, None, 1 << 30);
        pollster::block_on(memory).unwrap()
    };
    let ([model, one], [_, many]) = (needs(1), needs(50));
    assert!((431_080 * 16..431_080 * 17).contains(&model) && one < model && many > 20 * one, "{model} {one} {many}");
    // the same shape-only run as that of a plan, by other hands
    let plan = pollster::block_on(trishade::nn::plan(&graph, 50, Fixed::default(), Reveal::Logits)).unwrap();
    let planned = *plan.memory.iter().max().unwrap();
    assert!((model + many).abs_diff(planned) * 20 < planned, "{model} + {many}, and {planned} in the plan");

    // one model and 20 inputs, or two models and few
    cluster.memory = Some(2 * model + needs(20)[1]);
    cluster.start_all();
    let owner = cluster.connect();
    let (first, second) = (owner.upload("first", &graph, |_| {}).unwrap(), owner.upload("second", &graph, |_| {}).unwrap());
    let ask = |id: &str, batch| owner.infer(id, &program, &images[..784 * batch], InferOptions { batch, ..ALL }, |_| {});
    let wanted = locally(&graph, &images[..784 * 20], 20);
    assert_eq!(ask(&first, 20).unwrap().predictions, wanted);
    let error = ask(&first, 100).unwrap_err();
    assert!(matches!(&error, Error::Input(text) if text.contains("100 inputs would hold")), "{error:?}");
    assert_eq!(ask(&second, 20).unwrap().predictions, wanted);
    // a third makes the first go from the device, and it comes back
    let third = owner.upload("third", &graph, |_| {}).unwrap();
    for id in [&third, &first, &second, &third] {
        assert_eq!(ask(id, 20).unwrap().predictions, wanted);
    }
    // what could never run is not even kept
    let huge = Builder::new(&[1, 512, 512], 1).unwrap().conv(64, 3, 1, 1).unwrap().relu().unwrap().build();
    let error = owner.upload("huge", &huge, |_| {}).unwrap_err();
    assert!(error.to_string().contains("this party has"), "{error}");
    assert_eq!(owner.models().unwrap().len(), 3);
}

#[test]
fn a_name_belongs_to_who_brought_it() {
    let mut cluster = Cluster::new("names-of-models", None, &limits());
    let other = Identity::generate("other", 9).unwrap();
    other.write(&cluster.folder.join("other.crt"), &cluster.folder.join("other.key")).unwrap();
    let mut all = cluster.owner().cluster;
    all.client.push(Client { name: "other".into(), certificate: other.fingerprint, upload: true, models: vec!["*".into()] });
    std::fs::write(cluster.folder.join("cluster.toml"), all.to_text().unwrap()).unwrap();
    cluster.start_all();
    let (graph, _) = lenet();
    let (owner, other) = (cluster.connect(), Connection::open(&client(&cluster.folder, "other"), client_options()).unwrap());
    let first = owner.upload("lenet", &graph, |_| {}).unwrap();
    let error = other.upload("lenet", &graph, |_| {}).unwrap_err();
    assert!(error.to_string().contains("belongs to another client"), "{error}");
    other.upload("lenet-2", &graph, |_| {}).unwrap();
    assert_eq!(other.find("lenet").unwrap(), first);
    let again = owner.upload("lenet", &graph, |_| {}).unwrap();
    assert_ne!(again, first);

    // a file under another's name is neither: the others stay as they are
    let folder = cluster.folder.join("party0.store");
    std::fs::copy(folder.join(format!("{again}.share")), folder.join("lenet-2@0123456789abcdef.share")).unwrap();
    std::fs::write(folder.join("junk@0123456789abcdef.share"), [7; 1000]).unwrap();
    assert_eq!(owner.models().unwrap().len(), 3);
}

#[test]
fn the_meter_counts_what_the_sockets_see() {
    let mut cluster = Cluster::new("meter", None, &limits());
    cluster.start_all();
    let (graph, images) = lenet();
    let owner = cluster.connect();
    let id = owner.upload("lenet", &graph, |_| {}).unwrap();
    let program = owner.architecture(&id).unwrap();
    let one = InferOptions { batch: 1, in_flight: 1, reveal: Reveal::Logits };
    let answer = owner.infer(&id, &program, &images[..784 * 20], one, |_| {}).unwrap();
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

#[test]
fn products_of_computed_values_and_ranges_over_three_parties() {
    let mut cluster = Cluster::new("products", None, &limits());
    cluster.start_all();
    let owner = cluster.connect();
    let data = |name: &str| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let numbers = |name: String| npyz::NpyFile::new(&std::fs::read(data(&name)).unwrap()[..]).unwrap().into_vec::<f32>().unwrap();
    for name in ["squeeze_excite", "attention", "hard_swish"] {
        let graph = onnx::open(&data(&format!("{name}.onnx"))).unwrap();
        let (x, y) = (numbers(format!("{name}_x.npy")), numbers(format!("{name}_y.npy")));
        for range in [None, Some(-1.0..=1.0)] {
            let id = owner.upload_for(name, &graph, range.clone(), |_| {}).unwrap();
            let program = owner.architecture(&id).unwrap();
            let answer = owner.infer(&id, &program, &x, InferOptions { batch: 2, ..ALL }, |_| {}).unwrap();
            let apart = answer.logits.concat().iter().zip(&y).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(answer.logits.concat().len() == y.len() && apart < 1e-4, "{name} {range:?}: {apart}");
            // a client refuses what the model is not for
            let mut outside = x.clone();
            outside[3] = 1.5;
            let refused = owner.infer(&id, &program, &outside, ALL, |_| {});
            match range {
                None => assert!(refused.is_ok()),
                Some(_) => assert!(refused.unwrap_err().to_string().contains("element 3 is outside"), "{name}"),
            }
        }
    }
}
