//! Sum, mean or maximum along axes of an item: `y[s] = reduce over g of x[s, g]`, where s are the axes that stay in their order, and g
//! those that go. Source: ONNX, ReduceSum, ReduceMean, ReduceMax.
//!
//! It runs as one window over the axes that go, which are brought to the end. Sums are free, as are the powers of two in the divisor of a
//! mean.

#[cfg(feature = "onnx")]
use super::onnx::{Attribute, Names, Writer};
use super::{
    gather::{Gather, strided},
    operation::{Float, Operation},
};
use crate::{
    Result,
    nn::value::{Value, misfit},
    shape::Axis,
};
use std::sync::Arc;

/// The number that several become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The largest.
    Max,
}

/// A reduction along axes, which the output does not have.
#[derive(Debug, Clone, PartialEq)]
pub struct Reduce {
    /// The axes of an item that go, in ascending order, the batch not counted.
    pub axes: Vec<usize>,
    /// The one number that those along them become.
    pub reduction: Reduction,
}

impl Operation for Reduce {
    fn kind(&self) -> &'static str {
        match self.reduction {
            Reduction::Sum => "ReduceSum",
            Reduction::Mean => "ReduceMean",
            Reduction::Max => "ReduceMax",
        }
    }

    fn output(&self, inputs: &[Value]) -> Result<Value> {
        let item = inputs[0].item();
        if !self.axes.is_sorted_by(|a, b| a < b) || self.axes.last().is_some_and(|&axis| axis >= item.len()) {
            return Err(misfit(format!("axes {:?} of an item of extents {item:?}", self.axes)));
        }
        inputs[0].with_item(&self.stays(item).map(|d| item[d]).collect::<Vec<_>>())
    }

    fn floats(&self, inputs: &[Float<'_>], _: &Value) -> Vec<f32> {
        let item = inputs[0].value.item();
        let (order, width) = (self.order(item), self.width(item));
        let one = |group: &[u32], row: &[f32]| {
            let numbers = group.iter().map(|&at| row[at as usize]);
            match self.reduction {
                Reduction::Sum => numbers.sum(),
                Reduction::Mean => numbers.sum::<f32>() / width as f32,
                Reduction::Max => numbers.fold(f32::NEG_INFINITY, f32::max),
            }
        };
        inputs[0]
            .values
            .chunks(order.len())
            .flat_map(|row| order.chunks(width).map(|group| one(group, row)).collect::<Vec<f32>>())
            .collect()
    }

    /// The axes as ONNX counts them, as an attribute, which the sum alone has as an input. None means all to it.
    #[cfg(feature = "onnx")]
    fn write(&self, writer: &mut dyn Writer, names: &Names<'_>) {
        if self.axes.is_empty() {
            return writer.push("Identity", names.inputs, names.output, Vec::new());
        }
        let axes: Vec<i64> = self.axes.iter().map(|&axis| axis as i64 + 1).collect();
        let (mut inputs, mut attributes) = (names.inputs.to_vec(), vec![Attribute::Int("keepdims", 0)]);
        match self.reduction {
            Reduction::Sum => inputs.push(writer.integers(&axes)),
            Reduction::Mean | Reduction::Max => attributes.push(Attribute::Ints("axes", axes)),
        }
        writer.push(self.kind(), &inputs, names.output, attributes);
    }

    fn is_homogeneous(&self) -> bool {
        true
    }
}

impl Reduce {
    fn stays<'a>(&'a self, item: &[usize]) -> impl Iterator<Item = usize> + 'a {
        (0..item.len()).filter(|d| !self.axes.contains(d))
    }

    /// Elements of which one is made.
    fn width(&self, item: &[usize]) -> usize {
        self.axes.iter().map(|&d| item[d]).product()
    }

    /// The indices of an item's elements, those that become one next to each other.
    fn order(&self, item: &[usize]) -> Arc<[u32]> {
        let stride = |d: usize| item[d + 1..].iter().product::<usize>();
        let axes: Vec<usize> = self.stays(item).chain(self.axes.iter().copied()).collect();
        strided(&axes.iter().map(|&d| item[d]).collect::<Vec<_>>(), &axes.iter().map(|&d| stride(d)).collect::<Vec<_>>())
    }

    /// The rows of an item with a column for each number that becomes one with others, and the window over them.
    pub fn rows(&self, x: &Value) -> (Gather, [Axis; 2]) {
        let (item, width) = (x.item(), self.width(x.item()));
        let rows = self.stays(item).map(|d| item[d]).product();
        (Gather { extents: vec![rows, width, 1], indices: self.order(item) }, [Axis::new(width), Axis::new(1)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Shape;

    /// Against a loop over all indices, for every set of axes.
    #[test]
    fn each_set_of_axes_is_reduced() {
        let item = [2, 3, 4];
        let x = Value::per_item(Shape::new([2, 2, 3, 4]).unwrap());
        let values: Vec<f32> = (0..48).map(|v| (v * 7 % 11) as f32).collect();
        for set in 0..8 {
            let axes: Vec<usize> = (0..3).filter(|d| set >> d & 1 == 1).collect();
            for reduction in [Reduction::Sum, Reduction::Mean, Reduction::Max] {
                let op = Reduce { axes: axes.clone(), reduction };
                let output = op.output(std::slice::from_ref(&x)).unwrap();
                let mut groups = vec![Vec::new(); output.shape.elements()];
                for (e, &value) in values.iter().enumerate() {
                    let index = [e / 12 % 2, e / 4 % 3, e % 4];
                    let place = (0..3).filter(|d| !axes.contains(d)).fold(e / 24, |place, d| place * item[d] + index[d]);
                    groups[place].push(value);
                }
                let wanted: Vec<f32> = groups
                    .iter()
                    .map(|group| match reduction {
                        Reduction::Sum => group.iter().sum(),
                        Reduction::Mean => group.iter().sum::<f32>() / group.len() as f32,
                        Reduction::Max => group.iter().copied().fold(f32::MIN, f32::max),
                    })
                    .collect();
                assert_eq!(op.floats(&[Float { value: &x, values: &values }], &output), wanted, "{reduction:?} {axes:?}");
            }
        }
        for axes in [vec![3], vec![1, 0], vec![0, 0]] {
            assert!(Reduce { axes, reduction: Reduction::Sum }.output(std::slice::from_ref(&x)).is_err());
        }
    }
}
