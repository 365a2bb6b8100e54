//! The labels of the protocols' ops. Their numbers travel with messages and stay.

use crate::party::Label;

impl Label {
    /// Shares of a party's own value.
    pub const INPUT: Self = Self::new(0, "input");
    /// Opening to all.
    pub const OPEN: Self = Self::new(1, "open");
    /// Revealing to an owner outside.
    pub const REVEAL: Self = Self::new(2, "reveal");
    /// A local product made a share.
    pub const RESHARE: Self = Self::new(3, "reshare");
    /// A local product made a split value.
    pub const SPLIT: Self = Self::new(4, "split");
    /// Elementwise product.
    pub const PRODUCT: Self = Self::new(5, "product");
    /// Matrix product.
    pub const MATMUL: Self = Self::new(6, "matmul");
    /// Convolution.
    pub const CONVOLUTION: Self = Self::new(7, "convolution");
    /// Truncation.
    pub const TRUNCATION: Self = Self::new(8, "truncation");
    /// Sign, by a tree.
    pub const SIGN: Self = Self::new(9, "sign");
    /// Sign, in two rounds.
    pub const SHORT_SIGN: Self = Self::new(10, "shortsign");
    /// All bits.
    pub const BITS: Self = Self::new(11, "bits");
    /// Bit times word.
    pub const INJECTION: Self = Self::new(12, "injection");
    /// Truncation and ReLU in one.
    pub const ACTIVATION: Self = Self::new(13, "activation");
}
