//! The definitions of convolution, matrix product and windows, once for floats and for integers: what both references compute.

use crate::shape::{Conv, Pool};
use rayon::prelude::*;

/// The number types of the references.
pub trait Number: Copy + Send + Sync + std::ops::Mul<Output = Self> + std::ops::AddAssign + Default {}
impl Number for f32 {}
impl Number for i128 {}

/// `z[n, o] = sum_k w[o, k] x[n, taps of k]`, each sum beginning at `start(o)`; planes side by side on the cores.
pub fn convolve<T: Number>(c: &Conv, x: &[T], weights: &[T], start: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let ([h, w], [oh, ow]) = (c.input, c.output);
    let [rows, columns] = c.axes;
    let (per_group, out_per_group) = (c.in_channels / c.groups, c.out_channels / c.groups);
    let one = |(number, sums): (usize, &mut [T])| {
        let (n, o) = (number / c.out_channels, number % c.out_channels);
        sums.fill(start(o));
        for k in 0..c.depth() {
            let (ch, kh, kw) = (k / (rows.kernel * columns.kernel), k / columns.kernel % rows.kernel, k % columns.kernel);
            let weight = weights[o * c.depth() + k];
            let plane = &x[(n * c.in_channels + o / out_per_group * per_group + ch) * h * w..][..h * w];
            // the outputs of a line whose tap is no padding
            let inside = |d: usize, tap: usize, extent: usize| {
                let axis = c.axes[d];
                let first = axis.pad_begin.saturating_sub(tap * axis.dilation).div_ceil(axis.stride);
                let end = (extent + axis.pad_begin).saturating_sub(tap * axis.dilation).div_ceil(axis.stride);
                (first, end.clamp(first, c.output[d].max(first)))
            };
            let (first, end) = inside(1, kw, w);
            for i in inside(0, kh, h).0..inside(0, kh, h).1 {
                let line = &plane[(i * rows.stride + kh * rows.dilation - rows.pad_begin) * w..][..w];
                let sums = &mut sums[i * ow..][..ow];
                if first < end {
                    let taps = &line[first * columns.stride + kw * columns.dilation - columns.pad_begin..];
                    match columns.stride {
                        1 => sums[first..end].iter_mut().zip(taps).for_each(|(sum, &v)| *sum += weight * v),
                        stride => sums[first..end].iter_mut().zip(taps.iter().step_by(stride)).for_each(|(sum, &v)| *sum += weight * v),
                    }
                }
            }
        }
    };
    let mut out = vec![T::default(); c.out_shape().elements()];
    out.par_chunks_mut((oh * ow).max(1)).enumerate().for_each(one);
    out
}

/// `z[i, j] = sum_d x[i, d] y[j, d]`, rows of both `depth` long, each sum beginning at `start(j)`; rows of y side by side on the cores.
pub fn multiply<T: Number>(x: &[T], y: &[T], depth: usize, start: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let columns = y.len() / depth;
    let mut out = vec![T::default(); x.len() / depth * columns];
    for (row, out) in x.chunks(depth).zip(out.chunks_mut(columns.max(1))) {
        out.par_iter_mut().with_min_len(64).enumerate().for_each(|(j, out)| {
            let mut sum = start(j);
            row.iter().zip(&y[j * depth..][..depth]).for_each(|(&a, &b)| sum += a * b);
            *out = sum;
        });
    }
    out
}

/// The transpose of each `rows` by `columns` matrix.
pub fn transpose<T: Copy>(x: &[T], rows: usize, columns: usize) -> Vec<T> {
    let matrix = |m: &[T]| (0..rows * columns).map(|e| m[e % rows * columns + e / rows]).collect::<Vec<T>>();
    x.chunks(rows * columns).flat_map(matrix).collect()
}

/// Each window's elements combined, from `start` on.
pub fn windows<T: Copy>(p: &Pool, x: &[T], start: T, combine: impl Fn(T, T) -> T) -> Vec<T> {
    let ([h, w], [oh, ow]) = (p.input, p.output);
    let mut out = Vec::with_capacity(p.planes * oh * ow);
    for plane in x.chunks(h * w) {
        for i in 0..oh {
            for j in 0..ow {
                let taps = p.taps(0, i).flat_map(|ih| p.taps(1, j).map(move |iw| ih * w + iw));
                out.push(taps.fold(start, |all, at| combine(all, plane[at])));
            }
        }
    }
    out
}

/// Integers in 128 bits, wide enough to see an overflow of 64.
pub fn wide(words: &[i64]) -> Vec<i128> {
    words.iter().map(|&v| i128::from(v)).collect()
}
