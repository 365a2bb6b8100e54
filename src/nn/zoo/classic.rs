//! LeNet, AlexNet and VGG-16.

use super::pooling::Pooling;
use crate::{Result, nn::builder::Builder};

/// Fully connected layers with ReLUs between them.
fn head(mut b: Builder, widths: &[usize]) -> Result<Builder> {
    for (i, &width) in widths.iter().enumerate() {
        b = b.linear(width)?;
        if i + 1 < widths.len() {
            b = b.relu()?;
        }
    }
    Ok(b)
}

pub fn lenet(mut b: Builder, pool: Pooling) -> Result<Builder> {
    for channels in [20, 50] {
        b = pool.pool(b.conv(channels, 5, 1, 0)?.relu()?, 2, 2, 0)?;
    }
    head(b, &[500, 10])
}

/// `last` is the window of a pool in front of the fully connected layers, 1 for none.
pub fn alexnet_of_tables(mut b: Builder, pool: Pooling, last: usize, widths: &[usize]) -> Result<Builder> {
    b = pool.pool(b.conv(96, 11, 4, 9)?.relu()?, 3, 2, 0)?;
    b = pool.pool(b.conv(256, 5, 1, 1)?.relu()?, 2, 1, 0)?;
    for channels in [384, 384, 256] {
        b = b.conv(channels, 3, 1, 1)?.relu()?;
    }
    if last > 1 {
        b = pool.pool(b, last, last, 0)?;
    }
    head(b, widths)
}

pub fn vgg16(mut b: Builder, pool: Pooling, last: usize, widths: &[usize]) -> Result<Builder> {
    for (channels, layers) in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)] {
        for _ in 0..layers {
            b = b.conv(channels, 3, 1, 1)?.relu()?;
        }
        b = pool.pool(b, 2, 2, 0)?;
    }
    if last > 1 {
        b = pool.pool(b, last, last, 0)?;
    }
    head(b, widths)
}

/// Krizhevsky 2014, in one column.
pub fn alexnet(mut b: Builder) -> Result<Builder> {
    b = b.conv(64, 11, 4, 2)?.relu()?.max_pool(3, 2, 0)?;
    b = b.conv(192, 5, 1, 2)?.relu()?.max_pool(3, 2, 0)?;
    for channels in [384, 256, 256] {
        b = b.conv(channels, 3, 1, 1)?.relu()?;
    }
    head(b.max_pool(3, 2, 0)?, &[4096, 4096, 1000])
}
