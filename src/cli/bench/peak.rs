//! The suite `peak`: the device's own rates, and beside them what a bare kernel reaches.

use super::{Bed, Case, Repetition, Sample, bare, engine};
use crate::{
    Result, clock,
    device::{Buffer, Device},
    kernels::{
        draw::draw,
        linear,
        matmul::{Layout, matmul},
    },
    stream::Stream,
};

/// Words of the streams and copies: 32 MiB.
const WORDS: usize = 1 << 22;

pub fn cases(bed: &Bed) -> Vec<Case> {
    let mut cases = Vec::new();
    if matches!(bed.device, Device::Cpu(_)) {
        cases.push(bare_case("bare 8x16 product", "1024 x 1024 x 1024, one thread", 1024f64.powi(3), "multiply-adds/s", || {
            1024f64.powi(3) / bare::product_rate(1024, 1)
        }));
        let bytes = f64::from(1 << 27);
        cases.push(bare_case("copy", "128 MiB, one thread", bytes, "bytes/s", move || bytes / bare::copy_rate()));
    }
    for n in [256, 512, 1024] {
        cases.push(case(
            "product of shares",
            format!("{n} x {n} x {n}, one party"),
            2.0 * (n as f64).powi(3),
            "multiply-adds/s",
            move |device| {
                let words: Vec<u64> = (0..(n * n) as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
                let x = device.upload(&words);
                let layout = Layout { batch: 1, m: n, k: n, n, transpose_x: false, transpose_y: false };
                Box::new(move |device| matmul(device, [&x, &x, &x, &x], layout, [stream(1), stream(2)]))
            },
        ));
    }
    #[cfg(feature = "gpu")]
    if let Device::Gpu(gpu) = &bed.device {
        cases.extend(in_registers(gpu));
        cases.extend(crate::device::gpu::Tuning::all(gpu.prelude()).into_iter().map(path_case));
    }
    let bytes = WORDS as f64 * 8.0;
    cases.push(case("ChaCha20", "32 MiB".into(), bytes, "bytes/s", |_| Box::new(|device| draw(device, WORDS, stream(3)))));
    cases.push(case("sum of two tensors", "32 MiB each".into(), 3.0 * bytes, "bytes/s", |device| {
        let x = draw(device, WORDS, stream(4));
        Box::new(move |device| linear::add(device, &x, &x))
    }));
    cases
}

/// What the adapter multiplies when nothing else holds it up.
#[cfg(feature = "gpu")]
fn in_registers(gpu: &crate::device::gpu::Gpu) -> [Case; 2] {
    use crate::{device::gpu::Prelude, kernels::rate};
    let (items, turns) = if gpu.facts().software { (1 << 12, 1 << 10) } else { (1 << 18, 1 << 12) };
    let words = if gpu.prelude() == Prelude::Native { "64-bit integers" } else { "two 32-bit halves" };
    [("32-bit products", "u32", false), ("products of ring words", words, true)].map(|(name, held, ring)| {
        let work = rate::multiply_adds(items, turns);
        let kernel = move |_: &Device| -> Kernel { Box::new(move |device| rate::rate(device, items, turns, ring)) };
        case(name, format!("in registers, {held}"), work, "multiply-adds/s", kernel)
    })
}

/// One way that a GPU can multiply.
#[cfg(feature = "gpu")]
fn path_case(tuning: crate::device::gpu::Tuning) -> Case {
    const N: usize = 512;
    let shape = format!("{N} x {N} x {N}, {tuning}");
    case("product of shares", shape, 2.0 * (N as f64).powi(3), "multiply-adds/s", move |device| {
        let words: Vec<u64> = (0..(N * N) as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let x = device.upload(&words);
        let layout = Layout { batch: 1, m: N, k: N, n: N, transpose_x: false, transpose_y: false };
        Box::new(move |device| {
            let Device::Gpu(gpu) = device else { return x.clone() };
            let usual = gpu.tuning();
            // one that the adapter has not got is not in the list
            let _ = gpu.set_tuning(tuning);
            let z = matmul(device, [&x, &x, &x, &x], layout, [stream(1), stream(2)]);
            let _ = gpu.set_tuning(usual);
            z
        })
    })
}

fn stream(seed: u32) -> Stream {
    Stream { key: [seed; 8], nonce: [0; 4] }
}

type Kernel = Box<dyn Fn(&Device) -> Buffer>;

/// One kernel of one party.
fn case(name: &str, shape: String, work: f64, unit: &'static str, make: impl Fn(&Device) -> Kernel + 'static) -> Case {
    let prepare = move |bed: &Bed| -> Result<Repetition> {
        let device = bed.device.clone();
        let kernel = make(&device);
        Ok(Box::new(move || {
            let began = clock::now();
            let made = kernel(&device);
            engine::wait(device.download(&[]))?;
            drop(made);
            Ok(Sample { seconds: clock::now() - began, ..Sample::default() })
        }))
    };
    Case { name: name.into(), shape, work: Some((work, unit)), signs: false, prepare: Box::new(prepare) }
}

/// Something that times itself.
fn bare_case(name: &str, shape: &str, work: f64, unit: &'static str, seconds: impl Fn() -> f64 + Copy + 'static) -> Case {
    let prepare = move |_: &Bed| -> Result<Repetition> { Ok(Box::new(move || Ok(Sample { seconds: seconds(), ..Sample::default() }))) };
    Case { name: name.into(), shape: shape.into(), work: Some((work, unit)), signs: false, prepare: Box::new(prepare) }
}
