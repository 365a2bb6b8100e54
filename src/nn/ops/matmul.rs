//! Matrix product: `z[.., i, j] = b[j] + sum over d of x[.., i, d] y[.., d, j]`.
//!
//! With a whole y, (k, n) or transposed (n, k), every row of x is multiplied: a fully connected layer. With a y per item, (N, .., k, n),
//! the extents in front agree and each pair of matrices is multiplied: the products of attention. Source: ONNX, MatMul and Gemm.

#[cfg(feature = "onnx")]
use super::onnx::{Attribute, Names, Writer};
use super::{
    arithmetic::{Number, multiply, transpose},
    conv::{rows_of, scale_rows},
    interval::{Interval, Intervals, hull, hulls},
    operation::{Bounded, Constants, Float, Operation, checked},
};
use crate::{
    Result,
    kernels::matmul::Layout,
    nn::value::{Value, misfit},
    party::Party,
    protocol,
    shape::Shape,
    share::{Arith, Local},
};
use std::ops::RangeInclusive;

/// Matrix product of x with y, and a bias for each column or none.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct MatMul {
    /// y is stored (.., n, k).
    pub transposed: bool,
}

/// Extents of one product, as often as there are matrices.
struct Sizes {
    matrices: usize,
    rows: usize,
    depth: usize,
    columns: usize,
}

impl Operation for MatMul {
    fn kind(&self) -> &'static str {
        "MatMul"
    }

    fn arity(&self) -> RangeInclusive<usize> {
        2..=3
    }

    fn output(&self, inputs: &[Value]) -> Result<Value> {
        let output = self.shape(&inputs[0], &inputs[1])?;
        match (inputs.get(2), output.shape.extents().last()) {
            (Some(b), Some(&columns)) if !b.whole || b.shape.extents() != [columns] => {
                Err(misfit(format!("a bias of shape {} for {columns} columns", b.shape)))
            }
            _ => Ok(output),
        }
    }

    fn floats(&self, inputs: &[Float<'_>], _: &Value) -> Vec<f32> {
        let (x, y, bias) = (&inputs[0], &inputs[1], inputs.get(2).map(|bias| bias.values));
        self.products((&x.value.shape, x.values), (&y.value.shape, y.values), |j| bias.map_or(0.0, |bias| bias[j]))
    }

    fn multiply_adds(&self, inputs: &[Value], output: &Value) -> u64 {
        output.shape.elements() as u64 * inputs[0].shape.extents().last().map_or(0, |&depth| depth as u64)
    }

    #[cfg(feature = "onnx")]
    fn write(&self, writer: &mut dyn Writer, names: &Names<'_>) {
        if names.from[1].whole && names.from[0].shape.rank() == 2 {
            return writer.push("Gemm", names.inputs, names.output, vec![Attribute::Int("transB", self.transposed.into())]);
        }
        let mut y = names.inputs[1].clone();
        if self.transposed {
            let rank = names.from[1].shape.rank() as i64;
            let order = (0..rank - 2).chain([rank - 1, rank - 2]).collect();
            y = writer.made("Transpose", &[y], vec![Attribute::Ints("perm", order)]);
        }
        let factors = [names.inputs[0].clone(), y];
        match names.inputs.get(2) {
            None => writer.push("MatMul", &factors, names.output, Vec::new()),
            Some(bias) => {
                let product = writer.made("MatMul", &factors, Vec::new());
                writer.push("Add", &[product, bias.clone()], names.output, Vec::new());
            }
        }
    }

    fn take_factor(&self, constants: &mut Constants<'_>, factor: f32) -> bool {
        let [_, Some(weights), ..] = constants else { return false };
        weights.values.iter_mut().for_each(|w| *w *= factor);
        true
    }

    /// The channels of flat inputs are the columns; for others the factors must repeat in every row.
    fn take_affine(&self, constants: &mut Constants<'_>, item: &[usize], scale: &[f32], shift: &[f32]) -> bool {
        let [_, Some(weights), Some(bias)] = constants else { return false };
        let (columns, elements) = (bias.values.len(), item.iter().product::<usize>());
        let each = |numbers: &[f32]| (0..elements).map(|e| numbers[e / (elements / numbers.len())]).collect::<Vec<f32>>();
        let (scale, shift) = (each(scale), each(shift));
        let fits = self.transposed && repeats(&scale, columns) && repeats(&shift, columns);
        fits && scale_rows(weights, bias, &scale[..columns], &shift[..columns])
    }
}

/// Whether every `period` numbers are the same.
fn repeats(numbers: &[f32], period: usize) -> bool {
    numbers.len().is_multiple_of(period) && numbers.chunks(period).all(|chunk| chunk == &numbers[..period])
}

impl MatMul {
    /// Description for people.
    pub fn describe(&self) -> String {
        "linear".into()
    }

    /// Shape of the output from both factors.
    pub fn shape(&self, x: &Value, y: &Value) -> Result<Value> {
        let sizes = self.sizes(&x.shape, &y.shape, y.whole)?;
        let rows = &x.shape.extents()[..x.shape.rank() - 1];
        match x.whole {
            false => Ok(Value::per_item(Shape::new([rows, &[sizes.columns]].concat())?)),
            true => Err(misfit("a product whose first factor is a constant is not supported; exchange the factors")),
        }
    }

    /// A whole y is a matrix; one per item has the batch and at least two extents more.
    fn sizes(&self, x: &Shape, y: &Shape, whole: bool) -> Result<Sizes> {
        let bad = || misfit(format!("matrices of shapes {x} and {y}{} do not fit", if self.transposed { ", transposed," } else { "" }));
        let (Some((&depth, rows)), Some((&last, front))) = (x.extents().split_last(), y.extents().split_last()) else { return Err(bad()) };
        let Some((&before, leading)) = front.split_last() else { return Err(bad()) };
        let (inner, columns) = if self.transposed { (last, before) } else { (before, last) };
        if inner != depth || rows.is_empty() {
            return Err(bad());
        }
        let count = |extents: &[usize]| extents.iter().product::<usize>();
        match (whole, rows.split_last()) {
            (true, _) if leading.is_empty() => Ok(Sizes { matrices: 1, rows: count(rows), depth, columns }),
            (false, Some((&rows, outer))) if outer == leading && !outer.is_empty() => {
                Ok(Sizes { matrices: count(outer), rows, depth, columns })
            }
            _ => Err(bad()),
        }
    }

    /// A matrix of two extents is whole: one per item has three at least.
    fn sizes_of(&self, x: &Shape, y: &Shape) -> Sizes {
        checked(self.sizes(x, y, y.rank() == 2))
    }

    /// Each party's summand of the product.
    pub fn local(&self, p: &Party, x: &Arith, y: &Arith) -> Local {
        let Sizes { matrices, rows, depth, columns } = self.sizes_of(x.shape(), y.shape());
        let layout = Layout { batch: matrices, m: rows, k: depth, n: columns, transpose_x: false, transpose_y: self.transposed };
        let shape = Shape::new([&x.shape().extents()[..x.shape().rank() - 1], &[columns]].concat());
        protocol::matmul(p, x, y, layout).reshaped(checked(shape))
    }

    /// The sums of the definition, without a bias.
    pub fn sums<T: Number>(&self, x: (&Value, &[T]), y: (&Value, &[T])) -> Vec<T> {
        self.products((&x.0.shape, x.1), (&y.0.shape, y.1), |_| T::default())
    }

    fn products<T: Number>(&self, x: (&Shape, &[T]), y: (&Shape, &[T]), start: impl Fn(usize) -> T + Sync) -> Vec<T> {
        let Sizes { matrices, rows, depth, columns } = self.sizes_of(x.0, y.0);
        let turned;
        let y = if self.transposed {
            y.1
        } else {
            turned = transpose(y.1, depth, columns);
            &turned
        };
        let pairs = x.1.chunks(rows * depth).zip(y.chunks(depth * columns)).take(matrices);
        pairs.flat_map(|(x, y)| multiply(x, y, depth, &start)).collect()
    }

    /// Each row of the weights on the intervals of its features, for flat inputs; else all rows of x and features are alike.
    pub fn bounds(&self, x: &Bounded<'_>, y: &Bounded<'_>, output: &Value) -> Intervals {
        let sizes = self.sizes_of(&x.value.shape, &y.value.shape);
        if y.words.is_empty() {
            let one = hull(x.intervals.iter()).product(hull(y.intervals.iter()));
            return hulls([one.times(sizes.depth as i128)].iter(), output.item());
        }
        let turned;
        let words = if self.transposed {
            y.words
        } else {
            turned = transpose(y.words, sizes.depth, sizes.columns);
            &turned
        };
        let by_rows = Value::whole(checked(Shape::new([sizes.columns, sizes.depth])));
        let weights = Bounded { value: &by_rows, intervals: y.intervals, words };
        match x.value.shape.rank() {
            2 => rows_of(&weights, 1, x.intervals),
            _ => {
                let features: Vec<Interval> = rows_of(&weights, 1, &vec![hull(x.intervals.iter()); sizes.depth]);
                hulls(features.iter(), output.item())
            }
        }
    }
}
