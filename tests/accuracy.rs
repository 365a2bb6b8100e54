//! Trained networks on real images: the private predictions beside the plain ones. The ResNet and its images are read from the
//! folder that `TRISHADE_DATA` names.
#![allow(missing_docs, reason = "tests")]

use std::{path::PathBuf, sync::Arc};
use trishade::{
    data::images::{self, Preprocess},
    device::Device,
    fixed::Fixed,
    nn::{Answer, Graph, Reveal, Session, Weights, answer::best, reference, zoo},
};

fn private(graph: &Graph, values: &[f32], batch: usize) -> Answer {
    let device = Device::cpu(0).unwrap();
    let session = Session::new([device.clone(), device.clone(), device], Fixed::default()).unwrap();
    let model = session.load(graph).unwrap();
    pollster::block_on(session.infer(&model, values, batch, Reveal::Logits, |_| {})).unwrap()
}

fn with_weights(name: &str, file: PathBuf) -> Graph {
    let weights = Weights::from_safetensors(&std::fs::read(file).unwrap()).unwrap();
    zoo::network_with(name, Some(Arc::new(weights))).unwrap()
}

#[test]
fn a_resnet_on_cifar10() {
    let Some(data) = std::env::var_os("TRISHADE_DATA").map(PathBuf::from) else {
        eprintln!("skipped: TRISHADE_DATA names no folder with resnet20_cifar10.safetensors and its images");
        return;
    };
    let graph = with_weights("resnet20-cifar10", data.join("resnet20_cifar10.safetensors"));
    let mut archive = zip::ZipArchive::new(std::fs::File::open(data.join("cifar10_ic01_200_lossless.npz")).unwrap()).unwrap();
    let mut array = |name: &str| {
        let mut bytes = Vec::new();
        std::io::copy(&mut archive.by_name(name).unwrap(), &mut bytes).unwrap();
        bytes
    };
    let pixels: Vec<u8> = npyz::NpyFile::new(&array("X.npy")[..]).unwrap().into_vec().unwrap();
    let labels = array("Y.npy");
    let labels = npyz::NpyFile::new(&labels[..]).unwrap();
    let labels: Vec<i64> = match labels.dtype().descr().as_str() {
        "'|u1'" => labels.into_vec::<u8>().unwrap().into_iter().map(i64::from).collect(),
        "'<i4'" => labels.into_vec::<i32>().unwrap().into_iter().map(i64::from).collect(),
        _ => labels.into_vec().unwrap(),
    };
    let count = labels.len();
    assert_eq!((count, pixels.len()), (200, 200 * 32 * 32 * 3));
    let (mean, deviation) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    // half of the images, as many of each class
    let count = count / 2;
    let value = |n: usize, c: usize, at: usize| (f32::from(pixels[(n * 1024 + at) * 3 + c]) / 255.0 - mean[c]) / deviation[c];
    let plane = |n: usize, c: usize| (0..1024).map(move |at| value(n, c, at));
    let inputs: Vec<f32> = (0..count).flat_map(|n| (0..3).flat_map(move |c| plane(n, c))).collect();

    let plain = reference::run_f32(&graph, &inputs, count).unwrap().values;
    let published = std::fs::read(data.join("resnet20_ic01_logits.npy")).unwrap();
    let published: Vec<f32> = npyz::NpyFile::new(&published[..]).unwrap().into_vec().unwrap();
    assert!(plain.iter().zip(&published).all(|(a, b)| (a - b).abs() < 1e-3), "the network is the published one");

    let answer = private(&graph, &inputs, 50);
    let in_clear: Vec<usize> = plain.chunks(10).map(|row| best(row, 1)[0]).collect();
    let agree = |a: &[usize], b: &[usize]| a.iter().zip(b).filter(|(a, b)| a == b).count();
    let labels: Vec<usize> = labels.into_iter().take(count).map(|label| label as usize).collect();
    let (right, right_in_clear) = (agree(&answer.predictions, &labels), agree(&in_clear, &labels));
    let same = agree(&answer.predictions, &in_clear);
    eprintln!("ResNet-20: {right} of {count} right, {right_in_clear} in the clear, {same} the same");
    assert!(same >= 99 && right.abs_diff(right_in_clear) <= 1);
}

#[test]
fn a_squeezenet_on_photographs() {
    let examples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
    let graph = with_weights("squeezenet", examples.join("models/squeezenet1_1.safetensors"));
    for name in ["chelsea.png", "rocket.jpg"] {
        let bytes = std::fs::read(examples.join("data").join(name)).unwrap();
        let image = images::input(&bytes, name, graph.input_extents(), Preprocess::Caffe).unwrap();
        let plain = reference::run_f32(&graph, &image, 1).unwrap().values;
        let private = private(&graph, &image, 1).logits.concat();
        let (mut private_best, mut plain_best) = (best(&private, 5), best(&plain, 5));
        assert_eq!(private_best[0], plain_best[0], "{name}");
        private_best.sort_unstable();
        plain_best.sort_unstable();
        assert_eq!(private_best, plain_best, "{name}");
        assert!(private.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 2e-3), "{name}");
    }
}

#[test]
fn weights_of_other_networks_are_errors() {
    let examples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
    let bytes = std::fs::read(examples.join("models/squeezenet1_1.safetensors")).unwrap();
    let weights = Arc::new(Weights::from_safetensors(&bytes).unwrap());
    let error = |name: &str| zoo::network_with(name, Some(weights.clone())).unwrap_err().to_string();
    assert!(error("resnet20-cifar10").contains("'conv1.weight'"));
    assert!(error("lenet").contains("no names"));
    for end in [0, 7, 8, 100, bytes.len() - 1] {
        assert!(Weights::from_safetensors(&bytes[..end]).is_err());
    }
}
