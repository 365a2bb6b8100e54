//! The two traits of the house: [`Operation`] of a graph, [`Action`] of a program.
//!
//! An [`Operation`] is a node of a graph: shapes, the reference in floats, how passes may move it, how ONNX writes it. An
//! [`Action`] is a step of a program: shapes and fraction bits, the reference in fixed point, bounds, and its run on shares. An
//! operation that runs as it stands is both.

use super::interval::Intervals;
#[cfg(feature = "onnx")]
use super::onnx::{Names, Writer};
use crate::{
    Result,
    kernels::gather::Table,
    nn::value::{Operand, Tensor, Value},
    party::{Party, Tag, tagged},
    shape::{Axis, Shape},
    share::Arith,
};
use std::{borrow::Cow, future::Future, ops::RangeInclusive, pin::Pin, sync::Arc};

/// A node of a graph.
pub trait Operation {
    /// Name for people.
    fn kind(&self) -> &'static str;

    /// How many values it reads.
    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }

    /// The shape rule: its output from its inputs, of the right number. [`Error::Input`](crate::Error::Input) if they do not fit.
    fn output(&self, inputs: &[Value]) -> Result<Value>;

    /// The reference in floats; the shape rule holds.
    fn floats(&self, inputs: &[Float<'_>], output: &Value) -> Vec<f32>;

    /// Multiply-adds of one product in the clear; 0 of an operation without products.
    fn multiply_adds(&self, _inputs: &[Value], _output: &Value) -> u64 {
        0
    }

    /// Writes it as nodes of ONNX.
    #[cfg(feature = "onnx")]
    fn write(&self, writer: &mut dyn Writer, names: &Names<'_>);

    /// Element by element and never decreasing, so that it may change places with a maximum.
    fn is_monotone(&self) -> bool {
        false
    }

    /// Takes maxima only, so that a monotone operation before it may come after it.
    fn takes_maxima(&self) -> bool {
        false
    }

    /// `f(c x) = c f(x)` for every positive number c.
    fn is_homogeneous(&self) -> bool {
        false
    }

    /// Takes a factor of its first input into its constants. False if it has none for it.
    fn take_factor(&self, _constants: &mut Constants<'_>, _factor: f32) -> bool {
        false
    }

    /// Follows its result, items of these extents, by `scale[c] y + shift[c]`, in its constants; one number for each channel c, or for each
    /// element. False if it cannot.
    fn take_affine(&self, _constants: &mut Constants<'_>, _item: &[usize], _scale: &[f32], _shift: &[f32]) -> bool {
        false
    }

    /// Its result as `scale[c] x + shift[c]`, if that is all it does: one number for each channel, or for each element of an item.
    fn scale_and_shift<'a>(&self, _constants: &'a [Option<&Tensor>]) -> Option<[Cow<'a, [f32]>; 2]> {
        None
    }

    /// For each element of an item of the output the index of an element of an item of its only input, or
    /// [`NONE`](crate::kernels::gather::NONE), if it only moves, repeats, drops or pads elements.
    fn layout(&self, _input: &Value, _output: &Value) -> Option<Arc<[u32]>> {
        None
    }

    /// Leaves every element where it is in memory.
    fn only_reshapes(&self) -> bool {
        false
    }

    /// The part that it may have in a product before it, whose only reader it is.
    fn joins(&self) -> Joins<'_> {
        Joins::Nothing
    }

    /// Drops parts of its constants that never matter for these shapes.
    fn trim(&mut self, _inputs: &[Value], _output: &Value, _constants: &mut Constants<'_>) -> Result<()> {
        Ok(())
    }
}

/// How an operation joins the product before it, ahead of the one truncation.
#[derive(Debug, Clone, Copy)]
pub enum Joins<'a> {
    /// It is a step of its own.
    Nothing,
    /// As a sum with other values: one factor an input, and a constant.
    Sum(&'a [f32], f32),
    /// As a maximum of windows.
    Pool([Axis; 2]),
    /// As bounds from below and above, infinite ones being none.
    Bounds(f32, f32),
}

/// An input of the reference in floats.
#[derive(Debug, Clone, Copy)]
pub struct Float<'a> {
    /// Its shape.
    pub value: &'a Value,
    /// Its numbers.
    pub values: &'a [f32],
}

/// The inputs of a node that are constants of its own, by their place among its inputs; others are `None`.
pub type Constants<'a> = [Option<&'a mut Tensor>];

/// A step of a program.
pub trait Action {
    /// Description for people: `conv 5x5 + maxpool + relu`.
    fn describe(&self) -> String;

    /// Its output from its inputs, at least one. Everything is checked that a hostile model could have wrong, before anything of
    /// its size is allocated.
    fn output(&self, inputs: &[Operand]) -> Result<Operand>;

    /// The reference in fixed point, truncated to the floor; the shape rule holds. `narrow` is told the wide values before a
    /// truncation, or of a sum, and gives them back in 64 bits.
    fn fixed(&self, inputs: &[Word64<'_>], output: &Operand, narrow: &mut Narrow<'_>) -> Result<Vec<i64>>;

    /// Bounds of the output, channel by channel, and the bits that its comparisons have to look at.
    fn bounds(&self, inputs: &[Bounded<'_>], output: &Operand) -> (Intervals, Bits);

    /// Bounds of the values before its truncation, and before bounds of its own; none if it does not truncate.
    fn wide_bounds(&self, _inputs: &[Bounded<'_>]) -> Option<Intervals> {
        None
    }

    /// Its work as a number of multiply-adds: an estimate, for progress.
    fn work(&self, _inputs: &[Operand], output: &Operand) -> f64 {
        output.value.shape.elements() as f64
    }

    /// Its run on shares, at one party.
    fn run<'a>(&'a self, p: &'a Party, own: Own<'a>, inputs: Vec<Arith>) -> Running<'a>;

    /// Indices that each party keeps on its device.
    fn table(&self) -> Option<&[u32]> {
        None
    }
}

/// An action under way.
pub type Running<'a> = Pin<Box<dyn Future<Output = Arith> + Send + 'a>>;

/// An input of the reference in fixed point.
#[derive(Debug, Clone, Copy)]
pub struct Word64<'a> {
    /// Its shape.
    pub value: &'a Value,
    /// Its words as signed numbers.
    pub words: &'a [i64],
}

/// An input of the bounds.
#[derive(Debug, Clone, Copy)]
pub struct Bounded<'a> {
    /// Its shape.
    pub value: &'a Value,
    /// An interval for each channel of an activation.
    pub intervals: &'a Intervals,
    /// The words of a parameter; none of an activation.
    pub words: &'a [u64],
}

/// Hears of wide values, and narrows them.
pub struct Narrow<'a> {
    /// Sums of products are exact; else they are made in floats, many times as fast, for their sizes.
    pub exact: bool,
    /// Gives wide values back in 64 bits, or ends the walk.
    pub narrow: &'a mut dyn FnMut(Vec<i128>) -> Result<Vec<i64>>,
}

/// The holdings of an action at its party besides its inputs.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    /// Bits that its comparisons look at.
    pub bits: Bits,
    /// Its [`Action::table`] on the device.
    pub table: Option<&'a Table>,
}

/// Bits that hold both signs of what a step compares: of the differences in its maximum, and of what its ReLU takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Bits {
    /// In the tournament of a max-pool.
    pub pool: u32,
    /// In a ReLU.
    pub relu: u32,
}

impl Default for Bits {
    /// The whole word: nothing is known.
    fn default() -> Self {
        Self { pool: 64, relu: 64 }
    }
}

/// Signs in `work` look at so many bits only.
pub async fn within<F: Future>(p: &Party, bits: u32, work: F) -> F::Output {
    tagged(p, Tag { range_bits: Some(bits), ..Tag::default() }, work).await
}

/// Multiply-adds that take as long as the comparison of one element, with what surrounds it.
pub const COMPARISON: f64 = 200.0;

/// A value that is there at once.
pub fn ready<'a>(share: Arith) -> Running<'a> {
    Box::pin(std::future::ready(share))
}

/// A checked result: the shape rule has held when the program was made or received.
pub fn checked<T>(result: Result<T>) -> T {
    result.expect("the shape rule of a program's steps has been checked")
}

/// Shape of an output for the batch of an input at run time.
pub fn shape_of(x: &Arith, item: &[usize]) -> Shape {
    checked(Shape::new([&x.shape().extents()[..1], item].concat()))
}
