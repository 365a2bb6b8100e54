//! Blocked ring products on the native device: packed panels, tiles of 8 x 16 with the sums in registers.
//!
//! A local product of shares is two passes over one output, `x_i (y_i + y_{i+1})` and `x_{i+1} y_i`; the operand sum is
//! formed while packing, and masks are drawn into the output when its first tile is about to be added. Each operand is
//! packed once a task: a block of the left operand for all rows, then the right one a strip of columns at a time.

use super::{
    cpu::Cpu,
    vector::{COLUMNS, ROWS, multiply, vectorise},
};
use crate::ring::Word;
use std::{cell::RefCell, ops::Range};

/// Depth of a packed block: a panel of each operand fits the first two cache levels.
const DEPTH: usize = 256;
/// Columns of a strip.
const WIDTH: usize = 1024;

/// An operand that can be packed: lines are rows of the left or columns of the right operand, both along the depth.
pub trait Panels: Sync {
    /// Writes `out[k][j] = element(line + j, depth + k)` for `out` of rows of `WIDE` words; lines at or past `end` are 0.
    fn pack<const WIDE: usize>(&self, line: usize, end: usize, depth: usize, out: &mut [[Word; WIDE]]);
}

/// One row of the output within one image.
pub struct Line<'a> {
    /// Index of the first word in the whole output, which is its place in the streams.
    pub first: usize,
    /// Its words.
    pub words: &'a mut [Word],
}

/// Sizes of a product. Columns run over images; a matrix is one image.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Rows of the left operand and of the output.
    pub rows: usize,
    /// Columns of an image.
    pub columns: usize,
    /// Length of the dot products.
    pub depth: usize,
}

/// A rectangle of the output that one thread computes.
struct Task<'a> {
    rows: Range<usize>,
    /// Over all images.
    columns: Range<usize>,
    /// Image by image, row by row.
    lines: Vec<Line<'a>>,
}

/// `out = start + left_0 right_0 + left_1 right_1`. `out` has a line for each image and row, image by image; `start` fills
/// words of the output from their place in the streams.
pub fn product<L: Panels, R: Panels>(
    cpu: &Cpu,
    size: Size,
    passes: [(L, R); 2],
    out: Vec<Line<'_>>,
    start: impl Fn(usize, &mut [Word]) + Sync,
) {
    let tasks = divide(size, out, cpu.threads());
    cpu.each(tasks, |mut task| SCRATCH.with_borrow_mut(|scratch| vectorise!(|| compute(size, &passes, &mut task, scratch, &start))));
}

/// Cuts the output along its longer side.
fn divide(size: Size, out: Vec<Line<'_>>, threads: usize) -> Vec<Task<'_>> {
    let columns = out.len() / size.rows * size.columns;
    let by_rows = size.rows >= columns;
    let (length, unit) = if by_rows { (size.rows, ROWS) } else { (columns, COLUMNS) };
    let part = length.div_ceil(threads).next_multiple_of(unit);
    let ranges = (0..length).step_by(part).map(|first| first..length.min(first + part));
    let mut tasks: Vec<Task<'_>> = ranges
        .map(|range| {
            let (rows, columns) = if by_rows { (range, 0..columns) } else { (0..size.rows, range) };
            Task { rows, columns, lines: Vec::new() }
        })
        .collect();
    for (number, line) in out.into_iter().enumerate() {
        let (image, row) = (number / size.rows, number % size.rows);
        let (mut first, mut words) = (line.first, line.words);
        let end = (image + 1) * size.columns;
        for task in tasks.iter_mut().filter(|task| task.rows.contains(&row)) {
            let at = end - words.len();
            let (part, rest) = words.split_at_mut(task.columns.end.clamp(at, end) - at);
            words = rest;
            if !part.is_empty() {
                let len = part.len();
                task.lines.push(Line { first, words: part });
                first += len;
            }
        }
    }
    tasks
}

#[inline(always)]
fn compute<L: Panels, R: Panels>(
    size: Size,
    passes: &[(L, R); 2],
    task: &mut Task<'_>,
    scratch: &mut Scratch,
    start: &impl Fn(usize, &mut [Word]),
) {
    let (left_panels, right_panels) = scratch;
    let strips = task.rows.len().div_ceil(ROWS);
    let mut fresh = true;
    for (left, right) in passes {
        for first_depth in (0..size.depth).step_by(DEPTH) {
            let deep = DEPTH.min(size.depth - first_depth);
            left_panels.resize((strips * deep).max(left_panels.len()), [0; ROWS]);
            for (strip, panel) in left_panels.chunks_exact_mut(deep).take(strips).enumerate() {
                left.pack(task.rows.start + strip * ROWS, task.rows.end, first_depth, panel);
            }
            for first_column in task.columns.clone().step_by(WIDTH) {
                let columns = first_column..task.columns.end.min(first_column + WIDTH);
                let panels = columns.len().div_ceil(COLUMNS);
                right_panels.resize((panels * deep).max(right_panels.len()), [0; COLUMNS]);
                for (q, panel) in right_panels.chunks_exact_mut(deep).take(panels).enumerate() {
                    right.pack(columns.start + q * COLUMNS, task.columns.end, first_depth, panel);
                }
                for (strip, left_panel) in left_panels.chunks_exact(deep).take(strips).enumerate() {
                    let rows = strip * ROWS..task.rows.len().min((strip + 1) * ROWS);
                    if fresh {
                        task.each_part(size, &columns, &rows, |_, _, first, words| start(first, words));
                    }
                    for (q, panel) in right_panels.chunks_exact(deep).take(panels).enumerate() {
                        let tile = multiply(left_panel.as_flattened(), panel.as_flattened());
                        let first = columns.start + q * COLUMNS;
                        let wide = first..columns.end.min(first + COLUMNS);
                        task.each_part(size, &wide, &rows, |row, at, _, words| add(&tile[row], at, words));
                    }
                }
            }
            fresh = false;
        }
    }
}

impl Task<'_> {
    /// The words of `rows` that lie in `columns`, image by image: `body(row, column, place in the streams, words)`, row and
    /// column counted from the ranges' beginnings.
    #[inline(always)]
    fn each_part(
        &mut self,
        size: Size,
        columns: &Range<usize>,
        rows: &Range<usize>,
        mut body: impl FnMut(usize, usize, usize, &mut [Word]),
    ) {
        let first_image = self.columns.start / size.columns;
        let mut at = columns.start;
        while at < columns.end {
            let image = at / size.columns;
            let end = columns.end.min((image + 1) * size.columns);
            let local = at - self.columns.start.max(image * size.columns);
            let lines = &mut self.lines[(image - first_image) * self.rows.len()..][rows.clone()];
            for (row, line) in lines.iter_mut().enumerate() {
                body(row, at - columns.start, line.first + local, &mut line.words[local..local + end - at]);
            }
            at = end;
        }
    }
}

/// Adds a tile's row, or the part of it from `at` on.
#[inline(always)]
fn add(sums: &[Word; COLUMNS], at: usize, words: &mut [Word]) {
    match <&mut [Word; COLUMNS]>::try_from(&mut *words) {
        Ok(words) => words.iter_mut().zip(sums).for_each(|(z, s)| *z = z.wrapping_add(*s)),
        Err(_) => words.iter_mut().zip(&sums[at..]).for_each(|(z, s)| *z = z.wrapping_add(*s)),
    }
}

type Scratch = (Vec<[Word; ROWS]>, Vec<[Word; COLUMNS]>);

thread_local! {
    /// Packed panels, kept from call to call: fresh pages would cost more than packing.
    static SCRATCH: RefCell<Scratch> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// A matrix as an operand: `element(line, k) = x[line * line_stride + k * depth_stride]`, plus the same of `plus` if given.
/// One of the strides is 1.
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
    fn pack<const WIDE: usize>(&self, line: usize, end: usize, depth: usize, out: &mut [[Word; WIDE]]) {
        vectorise!(|| {
            let wide = WIDE.min(end - line);
            let at = line * self.line_stride + depth * self.depth_stride;
            if self.line_stride == 1 {
                for (k, row) in out.iter_mut().enumerate() {
                    let from = at + k * self.depth_stride;
                    put(&self.x[from..from + wide], self.plus.map(|plus| &plus[from..from + wide]), row);
                }
            } else {
                turn(self, at, wide, out);
            }
        });
    }
}

/// A row of a panel from words that lie side by side.
#[inline(always)]
fn put<const WIDE: usize>(x: &[Word], plus: Option<&[Word]>, row: &mut [Word; WIDE]) {
    match (<&[Word; WIDE]>::try_from(x), plus) {
        (Ok(x), None) => *row = *x,
        (Ok(x), Some(plus)) => row.iter_mut().zip(x).zip(plus).for_each(|((out, a), b)| *out = a.wrapping_add(*b)),
        (Err(_), plus) => {
            row.fill(0);
            row[..x.len()].copy_from_slice(x);
            if let Some(plus) = plus {
                row.iter_mut().zip(plus).for_each(|(out, b)| *out = out.wrapping_add(*b));
            }
        }
    }
}

/// A panel from lines that lie side by side: eight steps of the depth at a time, so that whole cache lines are written.
#[inline(always)]
fn turn<const WIDE: usize>(m: &Matrix<'_>, at: usize, wide: usize, out: &mut [[Word; WIDE]]) {
    for (block, rows) in out.chunks_mut(8).enumerate() {
        for j in 0..WIDE {
            if j < wide {
                let from = at + j * m.line_stride + 8 * block;
                let x = &m.x[from..from + rows.len()];
                match m.plus {
                    None => rows.iter_mut().zip(x).for_each(|(row, a)| row[j] = *a),
                    Some(plus) => {
                        let plus = &plus[from..from + rows.len()];
                        rows.iter_mut().zip(x).zip(plus).for_each(|((row, a), b)| row[j] = a.wrapping_add(*b));
                    }
                }
            } else {
                rows.iter_mut().for_each(|row| row[j] = 0);
            }
        }
    }
}
