//! Residual networks.

use super::pooling::Pooling;
use crate::{Result, kernels::gather::NONE, nn::builder::Builder};

#[derive(Clone, Copy, PartialEq)]
pub enum Block {
    Basic,
    Bottleneck,
}

pub fn resnet(mut b: Builder, pool: Pooling, block: Block, stages: [usize; 4]) -> Result<Builder> {
    // the averaged variant leaves out the padding of the original's first pool
    let pad = matches!(pool, Pooling::Max).into();
    b = pool.pool(b.conv(64, 7, 2, 3)?.relu()?, 3, 2, pad)?;
    let gain = (stages.iter().sum::<usize>() as f64).sqrt().recip();
    for (stage, &blocks) in stages.iter().enumerate() {
        for i in 0..blocks {
            b = residual(b, block, 64 << stage, if stage > 0 && i == 0 { 2 } else { 1 }, gain)?;
        }
    }
    b.global_average_pool()?.linear(1000)
}

/// A block and its shortcut, a projection where the shape changes.
fn residual(b: Builder, block: Block, width: usize, stride: usize, gain: f64) -> Result<Builder> {
    let (input, from) = (b.value(), b.shape().clone());
    let b = match block {
        Block::Basic => b.conv(width, 3, stride, 1)?.relu()?.gain(gain).conv(width, 3, 1, 1)?,
        Block::Bottleneck => b.conv(width, 1, 1, 0)?.relu()?.conv(width, 3, stride, 1)?.relu()?.gain(gain).conv(4 * width, 1, 1, 0)?,
    };
    if *b.shape() == from {
        return b.sum_with(input)?.relu();
    }
    let (main, channels) = (b.value(), b.shape().extents()[1]);
    b.at(input).conv(channels, 1, stride, 0)?.sum_with(main)?.relu()
}

/// The network of CIFAR-10 (He et al. 2015, section 4.2): its shortcuts have no weights, they drop every other element and add channels of
/// zeros.
pub fn resnet20(b: Builder) -> Result<Builder> {
    let mut b = b.named("conv1").plain_conv(16, 3, 1, 1)?.named("bn1").batch_norm()?.relu()?;
    for (stage, width) in [16, 32, 64].into_iter().enumerate() {
        for i in 0..3 {
            let name = |layer: &str| format!("layer{}.{i}.{layer}", stage + 1);
            let (input, stride) = (b.value(), if stage > 0 && i == 0 { 2 } else { 1 });
            b = b.named(&name("conv1")).plain_conv(width, 3, stride, 1)?.named(&name("bn1")).batch_norm()?.relu()?;
            b = b.named(&name("conv2")).plain_conv(width, 3, 1, 1)?.named(&name("bn2")).batch_norm()?;
            let main = b.value();
            b = b.at(input);
            if stride == 2 {
                b = halved(b, width)?;
            }
            b = b.sum_with(main)?.relu()?;
        }
    }
    b.global_average_pool()?.named("linear").linear(10)
}

/// Every other row and column, between channels of zeros.
fn halved(b: Builder, channels: usize) -> Result<Builder> {
    let &[_, c, h, w] = b.shape().extents() else { return Ok(b) };
    let (rows, columns, front) = (h.div_ceil(2), w.div_ceil(2), (channels - c) / 2);
    let place = |channel: usize, row: usize, column: usize| match channel.checked_sub(front).filter(|&channel| channel < c) {
        Some(channel) => ((channel * h + 2 * row) * w + 2 * column) as u32,
        None => NONE,
    };
    let row = move |channel: usize, row: usize| (0..columns).map(move |column| place(channel, row, column));
    let table = (0..channels).flat_map(|channel| (0..rows).flat_map(move |r| row(channel, r))).collect();
    b.gather(&[channels, rows, columns], table)
}
