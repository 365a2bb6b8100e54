//! Sum of values with public factors: `y = sum_i factors[i] x_i + constant`. The numbers are public: they are the network's
//! structure.

#[cfg(feature = "onnx")]
use super::onnx::{Names, Writer};
use super::operation::{Float, Joins, Operation};
use crate::{
    Result,
    nn::value::{Value, misfit},
};
use std::ops::RangeInclusive;

/// `sum_i factors[i] x_i + constant`, element by element, of values of one shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Sum {
    /// One for each value.
    pub factors: Vec<f32>,
    /// Added to every element.
    pub constant: f32,
}

impl Sum {
    /// The sum of two values.
    pub fn of_two() -> Self {
        Self { factors: vec![1.0, 1.0], constant: 0.0 }
    }

    /// A value times a public number.
    pub fn scaled(factor: f32) -> Self {
        Self { factors: vec![factor], constant: 0.0 }
    }
}

impl Operation for Sum {
    fn kind(&self) -> &'static str {
        "Sum"
    }

    fn arity(&self) -> RangeInclusive<usize> {
        self.factors.len()..=self.factors.len()
    }

    fn output(&self, inputs: &[Value]) -> Result<Value> {
        match inputs.iter().find(|other| **other != inputs[0]) {
            Some(other) => Err(misfit(format!("addends of shapes {} and {}", inputs[0].shape, other.shape))),
            None => Ok(inputs[0].clone()),
        }
    }

    fn floats(&self, inputs: &[Float<'_>], _: &Value) -> Vec<f32> {
        let term = |e: usize| inputs.iter().zip(&self.factors).fold(self.constant, |sum, (x, factor)| sum + factor * x.values[e]);
        (0..inputs[0].values.len()).map(term).collect()
    }

    #[cfg(feature = "onnx")]
    fn write(&self, writer: &mut dyn Writer, names: &Names<'_>) {
        let mut terms = Vec::new();
        for (input, &factor) in names.inputs.iter().zip(&self.factors) {
            terms.push(if factor == 1.0 {
                input.clone()
            } else {
                let factor = writer.floats(&[], &[factor]);
                writer.made("Mul", &[input.clone(), factor], Vec::new())
            });
        }
        if self.constant != 0.0 {
            terms.push(writer.floats(&[], &[self.constant]));
        }
        writer.push(if terms.len() == 2 { "Add" } else { "Sum" }, &terms, names.output, Vec::new());
    }

    fn joins(&self) -> Joins<'_> {
        Joins::Sum(&self.factors, self.constant)
    }
}
