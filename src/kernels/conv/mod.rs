//! Convolution of shares, one party's local part with its zero share: as [`matmul`](super::matmul) with `x` the activations
//! (N, C, H, W) and `y` the weights (O, C/groups, KH, KW), an implicit matrix product; no column matrix in memory.
//!
//! Shader: `shaders/conv.wgsl`. One item is an image, or if there is but one, a row of the output: an output channel of OH x OW words.

mod native;
mod params;
mod product;

pub use params::ConvParams;
pub use product::{CONV, convolution};
