//! Sum of values with public factors: `y = sum_i factors[i] x_i + constant`. The numbers are public: they are the network's
//! structure. Values that belong to all items, which are secret parameters, have one number for each channel of an item, or for each
//! element.

#[cfg(feature = "onnx")]
use super::onnx::{Names, Writer};
use super::operation::{Float, Joins, Operation};
use crate::{
    Result,
    nn::value::{Tensor, Value, misfit},
};
use std::{borrow::Cow, ops::RangeInclusive};

/// `sum_i factors[i] x_i + constant`, element by element, of values of one shape and whole ones that are added to each item.
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
        match inputs.iter().find(|other| runs(&inputs[0], other).is_none()) {
            Some(other) => Err(misfit(format!("addends of shapes {} and {}", inputs[0].shape, other.shape))),
            None => Ok(inputs[0].clone()),
        }
    }

    fn floats(&self, inputs: &[Float<'_>], output: &Value) -> Vec<f32> {
        let mut sums = vec![self.constant; output.shape.elements()];
        for (x, factor) in inputs.iter().zip(&self.factors) {
            let run = runs(output, x.value).unwrap_or(1);
            sums.iter_mut().enumerate().for_each(|(e, sum)| *sum += factor * x.values[e / run % x.values.len()]);
        }
        sums
    }

    #[cfg(feature = "onnx")]
    fn write(&self, writer: &mut dyn Writer, names: &Names<'_>) {
        let mut terms = Vec::new();
        for ((input, from), &factor) in names.inputs.iter().zip(names.from).zip(&self.factors) {
            let mut term = input.clone();
            if from.whole {
                let (item, count) = (names.to.item(), from.shape.elements());
                let channels = item.first() == Some(&count);
                let to: Vec<i64> = item.iter().enumerate().map(|(d, &extent)| if channels && d > 0 { 1 } else { extent as i64 }).collect();
                let to = writer.integers(&to);
                term = writer.made("Reshape", &[term, to], Vec::new());
            }
            if factor != 1.0 {
                let factor = writer.floats(&[], &[factor]);
                term = writer.made("Mul", &[term, factor], Vec::new());
            }
            terms.push(term);
        }
        if self.constant != 0.0 {
            terms.push(writer.floats(&[], &[self.constant]));
        }
        writer.push(if terms.len() == 2 { "Add" } else { "Sum" }, &terms, names.output, Vec::new());
    }

    fn scale_and_shift<'a>(&self, constants: &'a [Option<&Tensor>]) -> Option<[Cow<'a, [f32]>; 2]> {
        match (constants, &self.factors[..], self.constant) {
            ([None, Some(shift)], [1.0, 1.0], 0.0) => Some([vec![1.0; shift.values.len()].into(), Cow::Borrowed(&shift.values)]),
            _ => None,
        }
    }

    fn joins(&self) -> Joins<'_> {
        Joins::Sum(&self.factors, self.constant)
    }
}

/// Elements in a row of a value per item that meet one number of an addend; `None` if the addend does not fit.
pub fn runs(x: &Value, addend: &Value) -> Option<usize> {
    let (channels, elements) = (x.item().first().copied().unwrap_or(1), x.item().iter().product::<usize>());
    match addend.shape.elements() {
        count if addend.whole && !x.whole => (count == channels || count == elements).then(|| elements / count),
        _ => (x == addend && !x.whole).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Shape;

    #[test]
    fn whole_addends_are_those_of_every_item() {
        let x = Value::per_item(Shape::new([2, 2, 3]).unwrap());
        let whole = |extents: &[usize]| Value::whole(Shape::new(extents).unwrap());
        let (channels, elements) = (whole(&[2]), whole(&[6]));
        let op = Sum { factors: vec![2.0, 1.0, -1.0], constant: 0.5 };
        assert_eq!(op.output(&[x.clone(), channels.clone(), elements.clone()]).unwrap(), x);
        let values: Vec<f32> = (0..12).map(|v| v as f32).collect();
        let inputs = [(&x, &values[..]), (&channels, &[10.0, 20.0][..]), (&elements, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..])];
        let sums = op.floats(&inputs.map(|(value, values)| Float { value, values }), &x);
        let wanted = (0..12).map(|e| 2.0 * e as f32 + 10.0 * (1 + e / 3 % 2) as f32 - (1 + e % 6) as f32 + 0.5);
        assert_eq!(sums, wanted.collect::<Vec<f32>>());
        for bad in [vec![channels, x.clone(), x.clone()], vec![x.clone(), whole(&[3]), x.clone()], vec![x, whole(&[12]), elements]] {
            assert!(op.output(&bad).is_err());
        }
    }
}
