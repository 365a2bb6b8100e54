//! Elements in a public order: rows gathered by a table, and rows of two tensors joined. Each on one component.
//!
//! *gather*: `out[r, i] = x[r, table[i]]`, or zero where the table says [`NONE`]. *concat*: `out[r] = x[r] y[r]`. Shader:
//! `shaders/gather.wgsl`. One item is one element.

use crate::{
    device::{Buffer, Cpu, Device, Kernel, Out, Output, Params, Window},
    ring::Word,
};

/// Where a table has this, the element is zero.
pub const NONE: u32 = u32::MAX;

/// Uniform of both kernels.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct GatherParams {
    /// Elements of the output.
    pub window: Window,
    /// Elements of a row of x.
    pub row: u32,
    /// Elements of the table, or of a row of y.
    pub len: u32,
}

impl Params for GatherParams {
    fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }
}

const WGSL: &str = include_str!("../../shaders/gather.wgsl");

/// The kernel: x, table -> out.
pub static GATHER: Kernel<GatherParams> =
    Kernel { name: "gather", wgsl: WGSL, groups: |p| u64::from(p.window.count).div_ceil(64), cpu: cpu_gather, product: false };

/// The kernel: x, y -> out.
pub static CONCAT: Kernel<GatherParams> =
    Kernel { name: "concat", wgsl: WGSL, groups: |p| u64::from(p.window.count).div_ceil(64), cpu: cpu_concat, product: false };

/// A table of indices on a device, for the kernel `gather`.
#[derive(Clone, Debug)]
pub struct Table {
    words: Buffer,
    len: usize,
}

impl Table {
    /// Places the indices, two to a word.
    pub fn new(device: &Device, indices: &[u32]) -> Self {
        let pair = |pair: &[u32]| u64::from(pair[0]) | u64::from(pair.get(1).copied().unwrap_or(0)) << 32;
        Self { words: device.upload(&indices.chunks(2).map(pair).collect::<Vec<_>>()), len: indices.len() }
    }

    /// Number of indices.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: a tensor has at least one element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Each row of `row` elements as the elements that the table names, all of them below `row` or [`NONE`].
pub fn gather(device: &Device, x: &Buffer, row: usize, table: &Table) -> Buffer {
    let n = x.len() / row * table.len;
    let params = GatherParams { window: Window::default(), row: row as u32, len: table.len as u32 };
    let [out] = device.run(&GATHER, params, n, &[x.whole(), table.words.whole()], [Out { len: n, per_item: 1 }]);
    out
}

/// Rows of both tensors, `rows` of them, side by side.
pub fn concat(device: &Device, x: &Buffer, y: &Buffer, rows: usize) -> Buffer {
    let n = x.len() + y.len();
    let params = GatherParams { window: Window::default(), row: (x.len() / rows) as u32, len: (y.len() / rows) as u32 };
    let [out] = device.run(&CONCAT, params, n, &[x.whole(), y.whole()], [Out { len: n, per_item: 1 }]);
    out
}

fn cpu_gather(cpu: &Cpu, p: &GatherParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let [out] = outputs else { unreachable!("one output") };
    let (row, len) = (p.row as usize, p.len as usize);
    let index = |i: usize| (inputs[1][i / 2] >> (32 * (i % 2))) as u32;
    cpu.pieces(p.window.count as usize, 1 << 14, vec![Output { words: out, per_item: 1 }], |items, outs| {
        let (mut base, mut i) = (items.start / len * row, items.start % len);
        for word in outs[0].iter_mut() {
            *word = match index(i) {
                NONE => 0,
                at => inputs[0][base + at as usize],
            };
            i += 1;
            if i == len {
                (base, i) = (base + row, 0);
            }
        }
    });
}

fn cpu_concat(cpu: &Cpu, p: &GatherParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let [out] = outputs else { unreachable!("one output") };
    let (row, len) = (p.row as usize, p.len as usize);
    let rows = p.window.count as usize / (row + len);
    cpu.pieces(rows, (1 << 14) / (row + len), vec![Output { words: out, per_item: row + len }], |range, outs| {
        for (r, out) in range.zip(outs[0].chunks_mut(row + len)) {
            out[..row].copy_from_slice(&inputs[0][r * row..][..row]);
            out[row..].copy_from_slice(&inputs[1][r * len..][..len]);
        }
    });
}
