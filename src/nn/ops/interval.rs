//! Interval arithmetic on the integers that the protocols compute with.

use crate::{nn::value::ROOM, ring::Word};

/// `low..=high` of a channel, or of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// The least.
    pub low: i128,
    /// The largest.
    pub high: i128,
}

/// One for each channel.
pub type Intervals = Vec<Interval>;

/// Every value stays below this, or the network overflows with whole words as well.
pub const CAP: i128 = 1 << ROOM;

impl Interval {
    /// Only zero.
    pub const ZERO: Self = Self { low: 0, high: 0 };

    /// Every value there may be.
    pub const ALL: Self = Self { low: -CAP, high: CAP };

    /// A word.
    pub fn of(word: Word) -> Self {
        let value = i128::from(word as i64);
        Self { low: value, high: value }
    }

    /// A function of both ends.
    pub fn map(self, f: impl Fn(i128) -> i128) -> Self {
        Self { low: f(self.low), high: f(self.high) }
    }

    /// As a step hands it on.
    pub fn capped(self) -> Self {
        self.map(|end| end.clamp(-CAP, CAP))
    }

    /// The least interval that holds both.
    pub fn hull(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// The sum. Capped values times weights below 2^54 stay far from the ends, where a sum would be off.
    pub fn plus(self, other: Self) -> Self {
        Self { low: self.low.saturating_add(other.low), high: self.high.saturating_add(other.high) }
    }

    /// The product with a number.
    pub fn times(self, weight: i128) -> Self {
        let (a, b) = (self.low.saturating_mul(weight), self.high.saturating_mul(weight));
        Self { low: a.min(b), high: a.max(b) }
    }

    /// The product of any two values.
    pub fn product(self, other: Self) -> Self {
        self.times(other.low).hull(self.times(other.high))
    }

    /// Floor, or one more; as it is if nothing is cut.
    pub fn truncated(self, bits: u32) -> Self {
        if bits == 0 { self } else { Self { low: self.low >> bits, high: (self.high >> bits) + 1 } }
    }

    /// The interval of values and zero: of a tap that may lie in the padding.
    pub fn with_zero(self) -> Self {
        self.hull(Self::ZERO)
    }

    /// The fewest bits of two's complement that hold it, in steps of four: less is not worth a circuit of its own.
    pub fn bits(self) -> u32 {
        let most = self.high.max(-1 - self.low).max(0) as u128;
        let magnitude = 128 - most.leading_zeros();
        (1 + magnitude.next_multiple_of(4)).min(64)
    }
}

/// One interval that holds all.
pub fn hull<'a>(all: impl Iterator<Item = &'a Interval>) -> Interval {
    all.copied().reduce(Interval::hull).unwrap_or(Interval::ALL)
}

/// The interval that holds all, for each channel of an item.
pub fn hulls<'a>(all: impl Iterator<Item = &'a Interval>, item: &[usize]) -> Intervals {
    vec![hull(all); item.first().copied().unwrap_or(1)]
}

/// The intervals of a parameter's words, as many in a row for each channel; of all words where they do not divide so.
pub fn of_channels(words: &[Word], channels: usize) -> Intervals {
    let all = |words: &[Word]| hull(words.iter().map(|&word| Interval::of(word)).collect::<Vec<_>>().iter());
    match words.len().is_multiple_of(channels) && !words.is_empty() {
        true => words.chunks(words.len() / channels).map(all).collect(),
        false => vec![all(words); channels],
    }
}

/// A function of the intervals of two values, channel by channel.
pub fn pairs(a: &[Interval], b: &[Interval], f: impl Fn(Interval, Interval) -> Interval) -> Intervals {
    a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect()
}

/// Bits of the differences of any two values of a channel.
pub fn bits_of_differences(x: &[Interval]) -> u32 {
    x.iter().map(|v| Interval { low: v.low.saturating_sub(v.high), high: v.high.saturating_sub(v.low) }.bits()).max().unwrap_or(64)
}

/// Channels of another shape of the same elements.
pub fn regrouped(x: &[Interval], from: &[usize], to: &[usize]) -> Intervals {
    let inner = |item: &[usize]| item.iter().skip(1).product::<usize>();
    let (old, new) = (inner(from), inner(to));
    let channel = |c: usize| (c * new / old..=((c + 1) * new - 1) / old).map(|i| x[i]).reduce(Interval::hull);
    (0..to.first().copied().unwrap_or(1)).filter_map(channel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_hold_both_ends() {
        for (low, high, bits) in [(0, 0, 1), (-1, 0, 1), (0, 1, 5), (-16, 15, 5), (-17, 15, 9), (-16, 16, 9), (-CAP, CAP, 64)] {
            assert_eq!(Interval { low, high }.bits(), bits, "{low} {high}");
        }
    }

    #[test]
    fn products_hold_every_corner() {
        let ends = |low, high| Interval { low, high };
        for (a, b, wanted) in [
            (ends(-2, 3), ends(-5, 7), ends(-15, 21)),
            (ends(2, 3), ends(5, 7), ends(10, 21)),
            (ends(-3, -2), ends(5, 7), ends(-21, -10)),
            (ends(-3, -2), ends(-7, -5), ends(10, 21)),
            (ends(0, 0), ends(-7, 5), ends(0, 0)),
        ] {
            assert_eq!(a.product(b), wanted, "{a:?} {b:?}");
        }
    }
}
