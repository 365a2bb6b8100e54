//! Arrays of numbers as files have them.

/// The type of an array's elements, as far as it says what they mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// 0 to 255: pixels, or small counts.
    Bytes,
    /// Other integers, and truth values.
    Integers,
    /// Numbers with a fraction.
    #[default]
    Floats,
}

/// An array, row-major.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Numbers {
    /// Extents, the outermost first.
    pub extents: Vec<usize>,
    /// The type of the elements.
    pub kind: Kind,
    /// The elements, rounded to f32 where they are of a wider type.
    pub values: Vec<f32>,
}
