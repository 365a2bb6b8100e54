//! Small networks.

use crate::{Result, nn::builder::Builder};

/// SqueezeNet 1.1 (Iandola et al. 2016) for inputs of 227 x 227.
pub fn squeezenet(b: Builder) -> Result<Builder> {
    let mut b = b.named("conv1").conv(64, 3, 2, 0)?.relu()?.max_pool(3, 2, 0)?;
    for (number, (squeeze, expand)) in (2..).zip([(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)]) {
        if number == 4 || number == 6 {
            b = b.max_pool(3, 2, 0)?;
        }
        let name = |layer: &str| format!("fire{number}.{layer}");
        b = b.named(&name("squeeze1x1")).conv(squeeze, 1, 1, 0)?.relu()?;
        let squeezed = b.value();
        b = b.named(&name("expand1x1")).conv(expand, 1, 1, 0)?.relu()?;
        let narrow = b.value();
        b = b.at(squeezed).named(&name("expand3x3")).conv(expand, 3, 1, 1)?.relu()?;
        let wide = b.value();
        b = b.concat(&[narrow, wide])?;
    }
    b.named("conv10").conv(1000, 1, 1, 0)?.relu()?.global_average_pool()?.flatten()
}

/// MobileNetV2 (Sandler et al. 2018), batch normalisation in the weights.
pub fn mobilenet_v2(b: Builder) -> Result<Builder> {
    let mut b = b.conv(32, 3, 2, 1)?.relu6()?;
    let stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];
    for (expansion, channels, blocks, stride) in stages {
        for i in 0..blocks {
            b = inverted_residual(b, expansion, channels, if i == 0 { stride } else { 1 })?;
        }
    }
    b.conv(1280, 1, 1, 0)?.relu6()?.global_average_pool()?.linear(1000)
}

fn inverted_residual(b: Builder, expansion: usize, channels: usize, stride: usize) -> Result<Builder> {
    let (input, from) = (b.value(), b.shape().clone());
    let hidden = from.extents()[1] * expansion;
    let b = if expansion > 1 { b.conv(hidden, 1, 1, 0)?.relu6()? } else { b };
    let b = b.grouped_conv(hidden, 3, stride, 1, hidden)?.relu6()?.conv(channels, 1, 1, 0)?;
    if *b.shape() == from { b.sum_with(input) } else { Ok(b) }
}
