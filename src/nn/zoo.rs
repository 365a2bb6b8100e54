//! The networks of the field's tables, at their true sizes, with random weights.
//!
//! The variants are those of CryptGPU (Tan et al. 2021), which pools by averages; a name that ends in `-max` pools by maxima
//! as the original networks do.

use super::{builder::Builder, graph::Graph};
use crate::{Error, Result};

/// Every name that [`network`] knows, without the ending `-max`.
pub const NAMES: [&str; 12] = [
    "lenet",
    "alexnet-cifar10",
    "alexnet-tiny",
    "alexnet-imagenet",
    "vgg16-cifar10",
    "vgg16-tiny",
    "vgg16-imagenet",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
];

/// A network by name.
pub fn network(name: &str) -> Result<Graph> {
    let (base, pool) = match name.strip_suffix("-max") {
        Some(base) => (base, Pooling::Max),
        None => (name, Pooling::Average),
    };
    let built = match base {
        "lenet" => lenet(pool),
        "alexnet-cifar10" => alexnet(pool, 32, 1, &[256, 256, 10]),
        "alexnet-tiny" => alexnet(pool, 64, 2, &[1024, 1024, 200]),
        "alexnet-imagenet" => alexnet(pool, 224, 4, &[4096, 4096, 1000]),
        "vgg16-cifar10" => vgg16(pool, 32, 1, &[256, 256, 10]),
        "vgg16-tiny" => vgg16(pool, 64, 2, &[512, 512, 200]),
        "vgg16-imagenet" => vgg16(pool, 224, 2, &[4096, 4096, 1000]),
        "resnet18" => resnet(pool, Block::Basic, [2, 2, 2, 2]),
        "resnet34" => resnet(pool, Block::Basic, [3, 4, 6, 3]),
        "resnet50" => resnet(pool, Block::Bottleneck, [3, 4, 6, 3]),
        "resnet101" => resnet(pool, Block::Bottleneck, [3, 4, 23, 3]),
        "resnet152" => resnet(pool, Block::Bottleneck, [3, 8, 36, 3]),
        _ => return Err(Error::Input(format!("no network is called '{name}'; known: {}, each also with -max", NAMES.join(", ")))),
    }?;
    Ok(built.build())
}

#[derive(Clone, Copy)]
enum Pooling {
    Average,
    Max,
}

#[derive(Clone, Copy, PartialEq)]
enum Block {
    Basic,
    Bottleneck,
}

impl Pooling {
    fn pool(self, b: Builder, kernel: usize, stride: usize, pad: usize) -> Result<Builder> {
        match self {
            Self::Average => b.average_pool(kernel, stride, pad),
            Self::Max => b.max_pool(kernel, stride, pad),
        }
    }
}

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

fn lenet(pool: Pooling) -> Result<Builder> {
    let mut b = Builder::new(&[1, 28, 28], 1)?;
    for channels in [20, 50] {
        b = pool.pool(b.conv(channels, 5, 1, 0)?.relu()?, 2, 2, 0)?;
    }
    head(b, &[500, 10])
}

/// `last` is the window of a pool in front of the fully connected layers, 1 for none.
fn alexnet(pool: Pooling, side: usize, last: usize, widths: &[usize]) -> Result<Builder> {
    let mut b = Builder::new(&[3, side, side], 2)?;
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

fn vgg16(pool: Pooling, side: usize, last: usize, widths: &[usize]) -> Result<Builder> {
    let mut b = Builder::new(&[3, side, side], 3)?;
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

fn resnet(pool: Pooling, block: Block, stages: [usize; 4]) -> Result<Builder> {
    let mut b = Builder::new(&[3, 224, 224], 4)?;
    // the averaged variant leaves out the padding of the original's first pool
    let pad = matches!(pool, Pooling::Max).into();
    b = pool.pool(b.conv(64, 7, 2, 3)?.relu()?, 3, 2, pad)?;
    for (stage, &blocks) in stages.iter().enumerate() {
        for i in 0..blocks {
            b = residual(b, block, 64 << stage, if stage > 0 && i == 0 { 2 } else { 1 })?;
        }
    }
    b.global_average_pool()?.linear(1000)
}

/// A block and its shortcut, a projection where the shape changes.
fn residual(b: Builder, block: Block, width: usize, stride: usize) -> Result<Builder> {
    let (input, from) = (b.value(), b.shape().clone());
    let b = match block {
        Block::Basic => b.conv(width, 3, stride, 1)?.relu()?.conv(width, 3, 1, 1)?,
        Block::Bottleneck => b.conv(width, 1, 1, 0)?.relu()?.conv(width, 3, stride, 1)?.relu()?.conv(4 * width, 1, 1, 0)?,
    };
    if *b.shape() == from {
        return b.sum_with(input)?.relu();
    }
    let (main, channels) = (b.value(), b.shape().extents()[1]);
    b.at(input).conv(channels, 1, stride, 0)?.sum_with(main)?.relu()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::graph::Op;

    /// Elements of the ReLUs' outputs, and multiply-adds.
    fn counts(name: &str) -> (usize, u64) {
        let graph = network(name).unwrap();
        let shapes = graph.shapes(1).unwrap();
        let elements = |v: usize| shapes[v].as_ref().unwrap().elements();
        graph.nodes.iter().fold((0, 0), |(relus, sums), node| match &node.op {
            Op::Relu => (relus + elements(node.output), sums),
            Op::Conv { weights, .. } | Op::Linear { weights, .. } => {
                let row = weights.shape.elements() / weights.shape.extents()[0];
                (relus, sums + (elements(node.output) * row) as u64)
            }
            _ => (relus, sums),
        })
    }

    #[test]
    fn sizes_are_those_of_the_tables() {
        // the tables leave out the 8192 of the fully connected layers of vgg16-imagenet
        let relus = [15_220, 12_160, 67_968, 1_144_192, 276_992, 1_106_944, 13_555_712];
        for (name, relus) in NAMES.iter().zip(relus) {
            assert_eq!(counts(name).0, relus, "{name}");
            network(&format!("{name}-max")).unwrap();
        }
        for (name, relus, millions) in [("resnet50", 9_466_624, 4_060), ("resnet101", 14_584_576, 7_770), ("resnet152", 20_906_752, 11_500)]
        {
            let (found, sums) = counts(name);
            assert_eq!(found, relus, "{name}");
            assert!((sums / 1_000_000).abs_diff(millions) < 60, "{name}: {sums}");
        }
        assert!(network("perceptron").unwrap_err().to_string().contains("resnet50"));
    }
}
