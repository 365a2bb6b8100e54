//! Elementwise kernels and views.

use super::case::{Case, SIZES, pad, stream, upload};
use crate::{
    kernels::{
        cross, draw,
        gather::{self, NONE, Table},
        linear::{self, Broadcast},
        rate, view,
    },
    shape::{Axis, Pool, Shape},
};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for n in SIZES {
        cases.push(Case::new(format!("linear {n}"), move |d| {
            let (x, y) = (upload(d, n, 1), upload(d, n, 2));
            let factors = [0x1234_5678_9abc_def1, u64::MAX - 5, 1 << 63 | 77];
            vec![linear::affine(d, &x, &y, None, factors), linear::add(d, &x, &y), linear::sub(d, &x, &y), linear::xor(d, &x, &y)]
        }));
        cases.push(Case::new(format!("linear broadcast {n}"), move |d| {
            let x = upload(d, n, 3);
            let broadcast = |inner, modulus| {
                linear::affine(d, &x, &upload(d, modulus, 4), Some(Broadcast { inner, modulus }), [3, 0x1_0000_0001, 1 << 40])
            };
            vec![broadcast(1, 1), broadcast(1, 5), broadcast(7, 3), linear::scale(d, &x, 5, u64::MAX), linear::not(d, &x)]
        }));
        cases.push(Case::new(format!("rate {n}"), move |d| vec![rate::rate(d, n, 7, false), rate::rate(d, n, 7, true)]));
        cases.push(Case::new(format!("draw {n}"), move |d| vec![draw::draw(d, n, stream(1))]));
        cases.push(Case::new(format!("mask {n}"), move |d| {
            let (message, kept) = draw::mask(d, &upload(d, n, 5), pad(2));
            vec![message.words().clone(), kept]
        }));
        cases.push(Case::new(format!("cross {n}"), move |d| {
            let f = [1, 2, 3, 4].map(|seed| upload(d, n, seed));
            [false, true].map(|binary| cross::cross(d, [&f[0], &f[1], &f[2], &f[3]], binary, [stream(3), stream(4)])).into()
        }));
    }
    views(&mut cases);
    movements(&mut cases);
    pools(&mut cases);
    cases
}

fn movements(cases: &mut Vec<Case>) {
    for (row, len, rows) in [(1, 1, 1), (7, 3, 5), (30, 200, 3), (4097, 1023, 2)] {
        cases.push(Case::new(format!("gather {len} of {row}, {rows} rows"), move |d| {
            let index = |i: usize| if i % 5 == 3 { NONE } else { (i * 7919 % row) as u32 };
            let table = Table::new(d, &(0..len).map(index).collect::<Vec<_>>());
            vec![gather::gather(d, &upload(d, row * rows, 9), row, &table)]
        }));
        cases.push(Case::new(format!("concat {row} and {len}, {rows} rows"), move |d| {
            vec![gather::concat(d, &upload(d, row * rows, 10), &upload(d, len * rows, 11), rows)]
        }));
    }
}

fn views(cases: &mut Vec<Case>) {
    type View = (&'static [usize], &'static [isize], usize);
    let views: [View; 6] = [
        (&[1], &[1], 0),
        (&[9, 7], &[1, 9], 0),
        (&[3, 5, 7, 11], &[-385, 77, 1, 7], 770),
        (&[2, 3, 4, 5, 6], &[360, -120, 30, -6, 1], 264),
        (&[100, 101], &[7, 3], 4),
        (&[3, 40, 90], &[0, 0, 1], 5),
    ];
    for (extents, strides, offset) in views {
        cases.push(Case::new(format!("view {extents:?}"), move |d| {
            vec![view::view(d, &upload(d, 1200.max(offset + 1), 6), extents, strides, offset)]
        }));
    }
}

fn pools(cases: &mut Vec<Case>) {
    let axis = |kernel, stride, pad_begin, dilation| Axis { kernel, stride, pad_begin, pad_end: pad_begin, dilation };
    let pools = [
        ([1, 1, 1, 1], [axis(1, 1, 0, 1), axis(1, 1, 0, 1)]),
        ([2, 3, 9, 11], [axis(3, 2, 1, 1), axis(2, 1, 1, 2)]),
        ([1, 7, 24, 24], [axis(2, 2, 0, 1), axis(2, 2, 0, 1)]),
        ([3, 4, 15, 13], [axis(3, 1, 1, 1), axis(3, 2, 1, 1)]),
    ];
    for (input, axes) in pools {
        cases.push(Case::new(format!("tap and window_sum {input:?}"), move |d| {
            let Ok(pool) = Shape::new(input).and_then(|shape| Pool::new(&shape, axes)) else { unreachable!("the windows fit") };
            let x = upload(d, input.iter().product(), 7);
            let taps = (0..axes[0].kernel).flat_map(|h| (0..axes[1].kernel).map(move |w| [h, w]));
            taps.map(|tap| view::tap(d, &x, &pool, tap)).chain([view::window_sum(d, &x, &pool)]).collect()
        }));
    }
}
