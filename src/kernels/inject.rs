//! Bit times word: `x (u ^ b)`, the bit split between the lead (`u`) and the pair (`b`), `x = A + B`.
//!
//! `x (u ^ b) = Au + (A - 2Au) b + (1 - 2b) B u + B b`. The lead deals `Au` and `u`; with halves `a` of `A` (that is `x_1` at
//! the first of the pair and `x_0` at the second) each of the pair has `t = Au + B u` and sends
//! `h = b ? a + [first] B - t : t`, masked. *Lift* is the same for the public word 1: a bit as a word. Shader:
//! `shaders/inject.wgsl`. One item is a group of 8 elements, one ChaCha block.

use super::{
    dealt::Dealt,
    masked::{Masked, Pad},
    planes::{self, LANES, TILE},
};
use crate::{
    device::{Arg, Buffer, Cpu, Device, Kernel, Out, Output, Params, Window, vector},
    ring::Word,
    stream::Stream,
};
use std::ops::Range;

/// Uniform of both entry points.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct InjectParams {
    /// Groups of 8 elements.
    pub window: Window,
    /// Elements.
    pub n: u32,
    /// 1 for the first of the pair.
    pub is_first: u32,
    /// 1 if the dealt words are drawn, 0 if they are read.
    pub drawn: u32,
    /// 1 to lift a bit to a word: `A` and `Au` are 0, `B` is 1.
    pub lift: u32,
    /// To a multiple of 16 bytes.
    pub padding: [u32; 2],
    /// Masks of `Au`.
    pub product: Stream,
    /// Masks of `u`.
    pub bit: Stream,
    /// Mask of the pair's message.
    pub out: Stream,
}

impl Params for InjectParams {
    fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }
}

const WGSL: &str = include_str!("../../shaders/inject.wgsl");

/// The lead's step: A, u plane -> Au - F, u - F.
pub static INJECT_DEAL: Kernel<InjectParams> =
    Kernel { name: "inject_deal", wgsl: WGSL, groups: |p| u64::from(p.window.count).div_ceil(64), cpu: deal, product: false };

/// The pair's step: a, B, b plane, Au, u -> h - F, F.
pub static INJECT_PAIR: Kernel<InjectParams> =
    Kernel { name: "inject_pair", wgsl: WGSL, groups: |p| u64::from(p.window.count).div_ceil(64), cpu: pair, product: false };

fn words(n: usize) -> Out {
    Out { len: n, per_item: 8 }
}

/// The lead deals `Au` and `u`.
pub fn inject_deal(device: &Device, a: &Buffer, u: &Buffer, [product, bit]: [Pad; 2]) -> [Masked; 2] {
    let n = a.len();
    let params = InjectParams { n: n as u32, product: product.consume(), bit: bit.consume(), ..bytemuck::Zeroable::zeroed() };
    device.run(&INJECT_DEAL, params, n.div_ceil(8), &[a.each(8), u.whole()], [words(n), words(n)]).map(Masked::by_kernel)
}

/// The lead deals `u` alone: a lift of `n` bits.
pub fn lift_deal(device: &Device, n: usize, u: &Buffer, [bit]: [Pad; 1]) -> [Masked; 1] {
    let params = InjectParams { n: n as u32, lift: 1, bit: bit.consume(), ..bytemuck::Zeroable::zeroed() };
    let unused = Out { len: 1, per_item: 0 };
    let [_, bit] = device.run(&INJECT_DEAL, params, n.div_ceil(8), &[u.whole(), u.whole()], [unused, words(n)]);
    [Masked::by_kernel(bit)]
}

/// The pair's half of the product, masked for the swap, and the mask, which is a component of the result: from its half of `A`,
/// from `B`, and from halves of `Au` and `u`.
pub fn inject_pair(
    device: &Device,
    is_first: bool,
    [half, word]: [&Buffer; 2],
    b: &Buffer,
    dealt: &Dealt<2, 2>,
    out: Pad,
) -> (Masked, Buffer) {
    let [product, bit] = dealt.streams();
    let params = InjectParams { drawn: dealt.drawn(), product, bit, ..bytemuck::Zeroable::zeroed() };
    let b = b.whole();
    let inputs = [half.each(8), word.each(8), b, dealt.input(0, 8, b), dealt.input(1, 8, b)];
    run_pair(device, half.len(), is_first, params, inputs, out)
}

/// The pair's half of `n` lifted bits, and the mask: from halves of `u`.
pub fn lift_pair(device: &Device, n: usize, is_first: bool, b: &Buffer, dealt: &Dealt<1, 1>, out: Pad) -> (Masked, Buffer) {
    let [bit] = dealt.streams();
    let params = InjectParams { drawn: dealt.drawn(), lift: 1, bit, ..bytemuck::Zeroable::zeroed() };
    let b = b.whole();
    run_pair(device, n, is_first, params, [b, b, b, b, dealt.input(0, 8, b)], out)
}

fn run_pair(device: &Device, n: usize, is_first: bool, params: InjectParams, inputs: [Arg<'_>; 5], out: Pad) -> (Masked, Buffer) {
    let params = InjectParams { n: n as u32, is_first: is_first.into(), out: out.consume(), ..params };
    let [message, kept] = device.run(&INJECT_PAIR, params, n.div_ceil(8), &inputs, [words(n), words(n)]);
    (Masked::by_kernel(message), kept)
}

/// Elements of the groups `items`, cut into tiles: `body(elements, elements within the piece)`.
#[inline(always)]
fn each_tile(items: &Range<usize>, n: usize, mut body: impl FnMut(Range<usize>, Range<usize>)) {
    let start = items.start * 8;
    let end = n.min(items.end * 8);
    let mut at = start;
    while at < end {
        let to = end.min(at + TILE);
        body(at..to, at - start..to - start);
        at = to;
    }
}

/// A plane of one tile as masks of the elements.
#[inline(always)]
pub(super) fn tile_masks(plane: &[Word], n: usize, elements: &Range<usize>, out: &mut [Word]) {
    let tile = elements.start / TILE;
    let plane: &[u32] = bytemuck::cast_slice(plane);
    planes::masks(&plane[tile * LANES..], planes::lanes_of_tile(n, tile), &mut out[..elements.len()]);
}

fn grain(cpu: &Cpu, groups: usize) -> usize {
    (groups.div_ceil(64).div_ceil(4 * cpu.threads())).clamp(1, 8) * 64
}

fn deal(cpu: &Cpu, p: &InjectParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let (n, lift) = (p.n as usize, p.lift == 1);
    let groups = p.window.count as usize;
    let [product, bit] = outputs else { unreachable!("two outputs") };
    let outputs = vec![Output { words: product, per_item: if lift { 0 } else { 8 } }, Output { words: bit, per_item: 8 }];
    cpu.pieces(groups, grain(cpu, groups), outputs, |items, outs| {
        vector::vectorise!(|| {
            let [product, bit] = outs else { unreachable!("two outputs") };
            let (mut mask, mut drawn) = ([0; TILE], [0; TILE]);
            each_tile(&items, n, |elements, local| {
                let len = elements.len();
                tile_masks(inputs[1], n, &elements, &mut mask);
                vector::keystream(&p.bit, elements.start as u32 / 8, &mut drawn[..len]);
                subtract_bit(&mut bit[local.clone()], &mask[..len], &drawn[..len]);
                if !lift {
                    vector::keystream(&p.product, elements.start as u32 / 8, &mut drawn[..len]);
                    subtract_selected(&mut product[local], &inputs[0][elements], &mask[..len], &drawn[..len]);
                }
            });
        });
    });
    cpu.count(groups * if lift { 1 } else { 2 }, 0);
}

#[inline(always)]
fn subtract_bit(out: &mut [Word], mask: &[Word], drawn: &[Word]) {
    for i in 0..out.len().min(mask.len()).min(drawn.len()) {
        out[i] = (mask[i] & 1).wrapping_sub(drawn[i]);
    }
}

#[inline(always)]
fn subtract_selected(out: &mut [Word], a: &[Word], mask: &[Word], drawn: &[Word]) {
    for i in 0..out.len().min(a.len()).min(mask.len()).min(drawn.len()) {
        out[i] = (a[i] & mask[i]).wrapping_sub(drawn[i]);
    }
}

fn pair(cpu: &Cpu, p: &InjectParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let (n, lift) = (p.n as usize, p.lift == 1);
    let groups = p.window.count as usize;
    let [message, kept] = outputs else { unreachable!("two outputs") };
    let outputs = vec![Output { words: message, per_item: 8 }, Output { words: kept, per_item: 8 }];
    cpu.pieces(groups, grain(cpu, groups), outputs, |items, outs| {
        vector::vectorise!(|| {
            let [message, kept] = outs else { unreachable!("two outputs") };
            let (mut mask, mut product, mut bit) = ([0; TILE], [0; TILE], [0; TILE]);
            let (zeros, ones) = ([0; TILE], [1; TILE]);
            each_tile(&items, n, |elements, local| {
                let (len, block) = (elements.len(), elements.start as u32 / 8);
                tile_masks(inputs[2], n, &elements, &mut mask);
                if p.drawn == 1 {
                    vector::keystream(&p.bit, block, &mut bit[..len]);
                }
                if p.drawn == 1 && !lift {
                    vector::keystream(&p.product, block, &mut product[..len]);
                }
                let dealt_bit = if p.drawn == 1 { &bit[..len] } else { &inputs[4][elements.clone()] };
                let dealt_product = if lift || p.drawn == 1 { &product[..len] } else { &inputs[3][elements.clone()] };
                let (a, b) = if lift { (&zeros[..len], &ones[..len]) } else { (&inputs[0][elements.clone()], &inputs[1][elements]) };
                let (message, kept) = (&mut message[local.clone()], &mut kept[local]);
                vector::keystream(&p.out, block, kept);
                combine(message, kept, a, b, &mask[..len], dealt_product, dealt_bit, u64::from(p.is_first).wrapping_neg());
            });
        });
    });
    let drawn = if p.drawn == 1 { if lift { 1 } else { 2 } } else { 0 };
    cpu.count(groups * (1 + drawn), 0);
}

/// `message = (mask ? a + [first] b - t : t) - kept` with `t = product + b bit`.
#[inline(always)]
fn combine(message: &mut [Word], kept: &[Word], a: &[Word], b: &[Word], mask: &[Word], product: &[Word], bit: &[Word], first: Word) {
    let n = message.len();
    let (kept, a, b, mask, product, bit) = (&kept[..n], &a[..n], &b[..n], &mask[..n], &product[..n], &bit[..n]);
    for i in 0..n {
        let t = product[i].wrapping_add(b[i].wrapping_mul(bit[i]));
        let other = a[i].wrapping_add(b[i] & first).wrapping_sub(t);
        message[i] = ((other & mask[i]) | (t & !mask[i])).wrapping_sub(kept[i]);
    }
}
