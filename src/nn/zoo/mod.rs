//! Networks of the field's tables at their true sizes, and some that people use: with random weights, or with their own.
//!
//! The variants of LeNet, AlexNet, VGG-16 and the ResNets are those of CryptGPU (Tan et al. 2021), which pools by averages; a name
//! that ends in `-max` pools by maxima as the original networks do.

mod classic;
mod mobile;
mod pooling;
mod residual;

use super::{
    builder::Builder,
    graph::{Counts, Graph},
    weights::Weights,
};
use crate::{Error, Result};
use pooling::Pooling;
use residual::Block;
use std::sync::Arc;

/// The names that [`network`] knows besides those with the ending `-max`.
pub const NAMES: [&str; 17] = [
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
    "alexnet",
    "vgg16",
    "resnet20-cifar10",
    "squeezenet",
    "mobilenet-v2",
];

/// How many of [`NAMES`] also end in `-max`.
pub const POOLED: usize = 12;

/// A network by name, with random weights.
pub fn network(name: &str) -> Result<Graph> {
    network_with(name, None)
}

/// A network by name, with weights by the names of its layers if they are given.
pub fn network_with(name: &str, weights: Option<Arc<Weights>>) -> Result<Graph> {
    built(name, |extents, seed| Ok(Builder::new(extents, seed)?.with_weights(weights.clone())))
}

/// The extents of an input of a network by name, and its counts; its weights are not made.
pub fn counts(name: &str) -> Result<(Vec<usize>, Counts)> {
    let graph = outline(name)?;
    Ok((graph.input_extents().to_vec(), graph.counts()?))
}

/// A network without the numbers of its weights.
fn outline(name: &str) -> Result<Graph> {
    built(name, |extents, seed| Ok(Builder::new(extents, seed)?.outline()))
}

fn built(name: &str, from: impl Fn(&[usize], u32) -> Result<Builder>) -> Result<Graph> {
    let pooled = |base: &&str| NAMES[..POOLED].contains(base);
    let (base, pool) = match name.strip_suffix("-max").filter(pooled) {
        Some(base) => (base, Pooling::Max),
        None => (name, Pooling::Average),
    };
    let built = match base {
        "lenet" => classic::lenet(from(&[1, 28, 28], 1)?, pool),
        "alexnet-cifar10" => classic::alexnet_of_tables(from(&[3, 32, 32], 2)?, pool, 1, &[256, 256, 10]),
        "alexnet-tiny" => classic::alexnet_of_tables(from(&[3, 64, 64], 2)?, pool, 2, &[1024, 1024, 200]),
        "alexnet-imagenet" => classic::alexnet_of_tables(from(&[3, 224, 224], 2)?, pool, 4, &[4096, 4096, 1000]),
        "vgg16-cifar10" => classic::vgg16(from(&[3, 32, 32], 3)?, pool, 1, &[256, 256, 10]),
        "vgg16-tiny" => classic::vgg16(from(&[3, 64, 64], 3)?, pool, 2, &[512, 512, 200]),
        "vgg16-imagenet" => classic::vgg16(from(&[3, 224, 224], 3)?, pool, 2, &[4096, 4096, 1000]),
        "vgg16" => classic::vgg16(from(&[3, 224, 224], 3)?, Pooling::Max, 1, &[4096, 4096, 1000]),
        "alexnet" => classic::alexnet(from(&[3, 224, 224], 2)?),
        "resnet18" => residual::resnet(from(&[3, 224, 224], 4)?, pool, Block::Basic, [2, 2, 2, 2]),
        "resnet34" => residual::resnet(from(&[3, 224, 224], 4)?, pool, Block::Basic, [3, 4, 6, 3]),
        "resnet50" => residual::resnet(from(&[3, 224, 224], 4)?, pool, Block::Bottleneck, [3, 4, 6, 3]),
        "resnet101" => residual::resnet(from(&[3, 224, 224], 4)?, pool, Block::Bottleneck, [3, 4, 23, 3]),
        "resnet152" => residual::resnet(from(&[3, 224, 224], 4)?, pool, Block::Bottleneck, [3, 8, 36, 3]),
        "resnet20-cifar10" => residual::resnet20(from(&[3, 32, 32], 5)?),
        "squeezenet" => mobile::squeezenet(from(&[3, 227, 227], 6)?),
        "mobilenet-v2" => mobile::mobilenet_v2(from(&[3, 224, 224], 7)?),
        _ => {
            let (pooled, others) = NAMES.split_at(POOLED);
            let known = format!("{} (each also with -max), {}", pooled.join(", "), others.join(", "));
            return Err(Error::Input(format!("no network is called '{name}'; known: {known}")));
        }
    }?;
    Ok(built.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Elements of the ReLUs' outputs, and multiply-adds.
    fn sizes(name: &str) -> (usize, u64) {
        let (_, counts) = counts(name).unwrap();
        (counts.activations as usize, counts.multiply_adds)
    }

    #[test]
    fn sizes_are_those_of_the_tables() {
        // the tables leave out the 8192 of the fully connected layers of vgg16-imagenet
        let relus = [15_220, 12_160, 67_968, 1_144_192, 276_992, 1_106_944, 13_555_712];
        for (name, relus) in NAMES.iter().zip(relus) {
            assert_eq!(sizes(name).0, relus, "{name}");
        }
        NAMES[..POOLED].iter().for_each(|name| assert!(outline(&format!("{name}-max")).is_ok(), "{name}"));
        for (name, relus, millions) in [("resnet50", 9_466_624, 4_060), ("resnet101", 14_584_576, 7_770), ("resnet152", 20_906_752, 11_500)]
        {
            let (found, sums) = sizes(name);
            assert_eq!(found, relus, "{name}");
            assert!((sums / 1_000_000).abs_diff(millions) < 60, "{name}: {sums}");
        }
        // the published numbers of multiply-adds and of parameters
        for (name, millions, parameters) in
            [("alexnet", 714, 61_100_840), ("vgg16", 15_470, 138_357_544), ("mobilenet-v2", 301, 3_487_816), ("squeezenet", 349, 1_235_496)]
        {
            assert!((sizes(name).1 / 1_000_000).abs_diff(millions) <= millions / 50, "{name}: {}", sizes(name).1);
            assert_eq!(outline(name).unwrap().parameters(), parameters, "{name}");
        }
        let lenet = network("lenet").unwrap();
        assert_eq!(outline("lenet").unwrap().shapes(1).unwrap(), lenet.shapes(1).unwrap());
        assert_eq!(
            counts("lenet").unwrap().1.parameters as usize,
            lenet.constants.values().map(|tensor| tensor.values.len()).sum::<usize>()
        );
        assert!(network("squeezenet-max").is_err());
        assert!(network("perceptron").unwrap_err().to_string().contains("resnet50"));
    }
}
