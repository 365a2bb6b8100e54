//! Keystreams as tensors: a component that is a stream, and a message masked by one.
//!
//! `draw: out[e] = F[e]`. `mask: message[e] = x[e] - F[e], kept[e] = F[e]`. Shader: `shaders/draw.wgsl`. One item is a group of 8
//! elements, one ChaCha block.

use super::masked::{Masked, Pad};
use crate::{
    device::{Buffer, Cpu, Device, Kernel, Out, Output, Params, Window, vector},
    ring::Word,
    stream::Stream,
};

/// Uniform of both entry points.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct DrawParams {
    /// Groups of 8 elements.
    pub window: Window,
    /// Elements.
    pub n: u32,
    /// To a multiple of 16 bytes.
    pub padding: u32,
    /// The stream.
    pub stream: Stream,
}

impl Params for DrawParams {
    fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }
}

const WGSL: &str = include_str!("../../shaders/draw.wgsl");

fn groups(p: &DrawParams) -> u64 {
    u64::from(p.window.count).div_ceil(64)
}

/// The kernel: -> out.
pub static DRAW: Kernel<DrawParams> = Kernel { name: "draw", wgsl: WGSL, groups, cpu: cpu_draw, product: false };

/// The kernel: x -> message, kept.
pub static MASK: Kernel<DrawParams> = Kernel { name: "mask", wgsl: WGSL, groups, cpu: cpu_mask, product: false };

fn params(n: usize, stream: Stream) -> DrawParams {
    DrawParams { window: Window::default(), n: n as u32, padding: 0, stream }
}

/// `n` words of a stream that this party knows.
pub fn draw(device: &Device, n: usize, stream: Stream) -> Buffer {
    let [out] = device.run(&DRAW, params(n, stream), n.div_ceil(8), &[], [Out { len: n, per_item: 8 }]);
    out
}

/// `x` masked by a pad, and the pad as a tensor.
pub fn mask(device: &Device, x: &Buffer, pad: Pad) -> (Masked, Buffer) {
    let out = Out { len: x.len(), per_item: 8 };
    let [message, kept] = device.run(&MASK, params(x.len(), pad.consume()), x.len().div_ceil(8), &[x.each(8)], [out, out]);
    (Masked::by_kernel(message), kept)
}

fn cpu_draw(cpu: &Cpu, p: &DrawParams, _: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let groups = p.window.count as usize;
    let [out] = outputs else { unreachable!("one output") };
    cpu.pieces(groups, 1 << 11, vec![Output { words: out, per_item: 8 }], |range, outs| {
        vector::keystream(&p.stream, range.start as u32, outs[0]);
    });
    cpu.count(groups, 0);
}

fn cpu_mask(cpu: &Cpu, p: &DrawParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let groups = p.window.count as usize;
    let [message, kept] = outputs else { unreachable!("two outputs") };
    let outputs = vec![Output { words: message, per_item: 8 }, Output { words: kept, per_item: 8 }];
    cpu.pieces(groups, 1 << 11, outputs, |range, outs| {
        vector::vectorise!(|| {
            let [message, kept] = outs else { unreachable!("two outputs") };
            vector::keystream(&p.stream, range.start as u32, kept);
            for ((message, x), kept) in message.iter_mut().zip(&inputs[0][range.start * 8..]).zip(kept.iter()) {
                *message = x.wrapping_sub(*kept);
            }
        });
    });
    cpu.count(groups, 0);
}
