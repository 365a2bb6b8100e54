//! Arithmetic element by element: sums of activations, constants that scale and shift, and what ReLUs and bounds make of them.

use super::{
    array::{Array, broadcast},
    attributes::Attributes,
    constant::Constant,
    importer::{Importer, Meaning},
    layout::Layout,
    schema::NodeProto,
};
use crate::{
    Error, Result,
    nn::{
        ops::{Affine, Clip, Multiply, Relu, Sum},
        value::ValueId,
    },
};

/// An operand that is computed, or numbers of the model.
pub enum Operand {
    Value(ValueId),
    Numbers(Array<f32>),
}

use Operand::{Numbers, Value};

impl Importer {
    pub(super) fn elementwise(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<ValueId> {
        match node.op_type.as_str() {
            "Add" | "Sum" => self.fold_operands(node, |a, b| a + b, Self::plus),
            "Max" => self.fold_operands(node, f32::max, |s, a, b| s.larger(a, b, 1.0)),
            // min(a, b) = -max(-a, -b)
            "Min" => self.fold_operands(node, f32::min, |s, a, b| s.larger(a, b, -1.0)),
            "Mean" => {
                let sum = self.fold_operands(node, |a, b| a + b, Self::plus)?;
                self.push(Sum::scaled(1.0 / node.input.len() as f32), &[sum])
            }
            "Sub" => self.difference(node),
            "Mul" => self.product(node),
            "Div" => self.quotient(node),
            "Neg" => {
                let x = self.activation(node, 0)?;
                self.push(Sum::scaled(-1.0), &[x])
            }
            "Relu" => {
                let x = self.activation(node, 0)?;
                self.push(Relu, &[x])
            }
            "Abs" => {
                let x = self.activation(node, 0)?;
                self.absolute(x)
            }
            "LeakyRelu" => {
                let (x, alpha) = (self.activation(node, 0)?, attributes.float("alpha", 0.01));
                self.with_relu(x, [1.0 - alpha, alpha])
            }
            "PRelu" => self.prelu(node),
            "Clip" => self.clip(node, attributes),
            "HardSigmoid" => {
                let (x, alpha, beta) = (self.activation(node, 0)?, attributes.float("alpha", 0.2), attributes.float("beta", 0.5));
                let line = self.push(Sum { factors: vec![alpha], constant: beta }, &[x])?;
                self.push(Clip { low: 0.0, high: 1.0 }, &[line])
            }
            "HardSwish" => self.hard_swish(node),
            "Pow" => self.power(node),
            "Where" => self.masked(node),
            other => Err(Error::Model(format!("'{other}' is no operator of elements"))),
        }
    }

    fn difference(&mut self, node: &NodeProto) -> Result<ValueId> {
        match self.operands(node)? {
            (Value(a), Value(b)) => self.combined(a, b, [1.0, -1.0]),
            (Value(x), Numbers(c)) => self.shifted(x, c.map(|v| -v)),
            (Numbers(c), Value(x)) => {
                let negated = self.push(Sum::scaled(-1.0), &[x])?;
                self.shifted(negated, c)
            }
            (Numbers(_), Numbers(_)) => Err(constants()),
        }
    }

    fn product(&mut self, node: &NodeProto) -> Result<ValueId> {
        match self.operands(node)? {
            (Value(x), Numbers(c)) | (Numbers(c), Value(x)) => self.scaled(x, c),
            (Value(a), Value(b)) => {
                let [a, b] = self.of_one_shape(a, b)?;
                self.push(Multiply, &[a, b])
            }
            (Numbers(_), Numbers(_)) => Err(constants()),
        }
    }

    fn quotient(&mut self, node: &NodeProto) -> Result<ValueId> {
        match self.operands(node)? {
            (Value(_), Numbers(c)) if c.values.contains(&0.0) => Err(Error::Range("a division by zero".into())),
            (Value(x), Numbers(c)) => self.scaled(x, c.map(f32::recip)),
            _ => Err(Error::Model("a division by an activation is not supported; one by a constant is".into())),
        }
    }

    /// Bounds; the upper one wins where they are the wrong way round, as the operator has it.
    fn clip(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<ValueId> {
        let x = self.activation(node, 0)?;
        let (low, high) = (attributes.float("min", f32::NEG_INFINITY), attributes.float("max", f32::INFINITY));
        let low = self.bound(node, 1)?.unwrap_or(low);
        let high = self.bound(node, 2)?.unwrap_or(high);
        self.push(Clip { low: low.min(high), high }, &[x])
    }

    /// `x min(max(x / 6 + 1/2, 0), 1)`.
    fn hard_swish(&mut self, node: &NodeProto) -> Result<ValueId> {
        let x = self.activation(node, 0)?;
        let line = self.push(Sum { factors: vec![1.0 / 6.0], constant: 0.5 }, &[x])?;
        let gate = self.push(Clip { low: 0.0, high: 1.0 }, &[line])?;
        self.push(Multiply, &[x, gate])
    }

    /// A small whole power, by multiplications.
    fn power(&mut self, node: &NodeProto) -> Result<ValueId> {
        let x = self.activation(node, 0)?;
        let exponents = match self.operand(node, 1)? {
            Numbers(array) if array.values.iter().all(|v| *v == array.values[0]) => array,
            _ => return Err(Error::Model("Pow with one constant exponent is supported".into())),
        };
        let (x, Some(&exponent)) = (self.like(x, &exponents)?, exponents.values.first()) else { return Err(constants()) };
        if exponent.fract() != 0.0 || !(1.0..=8.0).contains(&exponent) {
            return Err(Error::Model(format!("a power of {exponent}; whole ones from 1 to 8 are supported")));
        }
        let mut power = x;
        for _ in 1..exponent as usize {
            power = self.push(Multiply, &[power, x])?;
        }
        Ok(power)
    }

    /// One value or the other by a comparison, or by a constant condition: `m yes + (1 - m) no`.
    fn masked(&mut self, node: &NodeProto) -> Result<ValueId> {
        if let Some(&comparison) = node.input.first().and_then(|name| self.comparisons.get(name)) {
            let (yes, no) = (self.operand(node, 1)?, self.operand(node, 2)?);
            return self.chosen(comparison, yes, no);
        }
        let Meaning::Constant(Constant::Integers(condition)) = self.meaning(node, 0)? else {
            return Err(Error::Model("Where by a constant condition or a comparison is supported".into()));
        };
        let yes = condition.map(|c| if c != 0 { 1.0 } else { 0.0 });
        let no = yes.map(|m| 1.0 - m);
        let mut part = |i: usize, mask: Array<f32>| match self.operand(node, i)? {
            Value(x) => self.scaled(x, mask).map(Value),
            Numbers(numbers) => mask.paired(&numbers, |m, v| if m == 0.0 { 0.0 } else { v }).map(Numbers),
        };
        let (yes, no) = (part(1, yes)?, part(2, no)?);
        self.plus(yes, no)
    }

    pub(super) fn operand(&self, node: &NodeProto, i: usize) -> Result<Operand> {
        match self.meaning(node, i)? {
            Meaning::Value(value) => Ok(Value(value)),
            Meaning::Constant(Constant::Floats(array)) => match array.values.iter().any(|v| v.is_infinite()) {
                false => Ok(Numbers(array)),
                true => Err(Error::Range(format!("tensor '{}': an element is infinite", node.input[i]))),
            },
            Meaning::Constant(constant) => Ok(Numbers(constant.floats())),
        }
    }

    fn operands(&self, node: &NodeProto) -> Result<(Operand, Operand)> {
        Ok((self.operand(node, 0)?, self.operand(node, 1)?))
    }

    /// All inputs: constants with each other, and then what is computed in its order.
    fn fold_operands(
        &mut self,
        node: &NodeProto,
        of_numbers: impl Fn(f32, f32) -> f32,
        f: impl Fn(&mut Self, Operand, Operand) -> Result<ValueId>,
    ) -> Result<ValueId> {
        let (mut all, mut numbers) = (None, None::<Array<f32>>);
        for i in 0..node.input.len() {
            match self.operand(node, i)? {
                Numbers(c) => {
                    numbers = Some(match numbers {
                        None => c,
                        Some(before) => before.paired(&c, &of_numbers)?,
                    });
                }
                Value(x) => {
                    all = Some(match all {
                        None => x,
                        Some(before) => f(self, Value(before), Value(x))?,
                    });
                }
            }
        }
        match (all, numbers) {
            (Some(all), Some(numbers)) => f(self, Value(all), Numbers(numbers)),
            (Some(all), None) => Ok(all),
            (None, _) => Err(constants()),
        }
    }

    pub(super) fn plus(&mut self, a: Operand, b: Operand) -> Result<ValueId> {
        match (a, b) {
            (Value(a), Value(b)) => self.combined(a, b, [1.0, 1.0]),
            (Value(x), Numbers(c)) | (Numbers(c), Value(x)) => self.shifted(x, c),
            (Numbers(_), Numbers(_)) => Err(constants()),
        }
    }

    /// `max(a, b) = b + relu(a - b)`; with the sign -1 `min(a, b) = b - relu(b - a)`.
    fn larger(&mut self, a: Operand, b: Operand, sign: f32) -> Result<ValueId> {
        match (a, b) {
            (Value(a), Value(b)) => {
                let [a, b] = self.of_one_shape(a, b)?;
                let apart = self.push(Sum { factors: vec![sign, -sign], constant: 0.0 }, &[a, b])?;
                let above = self.push(Relu, &[apart])?;
                self.push(Sum { factors: vec![1.0, sign], constant: 0.0 }, &[b, above])
            }
            (Value(x), Numbers(c)) | (Numbers(c), Value(x)) if c.values.len() == 1 => {
                let x = self.like(x, &c)?;
                let (low, high) = if sign > 0.0 { (c.values[0], f32::INFINITY) } else { (f32::NEG_INFINITY, c.values[0]) };
                self.push(Clip { low, high }, &[x])
            }
            (Value(x), Numbers(c)) | (Numbers(c), Value(x)) => {
                let apart = self.shifted(x, c.map(|v| -v))?;
                let (low, high) = if sign > 0.0 { (0.0, f32::INFINITY) } else { (f32::NEG_INFINITY, 0.0) };
                let above = self.push(Clip { low, high }, &[apart])?;
                self.shifted(above, c)
            }
            (Numbers(_), Numbers(_)) => Err(constants()),
        }
    }

    /// `|x| = 2 relu(x) - x`.
    pub(super) fn absolute(&mut self, x: ValueId) -> Result<ValueId> {
        self.with_relu(x, [2.0, -1.0])
    }

    /// `factors[0] relu(x) + factors[1] x`.
    fn with_relu(&mut self, x: ValueId, factors: [f32; 2]) -> Result<ValueId> {
        let relu = self.push(Relu, &[x])?;
        self.push(Sum { factors: factors.to_vec(), constant: 0.0 }, &[relu, x])
    }

    /// `relu(x) + slope (x - relu(x))`, the slopes being weights.
    fn prelu(&mut self, node: &NodeProto) -> Result<ValueId> {
        let x = self.activation(node, 0)?;
        let slope = self.weights(node, 1, "slope")?;
        let slope = Array { extents: slope.shape.extents().to_vec(), values: slope.values };
        let x = self.like(x, &slope)?;
        let relu = self.push(Relu, &[x])?;
        let below = self.push(Sum { factors: vec![1.0, -1.0], constant: 0.0 }, &[x, relu])?;
        let scaled = self.scaled(below, slope)?;
        self.push(Sum::of_two(), &[scaled, relu])
    }

    /// A bound of Clip.
    pub(super) fn bound(&self, node: &NodeProto, i: usize) -> Result<Option<f32>> {
        match self.floats(node, i)? {
            None => Ok(None),
            Some(array) if array.values.len() == 1 => Ok(Some(array.values[0])),
            Some(array) => Err(Error::Model(format!("a bound of shape {:?}; one number is expected", array.extents))),
        }
    }

    /// `factors[0] a + factors[1] b`, broadcast against each other.
    pub(super) fn combined(&mut self, a: ValueId, b: ValueId, factors: [f32; 2]) -> Result<ValueId> {
        let [a, b] = self.of_one_shape(a, b)?;
        self.push(Sum { factors: factors.to_vec(), constant: 0.0 }, &[a, b])
    }

    pub(super) fn of_one_shape(&mut self, a: ValueId, b: ValueId) -> Result<[ValueId; 2]> {
        self.batch.meets(&self.view(a)?, &self.view(b)?)?;
        let extents = broadcast(&self.extents(a)?, &self.extents(b)?)?;
        Ok([self.moved(a, &Layout::Broadcast(extents.clone()))?, self.moved(b, &Layout::Broadcast(extents))?])
    }

    /// The value with the axes that a constant adds to it.
    pub(super) fn like(&mut self, x: ValueId, constant: &Array<f32>) -> Result<ValueId> {
        let extents = broadcast(&self.extents(x)?, &constant.extents)?;
        self.moved(x, &Layout::Broadcast(extents))
    }

    fn scaled(&mut self, x: ValueId, scale: Array<f32>) -> Result<ValueId> {
        self.affine(x, &scale, &Array::one(0.0))
    }

    /// `x + shift`.
    pub(super) fn shifted(&mut self, x: ValueId, shift: Array<f32>) -> Result<ValueId> {
        let x = self.like(x, &shift)?;
        let numbers = self.batch.numbers(&shift, &self.view(x)?)?;
        let [shift] = self.of_channels(x, [numbers])?;
        let shift = self.list(shift)?;
        self.push(Sum::of_two(), &[x, shift])
    }

    /// `scale x + shift`, both constants broadcast with x.
    pub(super) fn affine(&mut self, x: ValueId, scale: &Array<f32>, shift: &Array<f32>) -> Result<ValueId> {
        let x = self.like(x, scale)?;
        let view = self.view(x)?;
        let numbers = [self.batch.numbers(scale, &view)?, self.batch.numbers(shift, &view)?];
        let [scale, shift] = self.of_channels(x, numbers)?;
        let (scale, shift) = (self.list(scale)?, self.list(shift)?);
        self.push(Affine, &[x, scale, shift])
    }

    /// One number for each channel of a value where they suffice, in place of one for each of its elements.
    fn of_channels<const N: usize>(&self, x: ValueId, numbers: [Vec<f32>; N]) -> Result<[Vec<f32>; N]> {
        let channels = self.shape(x)?.extents().get(1).copied().unwrap_or(1);
        let inner = numbers[0].len() / channels;
        let alike = |all: &Vec<f32>| all.chunks(inner).all(|chunk| chunk.iter().all(|v| *v == chunk[0]));
        Ok(match numbers.iter().all(alike) {
            true => numbers.map(|all| all.chunks(inner).map(|chunk| chunk[0]).collect()),
            false => numbers,
        })
    }
}

fn constants() -> Error {
    Error::Model("an activation is expected among the operands".into())
}
