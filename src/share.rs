//! Shares: a party's part of a secret. No word of it can be read outside `share` and `protocol`.

use crate::{device::Buffer, shape::Shape};

/// A replicated share of a tensor: `x = x_0 + x_1 + x_2`, and party `i` holds `x_i` (own) and `x_{i+1}` (next).
#[derive(Clone, Debug)]
pub struct Arith {
    pub(crate) shape: Shape,
    pub(crate) own: Buffer,
    pub(crate) next: Buffer,
}

/// A replicated share of words under XOR, bit by bit.
#[derive(Clone, Debug)]
pub struct Binary {
    pub(crate) shape: Shape,
    pub(crate) own: Buffer,
    pub(crate) next: Buffer,
}

/// A party's local product `z_i`: the three sum to the product. It carries a zero share from birth and is consumed by the
/// split or reshare that follows: split under two leads, or split and also reshared, it would tell the pair the secret.
#[derive(Debug)]
pub struct Local {
    pub(crate) shape: Shape,
    pub(crate) z: Buffer,
}

/// A value `x = A + B`: the lead has `A`, both of the pair have `B`. The lead is fixed when it is split.
#[derive(Clone, Debug)]
pub struct Split {
    pub(crate) shape: Shape,
    pub(crate) lead: usize,
    pub(crate) part: Buffer,
}

/// A secret bit an element, `u ^ b`: one plane, `u` at the lead and `b` at both of the pair.
#[derive(Clone, Debug)]
pub struct SplitBit {
    pub(crate) shape: Shape,
    pub(crate) lead: usize,
    pub(crate) plane: Buffer,
}

/// All 64 bits of a tensor as split bits: 64 planes.
#[derive(Clone, Debug)]
pub struct SplitBits {
    pub(crate) shape: Shape,
    pub(crate) lead: usize,
    pub(crate) planes: Buffer,
}

macro_rules! shaped {
    ($($share:ident),*) => {$(
        impl $share {
            /// Shape of the secret.
            pub fn shape(&self) -> &Shape {
                &self.shape
            }
        }
    )*};
}

shaped!(Arith, Binary, Local, Split, SplitBit, SplitBits);

impl Arith {
    /// The same elements in another shape of as many elements.
    pub fn reshaped(&self, extents: &[usize]) -> crate::Result<Self> {
        Ok(Self { shape: self.shape.reshaped(extents)?, ..self.clone() })
    }
}

impl Local {
    /// The same elements in another shape of as many elements.
    pub(crate) fn reshaped(self, shape: Shape) -> Self {
        assert_eq!(shape.elements(), self.shape.elements(), "a product in another shape");
        Self { shape, z: self.z }
    }
}
