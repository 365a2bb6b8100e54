//! The short sign: `[a > b']` of 63 bits, `a` known to the lead, `b'` to the pair, by one deal and one answer.
//!
//! `x = A + B`; the carry into bit 63 is `[a > b']` with `a` the low bits of `A` and `b'` the complement of those of `B`.
//! Both are cut into 21 blocks of 3 bits. The lead deals each block as residues `T_t = [a_i >= t]` modulo 23, `t` from 1 to 7
//! (the one-hot form, summed from above); `T_0 = 1` and `T_8 = 0`. With its own block `w` each of the pair has halves of
//! `[a_i > w] = T_{w+1}`, `[a_i < w] = 1 - T_w` and `[a_i != w] = 1 - T_w + T_{w+1}`. For a random direction `beta` it forms
//! `c_i = 1 - hit_i + (blocks above i that differ)`: `hit_i = [a_i > w_i]`, or if `beta` is 1 `[a_i < w_i]`, in the lowest block
//! `[a_i <= w_i]`. One `c_i` is 0 if the tested relation holds, else none, and all are below 23. Each half is multiplied by
//! `s_i` from 1 to 22, masked by `r_i` or `-r_i`, and the list is rotated. The lead adds both halves: `found`, a zero is there,
//! is `carry ^ beta`. Shader: `shaders/short.wgsl`. One item is a group of 64 elements; at the end a tile of 512.
//!
//! *Layout.* Seven residues are the digits of a number below 23^7 in a `u32`, the lowest first. A buffer of `K` numbers an
//! element (21 dealt, 3 answered) holds, group by group, number by number, those of the group's elements; the last group only
//! as many as there are. *In a stream* element `e` owns the blocks from `k e`, `k` 4 for the deal and 1 for the others. Number
//! `j` comes from their 32-bit words `3j .. 3j + 3` as `floor(n m / 2^96)`, `n` being these 96 bits: each of the `m` values has
//! probability `1 / m` up to 2^-96.

mod answer;
mod digits;

use super::{
    Dealt, Masked, Pad,
    planes::{self, LANES, TILE},
};
use crate::{
    device::{Buffer, Cpu, Device, Kernel, Out, Output, Params, Window, vector},
    ring::Word,
    stream::Stream,
};
use digits::{by_23, draw, keystream, words_of};

/// Elements of a group.
const GROUP: usize = 64;
/// Blocks of 3 bits: numbers dealt for each element.
const BLOCKS: usize = 21;
/// Numbers answered for each element.
const ANSWERS: usize = 3;
/// Seven residues, and seven residues that are not 0.
const RESIDUES: u32 = 23u32.pow(7);
const FACTORS: u32 = 22u32.pow(7);

/// One number of each element of a group.
type Row = [u32; GROUP];

/// Uniform of all three entry points.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct ShortParams {
    /// Groups of 64 elements, or tiles of 512.
    pub window: Window,
    /// Elements.
    pub n: u32,
    /// 1 for the first of the pair.
    pub is_first: u32,
    /// 1 if what is dealt is drawn, 0 if it is read.
    pub drawn: u32,
    /// To a multiple of 16 bytes.
    pub padding: [u32; 3],
    /// Masks of what is dealt.
    pub deal: Stream,
    /// Masks of the pair's answer.
    pub mask: Stream,
    /// Factors and rotation.
    pub blind: Stream,
}

impl Params for ShortParams {
    fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }
}

const WGSL: &str = include_str!("../../../shaders/short.wgsl");

/// The lead's deal: A -> residues.
pub static SHORT_DEAL: Kernel<ShortParams> =
    Kernel { name: "short_deal", wgsl: WGSL, groups: |p| u64::from(p.window.count), cpu: cpu_deal, product: false };

/// The pair's answer: B, plane of B_63 ^ beta, residues -> masked list.
pub static SHORT_PAIR: Kernel<ShortParams> =
    Kernel { name: "short_pair", wgsl: WGSL, groups: |p| u64::from(p.window.count), cpu: answer::cpu_pair, product: false };

/// The lead's end: A, both lists -> plane of 1 ^ A_63 ^ found.
pub static SHORT_OPEN: Kernel<ShortParams> =
    Kernel { name: "short_open", wgsl: WGSL, groups: |p| (u64::from(p.window.count) * 16).div_ceil(64), cpu: cpu_open, product: false };

/// Words of the deal of `n` elements: 672 bits an element, rounded up at the end.
pub fn dealt_words(n: usize) -> usize {
    (n * BLOCKS).div_ceil(2)
}

/// Words of each answer of `n` elements: 96 bits an element, rounded up at the end.
pub fn answer_words(n: usize) -> usize {
    (n * ANSWERS).div_ceil(2)
}

fn params(n: usize) -> ShortParams {
    ShortParams { n: n as u32, ..bytemuck::Zeroable::zeroed() }
}

fn numbers(n: usize, of_each: usize) -> Out {
    Out { len: (n * of_each).div_ceil(2), per_item: GROUP * of_each / 2 }
}

/// The lead deals the blocks of its low 63 bits.
pub fn short_deal(device: &Device, a: &Buffer, pad: Pad) -> Masked {
    let n = a.len();
    let params = ShortParams { deal: pad.consume(), ..params(n) };
    let [message] = device.run(&SHORT_DEAL, params, n.div_ceil(GROUP), &[a.each(GROUP)], [numbers(n, BLOCKS)]);
    Masked::by_kernel(message)
}

/// The answer of one of the pair; `plane` holds `B_63 ^ beta`, both streams are known to the pair alone.
pub fn short_pair(device: &Device, is_first: bool, b: &Buffer, plane: &Buffer, dealt: &Dealt<1, 1>, mask: Pad, blind: Pad) -> Masked {
    let n = b.len();
    let (drawn, [deal]) = (dealt.drawn(), dealt.streams());
    let params = ShortParams { is_first: is_first.into(), drawn, deal, mask: mask.consume(), blind: blind.consume(), ..params(n) };
    let inputs = [b.each(GROUP), plane.whole(), dealt.input(0, GROUP * BLOCKS / 2, plane.whole())];
    let [message] = device.run(&SHORT_PAIR, params, n.div_ceil(GROUP), &inputs, [numbers(n, ANSWERS)]);
    Masked::by_kernel(message)
}

/// The lead's half of `[x >= 0]` from both answers.
pub fn short_open(device: &Device, a: &Buffer, answers: [&Buffer; 2]) -> Buffer {
    let n = a.len();
    let [one, other] = answers.map(|answer| answer.each(TILE * ANSWERS / 2));
    let out = Out { len: planes::words(n, 1), per_item: LANES / 2 };
    let [plane] = device.run(&SHORT_OPEN, params(n), planes::tiles(n), &[a.each(TILE), one, other], [out]);
    plane
}

fn grain(cpu: &Cpu, groups: usize) -> usize {
    groups.div_ceil(4 * cpu.threads()).clamp(1, 16)
}

/// What is left over where numbers are odd in count.
fn clear_end(words: &mut [Word]) {
    if let Some(last) = words.last_mut() {
        *last = 0;
    }
}

fn cpu_deal(cpu: &Cpu, p: &ShortParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let (n, groups) = (p.n as usize, p.window.count as usize);
    let [message] = outputs else { unreachable!("one output") };
    clear_end(message);
    let outputs = vec![Output { words: message, per_item: GROUP * BLOCKS / 2 }];
    cpu.pieces(groups, grain(cpu, groups), outputs, |items, outs| {
        vector::vectorise!(|| {
            let message: &mut [u32] = bytemuck::cast_slice_mut(outs[0]);
            let mut random = [[0; GROUP]; 4 * 16];
            let mut number = [0; GROUP];
            for (group, message) in items.zip(message.chunks_mut(GROUP * BLOCKS)) {
                let (a, len) = words_of(inputs[0], group, n);
                keystream(&p.deal, group, len, &mut random);
                for (i, message) in message.chunks_exact_mut(len).take(BLOCKS).enumerate() {
                    draw(&random[3 * i..], RESIDUES, &mut number);
                    threshold(&a, 3 * i as u32, &mut number);
                    message.copy_from_slice(&number[..len]);
                }
            }
        });
    });
    cpu.count(4 * n, 0);
}

/// Digits `[block >= t] - digit` modulo 23, `t` from 1 to 7. (An inclusive range would be unrolled too late for vectors.)
#[inline(always)]
fn threshold(a: &[Word; GROUP], shift: u32, number: &mut Row) {
    for e in 0..GROUP {
        let block = (a[e] >> shift) & 7;
        let (mut rest, mut made, mut power) = (u64::from(number[e]), 0, 1);
        for t in 1..8 {
            let (quotient, digit) = by_23(rest);
            let wraps = if digit > u64::from(block >= t) { 23 } else { 0 };
            made += (u64::from(block >= t) + wraps - digit) * power;
            (rest, power) = (quotient, 23 * power);
        }
        number[e] = made as u32;
    }
}

fn cpu_open(cpu: &Cpu, p: &ShortParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
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
