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

use super::{
    Masked, Pad, Stream,
    bits::Dealt,
    planes::{self, LANES, TILE},
};
use crate::{
    device::{Buffer, Cpu, Device, Kernel, Out, Output, Params, Window, vector},
    ring::Word,
};

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

const WGSL: &str = include_str!("../../shaders/short.wgsl");

/// The lead's deal: A -> residues.
pub static SHORT_DEAL: Kernel<ShortParams> =
    Kernel { name: "short_deal", wgsl: WGSL, groups: |p| u64::from(p.window.count), cpu: cpu_deal };

/// The pair's answer: B, plane of B_63 ^ beta, residues -> masked list.
pub static SHORT_PAIR: Kernel<ShortParams> =
    Kernel { name: "short_pair", wgsl: WGSL, groups: |p| u64::from(p.window.count), cpu: cpu_pair };

/// The lead's end: A, both lists -> plane of 1 ^ A_63 ^ found.
pub static SHORT_OPEN: Kernel<ShortParams> =
    Kernel { name: "short_open", wgsl: WGSL, groups: |p| (u64::from(p.window.count) * 16).div_ceil(64), cpu: cpu_open };

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
pub fn short_pair(device: &Device, is_first: bool, b: &Buffer, plane: &Buffer, dealt: &Dealt<'_>, mask: Pad, blind: Pad) -> Masked {
    let n = b.len();
    let (drawn, deal) = if let Dealt::Drawn(stream) = dealt { (1, *stream) } else { (0, Stream::default()) };
    let params = ShortParams { is_first: is_first.into(), drawn, deal, mask: mask.consume(), blind: blind.consume(), ..params(n) };
    let dealt = if let Dealt::Received(words) = dealt { words.each(GROUP * BLOCKS / 2) } else { plane.whole() };
    let inputs = [b.each(GROUP), plane.whole(), dealt];
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

/// The words of a group, zeros behind them, and how many there are.
#[inline(always)]
fn words_of(words: &[Word], group: usize, n: usize) -> ([Word; GROUP], usize) {
    let len = GROUP.min(n - group * GROUP);
    let mut all = [0; GROUP];
    all[..len].copy_from_slice(&words[group * GROUP..][..len]);
    (all, len)
}

/// The blocks of a group's elements: row `j` holds 32-bit word `j` of each.
#[inline(always)]
fn keystream(stream: &Stream, group: usize, len: usize, out: &mut [Row]) {
    let blocks = out.len() / 16;
    let mut drawn = [[0; LANES]; 16];
    for at in (0..len).step_by(LANES) {
        for (q, rows) in out.chunks_exact_mut(16).enumerate() {
            let counters = std::array::from_fn(|lane| ((group * GROUP + at + lane) * blocks + q) as u32);
            vector::keystream_sliced(stream, &counters, &mut drawn);
            for (row, drawn) in rows.iter_mut().zip(&drawn) {
                row[at..at + LANES].copy_from_slice(drawn);
            }
        }
    }
}

/// `floor(n bound / 2^96)` of the 96 bits that three rows hold.
#[inline(always)]
fn draw(random: &[Row], bound: u32, out: &mut Row) {
    let [low, middle, high, ..] = random else { unreachable!("three rows a number") };
    let bound = u64::from(bound);
    for e in 0..GROUP {
        let carried = (u64::from(low[e]) * bound) >> 32;
        let carried = (u64::from(middle[e]) * bound + carried) >> 32;
        out[e] = ((u64::from(high[e]) * bound + carried) >> 32) as u32;
    }
}

/// Digits `[block >= t] - digit` modulo 23, `t` from 1 to 7.
#[inline(always)]
fn threshold(a: &[Word; GROUP], shift: u32, number: &mut Row) {
    for e in 0..GROUP {
        let block = (a[e] >> shift) as u32 & 7;
        let (mut rest, mut made, mut power) = (number[e], 0, 1);
        for t in 1..=7 {
            let digit = u32::from(block >= t) + 23 - rest % 23;
            rest /= 23;
            made += digit.min(digit.wrapping_sub(23)) * power;
            power = power.wrapping_mul(23);
        }
        number[e] = made;
    }
}

fn cpu_pair(cpu: &Cpu, p: &ShortParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let (n, groups) = (p.n as usize, p.window.count as usize);
    let [message] = outputs else { unreachable!("one output") };
    clear_end(message);
    let plane: &[u32] = bytemuck::cast_slice(inputs[1]);
    let dealt: &[u32] = bytemuck::cast_slice(inputs[2]);
    let outputs = vec![Output { words: message, per_item: GROUP * ANSWERS / 2 }];
    cpu.pieces(groups, grain(cpu, groups), outputs, |items, outs| {
        vector::vectorise!(|| {
            let message: &mut [u32] = bytemuck::cast_slice_mut(outs[0]);
            let mut random = [[0; GROUP]; 4 * 16];
            let mut pair = Box::new(Answer::default());
            for (group, message) in items.zip(message.chunks_mut(GROUP * ANSWERS)) {
                let (b, len) = words_of(inputs[0], group, n);
                if p.drawn == 1 {
                    keystream(&p.deal, group, len, &mut random);
                }
                pair.start(p, group, len, &b, plane);
                for i in (0..BLOCKS).rev() {
                    if p.drawn == 1 {
                        draw(&random[3 * i..], RESIDUES, &mut pair.number);
                    } else {
                        pair.number[..len].copy_from_slice(&dealt[(group * GROUP * BLOCKS) + i * len..][..len]);
                    }
                    pair.block(p.is_first, &b, i);
                }
                for (message, made) in message.chunks_exact_mut(len).zip(&pair.made) {
                    message.copy_from_slice(&made[..len]);
                }
            }
        });
    });
    cpu.count(n * (2 + 4 * p.drawn as usize), 0);
}

/// One of the pair, block by block from the highest.
struct Answer {
    mask: [Row; 16],
    blind: [Row; 16],
    /// All ones where the direction is 1.
    direction: Row,
    /// What is dealt of this block.
    number: Row,
    /// Halves of `T_w` and `T_{w+1}`.
    low: Row,
    high: Row,
    /// Factors and masks of the blocks to come, as digits.
    factors: Row,
    masks: Row,
    /// Half of how many blocks differ so far.
    differ: Row,
    value: Row,
    /// Where this block goes in the rotated list, and 23 to the power of its digit there.
    place: Row,
    power: Row,
    made: [Row; ANSWERS],
}

impl Default for Answer {
    fn default() -> Self {
        let row = [0; GROUP];
        let rows = [row; 16];
        Self {
            mask: rows,
            blind: rows,
            direction: row,
            number: row,
            low: row,
            high: row,
            factors: row,
            masks: row,
            differ: row,
            value: row,
            place: row,
            power: row,
            made: [row; ANSWERS],
        }
    }
}

impl Answer {
    #[inline(always)]
    fn start(&mut self, p: &ShortParams, group: usize, len: usize, b: &[Word; GROUP], plane: &[u32]) {
        keystream(&p.mask, group, len, &mut self.mask);
        keystream(&p.blind, group, len, &mut self.blind);
        directions(p.n as usize, group, len, b, plane, &mut self.direction);
        draw(&self.blind[9..], BLOCKS as u32, &mut self.place);
        powers(&self.place, &mut self.power);
        self.differ = [0; GROUP];
        self.made = [[0; GROUP]; ANSWERS];
    }

    #[inline(always)]
    fn block(&mut self, is_first: u32, b: &[Word; GROUP], i: usize) {
        let step = BLOCKS - 1 - i;
        if step.is_multiple_of(7) {
            draw(&self.blind[step / 7 * 3..], FACTORS, &mut self.factors);
            draw(&self.mask[step / 7 * 3..], RESIDUES, &mut self.masks);
        }
        pick(&self.number, b, 3 * i as u32, is_first, &mut self.low, &mut self.high);
        // in the lowest block "at most" takes the place of "less"
        let less = if i == 0 { &self.high } else { &self.low };
        miss(less, &self.high, &self.direction, is_first, &mut self.value);
        count(&self.low, &self.high, is_first, &mut self.value, &mut self.differ);
        blind(&mut self.value, &mut self.factors, &mut self.masks, is_first);
        place(&self.value, &mut self.place, &mut self.power, &mut self.made);
    }
}

/// `beta` of each element, from the plane of `B_63 ^ beta`.
#[inline(always)]
fn directions(n: usize, group: usize, len: usize, b: &[Word; GROUP], plane: &[u32], out: &mut Row) {
    let tile = group * GROUP / TILE;
    let (lanes, at) = (planes::lanes_of_tile(n, tile), group * GROUP % TILE);
    let plane = &plane[tile * LANES..][..lanes];
    if let Ok(plane) = <&[u32; LANES]>::try_from(plane) {
        for (quarter, out) in out.chunks_exact_mut(LANES).enumerate() {
            for lane in 0..LANES {
                out[lane] = plane[lane] >> (at / LANES + quarter) & 1;
            }
        }
    } else {
        (0..len).for_each(|e| out[e] = plane[(at + e) % lanes] >> ((at + e) / lanes) & 1);
    }
    for e in 0..GROUP {
        out[e] = (out[e] ^ (b[e] >> 63) as u32).wrapping_neg();
    }
}

/// `23^(place mod 7)`.
#[inline(always)]
fn powers(place: &Row, power: &mut Row) {
    for e in 0..GROUP {
        let digit = place[e] % 7;
        let odd = if digit & 1 == 1 { 23 } else { 1 };
        let two = if digit & 2 == 2 { 23u32.pow(2) } else { 1 };
        let four = if digit & 4 == 4 { 23u32.pow(4) } else { 1 };
        power[e] = odd * two * four;
    }
}

/// Digits `w` and `w + 1`, counted from 1, of the dealt number; digit 0 is this party's half of 1, digit 8 is 0.
#[inline(always)]
fn pick(number: &Row, b: &[Word; GROUP], shift: u32, one: u32, low: &mut Row, high: &mut Row) {
    for e in 0..GROUP {
        let own = (!b[e] >> shift) as u32 & 7;
        let (mut rest, mut at, mut above) = (number[e], one, 0);
        for t in 1..=7 {
            let digit = rest % 23;
            rest /= 23;
            at = if own == t { digit } else { at };
            above = if own + 1 == t { digit } else { above };
        }
        low[e] = at;
        high[e] = above;
    }
}

/// `1 - hit`.
#[inline(always)]
fn miss(less: &Row, more: &Row, direction: &Row, one: u32, out: &mut Row) {
    for e in 0..GROUP {
        out[e] = (less[e] & direction[e]) | ((one + 23 - more[e]) & !direction[e]);
    }
}

/// Adds the blocks above that differ, and counts this one.
#[inline(always)]
fn count(low: &Row, high: &Row, one: u32, value: &mut Row, differ: &mut Row) {
    for e in 0..GROUP {
        value[e] += differ[e];
        differ[e] += one + 23 - low[e] + high[e];
    }
}

/// Times a factor that is not 0, plus or minus a mask, modulo 23.
#[inline(always)]
fn blind(value: &mut Row, factors: &mut Row, masks: &mut Row, is_first: u32) {
    for e in 0..GROUP {
        let (factor, mask) = (factors[e] % 22 + 1, masks[e] % 23);
        factors[e] /= 22;
        masks[e] /= 23;
        let mask = if is_first == 1 { mask } else { 23 - mask };
        value[e] = (value[e] * factor + mask) % 23;
    }
}

/// Writes a value to its place in the list and moves the place on.
#[inline(always)]
fn place(value: &Row, place: &mut Row, power: &mut Row, made: &mut [Row; ANSWERS]) {
    let [first, second, third] = made;
    for e in 0..GROUP {
        let (at, digit) = (place[e], value[e] * power[e]);
        first[e] += if at < 7 { digit } else { 0 };
        second[e] += if (7..14).contains(&at) { digit } else { 0 };
        third[e] += if at >= 14 { digit } else { 0 };
        let next = at + 1;
        power[e] = if next == 7 || next == 14 || next == 21 { 1 } else { power[e].wrapping_mul(23) };
        place[e] = if next == 21 { 0 } else { next };
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
        let (mut x, mut y, mut zero) = (one[e], other[e], found[e]);
        for _ in 0..7 {
            let sum = x % 23 + y % 23;
            (x, y) = (x / 23, y / 23);
            zero |= u32::from(sum == 0) | u32::from(sum == 23);
        }
        found[e] = zero;
    }
}
