//! Sum of windows over (N, C, H, W), channel by channel, divided by a power of two: `y = 2^-halvings sum of taps`.
//!
//! The division is free: the sum's words stand for a value with more fraction bits. Padding counts as zeros.

use super::{
    arithmetic::{wide, windows},
    interval::Intervals,
    max_pool::{pool, pooled},
    operation::{Action, Bits, Bounded, Float, Narrow, Operation, Own, Running, Word64, ready},
};
#[cfg(feature = "onnx")]
use super::{
    average_pool::average,
    onnx::{Names, Writer},
};
use crate::{
    Result,
    nn::value::{Operand, Value, misfit},
    party::Party,
    protocol,
    shape::Axis,
    share::Arith,
};

/// The most bits by which sums are divided for free; a value with more would leave too little room for the product after it.
pub const MOST_HALVINGS: u32 = 8;

/// Sum of each window over a power of two.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct SumPool {
    /// Windows over rows and columns.
    pub axes: [Axis; 2],
    /// Times that the sum is halved.
    pub halvings: u32,
}

impl Operation for SumPool {
    fn kind(&self) -> &'static str {
        "SumPool"
    }

    fn output(&self, inputs: &[Value]) -> Result<Value> {
        pooled(&inputs[0], self.axes)
    }

    fn floats(&self, inputs: &[Float<'_>], _: &Value) -> Vec<f32> {
        let sums = windows(&pool(&inputs[0].value.shape, self.axes), inputs[0].values, 0.0, |a, b| a + b);
        sums.iter().map(|sum| sum * f32::powi(2.0, -(self.halvings as i32))).collect()
    }

    #[cfg(feature = "onnx")]
    fn write(&self, writer: &mut dyn Writer, names: &Names<'_>) {
        let mean = writer.fresh();
        average(writer, &self.axes, names, &mean);
        let taps = (self.axes[0].kernel * self.axes[1].kernel) as f32 * f32::powi(2.0, -(self.halvings as i32));
        let taps = writer.floats(&[], &[taps]);
        writer.push("Mul", &[mean, taps], names.output, Vec::new());
    }

    fn is_homogeneous(&self) -> bool {
        true
    }
}

impl Action for SumPool {
    fn describe(&self) -> String {
        "sumpool".into()
    }

    fn output(&self, inputs: &[Operand]) -> Result<Operand> {
        match inputs {
            [x] if self.halvings <= MOST_HALVINGS => {
                Ok(Operand { value: pooled(&x.value, self.axes)?, fraction_bits: x.fraction_bits + self.halvings })
            }
            _ => Err(misfit(format!("a sum of windows of {} values, halved {} times", inputs.len(), self.halvings))),
        }
    }

    fn fixed(&self, inputs: &[Word64<'_>], _: &Operand, narrow: &mut Narrow<'_>) -> Result<Vec<i64>> {
        (narrow.narrow)(windows(&pool(&inputs[0].value.shape, self.axes), &wide(inputs[0].words), 0, |a, b| a + b))
    }

    fn bounds(&self, inputs: &[Bounded<'_>], _: &Operand) -> (Intervals, Bits) {
        let taps = (self.axes[0].kernel * self.axes[1].kernel) as i128;
        (inputs[0].intervals.iter().map(|v| v.with_zero().times(taps)).collect(), Bits::default())
    }

    fn run<'a>(&'a self, p: &'a Party, _: Own<'a>, inputs: Vec<Arith>) -> Running<'a> {
        ready(protocol::window_sum(p, &inputs[0], &pool(inputs[0].shape(), self.axes)))
    }
}
