//! A product in the making: its terms, what is added to them, and what follows their sum; and how small its weights are.

use super::{
    ops::{Form, MaxPool},
    value::{Tensor, ValueId},
};
use std::sync::Arc;

/// A product that others may still join.
pub(super) struct Draft {
    pub name: String,
    /// At least one.
    pub terms: Vec<Term>,
    /// Values added to the sums, and their factors.
    pub residuals: Vec<(ValueId, f32)>,
    pub pool: Option<MaxPool>,
    pub bounds: Option<[f32; 2]>,
    pub output: ValueId,
}

/// One of the products that are added before their truncation.
pub(super) struct Term {
    pub name: String,
    pub form: Form,
    pub factors: [Source; 2],
    pub bias: Option<Source>,
}

/// A value that is computed, or a constant, by its number.
#[derive(Clone)]
pub(super) enum Source {
    Value(ValueId),
    Constant(ValueId, Arc<Tensor>),
}

impl Term {
    /// Whether its constants can take a factor.
    pub fn is_scalable(&self) -> bool {
        matches!(self.factors[1], Source::Constant(..)) && !matches!(self.bias, Some(Source::Value(_)))
    }

    /// `factor (x y + b)`, in the constants.
    pub fn scale(&mut self, factor: f32) {
        if factor == 1.0 {
            return;
        }
        for source in [Some(&mut self.factors[1]), self.bias.as_mut()].into_iter().flatten() {
            if let Source::Constant(_, tensor) = source {
                Arc::make_mut(tensor).values.iter_mut().for_each(|w| *w *= factor);
            }
        }
    }
}

impl Draft {
    /// `factor (sum of terms and residuals) + constant`, in the constants; false if there are none to take it.
    pub fn scale(&mut self, factor: f32, constant: f32) -> bool {
        let bias = self.terms.iter().position(|term| matches!(term.bias, Some(Source::Constant(..))));
        if (factor != 1.0 && !self.terms.iter().all(Term::is_scalable)) || (constant != 0.0 && bias.is_none()) {
            return false;
        }
        self.terms.iter_mut().for_each(|term| term.scale(factor));
        self.residuals.iter_mut().for_each(|(_, residual)| *residual *= factor);
        if let Some(Source::Constant(_, bias)) = bias.and_then(|at| self.terms[at].bias.as_mut())
            && constant != 0.0
        {
            Arc::make_mut(bias).values.iter_mut().for_each(|b| *b += constant);
        }
        true
    }
}

/// Weights whose largest is below this get more fraction bits.
pub(super) const SMALL_WEIGHT: f32 = 1.0 / 32.0;

/// The most fraction bits of weights besides a run's: results then stay below 2^12 at 20 fraction bits, which their sums have room for.
pub(super) const MOST_BITS: u32 = 10;

/// How often a number below `least` can be doubled before it is one or more; 0 for others, and for zero.
pub(super) fn spare_bits(number: f32, least: f32) -> u32 {
    if number < least && number >= f32::MIN_POSITIVE { (-number.log2()).ceil() as u32 } else { 0 }
}
