//! Matrix products and convolutions, of both storage orders and all kinds of windows; depths at which deferred carries end.

use super::case::{Case, stream, upload};
use crate::{
    device::{Buffer, Device},
    kernels::{
        conv::convolution,
        matmul::{Layout, matmul},
    },
    shape::{Axis, Conv, Shape},
};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let sizes = [
        (1, 1, 1, 1),
        (1, 7, 33, 9),
        (1, 1, 300, 10),
        (1, 8, 16, 16),
        (1, 17, 5, 63),
        (2, 2, 5, 17),
        (3, 9, 30, 33),
        (5, 1, 3, 1),
        (1, 65, 17, 40),
        (1, 100, 12, 100),
        (1, 513, 3, 7),
        // where a workgroup can stage
        (1, 70, 37, 64),
        (3, 16, 11, 72),
    ];
    for (batch, m, k, n) in sizes {
        for (transpose_x, transpose_y) in [(false, false), (false, true), (true, false), (true, true)] {
            let layout = Layout { batch, m, k, n, transpose_x, transpose_y };
            let storage = [["", " x'"][usize::from(transpose_x)], ["", " y'"][usize::from(transpose_y)]].concat();
            cases.push(Case::new(format!("matmul {batch} x {m} x {k} x {n}{storage}"), move |d| product(d, layout)));
        }
    }
    for k in [10_922, 10_923, 16_385, 21_846, 73_728] {
        cases.push(Case::new(format!("matmul all ones, depth {k}"), move |d| {
            let ones = |n: usize| d.upload(&vec![u64::MAX; n]);
            let (x, y) = (ones(k), ones(k));
            let layout = Layout { batch: 1, m: 1, k, n: 1, transpose_x: false, transpose_y: false };
            vec![matmul(d, [&x, &x, &y, &y], layout, [stream(1), stream(2)])]
        }));
    }
    convolutions(&mut cases);
    cases
}

fn product(d: &Device, layout: Layout) -> Vec<Buffer> {
    let Layout { batch, m, k, n, .. } = layout;
    let [xo, xn] = [3, 4].map(|seed| upload(d, batch * m * k, seed));
    let [yo, yn] = [5, 6].map(|seed| upload(d, batch * k * n, seed));
    vec![matmul(d, [&xo, &xn, &yo, &yn], layout, [stream(1), stream(2)])]
}

fn convolutions(cases: &mut Vec<Case>) {
    let axis = |kernel, stride, pad, dilation| Axis { kernel, stride, pad_begin: pad, pad_end: pad / 2 + 1, dilation };
    let sizes = [
        ([1, 1, 28, 28], 20, 1, [axis(5, 1, 0, 1), axis(5, 1, 0, 1)]),
        ([2, 3, 9, 11], 5, 1, [axis(3, 2, 1, 1), axis(2, 1, 2, 2)]),
        ([1, 4, 8, 7], 4, 4, [axis(3, 1, 1, 1), axis(3, 2, 1, 1)]),
        ([2, 6, 5, 5], 9, 3, [axis(1, 1, 0, 1), axis(3, 1, 3, 1)]),
        ([1, 2, 17, 3], 33, 1, [axis(4, 3, 2, 2), axis(3, 4, 4, 1)]),
        ([40, 3, 8, 8], 6, 3, [axis(3, 1, 1, 1), axis(3, 1, 1, 1)]),
        ([1, 8, 40, 40], 4, 2, [axis(3, 2, 1, 1), axis(3, 2, 1, 1)]),
        // where a workgroup can stage
        ([1, 13, 12, 8], 21, 1, [axis(3, 1, 1, 1), axis(3, 1, 1, 1)]),
        ([2, 6, 9, 16], 32, 2, [axis(3, 1, 1, 1), axis(3, 1, 1, 1)]),
    ];
    for (x, outputs, groups, axes) in sizes {
        cases.push(Case::new(format!("conv {x:?} to {outputs} in {groups} groups"), move |d| convolved(d, x, outputs, groups, axes, 0)));
    }
    let wide = [axis(1, 1, 0, 1), axis(1, 1, 0, 1)];
    for depth in [16_385, 73_728] {
        cases.push(Case::new(format!("conv all ones, depth {depth}"), move |d| convolved(d, [1, depth, 1, 1], 1, 1, wide, u64::MAX)));
    }
}

/// Weights and activations are the fixed words, or these bits where there are any.
fn convolved(d: &Device, x: [usize; 4], outputs: usize, groups: usize, axes: [Axis; 2], bits: u64) -> Vec<Buffer> {
    let geometry = Shape::new(x).and_then(|shape| {
        let weights = Shape::new([outputs, x[1] / groups, axes[0].kernel, axes[1].kernel])?;
        Ok((Conv::new(&shape, &weights, axes, groups)?, shape.elements(), weights.elements()))
    });
    let Ok((conv, inputs, weights)) = geometry else { unreachable!("the windows fit") };
    let of = |n: usize, seed: u64| if bits == 0 { upload(d, n, seed) } else { d.upload(&vec![bits; n]) };
    let b = [of(inputs, 3), of(inputs, 4), of(weights, 5), of(weights, 6)];
    vec![convolution(d, [&b[0], &b[1], &b[2], &b[3]], &conv, [stream(1), stream(2)])]
}
