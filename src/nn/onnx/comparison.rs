//! Comparisons of what is computed: not values, which would be bits, but what Where chooses by, and what Cast makes numbers of.

use super::{
    array::Array,
    elementwise::Operand,
    importer::{Comparison, Importer},
    schema::NodeProto,
};
use crate::{
    Error, Result,
    nn::{
        ops::{Gate, Sum},
        value::ValueId,
    },
};

impl Importer {
    /// The comparison that a node makes of what is computed; `None` for another node.
    pub(super) fn comparison(&mut self, node: &NodeProto) -> Result<Option<Comparison>> {
        // a > b where b - a is negative, a >= b where a - b is not
        let (factors, negative) = match node.op_type.as_str() {
            "Greater" => ([-1.0, 1.0], true),
            "Less" => ([1.0, -1.0], true),
            "GreaterOrEqual" => ([1.0, -1.0], false),
            "LessOrEqual" => ([-1.0, 1.0], false),
            "Not" => {
                let before = node.input.first().and_then(|name| self.comparisons.get(name));
                return Ok(before.map(|before| Comparison { negative: !before.negative, ..*before }));
            }
            _ => return Ok(None),
        };
        let sign = match (self.operand(node, 0)?, self.operand(node, 1)?) {
            (Operand::Value(a), Operand::Value(b)) => self.combined(a, b, factors)?,
            (Operand::Value(x), Operand::Numbers(c)) => {
                let x = self.signed(x, factors[0])?;
                self.shifted(x, c.map(|v| v * factors[1]))?
            }
            (Operand::Numbers(c), Operand::Value(x)) => {
                let x = self.signed(x, factors[1])?;
                self.shifted(x, c.map(|v| v * factors[0]))?
            }
            (Operand::Numbers(_), Operand::Numbers(_)) => return Ok(None),
        };
        Ok(Some(Comparison { sign, negative }))
    }

    fn signed(&mut self, x: ValueId, factor: f32) -> Result<ValueId> {
        if factor == 1.0 { Ok(x) } else { self.push(Sum::scaled(factor), &[x]) }
    }

    /// One or the other: with `d = yes - no`, `no + d [s >= 0]` or, the other way round, `yes - d [s >= 0]`.
    pub(super) fn chosen(&mut self, comparison: Comparison, yes: Operand, no: Operand) -> Result<ValueId> {
        let (otherwise, chosen) = if comparison.negative { (yes, no) } else { (no, yes) };
        let apart = match (&chosen, &otherwise) {
            (Operand::Value(a), Operand::Value(b)) => self.combined(*a, *b, [1.0, -1.0])?,
            (Operand::Value(x), Operand::Numbers(c)) => self.shifted(*x, c.map(|v| -v))?,
            (Operand::Numbers(c), Operand::Value(x)) => {
                let negated = self.signed(*x, -1.0)?;
                self.shifted(negated, c.clone())?
            }
            (Operand::Numbers(a), Operand::Numbers(b)) => {
                let apart = a.paired(b, |a, b| a - b)?;
                let sign = self.like(comparison.sign, &apart)?;
                self.of_each_item(&apart, &self.view(sign)?)?
            }
        };
        let [apart, sign] = self.of_one_shape(apart, comparison.sign)?;
        let let_through = self.push(Gate, &[apart, sign])?;
        self.plus(otherwise, Operand::Value(let_through))
    }

    /// A comparison as numbers, 1 and 0.
    pub(super) fn indicator(&mut self, comparison: Comparison) -> Result<ValueId> {
        let [one, zero] = [1.0, 0.0].map(|v| Operand::Numbers(Array::one(v)));
        self.chosen(comparison, one, zero)
    }

    /// The error of what reads a comparison and is not supported.
    pub(super) fn of_comparison(name: &str) -> Error {
        Error::Model(format!("input '{name}' is a comparison of what is computed, which Where, Not and Cast to floats can read"))
    }
}
