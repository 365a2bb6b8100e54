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
enum Operand {
    Value(ValueId),
    Numbers(Array<f32>),
}

use Operand::{Numbers, Value};

impl Importer {
    pub(super) fn elementwise(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<ValueId> {
        match node.op_type.as_str() {
            "Add" | "Sum" => self.fold_operands(node, Self::plus),
            "Max" => self.fold_operands(node, |s, a, b| s.larger(a, b, 1.0)),
            // min(a, b) = -max(-a, -b)
            "Min" => self.fold_operands(node, |s, a, b| s.larger(a, b, -1.0)),
            "Mean" => {
                let sum = self.fold_operands(node, Self::plus)?;
                self.push(Sum::scaled(1.0 / node.input.len() as f32), &[sum])
            }
            "Sub" => self.difference(node),
            "Mul" => self.product(node),
            "Div" => self.quotient(node),
            "Neg" => {
                let x = self.value(node, 0)?;
                self.push(Sum::scaled(-1.0), &[x])
            }
            "Relu" => {
                let x = self.value(node, 0)?;
                self.push(Relu, &[x])
            }
            // |x| = 2 relu(x) - x
            "Abs" => {
                let x = self.value(node, 0)?;
                self.with_relu(x, [2.0, -1.0])
            }
            "LeakyRelu" => {
                let (x, alpha) = (self.value(node, 0)?, attributes.float("alpha", 0.01));
                self.with_relu(x, [1.0 - alpha, alpha])
            }
            "PRelu" => self.prelu(node),
            "Clip" => self.clip(node, attributes),
            "HardSigmoid" => {
                let (x, alpha, beta) = (self.value(node, 0)?, attributes.float("alpha", 0.2), attributes.float("beta", 0.5));
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
            (Value(x), Numbers(c)) => self.shifted(x, map(&c, |v| -v)),
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
            (Value(x), Numbers(c)) => self.scaled(x, map(&c, f32::recip)),
            _ => Err(Error::Model("a division by an activation is not supported; one by a constant is".into())),
        }
    }

    /// Bounds; the upper one wins where they are the wrong way round, as the operator has it.
    fn clip(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<ValueId> {
        let x = self.value(node, 0)?;
        let (low, high) = (attributes.float("min", f32::NEG_INFINITY), attributes.float("max", f32::INFINITY));
        let low = self.bound(node, 1)?.unwrap_or(low);
        let high = self.bound(node, 2)?.unwrap_or(high);
        self.push(Clip { low: low.min(high), high }, &[x])
    }

    /// `x min(max(x / 6 + 1/2, 0), 1)`.
    fn hard_swish(&mut self, node: &NodeProto) -> Result<ValueId> {
        let x = self.value(node, 0)?;
        let line = self.push(Sum { factors: vec![1.0 / 6.0], constant: 0.5 }, &[x])?;
        let gate = self.push(Clip { low: 0.0, high: 1.0 }, &[line])?;
        self.push(Multiply, &[x, gate])
    }

    /// A small whole power, by multiplications.
    fn power(&mut self, node: &NodeProto) -> Result<ValueId> {
        let x = self.value(node, 0)?;
        let exponent = match self.operand(node, 1)? {
            Numbers(array) if array.values.len() == 1 => array.values[0],
            _ => return Err(Error::Model("Pow with one constant exponent is supported".into())),
        };
        if exponent.fract() != 0.0 || !(1.0..=8.0).contains(&exponent) {
            return Err(Error::Model(format!("a power of {exponent}; whole ones from 1 to 8 are supported")));
        }
        let mut power = x;
        for _ in 1..exponent as usize {
            power = self.push(Multiply, &[power, x])?;
        }
        Ok(power)
    }

    /// One value or the other by a constant condition: `m yes + (1 - m) no`.
    fn masked(&mut self, node: &NodeProto) -> Result<ValueId> {
        let Meaning::Constant(Constant::Integers(condition)) = self.meaning(node, 0)? else {
            return Err(Error::Model("Where by a constant condition is supported".into()));
        };
        let yes = condition.map(|c| if c != 0 { 1.0 } else { 0.0 });
        let no = yes.map(|m| 1.0 - m);
        let mut part = |i: usize, mask: Array<f32>| match self.operand(node, i)? {
            Value(x) => self.scaled(x, mask).map(Value),
            Numbers(numbers) => {
                let extents = broadcast(&mask.extents, &numbers.extents)?;
                let pairs = mask.broadcast(&extents)?.values.into_iter().zip(numbers.broadcast(&extents)?.values);
                Ok(Numbers(Array { values: pairs.map(|(m, v)| m * v).collect(), extents }))
            }
        };
        let (yes, no) = (part(1, yes)?, part(2, no)?);
        self.plus(yes, no)
    }

    fn operand(&self, node: &NodeProto, i: usize) -> Result<Operand> {
        match self.meaning(node, i)? {
            Meaning::Value(value) => Ok(Value(value)),
            Meaning::Constant(Constant::Floats(array)) => match array.values.iter().any(|v| v.is_infinite()) {
                false => Ok(Numbers(array)),
                true => Err(Error::Range(format!("tensor '{}': an element is infinite", node.input[i]))),
            },
            Meaning::Constant(Constant::Integers(array)) => {
                Ok(Numbers(Array { extents: array.extents, values: array.values.iter().map(|&v| v as f32).collect() }))
            }
        }
    }

    fn operands(&self, node: &NodeProto) -> Result<(Operand, Operand)> {
        Ok((self.operand(node, 0)?, self.operand(node, 1)?))
    }

    /// All inputs, the first two first.
    fn fold_operands(&mut self, node: &NodeProto, f: impl Fn(&mut Self, Operand, Operand) -> Result<ValueId>) -> Result<ValueId> {
        let mut all = self.operand(node, 0)?;
        for i in 1..node.input.len() {
            let next = self.operand(node, i)?;
            all = Value(match (all, next) {
                // a constant in front waits for what is computed
                (Numbers(_), Numbers(_)) => return Err(constants()),
                (a, b) => f(self, a, b)?,
            });
        }
        match all {
            Value(value) => Ok(value),
            Numbers(_) => Err(constants()),
        }
    }

    fn plus(&mut self, a: Operand, b: Operand) -> Result<ValueId> {
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
                let apart = self.shifted(x, map(&c, |v| -v))?;
                let (low, high) = if sign > 0.0 { (0.0, f32::INFINITY) } else { (f32::NEG_INFINITY, 0.0) };
                let above = self.push(Clip { low, high }, &[apart])?;
                self.shifted(above, c)
            }
            (Numbers(_), Numbers(_)) => Err(constants()),
        }
    }

    /// `factors[0] relu(x) + factors[1] x`.
    pub(super) fn with_relu(&mut self, x: ValueId, factors: [f32; 2]) -> Result<ValueId> {
        let relu = self.push(Relu, &[x])?;
        self.push(Sum { factors: factors.to_vec(), constant: 0.0 }, &[relu, x])
    }

    /// `relu(x) + slope (x - relu(x))`, the slopes being weights.
    fn prelu(&mut self, node: &NodeProto) -> Result<ValueId> {
        let x = self.value(node, 0)?;
        let slope = self.weights(node, 1, "slope")?;
        let slope = Array { extents: slope.shape.extents().to_vec(), values: slope.values };
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

    fn of_one_shape(&mut self, a: ValueId, b: ValueId) -> Result<[ValueId; 2]> {
        let (first, second) = (self.extents(a)?, self.extents(b)?);
        if self.batched && first.len() != second.len() {
            return Err(Error::Model(format!(
                "values of shapes {first:?} and {second:?}: broadcasting would put the batch of one beside another axis of the other"
            )));
        }
        let extents = broadcast(&first, &second)?;
        Ok([self.moved(a, &Layout::Broadcast(extents.clone()))?, self.moved(b, &Layout::Broadcast(extents))?])
    }

    /// The value with the axes that a constant adds to it.
    fn like(&mut self, x: ValueId, constant: &Array<f32>) -> Result<ValueId> {
        let own = self.extents(x)?;
        if self.batched && constant.extents.len() > own.len() {
            return Err(Error::Model(format!(
                "a constant of shape {:?} would add axes in front of the batch of {own:?}",
                constant.extents
            )));
        }
        let extents = broadcast(&own, &constant.extents)?;
        self.moved(x, &Layout::Broadcast(extents))
    }

    fn scaled(&mut self, x: ValueId, scale: Array<f32>) -> Result<ValueId> {
        let x = self.like(x, &scale)?;
        let scale = self.numbers_for(x, &scale)?;
        let shift = vec![0.0; scale.len()];
        self.affine(x, scale, shift)
    }

    fn shifted(&mut self, x: ValueId, shift: Array<f32>) -> Result<ValueId> {
        let x = self.like(x, &shift)?;
        let shift = self.numbers_for(x, &shift)?;
        let scale = vec![1.0; shift.len()];
        self.affine(x, scale, shift)
    }

    /// `scale[c] x + shift[c]`.
    pub(super) fn affine(&mut self, x: ValueId, scale: Vec<f32>, shift: Vec<f32>) -> Result<ValueId> {
        let (scale, shift) = (self.list(scale)?, self.list(shift)?);
        self.push(Affine, &[x, scale, shift])
    }

    /// The numbers of a constant for each channel of a value if they suffice, else for each of its elements.
    pub(super) fn numbers_for(&self, x: ValueId, constant: &Array<f32>) -> Result<Vec<f32>> {
        let all = constant.broadcast(&self.extents(x)?)?;
        let channels = self.shape(x)?.extents().get(1).copied().unwrap_or(1);
        let inner = all.values.len() / channels;
        let alike = all.values.chunks(inner).all(|chunk| chunk.iter().all(|v| *v == chunk[0]));
        Ok(if alike { all.values.chunks(inner).map(|chunk| chunk[0]).collect() } else { all.values })
    }
}

fn map(array: &Array<f32>, f: impl Fn(f32) -> f32) -> Array<f32> {
    Array { extents: array.extents.clone(), values: array.values.iter().map(|&v| f(v)).collect() }
}

fn constants() -> Error {
    Error::Model("an activation is expected among the operands".into())
}
