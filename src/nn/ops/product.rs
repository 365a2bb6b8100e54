//! A sum of products of two values each, and everything that belongs to it before its one truncation:
//! `y = bound(pool((sum_t form_t(x_t, y_t) + sum_i factors[i] addends[i]) / 2^truncation))`.
//!
//! The terms are local at each party; addends join the untruncated sums, and the maximum of windows is taken of them. Then one conversion
//! and one truncation, in one with the bounds.

use super::{
    arithmetic::{Number, wide},
    bound::Bound,
    conv::Conv,
    interval::{Interval, Intervals, bits_of_differences, of_channels, pairs},
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

/// Products, what is added to them, and what follows their sum.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Product {
    /// Bilinear maps of the inputs in pairs, at least one: results of one shape and as many fraction bits.
    pub terms: Vec<Form>,
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
    /// Bounds of the sums before their truncation.
    fn wide(&self, inputs: &[Bounded<'_>]) -> Intervals {
        let sums = self.sums_shape(inputs[0].value, inputs[1].value);
        let (terms, addends) = self.parts(inputs);
        let of = terms.map(|(form, [x, y])| form.bounds(x, y, &sums));
        let mut wide = of.reduce(|a, b| pairs(&a, &b, Interval::plus)).expect("a product has a term");
        for (addend, share) in self.addends.iter().zip(addends) {
            wide = plus(&wide, addend, share, &sums);
        }
        wide
    }

    /// The factors of each term, and what is added.
    fn parts<'a, T>(&self, inputs: &'a [T]) -> (impl Iterator<Item = (&Form, &'a [T; 2])>, &'a [T]) {
        let (factors, addends) = inputs.split_at(2 * self.terms.len());
        (self.terms.iter().zip(factors.as_chunks().0), addends)
    }

    /// Shape of the sums, before the maximum of windows.
    fn sums_shape(&self, x: &Value, y: &Value) -> Value {
        checked(self.terms[0].shape(x, y))
    }

    fn fits(&self, addend: &Addend, value: &Value, sums: &Value) -> bool {
        let row = sums.item().iter().product::<usize>();
        let repeated = addend.inner.checked_mul(value.shape.elements());
        if value.whole { repeated.is_some_and(|n| n > 0 && row.is_multiple_of(n)) } else { addend.inner == 0 && value == sums }
    }

    async fn outcome(&self, p: &Party, bits: Bits, inputs: Vec<Arith>) -> Arith {
        let (terms, addends) = self.parts(&inputs);
        let z = terms.map(|(form, [x, y])| form.local(p, x, y)).reduce(|sum, z| protocol::add_products(p, sum, z));
        let mut z = z.expect("a product has a term");
        for (addend, share) in self.addends.iter().zip(addends) {
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
        let mut text = self.terms.iter().map(Form::describe).collect::<Vec<_>>().join(" + ");
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
        let wanted = 2 * self.terms.len() + self.addends.len();
        if self.terms.is_empty() || inputs.len() != wanted {
            return Err(misfit(format!("products and sums of {} values instead of {wanted}", inputs.len())));
        }
        let (terms, addends) = self.parts(inputs);
        let shapes = terms.map(|(form, [x, y])| Ok((form.shape(&x.value, &y.value)?, x.fraction_bits + y.fraction_bits)));
        let shapes = shapes.collect::<Result<Vec<_>>>()?;
        let (sums, wide) = &shapes[0];
        if let Some((other, bits)) = shapes.iter().find(|other| *other != &shapes[0]) {
            let (first, second) = (&sums.shape, &other.shape);
            return Err(misfit(format!("a sum of products of shapes {first} and {second} with {wide} and {bits} fraction bits")));
        }
        if let Some((_, bad)) = self.addends.iter().zip(addends).find(|(addend, x)| !self.fits(addend, &x.value, sums)) {
            return Err(misfit(format!("a value of shape {} added to a product of shape {}", bad.value.shape, sums.shape)));
        }
        let fraction_bits = wide.checked_sub(self.truncation).filter(|_| self.truncation <= ROOM);
        let fraction_bits = fraction_bits.ok_or_else(|| misfit(format!("a truncation by {} bits", self.truncation)))?;
        let value = self.pool.map_or(Ok(sums.clone()), |pool| pool.shape(sums))?;
        Ok(Operand { value, fraction_bits })
    }

    fn fixed(&self, inputs: &[Word64<'_>], _: &Operand, narrow: &mut Narrow<'_>) -> Result<Vec<i64>> {
        let (mut terms, addends) = self.parts(inputs);
        let exact = narrow.exact;
        let floats = |x: &Word64<'_>| x.words.iter().map(|&word| word as f32).collect::<Vec<f32>>();
        let of = |(form, [x, y]): (&Form, &[Word64<'_>; 2])| match exact {
            true => form.sums((x.value, &wide(x.words)), (y.value, &wide(y.words))),
            false => form.sums((x.value, &floats(x)), (y.value, &floats(y))).into_iter().map(|v| v as i128).collect(),
        };
        let mut sums = terms.next().map(of).expect("a product has a term");
        for term in terms {
            sums.iter_mut().zip(of(term)).for_each(|(sum, more)| *sum += more);
        }
        for (addend, share) in self.addends.iter().zip(addends) {
            let factor = i128::from(addend.factor as i64);
            let inner = addend.inner.max(1);
            let at = |e: usize| share.words[e / inner % share.words.len()];
            sums.iter_mut().enumerate().for_each(|(e, sum)| *sum += i128::from(at(e)) * factor);
        }
        let mut out = (narrow.narrow)(sums)?;
        if let Some(pool) = &self.pool {
            out = pool.of(&self.sums_shape(inputs[0].value, inputs[1].value).shape, &out);
        }
        out.iter_mut().for_each(|v| *v >>= self.truncation);
        Ok(self.bound.as_ref().map_or_else(|| out.clone(), |bound| bound.of(&out)))
    }

    fn bounds(&self, inputs: &[Bounded<'_>], _: &Operand) -> (Intervals, Bits) {
        let wide = self.wide(inputs);
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

    fn wide_bounds(&self, inputs: &[Bounded<'_>]) -> Option<Intervals> {
        Some(self.wide(inputs))
    }

    fn work(&self, inputs: &[Operand], output: &Operand) -> f64 {
        let (elements, mut sums, mut depth) = (output.value.shape.elements() as f64, 0.0, 0);
        for (form, [x, y]) in self.parts(inputs).0 {
            sums = form.shape(&x.value, &y.value).map_or(elements, |sums| sums.shape.elements() as f64);
            depth += form.depth(&x.value, &y.value);
        }
        let compared = if self.pool.is_some() { sums } else { 0.0 } + if self.bound.is_some() { elements } else { 0.0 };
        depth as f64 * sums + COMPARISON * compared
    }

    fn run<'a>(&'a self, p: &'a Party, own: Own<'a>, inputs: Vec<Arith>) -> Running<'a> {
        Box::pin(self.outcome(p, own.bits, inputs))
    }
}

/// Intervals of sums and an addend: its own numbers for each channel where it has some for each, else all of its numbers.
fn plus(wide: &[Interval], addend: &Addend, share: &Bounded<'_>, sums: &Value) -> Intervals {
    let factor = i128::from(addend.factor as i64);
    let whole = addend.inner * share.words.len() == sums.item().iter().product::<usize>();
    let each = match share.value.whole {
        false => share.intervals.clone(),
        true if whole => of_channels(share.words, wide.len()),
        true => vec![of_channels(share.words, 1)[0]; wide.len()],
    };
    pairs(wide, &each, |v, addend| v.plus(addend.times(factor)))
}
