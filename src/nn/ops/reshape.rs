//! The same elements in other extents. Source: ONNX, Reshape.

#[cfg(feature = "onnx")]
use super::onnx::{Names, Writer};
use super::{
    gather::MOST_AXES,
    interval::{Intervals, regrouped},
    operation::{Action, Bits, Bounded, Float, Narrow, Operation, Own, Running, Word64, ready},
};
use crate::{
    Result,
    nn::value::{Operand, Value, misfit},
    party::Party,
    share::Arith,
};

/// Other extents of an item, as many elements.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Reshape {
    /// Extents of an item of the output.
    pub extents: Vec<usize>,
}

impl Operation for Reshape {
    fn kind(&self) -> &'static str {
        "Reshape"
    }

    fn output(&self, inputs: &[Value]) -> Result<Value> {
        self.shape(&inputs[0])
    }

    fn floats(&self, inputs: &[Float<'_>], _: &Value) -> Vec<f32> {
        inputs[0].values.to_vec()
    }

    #[cfg(feature = "onnx")]
    fn write(&self, writer: &mut dyn Writer, names: &Names<'_>) {
        writer.reshape(&names.inputs[0], &self.extents, names.output);
    }

    fn is_homogeneous(&self) -> bool {
        true
    }

    fn only_reshapes(&self) -> bool {
        true
    }
}

impl Reshape {
    fn shape(&self, x: &Value) -> Result<Value> {
        if self.extents.len() >= MOST_AXES {
            return Err(misfit(format!("{} extents of an item", self.extents.len())));
        }
        let to = x.with_item(&self.extents)?;
        match to.shape.elements() == x.shape.elements() {
            true => Ok(to),
            false => Err(misfit(format!("cannot reshape {} to {}: other numbers of elements", x.shape, to.shape))),
        }
    }
}

impl Action for Reshape {
    fn describe(&self) -> String {
        "reshape".into()
    }

    fn output(&self, inputs: &[Operand]) -> Result<Operand> {
        match inputs {
            [x] if !x.value.whole => Ok(Operand { value: self.shape(&x.value)?, ..x.clone() }),
            _ => Err(misfit(format!("other extents of {} values", inputs.len()))),
        }
    }

    fn fixed(&self, inputs: &[Word64<'_>], _: &Operand, _: &mut Narrow<'_>) -> Result<Vec<i64>> {
        Ok(inputs[0].words.to_vec())
    }

    fn bounds(&self, inputs: &[Bounded<'_>], output: &Operand) -> (Intervals, Bits) {
        (regrouped(inputs[0].intervals, inputs[0].value.item(), output.value.item()), Bits::default())
    }

    fn run<'a>(&'a self, _: &'a Party, _: Own<'a>, inputs: Vec<Arith>) -> Running<'a> {
        let extents = [&inputs[0].shape().extents()[..1], &self.extents].concat();
        ready(inputs[0].reshaped(&extents).expect("the shape rule of a reshape has been checked"))
    }
}
