//! Elements in another order: strided views, the taps of pooling windows, sums over windows. Each on one component.
//!
//! *view*: `out[i_0, .., i_4] = x[offset + sum_d i_d stride_d]`. *tap*: for every window of a pooling, its element at one tap;
//! a tap in the padding takes the window's first real tap of that axis instead, so that a maximum over all taps is that
//! of the real ones. *window_sum*: the sum over the real taps. Shader: `shaders/view.wgsl`. One item is one element.

use crate::{
    device::{Buffer, Cpu, Device, Kernel, Out, Output, Params, Window},
    ring::Word,
    shape::{Axis, Pool},
};

/// Uniform of the strided view.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct ViewParams {
    /// Elements of the output.
    pub window: Window,
    /// First element.
    pub offset: u32,
    /// To a multiple of 16 bytes.
    pub padding: u32,
    /// Extents of dimensions 1 to 4 of 5 (dimension 0 is what is left).
    pub extents: [u32; 4],
    /// Strides of dimensions 1 to 4, two's complement.
    pub strides: [u32; 4],
    /// Stride of dimension 0, two's complement.
    pub outer: u32,
    /// To a multiple of 16 bytes.
    pub padding_end: [u32; 3],
}

/// Uniform of both poolings; each pair is rows, columns.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct PoolParams {
    /// Elements of the output.
    pub window: Window,
    /// H, W.
    pub input: [u32; 2],
    /// OH, OW.
    pub output: [u32; 2],
    /// Taps.
    pub kernel: [u32; 2],
    /// Strides.
    pub stride: [u32; 2],
    /// Padding before.
    pub pad: [u32; 2],
    /// Dilations.
    pub dilation: [u32; 2],
    /// The tap, for `tap`.
    pub tap: [u32; 2],
}

impl Params for ViewParams {
    fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }
}

impl Params for PoolParams {
    fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }
}

const WGSL: &str = include_str!("../../shaders/view.wgsl");

/// The kernel: x -> out.
pub static VIEW: Kernel<ViewParams> =
    Kernel { name: "view", wgsl: WGSL, groups: |p| u64::from(p.window.count).div_ceil(64), cpu: cpu_view, product: false };

/// The kernel: x -> out.
pub static TAP: Kernel<PoolParams> =
    Kernel { name: "tap", wgsl: WGSL, groups: |p| u64::from(p.window.count).div_ceil(64), cpu: cpu_tap, product: false };

/// The kernel: x -> out.
pub static WINDOW_SUM: Kernel<PoolParams> =
    Kernel { name: "window_sum", wgsl: WGSL, groups: |p| u64::from(p.window.count).div_ceil(64), cpu: cpu_sum, product: false };

/// A view of at most five dimensions.
pub fn view(device: &Device, x: &Buffer, extents: &[usize], strides: &[isize], offset: usize) -> Buffer {
    assert!(extents.len() == strides.len() && extents.len() <= 5, "view: up to five dimensions");
    let (mut dims, mut steps) = ([1u32; 5], [0u32; 5]);
    let start = 5 - extents.len();
    for (d, (&extent, &stride)) in extents.iter().zip(strides).enumerate() {
        dims[start + d] = extent as u32;
        steps[start + d] = stride as i32 as u32;
    }
    let n: usize = extents.iter().product();
    let params = ViewParams {
        window: Window::default(),
        offset: offset as u32,
        padding: 0,
        extents: std::array::from_fn(|d| dims[d + 1]),
        strides: std::array::from_fn(|d| steps[d + 1]),
        outer: steps[0],
        padding_end: [0; 3],
    };
    let [out] = device.run(&VIEW, params, n, &[x.whole()], [Out { len: n, per_item: 1 }]);
    out
}

/// Tap `(row, column)` of every window.
pub fn tap(device: &Device, x: &Buffer, pool: &Pool, tap: [usize; 2]) -> Buffer {
    run(device, &TAP, x, pool, tap)
}

/// The sum of every window's real taps.
pub fn window_sum(device: &Device, x: &Buffer, pool: &Pool) -> Buffer {
    run(device, &WINDOW_SUM, x, pool, [0, 0])
}

fn run(device: &Device, kernel: &'static Kernel<PoolParams>, x: &Buffer, pool: &Pool, tap: [usize; 2]) -> Buffer {
    let both = |f: fn(&Axis) -> usize| [f(&pool.axes[0]) as u32, f(&pool.axes[1]) as u32];
    let params = PoolParams {
        window: Window::default(),
        input: pool.input.map(|v| v as u32),
        output: pool.output.map(|v| v as u32),
        kernel: both(|a| a.kernel),
        stride: both(|a| a.stride),
        pad: both(|a| a.pad_begin),
        dilation: both(|a| a.dilation),
        tap: tap.map(|v| v as u32),
    };
    let n = pool.planes * pool.output[0] * pool.output[1];
    let [out] = device.run(kernel, params, n, &[x.whole()], [Out { len: n, per_item: 1 }]);
    out
}

fn cpu_view(cpu: &Cpu, p: &ViewParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let [out] = outputs else { unreachable!("one output") };
    let inner = p.extents[3] as usize;
    let step = p.strides[3] as i32 as i64;
    cpu.pieces(p.window.count as usize / inner, (1 << 14) / inner, vec![Output { words: out, per_item: inner }], |rows, outs| {
        for (row, out) in rows.zip(outs[0].chunks_mut(inner)) {
            let mut rest = row;
            let mut at = i64::from(p.offset);
            for d in (0..3).rev() {
                at += (rest % p.extents[d] as usize) as i64 * i64::from(p.strides[d] as i32);
                rest /= p.extents[d] as usize;
            }
            at += rest as i64 * i64::from(p.outer as i32);
            for word in out {
                *word = inputs[0][at as usize];
                at += step;
            }
        }
    });
}

/// The real position of tap `k` of window `o` on axis `d`, if it is not in the padding.
#[inline]
fn position(p: &PoolParams, d: usize, o: usize, k: usize) -> Option<usize> {
    (o * p.stride[d] as usize + k * p.dilation[d] as usize).checked_sub(p.pad[d] as usize).filter(|&i| i < p.input[d] as usize)
}

/// Calls `row(plane, oh, out)` for each row of the output.
fn rows(cpu: &Cpu, p: &PoolParams, outputs: &mut [&mut [Word]], row: impl Fn(usize, usize, &mut [Word]) + Sync) {
    let [out] = outputs else { unreachable!("one output") };
    let width = p.output[1] as usize;
    let count = p.window.count as usize / width;
    cpu.pieces(count, (1 << 13) / width, vec![Output { words: out, per_item: width }], |range, outs| {
        for (r, out) in range.zip(outs[0].chunks_mut(width)) {
            row(r / p.output[0] as usize, r % p.output[0] as usize, out);
        }
    });
}

fn cpu_tap(cpu: &Cpu, p: &PoolParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let [h, w] = p.input.map(|v| v as usize);
    let real = |d: usize, o: usize| {
        position(p, d, o, p.tap[d] as usize)
            .or_else(|| (0..p.kernel[d] as usize).find_map(|k| position(p, d, o, k)))
            .expect("every window touches an element")
    };
    let columns: Vec<usize> = (0..p.output[1] as usize).map(|o| real(1, o)).collect();
    rows(cpu, p, outputs, |plane, oh, out| {
        let row = &inputs[0][(plane * h + real(0, oh)) * w..][..w];
        for (out, &column) in out.iter_mut().zip(&columns) {
            *out = row[column];
        }
    });
}

fn cpu_sum(cpu: &Cpu, p: &PoolParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let [h, w] = p.input.map(|v| v as usize);
    rows(cpu, p, outputs, |plane, oh, out| {
        out.fill(0);
        for ih in (0..p.kernel[0] as usize).filter_map(|k| position(p, 0, oh, k)) {
            let row = &inputs[0][(plane * h + ih) * w..][..w];
            for (ow, out) in out.iter_mut().enumerate() {
                for iw in (0..p.kernel[1] as usize).filter_map(|k| position(p, 1, ow, k)) {
                    *out = out.wrapping_add(row[iw]);
                }
            }
        }
    });
}
