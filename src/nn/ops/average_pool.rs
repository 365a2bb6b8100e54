//! Mean of windows over (N, C, H, W), channel by channel; padding counts as zeros. Source: ONNX, AveragePool with
//! count_include_pad, GlobalAveragePool.
//!
//! It runs as a sum of windows: the powers of two in its divisor are free, a small rest goes into the weights after it, a large
//! one is a public factor.

#[cfg(feature = "onnx")]
use super::onnx::{self, Attribute, Names, Writer};
use super::{
    arithmetic::windows,
    max_pool::{pool, pooled},
    operation::{Float, Operation},
};
use crate::{Result, nn::value::Value, shape::Axis};

/// Mean of each window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AveragePool {
    /// Windows over rows and columns.
    pub axes: [Axis; 2],
}

impl Operation for AveragePool {
    fn kind(&self) -> &'static str {
        "AveragePool"
    }

    fn output(&self, inputs: &[Value]) -> Result<Value> {
        pooled(&inputs[0], self.axes)
    }

    fn floats(&self, inputs: &[Float<'_>], _: &Value) -> Vec<f32> {
        let sums = windows(&pool(&inputs[0].value.shape, self.axes), inputs[0].values, 0.0, |a, b| a + b);
        sums.iter().map(|sum| sum / self.taps() as f32).collect()
    }

    #[cfg(feature = "onnx")]
    fn write(&self, writer: &mut dyn Writer, names: &Names<'_>) {
        average(writer, &self.axes, names, names.output);
    }

    fn is_homogeneous(&self) -> bool {
        true
    }
}

impl AveragePool {
    /// Elements of a window.
    pub fn taps(&self) -> usize {
        self.axes[0].kernel * self.axes[1].kernel
    }
}

/// Writes the mean of windows.
#[cfg(feature = "onnx")]
pub(super) fn average(writer: &mut dyn Writer, axes: &[Axis; 2], names: &Names<'_>, output: &str) {
    let extents = &names.from[0].item()[1..];
    let whole = extents.iter().zip(axes).all(|(&extent, &axis)| axis == Axis { stride: axis.stride, ..Axis::new(extent) });
    match whole {
        true => writer.push("GlobalAveragePool", names.inputs, output, Vec::new()),
        false => {
            let attributes = [onnx::windows(axes), vec![Attribute::Int("count_include_pad", 1)]].concat();
            writer.push("AveragePool", names.inputs, output, attributes);
        }
    }
}
