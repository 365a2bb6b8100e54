//! A product of two values and everything that belongs to it before its one truncation:
//! `y = bound(pool((form(x, y) + sum_i factors[i] addends[i]) / 2^truncation))`.
//!
//! The form is local at each party; addends join the untruncated sums, and the maximum of windows is taken of them. Then one conversion
//! and one truncation, in one with the bounds.

use super::{
    arithmetic::{Number, wide},
    bound::Bound,
    conv::Conv,
    interval::{Interval, Intervals, bits_of_differences},
    matmul::MatMul,
    max_pool::MaxPool,
    multiply::Multiply,
    operation::{Action, Bits, Bounded, COMPARISON, Narrow, Own, Running, Word64, checked},
};
use crate::{
    Result,
    kernels::linear::Broadcast,
    nn::value::{Operand, ROOM, Value, misfit},
    party::Party,
    protocol,
    ring::Word,
    share::{Arith, Local},
};

/// A bilinear map of two values.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub enum Form {
    /// Images with kernels.
    Conv(Conv),
    /// Matrices.
    MatMul(MatMul),
    /// Element by element.
    Multiply(Multiply),
}

impl Form {
    /// Description for people.
    pub fn describe(&self) -> String {
        match self {
            Self::Conv(form) => form.describe(),
            Self::MatMul(form) => form.describe(),
            Self::Multiply(form) => form.describe(),
        }
    }

    /// The shape rule.
    pub fn shape(&self, x: &Value, y: &Value) -> Result<Value> {
        match self {
            Self::Conv(form) => form.shape(x, y),
            Self::MatMul(form) => form.shape(x, y),
            Self::Multiply(form) => form.shape(x, y),
        }
    }

    fn local(&self, p: &Party, x: &Arith, y: &Arith) -> Local {
        match self {
            Self::Conv(form) => form.local(p, x, y),
            Self::MatMul(form) => form.local(p, x, y),
            Self::Multiply(form) => form.local(p, x, y),
        }
    }

    fn sums<T: Number>(&self, x: (&Value, &[T]), y: (&Value, &[T])) -> Vec<T> {
        match self {
            Self::Conv(form) => form.sums(x, y),
            Self::MatMul(form) => form.sums(x, y),
            Self::Multiply(form) => form.sums(x.1, y.1),
        }
    }

    fn bounds(&self, x: &Bounded<'_>, y: &Bounded<'_>, output: &Value) -> Intervals {
        match self {
            Self::Conv(form) => form.bounds(x, y),
            Self::MatMul(form) => form.bounds(x, y, output),
            Self::Multiply(form) => form.bounds(x, y),
        }
    }

    /// Length of each sum.
    fn depth(&self, x: &Value, y: &Value) -> usize {
        match self {
            Self::Conv(_) => y.shape.extents()[1..].iter().product(),
            Self::MatMul(_) => x.shape.extents().last().copied().unwrap_or(1),
            Self::Multiply(_) => 1,
        }
    }

    /// Elements of the output in a row that share one number of a bias.
    pub fn inner(&self, output: &Value) -> usize {
        match self {
            Self::Conv(_) => output.item()[1..].iter().product(),
            Self::MatMul(_) | Self::Multiply(_) => 1,
        }
    }
}

/// A share added to the untruncated product.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Addend {
    /// A public word.
    pub factor: Word,
    /// Elements of the product in a row that share one number of a whole addend; 0 for a value per item, which is added element
    /// by element.
    pub inner: usize,
}

/// A product, what is added to it, and what follows it.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Product {
    /// The bilinear map of the first two inputs.
    pub form: Form,
    /// One for each further input.
    pub addends: Vec<Addend>,
    /// A maximum of windows of the untruncated product.
    pub pool: Option<MaxPool>,
    /// Bits cut off.
    pub truncation: u32,
    /// After the truncation, in one with it.
    pub bound: Option<Bound>,
}

impl Product {
    /// Shape of the sums, before the maximum of windows.
    fn sums_shape(&self, x: &Value, y: &Value) -> Result<Value> {
        self.form.shape(x, y)
    }

    fn fits(&self, addend: &Addend, value: &Value, sums: &Value) -> bool {
        let row = sums.item().iter().product::<usize>();
        let repeated = addend.inner.checked_mul(value.shape.elements());
        if value.whole { repeated.is_some_and(|n| n > 0 && row.is_multiple_of(n)) } else { addend.inner == 0 && value == sums }
    }

    async fn outcome(&self, p: &Party, bits: Bits, inputs: Vec<Arith>) -> Arith {
        let mut z = self.form.local(p, &inputs[0], &inputs[1]);
        for (addend, share) in self.addends.iter().zip(&inputs[2..]) {
            let broadcast = (addend.inner > 0).then(|| Broadcast { inner: addend.inner, modulus: share.shape().elements() });
            z = protocol::accumulate(p, z, share, broadcast, addend.factor);
        }
        let wide = match (&self.pool, self.truncation) {
            (None, 1..) => protocol::split(p, z).await,
            (None, 0) => return self.whole_numbers(p, bits, protocol::reshare(p, z).await).await,
            (Some(pool), truncation) => {
                let maxima = pool.maxima(p, &protocol::reshare(p, z).await, bits.pool).await;
                if truncation == 0 {
                    return self.whole_numbers(p, bits, maxima).await;
                }
                protocol::split_of_share(p, &maxima)
            }
        };
        match &self.bound {
            None => protocol::truncate(p, &wide, self.truncation).await,
            Some(bound) => super::operation::within(p, bits.relu, bound.truncated(p, &wide, self.truncation)).await,
        }
    }

    /// A product of integers has no bits to cut off.
    async fn whole_numbers(&self, p: &Party, bits: Bits, share: Arith) -> Arith {
        match &self.bound {
            None => share,
            Some(bound) => super::operation::within(p, bits.relu, bound.bounded(p, &share)).await,
        }
    }
}

impl Action for Product {
    fn describe(&self) -> String {
        let mut text = self.form.describe();
        if self.addends.iter().any(|addend| addend.inner == 0) {
            text += " + add";
        }
        if self.pool.is_some() {
            text += " + maxpool";
        }
        self.bound.iter().for_each(|bound| text = format!("{text} + {}", bound.describe()));
        text
    }

    fn output(&self, inputs: &[Operand]) -> Result<Operand> {
        let [x, y, addends @ ..] = inputs else { return Err(misfit(format!("a product of {} values", inputs.len()))) };
        let sums = self.sums_shape(&x.value, &y.value)?;
        if addends.len() != self.addends.len() {
            return Err(misfit(format!("{} values to add instead of {}", addends.len(), self.addends.len())));
        }
        if let Some((_, bad)) = self.addends.iter().zip(addends).find(|(addend, x)| !self.fits(addend, &x.value, &sums)) {
            return Err(misfit(format!("a value of shape {} added to a product of shape {}", bad.value.shape, sums.shape)));
        }
        let fraction_bits = (x.fraction_bits + y.fraction_bits).checked_sub(self.truncation).filter(|_| self.truncation <= ROOM);
        let fraction_bits = fraction_bits.ok_or_else(|| misfit(format!("a truncation by {} bits", self.truncation)))?;
        let value = self.pool.map_or(Ok(sums.clone()), |pool| pool.shape(&sums))?;
        Ok(Operand { value, fraction_bits })
    }

    fn fixed(&self, inputs: &[Word64<'_>], _: &Operand, narrow: &mut Narrow<'_>) -> Result<Vec<i64>> {
        let [x, y] = [&inputs[0], &inputs[1]];
        let mut sums = self.form.sums((x.value, &wide(x.words)), (y.value, &wide(y.words)));
        for (addend, share) in self.addends.iter().zip(&inputs[2..]) {
            let factor = i128::from(addend.factor as i64);
            let inner = addend.inner.max(1);
            let at = |e: usize| share.words[e / inner % share.words.len()];
            sums.iter_mut().enumerate().for_each(|(e, sum)| *sum += i128::from(at(e)) * factor);
        }
        let mut out = narrow(sums)?;
        if let Some(pool) = &self.pool {
            out = pool.of(&checked(self.sums_shape(x.value, y.value)).shape, &out);
        }
        out.iter_mut().for_each(|v| *v >>= self.truncation);
        Ok(self.bound.as_ref().map_or_else(|| out.clone(), |bound| bound.of(&out)))
    }

    fn bounds(&self, inputs: &[Bounded<'_>], _: &Operand) -> (Intervals, Bits) {
        let sums = checked(self.sums_shape(inputs[0].value, inputs[1].value));
        let mut wide = self.form.bounds(&inputs[0], &inputs[1], &sums);
        for (addend, share) in self.addends.iter().zip(&inputs[2..]) {
            wide = plus(&wide, addend, share, &sums);
        }
        let pool = bits_of_differences(&wide);
        let cut = |v: &Interval| v.truncated(self.truncation);
        match &self.bound {
            None => (wide.iter().map(cut).collect(), Bits { pool, ..Bits::default() }),
            Some(bound) => {
                let bits = Bits { pool, relu: bound.bits(&wide, self.truncation) };
                (wide.iter().map(|v| bound.interval(cut(v))).collect(), bits)
            }
        }
    }

    fn work(&self, inputs: &[Operand], output: &Operand) -> f64 {
        let (x, y, elements) = (&inputs[0].value, &inputs[1].value, output.value.shape.elements() as f64);
        let sums = self.form.shape(x, y).map_or(elements, |sums| sums.shape.elements() as f64);
        let compared = if self.pool.is_some() { sums } else { 0.0 } + if self.bound.is_some() { elements } else { 0.0 };
        self.form.depth(x, y) as f64 * sums + COMPARISON * compared
    }

    fn run<'a>(&'a self, p: &'a Party, own: Own<'a>, inputs: Vec<Arith>) -> Running<'a> {
        Box::pin(self.outcome(p, own.bits, inputs))
    }
}

/// Intervals of sums and an addend: its own number for each channel where there is one for each, else of all of its numbers.
fn plus(wide: &[Interval], addend: &Addend, share: &Bounded<'_>, sums: &Value) -> Intervals {
    let factor = i128::from(addend.factor as i64);
    let each = |c: usize| match (share.value.whole, share.words.len()) {
        (false, _) => share.intervals[c],
        (true, n) if n == wide.len() && addend.inner == sums.item()[1..].iter().product::<usize>() => Interval::of(share.words[c]),
        _ => super::interval::hull(share.words.iter().map(|&word| Interval::of(word)).collect::<Vec<_>>().iter()),
    };
    wide.iter().enumerate().map(|(c, v)| v.plus(each(c).times(factor))).collect()
}
