//! Rectified linear unit: `y = max(x, 0)`. Source: ONNX, Relu.

#[cfg(feature = "onnx")]
use super::onnx::{Names, Writer};
use super::operation::{Float, Joins, Operation};
use crate::{Result, nn::value::Value};

/// `max(x, 0)`, element by element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Relu;

impl Operation for Relu {
    fn kind(&self) -> &'static str {
        "Relu"
    }

    fn output(&self, inputs: &[Value]) -> Result<Value> {
        Ok(inputs[0].clone())
    }

    fn floats(&self, inputs: &[Float<'_>], _: &Value) -> Vec<f32> {
        inputs[0].values.iter().map(|v| v.max(0.0)).collect()
    }

    #[cfg(feature = "onnx")]
    fn write(&self, writer: &mut dyn Writer, names: &Names<'_>) {
        writer.push("Relu", names.inputs, names.output, Vec::new());
    }

    fn is_monotone(&self) -> bool {
        true
    }

    fn is_homogeneous(&self) -> bool {
        true
    }

    fn joins(&self) -> Joins<'_> {
        Joins::Bounds(0.0, f32::INFINITY)
    }
}
