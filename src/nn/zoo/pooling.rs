//! The pools of a network that comes with averages and with maxima.

use crate::{Result, nn::builder::Builder};

/// Pools by averages or by maxima.
#[derive(Clone, Copy)]
pub enum Pooling {
    Average,
    Max,
}

impl Pooling {
    pub fn pool(self, b: Builder, kernel: usize, stride: usize, pad: usize) -> Result<Builder> {
        match self {
            Self::Average => b.average_pool(kernel, stride, pad),
            Self::Max => b.max_pool(kernel, stride, pad),
        }
    }
}
