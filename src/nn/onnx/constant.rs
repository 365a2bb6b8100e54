//! Constants of a model: arrays that the importer computes with.

use super::array::Array;

/// A constant: numbers in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// Floats of any width, as 32 bits.
    Floats(Array<f32>),
    /// Integers and booleans.
    Integers(Array<i64>),
}

impl Constant {
    /// Its numbers as floats.
    pub fn floats(&self) -> Array<f32> {
        match self {
            Self::Floats(array) => array.clone(),
            Self::Integers(array) => array.map(|v| v as f32),
        }
    }

    /// Its extents.
    pub fn extents(&self) -> &[usize] {
        match self {
            Self::Floats(array) => &array.extents,
            Self::Integers(array) => &array.extents,
        }
    }
}
