//! Calibration: the range of inputs for which a model's values were seen to stay in the range of the fixed-point numbers.
//!
//! A walk in the clear over sample inputs shows whether a value overflows. The bounds of each input are the least and the greatest
//! number of the samples, widened by [`MARGIN`] of what lies between them on each side, if the samples stretched to these bounds, and
//! items that are everywhere at one of them, pass too; else they are not widened.

use super::{
    bounds::bounds,
    graph::InputKind,
    lower::LoweredModel,
    program::Program,
    range::{RangeOrigin, Ranges},
    reference::check_range,
};
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// Part of the distance between the least and the greatest number by which bounds are widened on each side.
pub const MARGIN: f32 = 0.125;

/// Items of a walk.
const BATCH: usize = 32;

/// The program of a model with the range of its inputs: comparisons look at fewer bits where a range is given, and samples, if there
/// are any, have passed a walk. `progress` is told the part of the walks that is done.
///
/// [`Error::Range`] names a sample outside the range, or the first step that a sample's value overflows, the bits that it needs and
/// the remedy; [`Error::Input`] for samples that are no whole items.
pub fn ranged(model: &LoweredModel, range: Option<RangeInclusive<f32>>, samples: &[f32], progress: impl FnMut(f64)) -> Result<Program> {
    let program = range.map_or_else(|| Ok(model.program.clone()), |range| bounds(model, range))?;
    if samples.is_empty() {
        return Ok(program);
    }
    program.check_ranges(samples)?;
    let mut found = calibrate(model, samples, progress)?;
    match program.ranges() {
        Some(ranges) if ranges.origin == RangeOrigin::Proven => Ok(program),
        Some(ranges) => {
            let both = found.bounds.iter_mut().zip(&ranges.bounds);
            both.for_each(|(own, of)| *own = [own[0].max(of[0]), own[1].min(of[1])]);
            program.with_ranges(found)
        }
        None => program.with_ranges(found),
    }
}

/// Bounds of the inputs of a model from samples that pass. Takes two walks in the clear over the samples.
///
/// [`Error::Range`] names the first step that a sample's value overflows, the bits that it needs and the remedy.
pub fn calibrate(model: &LoweredModel, samples: &[f32], mut progress: impl FnMut(f64)) -> Result<Ranges> {
    let program = &model.program;
    let size = program.input_size();
    if samples.is_empty() || !samples.len().is_multiple_of(size.max(1)) {
        return Err(Error::Input(format!("{} numbers to calibrate with: an item of the model has {size}", samples.len())));
    }
    walk(model, samples, |done| progress(done / 2.0))?;
    let seen = Items::new(program).bounds(samples);
    let wide = seen.iter().zip(program.inputs()).map(|(&bounds, input)| widened(bounds, input.kind)).collect::<Vec<_>>();
    let stretched = Items::new(program).stretched(samples, &seen, &wide);
    let bounds = match walk(model, &stretched, |done| progress(0.5 + done / 2.0)) {
        Ok(()) => wide,
        Err(Error::Range(_)) => seen,
        Err(error) => return Err(error),
    };
    Ok(Ranges { bounds, origin: RangeOrigin::Calibrated })
}

/// Walks over items; an error if a value overflows.
fn walk(model: &LoweredModel, items: &[f32], mut progress: impl FnMut(f64)) -> Result<()> {
    let size = model.program.input_size();
    let (mut done, all) = (0, items.len() / size);
    for items in items.chunks(BATCH * size) {
        check_range(model, items, items.len() / size)?;
        done += items.len() / size;
        progress(done as f64 / all as f64);
    }
    Ok(())
}

fn widened([low, high]: [f32; 2], kind: InputKind) -> [f32; 2] {
    let margin = (high - low) * MARGIN;
    match kind {
        InputKind::Floats => [low - margin, high + margin],
        InputKind::Integers => [(low - margin).floor(), (high + margin).ceil()],
    }
}

/// Numbers of items, whose inputs lie one after another.
struct Items {
    size: usize,
    /// Kind of each input, and its numbers in an item.
    inputs: Vec<(InputKind, usize)>,
}

impl Items {
    fn new(program: &Program) -> Self {
        let inputs = program.inputs().iter().map(|input| (input.kind, input.extents.iter().product())).collect();
        Self { size: program.input_size(), inputs }
    }

    /// The input of each number of an item.
    fn owners(&self) -> Vec<usize> {
        self.inputs.iter().enumerate().flat_map(|(input, &(_, count))| std::iter::repeat_n(input, count)).collect()
    }

    /// The least and the greatest number of each input.
    fn bounds(&self, items: &[f32]) -> Vec<[f32; 2]> {
        let owners = self.owners();
        let mut bounds = vec![[f32::INFINITY, f32::NEG_INFINITY]; self.inputs.len()];
        for item in items.chunks(self.size) {
            for (&input, &value) in owners.iter().zip(item) {
                let [low, high] = bounds[input];
                bounds[input] = [low.min(value), high.max(value)];
            }
        }
        bounds
    }

    /// Items whose numbers go from the one bounds to the others, and two that are everywhere at the ends.
    fn stretched(&self, items: &[f32], from: &[[f32; 2]], to: &[[f32; 2]]) -> Vec<f32> {
        let owners = self.owners();
        let number = |(i, &value): (usize, &f32)| {
            let input = owners[i % self.size];
            let ([low, high], [least, greatest]) = (from[input], to[input]);
            let part = if high > low { (value - low) / (high - low) } else { 0.0 };
            let stretched = (least + part * (greatest - least)).clamp(least, greatest);
            if self.inputs[input].0 == InputKind::Integers { stretched.round() } else { stretched }
        };
        let ends = (0..2).flat_map(|end| owners.iter().map(move |&input| to[input][end]));
        items.iter().enumerate().map(number).chain(ends).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixed::Fixed,
        nn::{builder::Builder, lower},
    };

    /// A network whose sums are `scale` times its input's.
    fn model(scale: f32) -> LoweredModel {
        let mut graph = Builder::new(&[4], 1).unwrap().linear(2).unwrap().build();
        for tensor in graph.constants.values_mut() {
            std::sync::Arc::make_mut(tensor).values.fill(scale);
        }
        lower(&graph, Fixed::default()).unwrap()
    }

    fn calibrated(model: &LoweredModel, samples: &[f32]) -> Result<Ranges> {
        ranged(model, None, samples, |_| {}).map(|program| program.ranges().unwrap().clone())
    }

    #[test]
    fn samples_give_bounds_with_a_margin_where_it_passes() {
        let found = calibrated(&model(1.0), &[0.0, 1.0, 2.0, 8.0]).unwrap();
        assert_eq!(found, Ranges { bounds: vec![[-1.0, 9.0]], origin: RangeOrigin::Calibrated });
        // a product has 2^22 for its sums: 4 times 8 * 120000 fits, 4 times 9 * 120000 does not
        let found = calibrated(&model(120_000.0), &[8.0, 8.0, 8.0, 0.0, 8.0, 8.0, 8.0, 8.0]).unwrap();
        assert_eq!(found.bounds, [[0.0, 8.0]]);
        let error = calibrated(&model(150_000.0), &[0.0, 8.0, 8.0, 8.0]).map(drop).and(calibrated(&model(150_000.0), &[8.0; 4]).map(drop));
        assert!(matches!(error, Err(Error::Range(text)) if text.contains("bits")));
        assert!(calibrated(&model(1.0), &[1.0; 5]).is_err());
        assert!(calibrated(&model(1.0), &[f32::NAN; 4]).is_err());
    }

    #[test]
    fn ranges_are_proven_or_stated() {
        let of = |scale, range| ranged(&model(scale), Some(range), &[], |_| {}).unwrap().ranges().unwrap().clone();
        assert_eq!(of(1.0, -3.0..=5.0), Ranges { bounds: vec![[-3.0, 5.0]], origin: RangeOrigin::Proven });
        assert_eq!(of(150_000.0, 0.0..=8.0).origin, RangeOrigin::Stated);
        let both = ranged(&model(120_000.0), Some(-100.0..=8.0), &[0.0, 4.0, 4.0, 4.0], |_| {}).unwrap();
        assert_eq!(both.ranges(), Some(&Ranges { bounds: vec![[-0.5, 4.5]], origin: RangeOrigin::Calibrated }));
        let outside = ranged(&model(1.0), Some(0.0..=1.0), &[0.0, 0.5, 2.0, 0.0], |_| {}).unwrap_err().to_string();
        assert!(outside.contains("item 0: element 2 is outside 0 to 1"), "{outside}");
    }

    #[test]
    fn bounds_without_sense_are_refused() {
        let program = model(1.0).program;
        for bounds in [vec![], vec![[1.0, 0.0]], vec![[f32::NAN, 0.0]], vec![[0.0, f32::INFINITY]], vec![[0.0, 1.0]; 2]] {
            assert!(program.clone().with_ranges(Ranges { bounds, origin: RangeOrigin::Stated }).is_err());
        }
    }
}
