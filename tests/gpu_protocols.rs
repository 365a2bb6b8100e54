//! Whole protocols with parties on a GPU: every component of every result equals that of three parties on the CPU.
#![allow(missing_docs, reason = "tests")]
#![cfg(feature = "gpu")]

mod common;

use common::{Rng, Task, components, revealed};
use trishade::{
    device::{Device, gpu::Prelude},
    kernels::matmul::Layout,
    party::{Party, Transport, run},
    protocol::{self as mpc, Sign},
    ring::Word,
    shape::{Axis, Conv, Pool},
    share::Arith,
};

type Protocol = for<'a> fn(&'a Party, Arith) -> Task<'a, Arith>;

const N: usize = 1500;

macro_rules! protocol {
    (|$p:ident, $x:ident| $body:expr) => {
        |$p, $x| Box::pin(async move { $body })
    };
}

const PROTOCOLS: [(&str, Protocol); 11] = [
    ("relu", protocol!(|p, x| mpc::relu(p, &x).await)),
    ("truncation", protocol!(|p, x| mpc::truncate(p, &mpc::split_of_share(p, &x), 20).await)),
    ("activation", protocol!(|p, x| mpc::activate(p, &mpc::split_of_share(p, &x), p.fraction_bits()).await)),
    ("bounds", protocol!(|p, x| mpc::clip(p, &x, [Some(1 << 20), Some(1 << 22)]).await)),
    (
        "bounds of a product",
        protocol!(|p, x| mpc::activate_clip(p, &mpc::split_of_share(p, &x), p.fraction_bits(), [None, Some(1 << 22)]).await),
    ),
    ("product", protocol!(|p, x| mpc::mul(p, &x, &x).await)),
    (
        "matrix product",
        protocol!(|p, x| {
            let layout = Layout { batch: 1, m: 30, k: 50, n: 30, transpose_x: false, transpose_y: true };
            mpc::reshare(p, mpc::matmul(p, &reshaped(&x, &[30, 50]), &reshaped(&x, &[30, 50]), layout)).await
        }),
    ),
    (
        "convolution",
        protocol!(|p, x| {
            let axis = Axis { kernel: 5, stride: 1, pad_begin: 1, pad_end: 2, dilation: 1 };
            let (x, w) = (reshaped(&x, &[3, 5, 10, 10]), reshaped(&x, &[12, 5, 5, 5]));
            let geometry = Conv::new(x.shape(), w.shape(), [axis, axis], 1).unwrap();
            mpc::reshare(p, mpc::convolution(p, &x, &w, &geometry)).await
        }),
    ),
    (
        "maximum",
        protocol!(|p, x| {
            let y = mpc::scale(p, &x, u64::MAX);
            mpc::max(p, &x, &y).await
        }),
    ),
    (
        "max pooling",
        protocol!(|p, x| {
            let axis = Axis { kernel: 3, stride: 2, pad_begin: 1, pad_end: 0, dilation: 1 };
            let x = reshaped(&x, &[3, 5, 10, 10]);
            mpc::max_pool(p, &x, &Pool::new(x.shape(), [axis, axis]).unwrap()).await
        }),
    ),
    (
        "a bit of all",
        protocol!(|p, x| {
            let bits = mpc::all_bits(p, &mpc::split_of_share(p, &x)).await;
            mpc::lift(p, &mpc::bit(p, &bits, 17)).await
        }),
    ),
];

fn reshaped(x: &Arith, extents: &[usize]) -> Arith {
    x.reshaped(extents).unwrap()
}

/// The components of one result, party by party.
fn results(devices: [Device; 3], sign: Sign, protocol: Protocol) -> [Vec<Word>; 3] {
    let mut rng = Rng(7);
    let mut words = || -> Vec<Word> { (0..N).map(|i| if i % 9 == 0 { 1 << (i % 62) } else { rng.next() >> 4 }).collect() };
    let components_of_x = [words(), words(), words()];
    let parties = Party::local_seeded(devices, 20, 5);
    parties.iter().for_each(|p| p.set_sign(sign));
    pollster::block_on(run(&parties, Transport::Handover, |p: &Party| {
        let components_of_x = &components_of_x;
        async move {
            let x = components(p, components_of_x).await;
            let z = protocol(p, x).await;
            revealed(p, &z).await
        }
    }))
    .unwrap()
}

fn all_equal(devices: &[Device; 3]) {
    for (name, protocol) in PROTOCOLS {
        let has_sign = ["relu", "activation", "max pooling"].contains(&name);
        for sign in [Sign::Five, Sign::Six, Sign::Short].into_iter().take(if has_sign { 3 } else { 1 }) {
            let cpu = Device::cpu(1).unwrap();
            let want = results([cpu.clone(), cpu.clone(), cpu], sign, protocol);
            assert!(results(devices.clone(), sign, protocol) == want, "{name}, {sign:?}, {devices:?}");
        }
    }
}

#[test]
fn three_parties_on_one_gpu() {
    for prelude in [Prelude::Limbs, Prelude::Native] {
        let Some(gpu) = common::gpu(Some(prelude)) else { return };
        all_equal(&[gpu.clone(), gpu.clone(), gpu]);
    }
}

#[test]
fn one_party_on_the_cpu() {
    let Some(gpu) = common::gpu(None) else { return };
    let cpu = Device::cpu(1).unwrap();
    for lead in 0..3 {
        let mut devices = [gpu.clone(), gpu.clone(), gpu.clone()];
        devices[lead] = cpu.clone();
        all_equal(&devices);
    }
}
