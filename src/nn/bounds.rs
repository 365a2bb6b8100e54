//! Bounds of the compared values of a network, proven from its weights and the range of its inputs.
//!
//! Interval arithmetic on the integers that the protocols compute with, channel by channel: weights as they are encoded,
//! truncation as floor or floor plus one. A comparison of values that fit `r` bits needs the low `r` bits of a share only.
//! The owner of the model computes this; the bits of each step become public, and with them the size of its weights.

use super::{
    lower::LoweredModel,
    ops::{Bounded, CAP, Interval, Intervals},
    program::Program,
    range::{RangeOrigin, Ranges},
    value::Parameter,
};
use crate::{Error, Result};
use std::{collections::HashMap, ops::RangeInclusive};

/// The program whose comparisons look at as many bits as its values can have for inputs in a range.
///
/// Its bounds are [`RangeOrigin::Proven`] if no value of any step can leave the range of the fixed-point numbers, else
/// [`RangeOrigin::Stated`]. [`Error::Input`] for a range without a number in it.
pub fn bounds(model: &LoweredModel, inputs: RangeInclusive<f32>) -> Result<Program> {
    let (low, high) = (*inputs.start(), *inputs.end());
    if low.is_nan() || high.is_nan() || low > high {
        return Err(Error::Input(format!("a range of inputs from {low} to {high}")));
    }
    let program = &model.program;
    let operands = program.operands(1)?;
    let mut intervals: Vec<Intervals> = vec![Vec::new(); program.values()];
    for (value, input) in program.inputs().iter().enumerate() {
        let scale = |end: f32| (f64::from(end) * f64::powi(2.0, input.kind.fraction_bits(program.fixed().fraction_bits()) as i32)).round();
        program.fixed().encode("range of the inputs", &[low, high])?;
        intervals[value] =
            vec![Interval { low: scale(low) as i128, high: scale(high) as i128 }; input.extents.first().copied().unwrap_or(1)];
    }
    let encoded = model.parameters.encoded().collect::<Result<Vec<Parameter>>>()?;
    let words: HashMap<usize, &[u64]> =
        program.parameters().iter().zip(&encoded).map(|(place, parameter)| (place.value, &parameter.words[..])).collect();
    let (mut bits, mut proven) = (Vec::new(), true);
    for step in program.steps() {
        let operand = |v: usize| operands[v].as_ref().expect("a program makes each value before it is read");
        let input =
            |&v: &usize| Bounded { value: &operand(v).value, intervals: &intervals[v], words: words.get(&v).copied().unwrap_or_default() };
        let inputs: Vec<Bounded<'_>> = step.inputs.iter().map(input).collect();
        let (output, looked) = step.action.bounds(&inputs, operand(step.output));
        let wide = step.action.wide_bounds(&inputs);
        proven &= wide.as_ref().unwrap_or(&output).iter().all(|v| -CAP < v.low && v.high < CAP);
        drop(inputs);
        intervals[step.output] = output.into_iter().map(Interval::capped).collect();
        bits.push(looked);
    }
    let origin = if proven { RangeOrigin::Proven } else { RangeOrigin::Stated };
    program.clone().with_bits(bits).with_ranges(Ranges { bounds: vec![[low, high]; program.inputs().len()], origin })
}
