//! Values of a network: their shapes, whether a batch has one of them for each item, and the tensors that a model brings.

use crate::{Error, Result, fixed::Fixed, ring::Word, shape::Shape};

/// Number of a value: an input, a constant, or the output of one node.
pub type ValueId = usize;

/// A constant tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its shape.
    pub shape: Shape,
    /// Its values, row-major.
    pub values: Vec<f32>,
}

impl Tensor {
    /// A tensor from its extents; an error if they do not hold as many numbers.
    pub fn new(extents: impl Into<Vec<usize>>, values: Vec<f32>) -> Result<Self> {
        let shape = Shape::new(extents)?;
        match shape.elements() == values.len() {
            true => Ok(Self { shape, values }),
            false => Err(Error::Input(format!("{} values for a tensor of shape {shape}", values.len()))),
        }
    }
}

impl Tensor {
    /// The largest absolute value.
    pub fn largest(&self) -> f32 {
        self.values.iter().fold(0.0, |most, v| most.max(v.abs()))
    }
}

/// Shape of a value. A value per item has the batch as its first extent; a *whole* one, such as a weight, belongs to all items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Shape, the batch in front unless the value is whole.
    pub shape: Shape,
    /// One for all items of a batch.
    pub whole: bool,
}

impl Value {
    /// A value that each item of a batch has.
    pub fn per_item(shape: Shape) -> Self {
        Self { shape, whole: false }
    }

    /// A value that a batch has once.
    pub fn whole(shape: Shape) -> Self {
        Self { shape, whole: true }
    }

    /// Extents without the batch.
    pub fn item(&self) -> &[usize] {
        let extents = self.shape.extents();
        if self.whole { extents } else { extents.get(1..).unwrap_or_default() }
    }

    /// Items of the batch; 1 for a whole value.
    pub fn batch(&self) -> usize {
        if self.whole { 1 } else { self.shape.extents().first().copied().unwrap_or(1) }
    }

    /// The same batch with other extents of an item.
    pub fn with_item(&self, extents: &[usize]) -> Result<Self> {
        let batch = if self.whole { &[][..] } else { &self.shape.extents()[..1] };
        Ok(Self { shape: Shape::new([batch, extents].concat())?, whole: self.whole })
    }
}

/// A value of a program: its shape, and the fraction bits of its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operand {
    /// Shape.
    pub value: Value,
    /// A word `w` stands for `w / 2^fraction_bits`.
    pub fraction_bits: u32,
}

/// A secret parameter of a model as ring elements.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Shape.
    pub shape: Shape,
    /// Ring elements.
    pub words: Vec<Word>,
}

/// Bits of the absolute value that a truncation can take: below 2^62.
pub const ROOM: u32 = 62;

/// `round(v 2^bits)` of numbers that fit this precision and, where they have a run's, its range; errors name `what` and the element.
pub fn encode(fixed: Fixed, what: &str, values: &[f32], bits: u32) -> Result<Vec<Word>> {
    if bits == fixed.fraction_bits() { fixed.encode(what, values) } else { encode_addend(what, values, bits) }
}

/// The same of numbers that nothing is multiplied with, which may be as large as there is room for.
pub fn encode_addend(what: &str, values: &[f32], bits: u32) -> Result<Vec<Word>> {
    let scale = f64::powi(2.0, bits as i32);
    let limit = f64::powi(2.0, ROOM as i32);
    let word = |(i, &v): (usize, &f32)| match f64::from(v) * scale {
        scaled if scaled.abs() < limit => Ok(scaled.round() as i64 as u64),
        _ => Err(Error::Range(format!(
            "{what}: element {i} is too large for {bits} fraction bits; scale the model or use fewer fraction bits"
        ))),
    };
    values.iter().enumerate().map(word).collect()
}

/// An error of a shape rule.
pub fn misfit(what: impl Into<String>) -> Error {
    Error::Input(what.into())
}
