//! Maximum of windows over (N, C, H, W), channel by channel; padding takes no part. Source: ONNX, MaxPool.

#[cfg(feature = "onnx")]
use super::onnx::{self, Names, Writer};
use super::{
    arithmetic::windows,
    interval::{Intervals, bits_of_differences},
    operation::{Action, Bits, Bounded, COMPARISON, Float, Joins, Narrow, Operation, Own, Running, Word64, checked, within},
};
use crate::{
    Result,
    nn::value::{Operand, Value, misfit},
    party::Party,
    protocol,
    shape::{Axis, Pool, Shape},
    share::Arith,
};

/// Taps of a window whose maximum is taken: each is a tensor.
const MOST_TAPS: usize = 1 << 16;

/// Maximum of each window.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct MaxPool {
    /// Windows over rows and columns.
    pub axes: [Axis; 2],
}

impl Operation for MaxPool {
    fn kind(&self) -> &'static str {
        "MaxPool"
    }

    fn output(&self, inputs: &[Value]) -> Result<Value> {
        pooled(&inputs[0], self.axes)
    }

    fn floats(&self, inputs: &[Float<'_>], _: &Value) -> Vec<f32> {
        windows(&pool(&inputs[0].value.shape, self.axes), inputs[0].values, f32::NEG_INFINITY, f32::max)
    }

    #[cfg(feature = "onnx")]
    fn write(&self, writer: &mut dyn Writer, names: &Names<'_>) {
        writer.push("MaxPool", names.inputs, names.output, [onnx::windows(&self.axes), vec![onnx::dilations(&self.axes)]].concat());
    }

    fn takes_maxima(&self) -> bool {
        true
    }

    fn is_homogeneous(&self) -> bool {
        true
    }

    fn joins(&self) -> Joins<'_> {
        Joins::Pool(self.axes)
    }
}

impl MaxPool {
    /// Shape of the maxima, checked also for windows too large to run.
    pub fn shape(&self, x: &Value) -> Result<Value> {
        match self.axes[0].kernel.saturating_mul(self.axes[1].kernel) {
            0..=MOST_TAPS => pooled(x, self.axes),
            taps => Err(misfit(format!("the maximum of windows of {taps} elements; {MOST_TAPS} are the most"))),
        }
    }

    /// The maxima of integers.
    pub fn of(&self, x: &Shape, words: &[i64]) -> Vec<i64> {
        windows(&pool(x, self.axes), words, i64::MIN, i64::max)
    }

    /// The maxima of a share, comparing so many bits.
    pub async fn maxima(&self, p: &Party, x: &Arith, bits: u32) -> Arith {
        within(p, bits, protocol::max_pool(p, x, &pool(x.shape(), self.axes))).await
    }
}

/// The checked geometry of windows.
pub(super) fn pool(x: &Shape, axes: [Axis; 2]) -> Pool {
    checked(Pool::new(x, axes))
}

/// Shape of one number a window.
pub(super) fn pooled(x: &Value, axes: [Axis; 2]) -> Result<Value> {
    match x.whole {
        true => Err(misfit("windows of a constant")),
        false => Ok(Value::per_item(Pool::new(&x.shape, axes)?.out_shape())),
    }
}

impl Action for MaxPool {
    fn describe(&self) -> String {
        "maxpool".into()
    }

    fn output(&self, inputs: &[Operand]) -> Result<Operand> {
        match inputs {
            [x] => Ok(Operand { value: self.shape(&x.value)?, ..x.clone() }),
            _ => Err(misfit(format!("a maximum of windows of {} values", inputs.len()))),
        }
    }

    fn fixed(&self, inputs: &[Word64<'_>], _: &Operand, _: &mut Narrow<'_>) -> Result<Vec<i64>> {
        Ok(self.of(&inputs[0].value.shape, inputs[0].words))
    }

    fn bounds(&self, inputs: &[Bounded<'_>], _: &Operand) -> (Intervals, Bits) {
        (inputs[0].intervals.clone(), Bits { pool: bits_of_differences(inputs[0].intervals), ..Bits::default() })
    }

    fn work(&self, _: &[Operand], output: &Operand) -> f64 {
        let taps = self.axes[0].kernel * self.axes[1].kernel;
        COMPARISON * (taps * output.value.shape.elements()) as f64
    }

    fn run<'a>(&'a self, p: &'a Party, own: Own<'a>, mut inputs: Vec<Arith>) -> Running<'a> {
        let x = inputs.swap_remove(0);
        Box::pin(async move { self.maxima(p, &x, own.bits.pool).await })
    }
}
