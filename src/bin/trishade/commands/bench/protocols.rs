//! The suite `micro`: single protocols, all three parties in this process on one device.

use super::case::{Bed, Case, Repetition, Sample};
use crate::engine;
use std::{future::Future, pin::Pin};
use trishade::{
    Result, clock,
    device::Device,
    party::{Party, Transport, preprocess, run, run_preprocessed},
    protocol::{self as mpc, Layout},
    shape::{Axis, Conv, Pool, Shape},
    share::Arith,
};

type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A protocol on this party's shares of the inputs.
type Protocol = Box<dyn for<'a> Fn(&'a Party, &'a [Arith]) -> Task<'a>>;

/// The cases of the field's tables, smallest first.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for n in [256, 512, 1024] {
        cases.push(matmul(n));
    }
    // batch, channels, side, output channels, kernel, stride, padding
    let convolutions = [
        [1, 3, 32, 64, 3, 1, 1],
        [1, 64, 32, 64, 3, 1, 1],
        [1, 512, 14, 512, 3, 1, 1],
        [1, 3, 224, 64, 7, 2, 3],
        [32, 3, 32, 64, 3, 1, 1],
        [128, 3, 32, 64, 3, 1, 1],
        [1, 3, 224, 64, 11, 4, 0],
        [32, 3, 224, 64, 11, 4, 0],
    ];
    cases.extend(convolutions.map(convolution));
    for n in [100, 10_000, 100_000, 1_000_000] {
        cases.push(elementwise("relu", n, |p, x| Box::pin(async move { drop(mpc::relu(p, x).await) })));
    }
    for n in [10_000, 1_000_000] {
        cases.push(elementwise("truncation", n, |p, x| Box::pin(async move { drop(truncated(p, x).await) })));
    }
    cases.push(max_pool());
    cases
}

async fn truncated(p: &Party, x: &Arith) -> Arith {
    mpc::truncate(p, &mpc::split_of_share(p, x), 20).await
}

fn matmul(n: usize) -> Case {
    let layout = Layout { batch: 1, m: n, k: n, n, transpose_x: false, transpose_y: false };
    let protocol: fn(Layout) -> Protocol = |layout| {
        Box::new(move |p, x| {
            Box::pin(async move { drop(mpc::rescale(p, &mpc::split(p, mpc::matmul(p, &x[0], &x[1], layout)).await).await) })
        })
    };
    Case {
        name: "matmul, truncation".into(),
        shape: format!("{n} x {n} x {n}"),
        work: Some((6.0 * (n as f64).powi(3), "multiply-adds/s")),
        signs: false,
        prepare: Box::new(move |bed| repetition(bed, vec![vec![n, n]; 2], protocol(layout))),
    }
}

fn convolution([batch, channels, side, out, kernel, stride, pad]: [usize; 7]) -> Case {
    let axis = Axis { kernel, stride, pad_begin: pad, pad_end: pad, dilation: 1 };
    let (x, w) = (vec![batch, channels, side, side], vec![out, channels, kernel, kernel]);
    let geometry = Shape::new(x.clone()).and_then(|x| Conv::new(&x, &Shape::new(w.clone())?, [axis; 2], 1));
    Case {
        name: "convolution, truncation".into(),
        shape: format!("{batch}x{channels}x{side}x{side} -> {out} k{kernel} s{stride} p{pad}"),
        work: geometry.as_ref().ok().map(|c| (6.0 * c.multiply_adds() as f64, "multiply-adds/s")),
        signs: false,
        prepare: Box::new(move |bed| {
            let geometry = geometry.clone()?;
            let protocol: Protocol = Box::new(move |p, x| {
                Box::pin(async move { drop(mpc::rescale(p, &mpc::split(p, mpc::convolution(p, &x[0], &x[1], &geometry)).await).await) })
            });
            repetition(bed, vec![x.clone(), w.clone()], protocol)
        }),
    }
}

fn elementwise(name: &str, n: usize, protocol: impl for<'a> Fn(&'a Party, &'a Arith) -> Task<'a> + Copy + 'static) -> Case {
    Case {
        name: name.into(),
        shape: n.to_string(),
        work: Some((n as f64, "elements/s")),
        signs: name == "relu",
        prepare: Box::new(move |bed| repetition(bed, vec![vec![n]], Box::new(move |p, x| protocol(p, &x[0])))),
    }
}

fn max_pool() -> Case {
    let axes = [Axis { stride: 2, ..Axis::new(2) }; 2];
    Case {
        name: "max-pool 2x2".into(),
        shape: "1x64x32x32".into(),
        work: None,
        signs: true,
        prepare: Box::new(move |bed| {
            let pool = Pool::new(&Shape::new([1, 64, 32, 32])?, axes)?;
            let protocol: Protocol = Box::new(move |p, x| Box::pin(async move { drop(mpc::max_pool(p, &x[0], &pool).await) }));
            repetition(bed, vec![vec![1, 64, 32, 32]], protocol)
        }),
    }
}

/// Three parties with shares of fixed words of about 44 bits, ready to run.
fn repetition(bed: &Bed, shapes: Vec<Vec<usize>>, protocol: Protocol) -> Result<Repetition> {
    let (device, link) = (bed.device.clone(), bed.link);
    let parties = Party::local([device.clone(), device.clone(), device.clone()], 20)?;
    parties.iter().for_each(|p| p.set_sign(bed.sign));
    let mut inputs: [Vec<Arith>; 3] = Default::default();
    for extents in shapes {
        let shape = Shape::new(extents)?;
        let words: Vec<u64> =
            (0..shape.elements() as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 34).wrapping_sub(1 << 29)).collect();
        for (party, share) in parties.iter().zip(&mpc::share(&shape, &words)?) {
            inputs[party.number()].push(mpc::input(party, share));
        }
    }
    Ok(Box::new(move || engine::wait(sample(&parties, &inputs, &protocol, &device, link))))
}

async fn sample(parties: &[Party; 3], inputs: &[Vec<Arith>; 3], protocol: &Protocol, device: &Device, link: Transport) -> Result<Sample> {
    parties.iter().for_each(Party::reset_meter);
    let began = clock::now();
    run(parties, link, |p| protocol(p, &inputs[p.number()])).await?;
    device.download(&[]).await?;
    let whole = Sample::of(parties, clock::now() - began, link);
    let prepared = match preprocess(parties, link, |p| protocol(p, &inputs[0])).await {
        // a protocol whose lead has to hear from the others
        Err(_) => None,
        Ok(ahead) => {
            let offline = ahead.seconds;
            parties.iter().for_each(Party::reset_meter);
            let began = clock::now();
            run_preprocessed(parties, link, ahead, |p| protocol(p, &inputs[p.number()])).await?;
            device.download(&[]).await?;
            Some([offline, Sample::of(parties, clock::now() - began, link).seconds])
        }
    };
    Ok(Sample { prepared, ..whole })
}
