//! Truncation and ReLU in one: the truncated value `t = T_A + T_B + 2^(64-f) m_A m_B` times the split bit `u ^ b`, before it
//! is ever shared.
//!
//! The lead deals `T_A, T_A u, u` (words) and `m_A, m_A u` (fields). With `X = T_A u + T_B u + 2^(64-f) m_B (m_A u)` and
//! `S = T_A + [first] T_B + 2^(64-f) m_B m_A` in halves, each of the pair sends `h = b ? S - X : X`, masked. Truncation terms
//! are those of [`truncate`]. Shader: `shaders/activate.wgsl`. One item is a block of fields; the message of
//! fields holds, block by block, up to 8 words of `m_A` and then as many of `m_A u`.

use super::{
    dealt::Dealt,
    fields,
    inject::tile_masks,
    masked::{Masked, Pad},
    planes::TILE,
    truncate::{self, draw_fields, grain},
};
use crate::{
    device::{Buffer, Cpu, Device, Kernel, Out, Output, Params, Window, vector},
    ring::Word,
    stream::Stream,
};
use std::ops::Range;

/// Uniform of both entry points.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct ActivateParams {
    /// Blocks of fields.
    pub window: Window,
    /// Elements.
    pub n: u32,
    /// f.
    pub bits: u32,
    /// 1 for the first of the pair.
    pub is_first: u32,
    /// 1 if the dealt values are drawn, 0 if they are read.
    pub drawn: u32,
    /// To a multiple of 16 bytes.
    pub padding: [u32; 2],
    /// Masks of what is dealt: `T_A`, `T_A u`, `u`, then as fields `m_A`, `m_A u`.
    pub dealt: [Stream; 5],
    /// Mask of the pair's message.
    pub out: Stream,
}

impl Params for ActivateParams {
    fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }
}

const WGSL: &str = include_str!("../../shaders/activate.wgsl");

fn groups(p: &ActivateParams) -> u64 {
    u64::from(p.window.count).div_ceil(64)
}

/// The lead's step: A, u plane -> T_A, T_A u, u, fields, all masked.
pub static ACTIVATE_DEAL: Kernel<ActivateParams> = Kernel { name: "activate_deal", wgsl: WGSL, groups, cpu: deal, product: false };

/// The pair's step: B, b plane, T, Tu, u, fields -> masked half of the result, the mask.
pub static ACTIVATE_PAIR: Kernel<ActivateParams> = Kernel { name: "activate_pair", wgsl: WGSL, groups, cpu: pair, product: false };

struct Layout {
    items: usize,
    words: Out,
    fields: Out,
}

fn layout(n: usize, bits: u32) -> Layout {
    assert!(fields::WIDTHS.contains(&bits), "truncation by {bits} bits, of {:?}", fields::WIDTHS);
    let block = fields::per_block(bits);
    Layout {
        items: n.div_ceil(block),
        words: Out { len: n, per_item: block },
        fields: Out { len: 2 * fields::words(n, bits), per_item: 16 },
    }
}

/// Number of words of the fields' message.
pub fn field_words(n: usize, bits: u32) -> usize {
    2 * fields::words(n, bits)
}

/// The lead deals: three messages of words, one of fields.
pub fn activate_deal(device: &Device, a: &Buffer, u: &Buffer, bits: u32, pads: [Pad; 5]) -> [Masked; 4] {
    let l = layout(a.len(), bits);
    let params = ActivateParams { n: a.len() as u32, bits, dealt: pads.map(Pad::consume), ..bytemuck::Zeroable::zeroed() };
    let inputs = [a.each(l.words.per_item), u.whole()];
    device.run(&ACTIVATE_DEAL, params, l.items, &inputs, [l.words, l.words, l.words, l.fields]).map(Masked::by_kernel)
}

/// The pair's half of the result, masked for the swap, and the mask, which is a component of the result. Dealt are `T_A, T_A u, u`
/// and, as fields of one message, `m_A, m_A u`.
pub fn activate_pair(
    device: &Device,
    b: &Buffer,
    bit: &Buffer,
    bits: u32,
    is_first: bool,
    dealt: &Dealt<4, 5>,
    out: Pad,
) -> (Masked, Buffer) {
    let l = layout(b.len(), bits);
    let params = ActivateParams {
        n: b.len() as u32,
        bits,
        is_first: is_first.into(),
        drawn: dealt.drawn(),
        dealt: dealt.streams(),
        out: out.consume(),
        ..bytemuck::Zeroable::zeroed()
    };
    let (words, bit) = (l.words.per_item, bit.whole());
    let [t, tu, u, fields] = [(0, words), (1, words), (2, words), (3, 16)].map(|(i, per_item)| dealt.input(i, per_item, bit));
    let inputs = [b.each(words), bit, t, tu, u, fields];
    let [message, kept] = device.run(&ACTIVATE_PAIR, params, l.items, &inputs, [l.words, l.words]);
    (Masked::by_kernel(message), kept)
}

/// Bits of the plane for a piece's elements, as masks.
#[inline(always)]
fn piece_masks(plane: &[Word], n: usize, elements: &Range<usize>, out: &mut [Word]) {
    let mut at = elements.start;
    while at < elements.end {
        let to = elements.end.min(at + TILE);
        tile_masks(plane, n, &(at..to), &mut out[at - elements.start..to - elements.start]);
        at = to;
    }
}

fn deal(cpu: &Cpu, p: &ActivateParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let (n, bits) = (p.n as usize, p.bits);
    let (items, block) = (p.window.count as usize, fields::per_block(bits));
    let [value, product, bit, wraps] = outputs else { unreachable!("four outputs") };
    let outputs = vec![
        Output { words: value, per_item: block },
        Output { words: product, per_item: block },
        Output { words: bit, per_item: block },
        Output { words: wraps, per_item: 16 },
    ];
    cpu.pieces(items, grain(cpu, items, bits), outputs, |range, outs| {
        vector::vectorise!(|| {
            let [value, product, bit, wraps] = outs else { unreachable!("four outputs") };
            let elements = range.start * block..n.min(range.end * block);
            let (len, first) = (elements.len(), (elements.start / 8) as u32);
            let (mut u, mut t, mut wrap) = (vec![0; len], vec![0; len], vec![0; len]);
            let (mut packed, mut mask, mut masked) = (vec![0; len], vec![0; len], vec![0; len]);
            piece_masks(inputs[1], n, &elements, &mut u);
            for ((&a, t), m) in inputs[0][elements].iter().zip(&mut t).zip(&mut wrap) {
                (*t, *m) = truncate::lead(a, bits);
            }
            vector::keystream(&p.dealt[0], first, &mut mask);
            select_minus(value, &t, None, &mask);
            vector::keystream(&p.dealt[1], first, &mut mask);
            select_minus(product, &t, Some(&u), &mask);
            vector::keystream(&p.dealt[2], first, &mut mask);
            for ((out, u), mask) in bit.iter_mut().zip(&u).zip(&mask) {
                *out = (u & 1).wrapping_sub(*mask);
            }
            let words = fields::words(len, bits);
            let mut halves = vec![0; 2 * words];
            for (i, select) in [None, Some(&u[..])].into_iter().enumerate() {
                draw_fields(&p.dealt[3 + i], range.start, bits, &mut packed, &mut mask);
                select_minus(&mut masked, &wrap, select, &mask);
                fields::pack(&masked, bits, &mut halves[i * words..][..words]);
            }
            interleave(&halves, wraps);
        });
    });
    cpu.count(3 * n.div_ceil(8) + 2 * items, 0);
}

fn pair(cpu: &Cpu, p: &ActivateParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let (n, bits) = (p.n as usize, p.bits);
    let (items, block) = (p.window.count as usize, fields::per_block(bits));
    let [message, kept] = outputs else { unreachable!("two outputs") };
    let outputs = vec![Output { words: message, per_item: block }, Output { words: kept, per_item: block }];
    cpu.pieces(items, grain(cpu, items, bits), outputs, |range, outs| {
        vector::vectorise!(|| {
            let [message, kept] = outs else { unreachable!("two outputs") };
            let elements = range.start * block..n.min(range.end * block);
            let (len, first) = (elements.len(), (elements.start / 8) as u32);
            let mut scratch = vec![vec![0; len]; if p.drawn == 1 { 7 } else { 4 }];
            let [b, m, mu, packed, words @ ..] = &mut scratch[..] else { unreachable!("at least four") };
            piece_masks(inputs[1], n, &elements, b);
            if p.drawn == 1 {
                draw_fields(&p.dealt[3], range.start, bits, packed, m);
                draw_fields(&p.dealt[4], range.start, bits, packed, mu);
                for (i, words) in words.iter_mut().enumerate() {
                    vector::keystream(&p.dealt[i], first, words);
                }
            } else {
                let count = fields::words(len, bits);
                let mut halves = vec![0; 2 * count];
                separate(&inputs[5][range.start * 16..][..2 * count], &mut halves);
                fields::unpack(&halves[..count], bits, m);
                fields::unpack(&halves[count..], bits, mu);
            }
            let dealt: [&[Word]; 3] = match words {
                [t, tu, u] => [t, tu, u],
                _ => [2, 3, 4].map(|i| &inputs[i][elements.clone()]),
            };
            vector::keystream(&p.out, first, kept);
            let first = u64::from(p.is_first).wrapping_neg();
            combine(message, kept, &inputs[0][elements.clone()], b, dealt, [m, mu], bits, first);
        });
    });
    cpu.count(n.div_ceil(8) + p.drawn as usize * (3 * n.div_ceil(8) + 2 * items), 0);
}

#[inline(always)]
fn select_minus(out: &mut [Word], x: &[Word], select: Option<&[Word]>, mask: &[Word]) {
    match select {
        None => out.iter_mut().zip(x).zip(mask).for_each(|((out, x), mask)| *out = x.wrapping_sub(*mask)),
        Some(select) => {
            for (((out, x), select), mask) in out.iter_mut().zip(x).zip(select).zip(mask) {
                *out = (x & select).wrapping_sub(*mask);
            }
        }
    }
}

/// Both halves, word by word, into blocks of 8 and 8.
#[inline(always)]
fn interleave(halves: &[Word], out: &mut [Word]) {
    let (m, mu) = halves.split_at(halves.len() / 2);
    let mut at = 0;
    for (m, mu) in m.chunks(8).zip(mu.chunks(8)) {
        out[at..at + m.len()].copy_from_slice(m);
        out[at + m.len()..at + 2 * m.len()].copy_from_slice(mu);
        at += 2 * m.len();
    }
}

#[inline(always)]
fn separate(blocks: &[Word], halves: &mut [Word]) {
    let (m, mu) = halves.split_at_mut(blocks.len() / 2);
    for ((block, m), mu) in blocks.chunks(16).zip(m.chunks_mut(8)).zip(mu.chunks_mut(8)) {
        m.copy_from_slice(&block[..m.len()]);
        mu.copy_from_slice(&block[m.len()..]);
    }
}

/// `message = (b ? S - X : X) - kept`, see the head of the file.
#[inline(always)]
fn combine(
    message: &mut [Word],
    kept: &[Word],
    word: &[Word],
    bit: &[Word],
    [t, tu, u]: [&[Word]; 3],
    [m, mu]: [&[Word]; 2],
    bits: u32,
    first: Word,
) {
    let n = message.len();
    let (kept, word, bit, t, tu, u, m, mu) = (&kept[..n], &word[..n], &bit[..n], &t[..n], &tu[..n], &u[..n], &m[..n], &mu[..n]);
    for i in 0..n {
        let (tb, mb) = truncate::of_pair(word[i], bits);
        let wraps = mb.wrapping_neg();
        let x = tu[i].wrapping_add(tb.wrapping_mul(u[i])).wrapping_add((mu[i] & wraps) << (64 - bits));
        let s = t[i].wrapping_add(tb & first).wrapping_add((m[i] & wraps) << (64 - bits));
        let other = s.wrapping_sub(x);
        message[i] = ((other & bit[i]) | (x & !bit[i])).wrapping_sub(kept[i]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernels::{now_or_never, planes},
        ring::floor_shift,
    };

    fn stream(seed: u32) -> Stream {
        Stream { key: [seed; 8], nonce: [seed, 0, 0, 0] }
    }

    #[test]
    fn every_width_gives_the_truncated_value_or_zero() {
        const N: usize = 700;
        let device = Device::cpu(1).unwrap();
        let random = |i: usize, seed: u64| (i as u64 ^ seed << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let [u, b] = [1, 2].map(|seed| (0..planes::words(N, 1)).map(|i| random(i, seed)).collect::<Vec<_>>());
        let mut selected = vec![0; N];
        let both: Vec<Word> = u.iter().zip(&b).map(|(u, b)| u ^ b).collect();
        piece_masks(&both, N, &(0..N), &mut selected);
        let (u, b) = (device.upload(&u), device.upload(&b));
        for bits in fields::WIDTHS {
            let x: Vec<Word> = (0..N).map(|i| (random(i, 3) as i64 >> 2) as u64).collect();
            let a: Vec<Word> = (0..N).map(|i| random(i, 4)).collect();
            let lead = device.upload(&a);
            let pair = device.upload(&x.iter().zip(&a).map(|(x, a)| x.wrapping_sub(*a)).collect::<Vec<_>>());
            let dealt = activate_deal(&device, &lead, &u, bits, [1, 2, 3, 4, 5].map(|seed| Pad::fresh(stream(seed))));
            let received = Dealt::Received(dealt.map(|message| message.words().clone()));
            let drawn = Dealt::Drawn([1, 2, 3, 4, 5].map(stream));
            let (to_second, first) = activate_pair(&device, &pair, &b, bits, true, &drawn, Pad::fresh(stream(6)));
            let (to_first, second) = activate_pair(&device, &pair, &b, bits, false, &received, Pad::fresh(stream(7)));
            let made = now_or_never(device.download(&[&first, &second, to_second.words(), to_first.words()])).unwrap();
            for (i, &x) in x.iter().enumerate() {
                let sum = made.iter().fold(0u64, |sum, part| sum.wrapping_add(part[i]));
                let above = sum.wrapping_sub(floor_shift(x, bits) & selected[i]);
                assert!(above == 0 || above == 1 && selected[i] != 0, "{bits} bits: {x:#x} gives {sum:#x}");
            }
        }
    }
}
