//! The definitions of convolution, matrix product and windows, once for floats and for integers: what both references compute.

use crate::shape::{Conv, Pool};

/// The number types of the references.
pub trait Number: Copy + std::ops::Mul<Output = Self> + std::ops::AddAssign + Default {}
impl Number for f32 {}
impl Number for i128 {}

/// `z[n, o] = sum_k w[o, k] x[n, taps of k]`, each sum beginning at `start(o)`.
pub fn convolve<T: Number>(c: &Conv, x: &[T], weights: &[T], start: impl Fn(usize) -> T) -> Vec<T> {
    let ([h, w], [oh, ow]) = (c.input, c.output);
    let [rows, columns] = c.axes;
    let (per_group, out_per_group) = (c.in_channels / c.groups, c.out_channels / c.groups);
    let mut out = Vec::with_capacity(c.out_shape().elements());
    for n in 0..c.batch {
        for o in 0..c.out_channels {
            let first = out.len();
            out.resize(first + oh * ow, start(o));
            for k in 0..c.depth() {
                let (ch, kh, kw) = (k / (rows.kernel * columns.kernel), k / columns.kernel % rows.kernel, k % columns.kernel);
                let weight = weights[o * c.depth() + k];
                let plane = &x[(n * c.in_channels + o / out_per_group * per_group + ch) * h * w..][..h * w];
                for i in 0..oh {
                    let Some(ih) = (i * rows.stride + kh * rows.dilation).checked_sub(rows.pad_begin).filter(|&v| v < h) else { continue };
                    let line = &plane[ih * w..][..w];
                    let sums = &mut out[first + i * ow..][..ow];
                    for (j, sum) in sums.iter_mut().enumerate() {
                        if let Some(&v) =
                            (j * columns.stride + kw * columns.dilation).checked_sub(columns.pad_begin).and_then(|iw| line.get(iw))
                        {
                            *sum += weight * v;
                        }
                    }
                }
            }
        }
    }
    out
}

/// `z[i, j] = sum_d x[i, d] y[j, d]`, rows of both `depth` long, each sum beginning at `start(j)`.
pub fn multiply<T: Number>(x: &[T], y: &[T], depth: usize, start: impl Fn(usize) -> T) -> Vec<T> {
    let mut out = Vec::with_capacity(x.len() / depth * (y.len() / depth));
    for row in x.chunks(depth) {
        for (j, column) in y.chunks(depth).enumerate() {
            let mut sum = start(j);
            row.iter().zip(column).for_each(|(&a, &b)| sum += a * b);
            out.push(sum);
        }
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
