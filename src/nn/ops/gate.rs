//! Gate: `y = x` where `s >= 0`, else 0, element by element of two values of one shape: what a comparison lets through. Source: ONNX,
//! GreaterOrEqual and Where. It costs as much as a ReLU.

#[cfg(feature = "onnx")]
use super::onnx::{Names, Writer};
use super::{
    interval::{Interval, Intervals},
    operation::{Action, Bits, Bounded, COMPARISON, Float, Narrow, Operation, Own, Running, Word64, within},
};
use crate::{
    Result,
    nn::value::{Operand, Value, misfit},
    party::Party,
    protocol,
    share::Arith,
};
use std::ops::RangeInclusive;

/// `x [s >= 0]` of x and s.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Gate;

impl Operation for Gate {
    fn kind(&self) -> &'static str {
        "Gate"
    }

    fn arity(&self) -> RangeInclusive<usize> {
        2..=2
    }

    fn output(&self, inputs: &[Value]) -> Result<Value> {
        match inputs {
            [x, s] if x == s && !x.whole => Ok(x.clone()),
            _ => Err(misfit("a gate is a value of the shape of what it lets through")),
        }
    }

    fn floats(&self, inputs: &[Float<'_>], _: &Value) -> Vec<f32> {
        inputs[0].values.iter().zip(inputs[1].values).map(|(&x, &s)| if s >= 0.0 { x } else { 0.0 }).collect()
    }

    #[cfg(feature = "onnx")]
    fn write(&self, writer: &mut dyn Writer, names: &Names<'_>) {
        let zero = writer.floats(&[], &[0.0]);
        let open = writer.made("GreaterOrEqual", &[names.inputs[1].clone(), zero.clone()], Vec::new());
        writer.push("Where", &[open, names.inputs[0].clone(), zero], names.output, Vec::new());
    }
}

impl Action for Gate {
    fn describe(&self) -> String {
        "gate".into()
    }

    fn output(&self, inputs: &[Operand]) -> Result<Operand> {
        let values: Vec<Value> = inputs.iter().map(|x| x.value.clone()).collect();
        Ok(Operand { value: Operation::output(self, &values)?, fraction_bits: inputs[0].fraction_bits })
    }

    fn fixed(&self, inputs: &[Word64<'_>], _: &Operand, _: &mut Narrow<'_>) -> Result<Vec<i64>> {
        Ok(inputs[0].words.iter().zip(inputs[1].words).map(|(&x, &s)| if s >= 0 { x } else { 0 }).collect())
    }

    fn bounds(&self, inputs: &[Bounded<'_>], _: &Operand) -> (Intervals, Bits) {
        let relu = inputs[1].intervals.iter().map(|s| s.bits()).max().unwrap_or(64);
        (inputs[0].intervals.iter().copied().map(Interval::with_zero).collect(), Bits { relu, ..Bits::default() })
    }

    fn work(&self, _: &[Operand], output: &Operand) -> f64 {
        COMPARISON * output.value.shape.elements() as f64
    }

    fn run<'a>(&'a self, p: &'a Party, own: Own<'a>, inputs: Vec<Arith>) -> Running<'a> {
        Box::pin(async move {
            let open = within(p, own.bits.relu, protocol::nonnegative(p, &protocol::split_of_share(p, &inputs[1]))).await;
            protocol::inject(p, &inputs[0], &open).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Shape;

    #[test]
    fn zero_is_let_through_and_what_is_below_is_not() {
        let x = Value::per_item(Shape::new([2, 2]).unwrap());
        let inputs = [[5.0, 6.0, -7.0, 8.0], [0.0, -0.5, 2.0, -1.0]];
        let floats = inputs.each_ref().map(|values| Float { value: &x, values });
        assert_eq!(Gate.floats(&floats, &x), [5.0, 0.0, -7.0, 0.0]);
        let words = [[5, 6, -7, 8], [0, -1, 2, i64::MIN]];
        let words = words.each_ref().map(|words| Word64 { value: &x, words });
        let output = Operand { value: x.clone(), fraction_bits: 0 };
        let mut narrow = Narrow { exact: true, narrow: &mut |_| unreachable!("nothing is wide") };
        assert_eq!(Gate.fixed(&words, &output, &mut narrow).unwrap(), [5, 0, -7, 0]);
        let other = Value::per_item(Shape::new([2, 3]).unwrap());
        assert!(Operation::output(&Gate, &[x.clone(), other]).is_err() && Operation::output(&Gate, &[x]).is_err());
    }
}
