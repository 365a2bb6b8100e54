//! Values one after another along an axis of an item. Source: ONNX, Concat.

#[cfg(feature = "onnx")]
use super::onnx::{Attribute, Names, Writer};
use super::{
    interval::{Intervals, hulls},
    operation::{Action, Bits, Bounded, Float, Narrow, Operation, Own, Running, Word64, checked, ready},
};
use crate::{
    Result,
    nn::value::{Operand, Value, misfit},
    party::Party,
    protocol,
    share::Arith,
};
use std::ops::RangeInclusive;

/// Values one after another.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Concat {
    /// Along which axis, the batch not counted.
    pub axis: usize,
}

impl Operation for Concat {
    fn kind(&self) -> &'static str {
        "Concat"
    }

    fn arity(&self) -> RangeInclusive<usize> {
        1..=usize::MAX
    }

    fn output(&self, inputs: &[Value]) -> Result<Value> {
        let mut extents = inputs[0].item().to_vec();
        for other in &inputs[1..] {
            let fits = other.whole == inputs[0].whole && other.batch() == inputs[0].batch() && other.item().len() == extents.len();
            let along = |(d, (a, b)): (usize, (&usize, &usize))| d == self.axis || a == b;
            if !fits || self.axis >= extents.len() || !other.item().iter().zip(&extents).enumerate().all(along) {
                let (first, other) = (&inputs[0].shape, &other.shape);
                return Err(misfit(format!("values of shapes {first} and {other} do not fit along axis {} of an item", self.axis)));
            }
            extents[self.axis] = extents[self.axis].saturating_add(other.item()[self.axis]);
        }
        match self.axis < extents.len() && !inputs[0].whole {
            true => inputs[0].with_item(&extents),
            false => Err(misfit(format!("axis {} of a value of shape {}", self.axis, inputs[0].shape))),
        }
    }

    fn floats(&self, inputs: &[Float<'_>], output: &Value) -> Vec<f32> {
        concatenate(&inputs.iter().map(|x| x.values).collect::<Vec<_>>(), self.rows(output))
    }

    #[cfg(feature = "onnx")]
    fn write(&self, writer: &mut dyn Writer, names: &Names<'_>) {
        writer.push("Concat", names.inputs, names.output, vec![Attribute::Int("axis", self.axis as i64 + 1)]);
    }
}

impl Concat {
    fn rows(&self, output: &Value) -> usize {
        output.shape.extents()[..=self.axis].iter().product()
    }
}

fn concatenate<T: Copy>(parts: &[&[T]], rows: usize) -> Vec<T> {
    let row = |r: usize| parts.iter().flat_map(move |part| part[r * (part.len() / rows)..(r + 1) * (part.len() / rows)].iter()).copied();
    (0..rows).flat_map(row).collect()
}

impl Action for Concat {
    fn describe(&self) -> String {
        "concat".into()
    }

    fn output(&self, inputs: &[Operand]) -> Result<Operand> {
        let fraction_bits = inputs[0].fraction_bits;
        if inputs.iter().any(|x| x.fraction_bits != fraction_bits) {
            return Err(misfit("values of different fraction bits one after another"));
        }
        let values: Vec<Value> = inputs.iter().map(|x| x.value.clone()).collect();
        Ok(Operand { value: Operation::output(self, &values)?, fraction_bits })
    }

    fn fixed(&self, inputs: &[Word64<'_>], output: &Operand, _: &mut Narrow<'_>) -> Result<Vec<i64>> {
        Ok(concatenate(&inputs.iter().map(|x| x.words).collect::<Vec<_>>(), self.rows(&output.value)))
    }

    /// The other axes mix what belongs to channels.
    fn bounds(&self, inputs: &[Bounded<'_>], output: &Operand) -> (Intervals, Bits) {
        let all = inputs.iter().flat_map(|x| x.intervals);
        (if self.axis == 0 { all.copied().collect() } else { hulls(all, output.value.item()) }, Bits::default())
    }

    fn run<'a>(&'a self, p: &'a Party, _: Own<'a>, inputs: Vec<Arith>) -> Running<'a> {
        let values: Vec<Value> = inputs.iter().map(|x| Value::per_item(x.shape().clone())).collect();
        let shape = checked(Operation::output(self, &values)).shape;
        ready(protocol::concat(p, &inputs, self.axis + 1, shape))
    }
}
