//! The suite `models`: private inference of whole networks with random weights; seconds of computing, the model shared.

use super::{Case, Sample, engine};
use crate::{
    fixed::Fixed,
    nn::{Reveal, Session, zoo},
};

/// Name and batch.
const CASES: [(&str, usize); 9] = [
    ("lenet-max", 1),
    ("lenet-max", 128),
    ("alexnet-cifar10-max", 1),
    ("alexnet-cifar10", 64),
    ("vgg16-cifar10", 1),
    ("alexnet-tiny", 1),
    ("vgg16-tiny", 1),
    ("alexnet-imagenet", 1),
    ("resnet50", 1),
];

pub fn cases() -> Vec<Case> {
    CASES
        .map(|(name, batch)| Case {
            name: name.into(),
            shape: format!("batch {batch}"),
            work: None,
            signs: true,
            prepare: Box::new(move |bed| prepare(bed, name, batch)),
        })
        .into()
}

fn prepare(bed: &super::Bed, name: &str, batch: usize) -> crate::Result<super::Repetition> {
    let graph = zoo::network(name)?;
    let device = bed.device.clone();
    let link = bed.link;
    let session = Session::new([device.clone(), device.clone(), device], Fixed::default())?;
    let session = session.with_link(link).with_sign(bed.sign).with_micro_batches(bed.micro_batch);
    let model = session.load(&graph)?;
    let size: usize = graph.input_extents.iter().product();
    let values: Vec<f32> = (0..batch * size).map(|i| (i % 256) as f32 / 255.0).collect();
    Ok(Box::new(move || {
        let answer = engine::wait(session.infer(&model, &values, batch, Reveal::Logits, |_| {}))?;
        let whole = Sample::of(session.parties(), answer.cost.seconds.compute, link);
        let prepared = match engine::wait(session.prepare(&model, batch, Reveal::Logits)) {
            Err(_) => None,
            Ok(prepared) => {
                let offline = prepared.cost().0;
                let answer = engine::wait(session.infer_prepared(&model, vec![prepared], &values, batch, Reveal::Logits, |_| {}))?;
                Some([offline, Sample::of(session.parties(), answer.cost.seconds.compute, link).seconds])
            }
        };
        Ok(Sample { rounds: answer.cost.rounds, prepared, ..whole })
    }))
}
