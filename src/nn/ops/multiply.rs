//! Product element by element: `z = x y`, of two values of one shape; the square of one if both are the same. Source: ONNX, Mul.

#[cfg(feature = "onnx")]
use super::onnx::{Names, Writer};
use super::{
    arithmetic::Number,
    interval::{Intervals, pairs},
    operation::{Bounded, Float, Operation},
};
use crate::{
    Result,
    nn::value::{Value, misfit},
    party::Party,
    protocol,
    share::{Arith, Local},
};
use std::ops::RangeInclusive;

/// Product of two values of one shape, element by element.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Multiply;

impl Operation for Multiply {
    fn kind(&self) -> &'static str {
        "Multiply"
    }

    fn arity(&self) -> RangeInclusive<usize> {
        2..=2
    }

    fn output(&self, inputs: &[Value]) -> Result<Value> {
        self.shape(&inputs[0], &inputs[1])
    }

    fn floats(&self, inputs: &[Float<'_>], _: &Value) -> Vec<f32> {
        inputs[0].values.iter().zip(inputs[1].values).map(|(x, y)| x * y).collect()
    }

    fn multiply_adds(&self, _: &[Value], output: &Value) -> u64 {
        output.shape.elements() as u64
    }

    #[cfg(feature = "onnx")]
    fn write(&self, writer: &mut dyn Writer, names: &Names<'_>) {
        writer.push("Mul", names.inputs, names.output, Vec::new());
    }
}

impl Multiply {
    /// Description for people.
    pub fn describe(&self) -> String {
        "multiply".into()
    }

    /// The shape of both.
    pub fn shape(&self, x: &Value, y: &Value) -> Result<Value> {
        match x == y && !x.whole {
            true => Ok(x.clone()),
            false => Err(misfit(format!("factors of shapes {} and {}", x.shape, y.shape))),
        }
    }

    /// Each party's summand of the product.
    pub fn local(&self, p: &Party, x: &Arith, y: &Arith) -> Local {
        protocol::product(p, x, y)
    }

    /// The definition.
    pub fn sums<T: Number>(&self, x: &[T], y: &[T]) -> Vec<T> {
        x.iter().zip(y).map(|(&x, &y)| x * y).collect()
    }

    /// Channel by channel.
    pub fn bounds(&self, x: &Bounded<'_>, y: &Bounded<'_>) -> Intervals {
        pairs(x.intervals, y.intervals, |x, y| x.product(y))
    }
}
