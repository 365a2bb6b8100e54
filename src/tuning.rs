//! A short measurement of the ways in which a GPU can multiply ring words.

use crate::{
    Result, clock,
    device::{
        Buffer, Device,
        gpu::{Gpu, Path, Tuning},
    },
    kernels::{
        conv::convolution,
        matmul::{Layout, matmul},
    },
    ring::Word,
    shape::{Axis, Conv, Shape},
    stream::Stream,
};
use std::sync::Arc;

/// Seconds after which a candidate is known well enough, and the most repetitions.
const ENOUGH: f64 = 0.02;
const MOST: usize = 200;

/// Seconds after which no further candidate is begun: a software adapter may compile for longer than it is worth.
const LIMIT: f64 = 3.0;

/// The fastest tuning of this adapter, which it then has: what it would do unmeasured, each other path, then the best path
/// with more and fewer rows, then the best with workgroup memory. One that gives another word than the native device cannot win.
/// The measure is one matrix product and one convolution.
pub async fn tune(gpu: &Arc<Gpu>) -> Result<Tuning> {
    let (device, native) = (Device::Gpu(gpu.clone()), Device::cpu(1)?);
    let work = Work::new()?;
    let want = work.words(&native).await?;
    let began = clock::now();
    let start = Tuning::of(gpu.prelude());
    let mut best = faster((f64::INFINITY, start), &work, &want, &device, gpu, start).await?;
    for path in Path::ALL.into_iter().filter(|path| path.suits(gpu.prelude()) && *path != start.path) {
        if clock::now() - began < LIMIT {
            best = faster(best, &work, &want, &device, gpu, Tuning { path, ..start }).await?;
        }
    }
    let path = best.1.path;
    for rows in Tuning::ROWS.into_iter().filter(|&rows| rows != start.rows) {
        if clock::now() - began < LIMIT {
            best = faster(best, &work, &want, &device, gpu, Tuning { path, rows, ..start }).await?;
        }
    }
    if clock::now() - began < LIMIT {
        let staged = Tuning { staged: true, ..best.1 };
        best = faster(best, &work, &want, &device, gpu, staged).await?;
    }
    gpu.set_tuning(best.1)?;
    Ok(best.1)
}

/// The better of the best so far and one more.
async fn faster(best: (f64, Tuning), work: &Work, want: &[Vec<Word>], device: &Device, gpu: &Gpu, tuning: Tuning) -> Result<(f64, Tuning)> {
    // small products must use the rows that are measured
    gpu.set_tuning(Tuning { spread: false, ..tuning })?;
    // this also compiles
    match work.words(device).await {
        Ok(got) if got == want => {}
        // a driver that cannot do it, or does it wrong
        Ok(_) => return Ok(best),
        Err(_) => return device.check().map(|()| best),
    }
    let inputs = work.inputs(device);
    let began = clock::now();
    let mut repetitions = 0;
    while repetitions < MOST && clock::now() - began < ENOUGH {
        let made = work.run(device, &inputs);
        device.download(&[]).await?;
        drop(made);
        repetitions += 1;
    }
    let seconds = (clock::now() - began) / repetitions.max(1) as f64;
    Ok(if seconds < best.0 { (seconds, tuning) } else { best })
}

/// The measure: one matrix product and one convolution.
struct Work {
    layout: Layout,
    conv: Conv,
}

impl Work {
    fn new() -> Result<Self> {
        let side = 256;
        let axis = Axis { pad_begin: 1, pad_end: 1, ..Axis::new(3) };
        let conv = Conv::new(&Shape::new([1, 32, 28, 28])?, &Shape::new([64, 32, 3, 3])?, [axis; 2], 1)?;
        Ok(Self { layout: Layout { batch: 1, m: side, k: side, n: side, transpose_x: false, transpose_y: false }, conv })
    }

    /// A square matrix, an image, weights.
    fn inputs(&self, device: &Device) -> [Buffer; 3] {
        let sizes = [self.layout.m * self.layout.k, 32 * 28 * 28, 64 * 32 * 9];
        sizes.map(|n| device.upload(&(0..n as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect::<Vec<_>>()))
    }

    fn run(&self, device: &Device, [matrix, image, weights]: &[Buffer; 3]) -> [Buffer; 2] {
        let streams = [1, 2].map(|seed| Stream { key: [seed; 8], nonce: [0; 4] });
        let product = matmul(device, [matrix; 4], self.layout, streams);
        [product, convolution(device, [image, image, weights, weights], &self.conv, streams)]
    }

    async fn words(&self, device: &Device) -> Result<Vec<Vec<Word>>> {
        let made = self.run(device, &self.inputs(device));
        device.download(&made.each_ref()).await
    }
}
