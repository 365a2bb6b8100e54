//! Sum of shares with public words as factors, and a truncation where factors are broken numbers: `y = (sum_i factors[i] x_i +
//! constant) / 2^truncation`. Secret parameters may be among them, which are added to every item. Without a truncation it costs nothing.

use super::{
    interval::{Interval, Intervals, of_channels, pairs},
    operation::{Action, Bits, Bounded, Narrow, Own, Running, Word64},
    sum::runs,
};
use crate::{
    Result,
    fixed::Fixed,
    kernels::linear::Broadcast,
    nn::value::{Operand, ROOM, encode_addend, misfit},
    party::Party,
    protocol,
    ring::Word,
    share::Arith,
};

/// `(sum_i factors[i] x_i + constant) / 2^truncation`, element by element.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Combine {
    factors: Vec<Word>,
    constant: Word,
    truncation: u32,
    fraction_bits: u32,
}

/// The largest factor that is multiplied with as it is.
const WHOLE: f32 = 65_536.0;

impl Combine {
    /// Bounds of the sums before their truncation.
    fn wide(&self, inputs: &[Bounded<'_>]) -> Intervals {
        let start = vec![Interval::of(self.constant); inputs[0].intervals.len()];
        let own = |x: &Bounded<'_>| if x.value.whole { of_channels(x.words, inputs[0].intervals.len()) } else { x.intervals.clone() };
        let terms = inputs.iter().zip(&self.factors);
        terms.fold(start, |sums, (x, &factor)| pairs(&sums, &own(x), |a, b| a.plus(b.times(i128::from(factor as i64)))))
    }

    /// The most bits that a factor gets besides the fraction bits: results keep 2^14 at 20 of them.
    pub const MORE: u32 = 8;

    /// Public factors and a constant for values of so many fraction bits. Whole factors take no truncation; small ones get more
    /// than the fraction bits, so that they are as precise as large ones.
    pub fn new(fixed: Fixed, name: &str, factors: &[f32], constant: f32, bits: &[u32]) -> Result<Self> {
        let what = format!("factors of '{name}'");
        let f = fixed.fraction_bits();
        let most = bits.iter().copied().max().unwrap_or(f);
        if factors.iter().all(|factor| factor.fract() == 0.0 && factor.abs() <= WHOLE) {
            let word = |(factor, bits): (&f32, &u32)| ((*factor as i64) << (most - bits)) as u64;
            let factors = factors.iter().zip(bits).map(word).collect();
            let constant = encode_addend(&what, &[constant], most)?[0];
            return Ok(Self { factors, constant, truncation: 0, fraction_bits: most });
        }
        let largest = factors.iter().fold(0.0, |most: f32, factor| most.max(factor.abs()));
        let more = (-largest.log2()).floor().clamp(0.0, Self::MORE as f32) as u32;
        let mut words = Vec::new();
        for (factor, bits) in factors.iter().zip(bits) {
            let scaled = factor * f32::powi(2.0, more as i32);
            words.push(fixed.encode(&what, &[scaled])?[0] << (most - bits));
        }
        let constant = fixed.encode(&what, &[constant])?[0] << (most + more);
        Ok(Self { factors: words, constant, truncation: most + more, fraction_bits: f })
    }

    /// A value whose words lose so many bits and then stand for numbers of so many fraction bits. [`Error::Input`](crate::Error::Input) if
    /// no word has as many.
    pub fn halved(bits: u32, fraction_bits: u32) -> Result<Self> {
        match bits {
            0..ROOM => Ok(Self { factors: vec![1], constant: 0, truncation: bits, fraction_bits }),
            _ => Err(misfit(format!("a division by 2^{bits}"))),
        }
    }

    /// The same values with more fraction bits: a shift, which costs nothing.
    pub fn shifted(bits: u32, fraction_bits: u32) -> Self {
        Self { factors: vec![1 << (fraction_bits - bits)], constant: 0, truncation: 0, fraction_bits }
    }
}

impl Action for Combine {
    fn describe(&self) -> String {
        if self.factors.len() == 1 { "scale".into() } else { "add".into() }
    }

    fn output(&self, inputs: &[Operand]) -> Result<Operand> {
        let value = &inputs[0].value;
        if self.factors.len() != inputs.len() || inputs.iter().any(|x| runs(value, &x.value).is_none()) {
            return Err(misfit(format!("{} factors of {} values, or values of several shapes", self.factors.len(), inputs.len())));
        }
        Ok(Operand { value: value.clone(), fraction_bits: self.fraction_bits })
    }

    fn fixed(&self, inputs: &[Word64<'_>], _: &Operand, narrow: &mut Narrow<'_>) -> Result<Vec<i64>> {
        let mut sums = vec![i128::from(self.constant as i64); inputs[0].words.len()];
        for (x, &factor) in inputs.iter().zip(&self.factors) {
            let (run, factor) = (runs(inputs[0].value, x.value).unwrap_or(1), i128::from(factor as i64));
            sums.iter_mut().enumerate().for_each(|(e, sum)| *sum += i128::from(x.words[e / run % x.words.len()]) * factor);
        }
        let sums = (narrow.narrow)(sums)?;
        Ok(sums.iter().map(|v| v >> self.truncation).collect())
    }

    fn bounds(&self, inputs: &[Bounded<'_>], _: &Operand) -> (Intervals, Bits) {
        (self.wide(inputs).into_iter().map(|v| v.truncated(self.truncation)).collect(), Bits::default())
    }

    fn wide_bounds(&self, inputs: &[Bounded<'_>]) -> Option<Intervals> {
        Some(self.wide(inputs))
    }

    fn run<'a>(&'a self, p: &'a Party, _: Own<'a>, inputs: Vec<Arith>) -> Running<'a> {
        Box::pin(async move {
            let scaled = |(x, factor): (&Arith, &Word)| if *factor == 1 { x.clone() } else { protocol::scale(p, x, *factor) };
            let elements = inputs[0].shape().elements();
            let add = |sum: Arith, x: Arith| match (x.shape().elements(), x.shape() == sum.shape()) {
                (_, true) => protocol::add(p, &sum, &x),
                (modulus, false) => {
                    let item = elements / sum.shape().extents()[0];
                    protocol::add_to_each(p, &sum, &x, Broadcast { inner: item / modulus, modulus })
                }
            };
            let sum = inputs.iter().zip(&self.factors).map(scaled).reduce(add);
            let sum = sum.expect("a step reads one value at least");
            let sum = if self.constant == 0 { sum } else { protocol::add_public(p, &sum, self.constant) };
            match self.truncation {
                0 => sum,
                bits => protocol::truncate(p, &protocol::split_of_share(p, &sum), bits).await,
            }
        })
    }
}
