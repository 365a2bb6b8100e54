//! How large the compared values of a network can become, proven from its weights and the range of its inputs.
//!
//! Interval arithmetic on the integers that the protocols compute with, channel by channel: weights as they are encoded,
//! truncation as floor or floor plus one. A comparison of values that fit `r` bits needs the low `r` bits of a share only.
//! Whoever owns the model computes this; the bits of each step become public, and with them the size of its weights.

use super::steps::{self, Kind, Parameter, Product, Steps};
use crate::{Error, Result, fixed::Fixed, kernels::gather::NONE, shape::Shape};
use std::ops::RangeInclusive;

/// Bits that hold both signs of what a step compares: of the differences in its maximum, and of what its ReLU takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits {
    /// In the tournament of a max-pool.
    pub pool: u32,
    /// In a ReLU.
    pub relu: u32,
}

impl Default for Bits {
    /// The whole word: nothing is known.
    fn default() -> Self {
        Self { pool: 64, relu: 64 }
    }
}

/// `low..=high` of a channel, or of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Interval {
    low: i128,
    high: i128,
}

/// Every value stays below this, or the network overflows with whole words as well.
const CAP: i128 = 1 << 62;

impl Interval {
    fn map(self, f: impl Fn(i128) -> i128) -> Self {
        Self { low: f(self.low), high: f(self.high) }
    }

    /// What a step hands on.
    fn capped(self) -> Self {
        self.map(|end| end.clamp(-CAP, CAP))
    }

    fn hull(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    // capped values times weights below 2^54 stay far from the ends, where a sum would be off
    fn plus(self, other: Self) -> Self {
        Self { low: self.low.saturating_add(other.low), high: self.high.saturating_add(other.high) }
    }

    fn times(self, weight: i128) -> Self {
        let (a, b) = (self.low.saturating_mul(weight), self.high.saturating_mul(weight));
        Self { low: a.min(b), high: a.max(b) }
    }

    /// Floor, or one more.
    fn truncated(self, bits: u32) -> Self {
        Self { low: self.low >> bits, high: (self.high >> bits) + 1 }
    }

    fn bounded(self, [low, high]: [Option<u64>; 2]) -> Self {
        let low = low.map_or(i128::MIN, |low| i128::from(low as i64));
        let high = high.map_or(i128::MAX, |high| i128::from(high as i64));
        // above an upper bound a value is the difference of two that were truncated apart
        let apart = i128::from(high < i128::MAX);
        Self { low: self.low.max(low).min(high) - apart, high: self.high.max(low).min(high) + apart }
    }

    fn with_zero(self) -> Self {
        self.hull(Self { low: 0, high: 0 })
    }

    /// The fewest bits of two's complement that hold it, in steps of four: less is not worth a circuit of its own.
    fn bits(self) -> u32 {
        let most = self.high.max(-1 - self.low).max(0) as u128;
        let magnitude = 128 - most.leading_zeros();
        (1 + magnitude.next_multiple_of(4)).min(64)
    }
}

/// The bits of each step, for inputs in a range.
pub fn ranges(steps: &Steps, fixed: Fixed, inputs: &RangeInclusive<f32>) -> Result<Vec<Bits>> {
    if inputs.is_empty() {
        return Err(Error::Input(format!("a range of inputs from {} to {}", inputs.start(), inputs.end())));
    }
    let ends = fixed.encode("range of the inputs", &[*inputs.start(), *inputs.end()])?;
    let shapes = steps.shapes(1)?;
    let mut values: Vec<Vec<Interval>> = vec![Vec::new(); steps.values];
    let channels = steps.input_extents[0];
    values[steps.input] = vec![Interval { low: i128::from(ends[0] as i64), high: i128::from(ends[1] as i64) }; channels];
    let parameters = steps.parameters(fixed)?;
    let mut parameters = parameters.chunks(2);
    let f = fixed.fraction_bits();
    let mut all = Vec::new();
    for step in &steps.steps {
        let x = values[step.inputs[0]].clone();
        let mut bits = Bits::default();
        let output: Vec<Interval> = match &step.kind {
            Kind::Product(product) => {
                let from = shapes[step.inputs[0]].as_ref();
                let parameters = parameters.next().unwrap_or_default();
                let rows = from.is_some_and(|from| product.conv.is_none() && from.rank() > 2);
                let wide = if rows {
                    // the features of all rows are alike
                    let depth = product.weights.shape.extents().get(1).copied().unwrap_or(1);
                    let features = sums(product, None, &vec![hull(x.iter()); depth], parameters);
                    vec![hull(features.iter()); x.len()]
                } else {
                    sums(product, from, &x, parameters)
                };
                let residuals = step.inputs[1..].iter().zip(steps::residual_factors(product, fixed, &step.name)?);
                let wide =
                    residuals.fold(wide, |wide, (&r, factor)| pairs(&wide, &values[r], |a, b| a.plus(b.times(i128::from(factor as i64)))));
                let bounds = product.activation.map(|activation| activation.bounds(fixed, &step.name)).transpose()?;
                let bounds = bounds.unwrap_or_default();
                bits = Bits { pool: of_differences(&wide), relu: of_bounded(&wide, bounds, f) };
                wide.iter().map(|v| v.truncated(f).bounded(bounds)).collect()
            }
            Kind::Activation(activation) => {
                let bounds = activation.bounds(fixed, &step.name)?;
                bits.relu = of_bounded(&x, bounds, 0);
                x.iter().map(|v| v.bounded(bounds)).collect()
            }
            Kind::MaxPool(_) => {
                bits.pool = of_differences(&x);
                x
            }
            Kind::SumPool(axes) => {
                let taps = (axes[0].kernel * axes[1].kernel) as i128;
                x.iter().map(|v| v.with_zero().times(taps)).collect()
            }
            Kind::Sum { factors, constant } => {
                let (factors, constant, bits_off) = steps::factors(factors, *constant, fixed, &step.name)?;
                let constant = i128::from(constant as i64);
                let start = vec![Interval { low: constant, high: constant }; x.len()];
                let terms = step.inputs.iter().zip(factors);
                let sums =
                    terms.fold(start, |sums, (&v, factor)| pairs(&sums, &values[v], |a, b| a.plus(b.times(i128::from(factor as i64)))));
                sums.into_iter().map(|v| if bits_off > 0 { v.truncated(bits_off) } else { v }).collect()
            }
            Kind::Concat(1) => step.inputs.iter().flat_map(|&v| values[v].clone()).collect(),
            // the other axes and movements between channels mix what belongs to channels
            Kind::Concat(_) => hulls(step.inputs.iter().flat_map(|&v| &values[v]), shapes[step.output].as_ref()),
            Kind::Select { table, .. } => {
                let holes = table.contains(&NONE);
                let all: Vec<Interval> = x.iter().map(|v| if holes { v.with_zero() } else { *v }).collect();
                hulls(all.iter(), shapes[step.output].as_ref())
            }
            Kind::Reshape(_) => regrouped(&x, shapes[step.inputs[0]].as_ref(), shapes[step.output].as_ref()),
        };
        values[step.output] = output.into_iter().map(Interval::capped).collect();
        all.push(bits);
    }
    Ok(all)
}

fn pairs(a: &[Interval], b: &[Interval], f: impl Fn(Interval, Interval) -> Interval) -> Vec<Interval> {
    a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect()
}

/// Of what the ReLUs of bounds look at: `x` less each bound, which is shifted to the fraction bits of x.
fn of_bounded(x: &[Interval], bounds: [Option<u64>; 2], shift: u32) -> u32 {
    let looked = |bound: u64| x.iter().map(move |v| v.map(|end| end - (i128::from(bound as i64) << shift)).bits());
    bounds.into_iter().flatten().flat_map(looked).max().unwrap_or(64)
}

fn of_differences(x: &[Interval]) -> u32 {
    x.iter().map(|v| Interval { low: v.low - v.high, high: v.high - v.low }.bits()).max().unwrap_or(64)
}

/// The same interval, which holds all, for each channel.
fn hulls<'a>(all: impl Iterator<Item = &'a Interval>, to: Option<&Shape>) -> Vec<Interval> {
    vec![hull(all); to.map_or(0, |shape| shape.extents()[1])]
}

fn hull<'a>(all: impl Iterator<Item = &'a Interval>) -> Interval {
    all.copied().reduce(Interval::hull).unwrap_or(Interval { low: -CAP, high: CAP })
}

/// Each row of the weights on the intervals of the channels that it reads; a tap may lie in the padding.
fn sums(product: &Product, from: Option<&Shape>, x: &[Interval], parameters: &[Parameter]) -> Vec<Interval> {
    let [weights, bias] = parameters else { return Vec::new() };
    let rows = bias.words.len();
    let (groups, padded) = match product.conv {
        Some((axes, groups)) => (groups, axes.iter().any(|axis| axis.pad_begin + axis.pad_end > 0)),
        None => (1, false),
    };
    let depth = weights.words.len() / rows;
    // of a matrix that reads a flattened image a channel is one feature
    let per_group = from.map_or(x.len(), |shape| shape.extents()[1]) / groups;
    let taps = (depth / per_group.max(1)).max(1);
    let row = |(o, (weights, &bias)): (usize, (&[u64], &u64))| {
        let first = o / (rows / groups) * per_group;
        let bias = i128::from(bias as i64);
        weights.chunks(taps).zip(&x[first..]).fold(Interval { low: bias, high: bias }, |sum, (taps, v)| {
            let v = if padded { v.with_zero() } else { *v };
            taps.iter().fold(sum, |sum, &w| sum.plus(v.times(i128::from(w as i64))))
        })
    };
    weights.words.chunks(depth).zip(&bias.words).enumerate().map(row).collect()
}

/// Channels of another shape of the same elements.
fn regrouped(x: &[Interval], from: Option<&Shape>, to: Option<&Shape>) -> Vec<Interval> {
    let (Some(from), Some(to)) = (from, to) else { return Vec::new() };
    let inner = |shape: &Shape| shape.extents()[2..].iter().product::<usize>();
    let (old, new) = (inner(from), inner(to));
    let channel = |c: usize| (c * new / old..=((c + 1) * new - 1) / old).map(|i| x[i]).reduce(Interval::hull);
    (0..to.extents()[1]).filter_map(channel).collect()
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
}
