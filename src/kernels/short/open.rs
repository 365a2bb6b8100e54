//! The lead's end, natively: where the two lists sum to zero.

use super::{
    digits::{by_23, words_of},
    layout::{ANSWERS, GROUP, Row, ShortParams, clear_end},
};
use crate::{
    device::{Cpu, Output, vector},
    kernels::planes::{self, LANES, TILE},
    ring::Word,
};

pub(super) fn cpu_open(cpu: &Cpu, p: &ShortParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let (n, tiles) = (p.n as usize, p.window.count as usize);
    let [plane] = outputs else { unreachable!("one output") };
    clear_end(plane);
    let lists: [&[u32]; 2] = [bytemuck::cast_slice(inputs[1]), bytemuck::cast_slice(inputs[2])];
    cpu.pieces(tiles, tiles.div_ceil(4 * cpu.threads()).clamp(1, 64), vec![Output { words: plane, per_item: LANES / 2 }], |items, outs| {
        vector::vectorise!(|| {
            let plane: &mut [u32] = bytemuck::cast_slice_mut(outs[0]);
            for (tile, plane) in items.zip(plane.chunks_mut(LANES)) {
                let lanes = planes::lanes_of_tile(n, tile);
                let mut bits = [0; LANES];
                for group in tile * (TILE / GROUP)..n.div_ceil(GROUP).min((tile + 1) * (TILE / GROUP)) {
                    let (a, len) = words_of(inputs[0], group, n);
                    let mut found = [0; GROUP];
                    for k in 0..ANSWERS {
                        let rows = lists.map(|list| {
                            let mut row = [0; GROUP];
                            row[..len].copy_from_slice(&list[group * GROUP * ANSWERS + k * len..][..len]);
                            row
                        });
                        zeros(&rows[0], &rows[1], &mut found);
                    }
                    for e in 0..len {
                        let r = group * GROUP % TILE + e;
                        bits[r % lanes] |= (1 ^ (a[e] >> 63) as u32 ^ found[e]) << (r / lanes);
                    }
                }
                plane[..lanes].copy_from_slice(&bits[..lanes]);
            }
        });
    });
}

/// Notes where the digits of two numbers sum to 0 modulo 23.
#[inline(always)]
fn zeros(one: &Row, other: &Row, found: &mut Row) {
    for e in 0..GROUP {
        let (mut x, mut y, mut zero) = (u64::from(one[e]), u64::from(other[e]), u64::from(found[e]));
        for _ in 0..7 {
            let ((x_left, x_digit), (y_left, y_digit)) = (by_23(x), by_23(y));
            zero |= u64::from(x_digit + y_digit == 0) | u64::from(x_digit + y_digit == 23);
            (x, y) = (x_left, y_left);
        }
        found[e] = zero as u32;
    }
}
