//! Protocols, all three parties in this process on the CPU device: `cargo bench --bench protocols`; pin it with `taskset -c 0`.
#![allow(missing_docs, reason = "a benchmark")]

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use trishade::{
    device::Device,
    kernels::matmul::Layout,
    party::{Party, Transport, run},
    protocol::{self as mpc, Sign},
    shape::Shape,
    share::Arith,
};

fn threads() -> usize {
    std::env::var("TRISHADE_THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}

fn parties() -> [Party; 3] {
    let device = Device::cpu(threads()).expect("the CPU is there");
    Party::local([device.clone(), device.clone(), device], 20).expect("keys")
}

fn shared(parties: &[Party; 3], shape: &[usize]) -> [Arith; 3] {
    let shape = Shape::new(shape).expect("a shape");
    let words: Vec<u64> =
        (0..shape.elements() as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20).wrapping_sub(1 << 43)).collect();
    let inputs = mpc::share(&shape, &words).expect("shares");
    std::array::from_fn(|i| mpc::input(&parties[i], &inputs[i]))
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("protocol");
    group.sample_size(10);
    let parties = parties();
    for n in [10_000, 1_000_000] {
        let x = shared(&parties, &[n]);
        for sign in [Sign::Five, Sign::Six, Sign::Short] {
            parties.iter().for_each(|p| p.set_sign(sign));
            group.bench_function(format!("relu {sign:?} {n}"), |b| {
                b.iter(|| {
                    pollster::block_on(run(&parties, Transport::Handover, |p| mpc::relu(p, black_box(&x[p.number()])))).expect("relu")
                });
            });
        }
        group.bench_function(format!("truncation {n}"), |b| {
            b.iter(|| {
                pollster::block_on(run(&parties, Transport::Handover, |p| async {
                    mpc::truncate(p, &mpc::split_of_share(p, &x[p.number()]), 20).await
                }))
                .expect("truncation")
            });
        });
    }
    for n in [256, 512, 1024] {
        let (x, y) = (shared(&parties, &[n, n]), shared(&parties, &[n, n]));
        let layout = Layout { batch: 1, m: n, k: n, n, transpose_x: false, transpose_y: false };
        group.bench_function(format!("matmul and truncation {n}"), |b| {
            b.iter(|| {
                pollster::block_on(run(&parties, Transport::Handover, |p| async {
                    let z = mpc::matmul(p, &x[p.number()], &y[p.number()], layout);
                    mpc::rescale(p, &mpc::split(p, z).await).await
                }))
                .expect("matmul")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
