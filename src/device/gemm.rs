//! Blocked ring products on the native device: panels packed by the caller, 8 x 16 tiles, sums in registers.
//!
//! A local product of shares is two passes over one output, `x_i (y_i + y_{i+1})` and `x_{i+1} y_i`; the operand sum is
//! formed while packing. A right-hand panel block stays in the second-level cache, a left-hand panel in the first.

use super::vector::{COLUMNS, ROWS, multiply_add};
use crate::ring::Word;
use std::cell::RefCell;

/// Depth of a packed block.
const DEPTH: usize = 256;
/// Columns of a packed block: with [`DEPTH`], three quarters of a megabyte.
const WIDTH: usize = 384;

/// An operand that can be packed: lines are rows of the left or columns of the right operand, both along the depth.
pub trait Panels {
    /// Writes `out[k][j] = element(line + j, depth + k)` for `out` of rows of `WIDE` words; lines at or past `lines` are 0.
    fn pack<const WIDE: usize>(&self, line: usize, lines: usize, depth: usize, out: &mut [[Word; WIDE]]);
}

/// Rows `rows` of the product of one pass, added to `out`, which holds those rows with `columns` words each.
pub fn accumulate(left: &impl Panels, right: &impl Panels, rows: std::ops::Range<usize>, columns: usize, depth: usize, out: &mut [Word]) {
    SCRATCH.with_borrow_mut(|(left_panel, right_panels)| {
        for first_column in (0..columns).step_by(WIDTH) {
            let width = WIDTH.min(columns - first_column);
            for first_depth in (0..depth).step_by(DEPTH) {
                let deep = DEPTH.min(depth - first_depth);
                let panels = width.div_ceil(COLUMNS);
                right_panels.resize((panels * deep).max(right_panels.len()), [0; COLUMNS]);
                for (q, panel) in right_panels.chunks_exact_mut(deep).take(panels).enumerate() {
                    right.pack(first_column + q * COLUMNS, columns, first_depth, panel);
                }
                for row in rows.clone().step_by(ROWS) {
                    left_panel.resize(deep.max(left_panel.len()), [0; ROWS]);
                    let left_panel = &mut left_panel[..deep];
                    left.pack(row, rows.end, first_depth, left_panel);
                    for (q, panel) in right_panels.chunks_exact(deep).take(panels).enumerate() {
                        let mut tile = [[0; COLUMNS]; ROWS];
                        multiply_add(left_panel.as_flattened(), panel.as_flattened(), &mut tile);
                        let column = first_column + q * COLUMNS;
                        let wide = COLUMNS.min(columns - column);
                        for (i, sums) in tile.iter().enumerate().take(rows.end - row) {
                            let at = (row - rows.start + i) * columns + column;
                            out[at..at + wide].iter_mut().zip(sums).for_each(|(z, s)| *z = z.wrapping_add(*s));
                        }
                    }
                }
            }
        }
    });
}

type Scratch = (Vec<[Word; ROWS]>, Vec<[Word; COLUMNS]>);

thread_local! {
    /// Packed panels, kept from call to call: fresh pages would cost more than packing.
    static SCRATCH: RefCell<Scratch> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// A matrix as an operand: `element(line, k) = x[line * line_stride + k * depth_stride]`, plus the same of `plus` if given.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    /// One component.
    pub x: &'a [Word],
    /// The other, if the operand is their sum.
    pub plus: Option<&'a [Word]>,
    /// From line to line.
    pub line_stride: usize,
    /// Along the depth.
    pub depth_stride: usize,
}

impl Panels for Matrix<'_> {
    fn pack<const WIDE: usize>(&self, line: usize, lines: usize, depth: usize, out: &mut [[Word; WIDE]]) {
        let wide = WIDE.min(lines - line);
        let at = line * self.line_stride + depth * self.depth_stride;
        if self.line_stride == 1 {
            for (k, row) in out.iter_mut().enumerate() {
                let from = at + k * self.depth_stride;
                row[..wide].copy_from_slice(&self.x[from..from + wide]);
                if let Some(plus) = self.plus {
                    row[..wide].iter_mut().zip(&plus[from..from + wide]).for_each(|(a, b)| *a = a.wrapping_add(*b));
                }
                row[wide..].fill(0);
            }
        } else {
            for j in 0..wide {
                let from = at + j * self.line_stride;
                gather(self.x, self.plus, from, self.depth_stride, out.iter_mut().map(|row| &mut row[j]));
            }
            out.iter_mut().for_each(|row| row[wide..].fill(0));
        }
    }
}

#[inline(always)]
fn gather<'a>(x: &[Word], plus: Option<&[Word]>, from: usize, stride: usize, out: impl Iterator<Item = &'a mut Word>) {
    match plus {
        None => out.enumerate().for_each(|(k, to)| *to = x[from + k * stride]),
        Some(plus) => out.enumerate().for_each(|(k, to)| *to = x[from + k * stride].wrapping_add(plus[from + k * stride])),
    }
}
