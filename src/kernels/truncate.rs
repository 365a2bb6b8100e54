//! Truncation by `f` bits on the split view, exact up to one unit: the lead's, the pair's and the last step.
//!
//! `A' = A + 2^62 - 1`; `A' + B` wraps iff `m_A` or `m_B` (top bits), because `0 <= x + 2^62 - 1 < 2^63`. The lead deals
//! `T_A = (A' >> f) - m_A 2^(64-f)` and `m_A` mod `2^f`; the pair swaps its halves of `m_A m_B`, `f` bits each, and adds
//! `T_B = (B >> f) - m_B 2^(64-f) + 1 - 2^(62-f)`. The masks of that swap, shifted, are what the halves of the product
//! add to the two components that are not swapped. Shader: `shaders/truncate.wgsl`. One item is a block of fields
//! ([`fields`]).

use super::{
    dealt::Dealt,
    fields,
    masked::{Masked, Pad},
};
use crate::{
    device::{Buffer, Cpu, Device, Kernel, Out, Output, Params, Window, vector},
    ring::Word,
    stream::Stream,
};

/// Uniform of the three entry points.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct TruncateParams {
    /// Blocks of fields.
    pub window: Window,
    /// Elements.
    pub n: u32,
    /// f.
    pub bits: u32,
    /// 1 if the dealt values are drawn, 0 if they are read.
    pub drawn: u32,
    /// To a multiple of 16 bytes.
    pub padding: [u32; 3],
    /// Masks of `T_A`.
    pub value: Stream,
    /// Masks of `m_A`, fields.
    pub wrap: Stream,
    /// Masks of the swap, fields: the lead's own component, or the pair's one.
    pub out: Stream,
    /// The lead's second component of them.
    pub other: Stream,
}

impl Params for TruncateParams {
    fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }
}

const WGSL: &str = include_str!("../../shaders/truncate.wgsl");

fn groups(p: &TruncateParams) -> u64 {
    u64::from(p.window.count).div_ceil(64)
}

/// The lead's step: A -> T_A - F, m_A - F, own component, next component.
pub static TRUNCATE_DEAL: Kernel<TruncateParams> = Kernel { name: "truncate_deal", wgsl: WGSL, groups, cpu: deal, product: false };

/// The pair's step: B, T, m -> masked half of m_A m_B, the component that is not swapped.
pub static TRUNCATE_PAIR: Kernel<TruncateParams> = Kernel { name: "truncate_pair", wgsl: WGSL, groups, cpu: pair, product: false };

/// The pair's last step: B, sent, received -> the swapped component.
pub static TRUNCATE_FINISH: Kernel<TruncateParams> = Kernel { name: "truncate_finish", wgsl: WGSL, groups, cpu: finish, product: false };

/// Words and items of a tensor of `n` elements truncated by `bits`.
struct Layout {
    items: usize,
    words: Out,
    fields: Out,
}

fn layout(n: usize, bits: u32) -> Layout {
    assert!(fields::WIDTHS.contains(&bits), "truncation by {bits} bits, of {:?}", fields::WIDTHS);
    let block = fields::per_block(bits);
    Layout { items: n.div_ceil(block), words: Out { len: n, per_item: block }, fields: Out { len: fields::words(n, bits), per_item: 8 } }
}

/// The lead deals `T_A` and `m_A` and has both its components of the result. `masks` are the swap's masks, which it knows.
pub fn truncate_deal(device: &Device, a: &Buffer, bits: u32, [value, wrap]: [Pad; 2], masks: [Stream; 2]) -> ([Masked; 2], [Buffer; 2]) {
    let l = layout(a.len(), bits);
    let params = TruncateParams {
        n: a.len() as u32,
        bits,
        value: value.consume(),
        wrap: wrap.consume(),
        out: masks[0],
        other: masks[1],
        ..bytemuck::Zeroable::zeroed()
    };
    let [value, wrap, own, next] =
        device.run(&TRUNCATE_DEAL, params, l.items, &[a.each(l.words.per_item)], [l.words, l.fields, l.words, l.words]);
    ([value, wrap].map(Masked::by_kernel), [own, next])
}

/// The pair's masked half of the wrap, and its component of the result that is not swapped.
pub fn truncate_pair(device: &Device, b: &Buffer, bits: u32, dealt: &Dealt<2, 2>, out: Pad) -> (Masked, Buffer) {
    let l = layout(b.len(), bits);
    let [value, wrap] = dealt.streams();
    let params =
        TruncateParams { n: b.len() as u32, bits, drawn: dealt.drawn(), value, wrap, out: out.consume(), ..bytemuck::Zeroable::zeroed() };
    let b = b.each(l.words.per_item);
    let inputs = [b, dealt.input(0, l.words.per_item, b), dealt.input(1, 8, b)];
    let [message, kept] = device.run(&TRUNCATE_PAIR, params, l.items, &inputs, [l.fields, l.words]);
    (Masked::by_kernel(message), kept)
}

/// The swapped component: `T_B + (sent + received) 2^(64-f)`.
pub fn truncate_finish(device: &Device, b: &Buffer, bits: u32, sent: &Buffer, received: &Buffer) -> Buffer {
    let l = layout(b.len(), bits);
    let params = TruncateParams { n: b.len() as u32, bits, ..bytemuck::Zeroable::zeroed() };
    let inputs = [b.each(l.words.per_item), sent.each(8), received.each(8)];
    let [out] = device.run(&TRUNCATE_FINISH, params, l.items, &inputs, [l.words]);
    out
}

/// `(T_A, m_A)`.
#[inline(always)]
pub(super) fn lead(a: Word, bits: u32) -> (Word, Word) {
    let shifted = a.wrapping_add((1 << 62) - 1);
    let wrap = shifted >> 63;
    ((shifted >> bits).wrapping_sub(wrap << (64 - bits)), wrap)
}

/// `(T_B, m_B)`.
#[inline(always)]
pub(super) fn of_pair(b: Word, bits: u32) -> (Word, Word) {
    let wrap = b >> 63;
    ((b >> bits).wrapping_sub(wrap << (64 - bits)).wrapping_add(1).wrapping_sub(1 << (62 - bits)), wrap)
}

/// Draws a stream's fields for elements that start at `block`.
#[inline(always)]
pub(super) fn draw_fields(stream: &Stream, block: usize, bits: u32, packed: &mut [Word], out: &mut [Word]) {
    let packed = &mut packed[..fields::words(out.len(), bits)];
    vector::keystream(stream, block as u32, packed);
    fields::unpack(packed, bits, out);
}

/// Blocks a piece: about four thousand elements, whole tiles.
pub(super) fn grain(cpu: &Cpu, items: usize, bits: u32) -> usize {
    let most = (4096 / fields::per_block(bits)).next_multiple_of(64).max(64);
    items.div_ceil(4 * cpu.threads()).next_multiple_of(64).clamp(64, most)
}

fn deal(cpu: &Cpu, p: &TruncateParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let (n, bits) = (p.n as usize, p.bits);
    let (items, block) = (p.window.count as usize, fields::per_block(bits));
    let [value, wrap, own, next] = outputs else { unreachable!("four outputs") };
    let outputs = vec![
        Output { words: value, per_item: block },
        Output { words: wrap, per_item: 8 },
        Output { words: own, per_item: block },
        Output { words: next, per_item: block },
    ];
    cpu.pieces(items, grain(cpu, items, bits), outputs, |range, outs| {
        vector::vectorise!(|| {
            let [value, wrap, own, next] = outs else { unreachable!("four outputs") };
            let elements = range.start * block..n.min(range.end * block);
            let len = elements.len();
            let (mut packed, mut mask, mut carry) = (vec![0; len], vec![0; len], vec![0; len]);
            vector::keystream(&p.value, (elements.start / 8) as u32, next);
            split_lead(&inputs[0][elements], bits, next, value, &mut carry);
            draw_fields(&p.wrap, range.start, bits, &mut packed, &mut mask);
            subtract(&mut carry, &mask);
            fields::pack(&carry, bits, wrap);
            draw_fields(&p.out, range.start, bits, &mut packed, &mut mask);
            shifted_sum(own, value, &mask, 64 - bits);
            draw_fields(&p.other, range.start, bits, &mut packed, &mut mask);
            add_shifted(next, &mask, 64 - bits);
        });
    });
    cpu.count(n.div_ceil(8) + 3 * items, 0);
}

fn pair(cpu: &Cpu, p: &TruncateParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let (n, bits) = (p.n as usize, p.bits);
    let (items, block) = (p.window.count as usize, fields::per_block(bits));
    let [message, kept] = outputs else { unreachable!("two outputs") };
    let outputs = vec![Output { words: message, per_item: 8 }, Output { words: kept, per_item: block }];
    cpu.pieces(items, grain(cpu, items, bits), outputs, |range, outs| {
        vector::vectorise!(|| {
            let [message, kept] = outs else { unreachable!("two outputs") };
            let elements = range.start * block..n.min(range.end * block);
            let len = elements.len();
            let (mut packed, mut mask, mut half) = (vec![0; len], vec![0; len], vec![0; len]);
            if p.drawn == 1 {
                draw_fields(&p.wrap, range.start, bits, &mut packed, &mut half);
                vector::keystream(&p.value, (elements.start / 8) as u32, kept);
            } else {
                fields::unpack(&inputs[2][range.start * 8..], bits, &mut half);
                kept.copy_from_slice(&inputs[1][elements.clone()]);
            }
            draw_fields(&p.out, range.start, bits, &mut packed, &mut mask);
            add_shifted(kept, &mask, 64 - bits);
            masked_wrap(&mut half, &inputs[0][elements], &mask);
            fields::pack(&half, bits, message);
        });
    });
    cpu.count(items + p.drawn as usize * (n.div_ceil(8) + items), 0);
}

fn finish(cpu: &Cpu, p: &TruncateParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let (n, bits) = (p.n as usize, p.bits);
    let (items, block) = (p.window.count as usize, fields::per_block(bits));
    let [out] = outputs else { unreachable!("one output") };
    cpu.pieces(items, grain(cpu, items, bits), vec![Output { words: out, per_item: block }], |range, outs| {
        vector::vectorise!(|| {
            let elements = range.start * block..n.min(range.end * block);
            let (mut sent, mut received) = (vec![0; elements.len()], vec![0; elements.len()]);
            fields::unpack(&inputs[1][range.start * 8..], bits, &mut sent);
            fields::unpack(&inputs[2][range.start * 8..], bits, &mut received);
            for (((out, &b), s), r) in outs[0].iter_mut().zip(&inputs[0][elements]).zip(&sent).zip(&received) {
                *out = of_pair(b, bits).0.wrapping_add(s.wrapping_add(*r) << (64 - bits));
            }
        });
    });
}

#[inline(always)]
fn split_lead(a: &[Word], bits: u32, mask: &[Word], value: &mut [Word], carry: &mut [Word]) {
    for (((&a, &mask), value), carry) in a.iter().zip(mask).zip(value).zip(carry) {
        let (t, m) = lead(a, bits);
        *value = t.wrapping_sub(mask);
        *carry = m;
    }
}

#[inline(always)]
fn subtract(x: &mut [Word], y: &[Word]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x = x.wrapping_sub(*y);
    }
}

#[inline(always)]
fn shifted_sum(out: &mut [Word], x: &[Word], y: &[Word], shift: u32) {
    for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
        *out = x.wrapping_add(y << shift);
    }
}

#[inline(always)]
fn add_shifted(x: &mut [Word], y: &[Word], shift: u32) {
    for (x, y) in x.iter_mut().zip(y) {
        *x = x.wrapping_add(y << shift);
    }
}

/// `half = half m_B - mask`.
#[inline(always)]
fn masked_wrap(half: &mut [Word], b: &[Word], mask: &[Word]) {
    for ((half, b), mask) in half.iter_mut().zip(b).zip(mask) {
        *half = (*half & (b >> 63).wrapping_neg()).wrapping_sub(*mask);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernels::now_or_never,
        ring::{EDGES, floor_shift},
    };

    fn stream(seed: u32) -> Stream {
        Stream { key: [seed; 8], nonce: [seed, 0, 0, 0] }
    }

    /// Values below 2^62 in absolute value, some of them multiples of `2^bits`, and random shares `A` of them.
    fn values(bits: u32) -> (Vec<Word>, Vec<Word>) {
        let random = |i: usize| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let value = |i: usize| {
            let x = (if i.is_multiple_of(3) { EDGES[i / 3 % 8] } else { random(i) } as i64) >> 2;
            (if i.is_multiple_of(5) { x >> bits << bits } else { x }) as u64
        };
        (
            (0..700).map(value).collect(),
            (0..700).map(|i: usize| if i.is_multiple_of(7) { EDGES[i / 7 % 8] } else { random(3 * i) }).collect(),
        )
    }

    #[test]
    fn every_width_gives_the_floor_or_one_more() {
        let device = Device::cpu(1).unwrap();
        for bits in fields::WIDTHS {
            let (x, a) = values(bits);
            let b: Vec<Word> = x.iter().zip(&a).map(|(x, a)| x.wrapping_sub(*a)).collect();
            let (lead, pair) = (device.upload(&a), device.upload(&b));
            let pad = |seed| Pad::fresh(stream(seed));
            let (dealt, [own, next]) = truncate_deal(&device, &lead, bits, [pad(1), pad(2)], [stream(3), stream(4)]);
            let received = Dealt::Received(dealt.map(|message| message.words().clone()));
            let (to_second, first) = truncate_pair(&device, &pair, bits, &Dealt::Drawn([stream(1), stream(2)]), pad(4));
            let (to_first, second) = truncate_pair(&device, &pair, bits, &received, pad(3));
            let swapped = truncate_finish(&device, &pair, bits, to_second.words(), to_first.words());
            let made = now_or_never(device.download(&[&own, &next, &first, &second, &swapped])).unwrap();
            assert_eq!((&made[0], &made[1]), (&made[3], &made[2]), "{bits} bits: components of lead and pair");
            for (i, &x) in x.iter().enumerate() {
                let sum = made[0][i].wrapping_add(made[1][i]).wrapping_add(made[4][i]);
                let above = sum.wrapping_sub(floor_shift(x, bits));
                assert!(above == 0 || above == 1 && x << (64 - bits) != 0, "{bits} bits: {x:#x} gives {sum:#x}");
            }
        }
    }
}
