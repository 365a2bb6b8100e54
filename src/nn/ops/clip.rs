//! Bounds: `y = min(max(x, low), high)`; an infinite bound is none. The bounds are public. Source: ONNX, Clip.

#[cfg(feature = "onnx")]
use super::onnx::{Names, Writer};
use super::operation::{Float, Joins, Operation};
use crate::{
    Result,
    nn::value::{Value, misfit},
};

/// `min(max(x, low), high)`, element by element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clip {
    /// The least value.
    pub low: f32,
    /// The largest value.
    pub high: f32,
}

impl Operation for Clip {
    fn kind(&self) -> &'static str {
        "Clip"
    }

    fn output(&self, inputs: &[Value]) -> Result<Value> {
        let Self { low, high } = *self;
        match low <= high {
            true => Ok(inputs[0].clone()),
            false => Err(misfit(format!("bounds from {low} to {high}"))),
        }
    }

    fn floats(&self, inputs: &[Float<'_>], _: &Value) -> Vec<f32> {
        inputs[0].values.iter().map(|v| v.max(self.low).min(self.high)).collect()
    }

    #[cfg(feature = "onnx")]
    fn write(&self, writer: &mut dyn Writer, names: &Names<'_>) {
        let mut bound = |bound: f32| if bound.is_finite() { writer.floats(&[], &[bound]) } else { String::new() };
        let bounds = [bound(self.low), bound(self.high)];
        writer.push("Clip", &[&names.inputs[..1], &bounds].concat(), names.output, Vec::new());
    }

    fn is_monotone(&self) -> bool {
        true
    }

    fn joins(&self) -> Joins<'_> {
        Joins::Bounds(self.low, self.high)
    }
}
