//! Bounds on shares: `min(max(x, low), high)`, a ReLU if only zero bounds from below.

use super::{
    interval::{Interval, Intervals},
    operation::{Action, Bits, Bounded, COMPARISON, Narrow, Own, Running, Word64, within},
};
use crate::{
    Result,
    fixed::Fixed,
    nn::value::{Operand, encode, misfit},
    party::Party,
    protocol,
    ring::Word,
    share::{Arith, Split},
};

/// `min(max(x, low), high)` of words, either bound may be missing.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Bound {
    /// The bounds as numbers, for people; infinite ones are none.
    numbers: [f32; 2],
    /// The bounds as words of the value's fraction bits.
    words: [Option<Word>; 2],
}

impl Bound {
    /// Bounds of values with so many fraction bits. One that no value of the range passes is none: infinite, or as exporters write it,
    /// the end of the floats.
    pub fn new(fixed: Fixed, name: &str, low: f32, high: f32, fraction_bits: u32) -> Result<Self> {
        let what = format!("bounds of '{name}'");
        let limit = fixed.limit() as f32;
        let [low, high] = [if low <= -limit { f32::NEG_INFINITY } else { low }, if high >= limit { f32::INFINITY } else { high }];
        let bound = |bound: f32| bound.is_finite().then(|| encode(fixed, &what, &[bound], fraction_bits).map(|words| words[0])).transpose();
        Ok(Self { numbers: [low, high], words: [bound(low)?, bound(high)?] })
    }

    /// Description for people: `relu`, `clip 0 to 6`.
    pub fn describe(&self) -> String {
        match self.words {
            [Some(0), None] => "relu".into(),
            _ => format!("clip {} to {}", self.numbers[0], self.numbers[1]),
        }
    }

    /// The bounded words.
    pub fn of(&self, x: &[i64]) -> Vec<i64> {
        let [low, high] = self.words;
        let (low, high) = (low.map_or(i64::MIN, |low| low as i64), high.map_or(i64::MAX, |high| high as i64));
        x.iter().map(|&v| v.max(low).min(high)).collect()
    }

    /// Bits of the comparisons: of `x` less each bound, which is shifted to the fraction bits of x.
    pub fn bits(&self, x: &[Interval], shift: u32) -> u32 {
        let looked = |bound: Word| x.iter().map(move |v| v.map(|end| end - (i128::from(bound as i64) << shift)).bits());
        self.words.into_iter().flatten().flat_map(looked).max().unwrap_or(64)
    }

    /// The bounded interval. Above an upper bound a value is the difference of two that were truncated apart.
    pub fn interval(&self, x: Interval) -> Interval {
        let [low, high] = self.words;
        let low = low.map_or(i128::MIN, |low| i128::from(low as i64));
        let high = high.map_or(i128::MAX, |high| i128::from(high as i64));
        let apart = i128::from(high < i128::MAX);
        Interval { low: x.low.max(low).min(high) - apart, high: x.high.max(low).min(high) + apart }
    }

    /// Truncated by `bits`, then bounded.
    pub async fn truncated(&self, p: &Party, x: &Split, bits: u32) -> Arith {
        match self.words {
            [Some(0), None] => protocol::activate(p, x, bits).await,
            words => protocol::activate_clip(p, x, bits, words).await,
        }
    }

    /// Bounded as it is.
    pub async fn bounded(&self, p: &Party, x: &Arith) -> Arith {
        match self.words {
            [Some(0), None] => protocol::relu(p, x).await,
            words => protocol::clip(p, x, words).await,
        }
    }
}

impl Action for Bound {
    fn describe(&self) -> String {
        self.describe()
    }

    fn output(&self, inputs: &[Operand]) -> Result<Operand> {
        match inputs {
            [x] if !x.value.whole => Ok(x.clone()),
            _ => Err(misfit(format!("bounds of {} values", inputs.len()))),
        }
    }

    fn fixed(&self, inputs: &[Word64<'_>], _: &Operand, _: &mut Narrow<'_>) -> Result<Vec<i64>> {
        Ok(self.of(inputs[0].words))
    }

    fn bounds(&self, inputs: &[Bounded<'_>], _: &Operand) -> (Intervals, Bits) {
        let x = inputs[0].intervals;
        (x.iter().map(|v| self.interval(*v)).collect(), Bits { relu: self.bits(x, 0), ..Bits::default() })
    }

    fn work(&self, _: &[Operand], output: &Operand) -> f64 {
        COMPARISON * output.value.shape.elements() as f64
    }

    fn run<'a>(&'a self, p: &'a Party, own: Own<'a>, mut inputs: Vec<Arith>) -> Running<'a> {
        let x = inputs.swap_remove(0);
        Box::pin(async move { within(p, own.bits.relu, self.bounded(p, &x)).await })
    }
}
