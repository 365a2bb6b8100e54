//! The suite `models`: private inference of whole networks with random weights; seconds of computing, the model shared.

use super::case::{Bed, Case, Repetition, Sample};
use crate::{engine, memory};
use trishade::{
    Result,
    device::Device,
    fixed::Fixed,
    nn::{Graph, Reveal, Session, lower, plan_on, reference, zoo},
    party::Transport,
};

/// Name and batch.
const CASES: [(&str, usize); 23] = [
    ("lenet", 1),
    ("lenet-max", 1),
    ("lenet-max", 128),
    ("alexnet-cifar10", 1),
    ("alexnet-cifar10-max", 1),
    ("alexnet-cifar10", 64),
    ("vgg16-cifar10", 1),
    ("vgg16-cifar10", 64),
    ("alexnet-tiny", 1),
    ("vgg16-tiny", 1),
    ("alexnet-imagenet", 1),
    ("vgg16-imagenet", 1),
    ("resnet50", 1),
    ("resnet50", 8),
    ("resnet101", 1),
    ("resnet152", 1),
    ("resnet152", 8),
    // as their authors had them
    ("alexnet", 1),
    ("vgg16", 1),
    ("resnet50-max", 1),
    ("resnet20-cifar10", 1),
    ("squeezenet", 1),
    ("mobilenet-v2", 1),
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

fn prepare(bed: &Bed, name: &str, batch: usize) -> Result<Repetition> {
    let graph = zoo::network(name)?;
    let device = bed.device.clone();
    let link = bed.link;
    let like = |session: Session| session.with_transport(link).with_sign(bed.sign).with_micro_batches(bed.micro_batch);
    let fixed = Fixed::default();
    let plan =
        engine::wait(plan_on(&like(Session::shape_only(fixed)?.with_transport(Transport::Handover)), &graph, None, batch, Reveal::Logits))?;
    memory::fits(plan.process, None, batch)?;
    memory::forget_most();
    let session = like(Session::new([device.clone(), device.clone(), device.clone()], fixed)?);
    let model = session.load(&graph)?;
    let size: usize = graph.input_size();
    let values: Vec<f32> = (0..batch * size).map(|i| (i % 256) as f32 / 255.0).collect();
    let mut verified = bed.verify.then_some(graph);
    let (mut first, native) = (true, matches!(device, Device::Cpu(_)));
    Ok(Box::new(move || {
        let answer = engine::wait(session.infer(&model, &values, batch, Reveal::Logits, |_| {}))?;
        let whole = Sample::of(session.parties(), answer.cost.seconds.compute, link);
        let first = std::mem::replace(&mut first, false) && native;
        let memory = memory::most().filter(|_| first).map(|most| [plan.process, most]);
        let ulps = verified.take().map(|graph| difference(&graph, fixed, &values, &answer.logits.concat())).transpose()?;
        // what the lead deals beforehand lies in memory
        let enough = memory::available().is_none_or(|free| free > plan.bytes_sent[0] / 4 * 5);
        let prepared = match enough.then(|| engine::wait(session.prepare(&model, batch, Reveal::Logits))) {
            Some(Ok(prepared)) => {
                let offline = prepared.cost().0;
                let answer = engine::wait(session.infer_prepared(&model, vec![prepared], &values, batch, Reveal::Logits, |_| {}))?;
                Some([offline, Sample::of(session.parties(), answer.cost.seconds.compute, link).seconds])
            }
            _ => None,
        };
        Ok(Sample { rounds: answer.cost.rounds, prepared, memory, ulps, ..whole })
    }))
}

/// The largest difference between scores and those of the fixed-point reference, and the largest of these, in units of the last
/// place.
fn difference(graph: &Graph, fixed: Fixed, values: &[f32], scores: &[f32]) -> Result<[u64; 2]> {
    let reference = reference::run_fixed(&lower(graph, fixed)?, values, values.len() / graph.input_size())?;
    let units = |value: f64| (value * fixed.scale()).abs().round() as u64;
    let off = scores.iter().zip(&reference).map(|(score, want)| units(f64::from(*score) - f64::from(*want))).max();
    let largest = reference.iter().map(|&want| units(f64::from(want))).max();
    Ok([off.unwrap_or(0), largest.unwrap_or(0)])
}
