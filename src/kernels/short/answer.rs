//! The pair's side of the short sign: block by block from the highest, then the list in rotated order.

use super::{
    digits::{by_22, by_23, draw, keystream, words_of},
    layout::{ANSWERS, BLOCKS, FACTORS, GROUP, RESIDUES, Row, ShortParams, clear_end, grain},
};
use crate::{
    device::{Cpu, Output, vector},
    kernels::planes::{self, LANES, TILE},
    ring::Word,
};

pub(super) fn cpu_pair(cpu: &Cpu, p: &ShortParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
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
            let mut pair = Box::new(PairSide::default());
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
struct PairSide {
    mask: [Row; 16],
    blind: [Row; 16],
    /// All ones where the direction is 1.
    direction: Row,
    /// The number dealt of this block.
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
    /// The position of this block in the rotated list, and 23 to the power of its digit there.
    place: Row,
    power: Row,
    made: [Row; ANSWERS],
}

impl Default for PairSide {
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

impl PairSide {
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
        let own = (!b[e] >> shift) & 7;
        let (mut rest, mut at, mut above) = (u64::from(number[e]), u64::from(one), 0);
        for t in 1..8 {
            let (quotient, digit) = by_23(rest);
            at = if own == t { digit } else { at };
            above = if own + 1 == t { digit } else { above };
            rest = quotient;
        }
        low[e] = at as u32;
        high[e] = above as u32;
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
    let minus = if is_first == 1 { 0 } else { u64::MAX };
    for e in 0..GROUP {
        let ((factors_left, factor), (masks_left, mask)) = (by_22(factors[e].into()), by_23(masks[e].into()));
        let mask = (mask ^ minus).wrapping_sub(minus).wrapping_add(23);
        value[e] = by_23(u64::from(value[e]) * (factor + 1) + mask).1 as u32;
        factors[e] = factors_left as u32;
        masks[e] = masks_left as u32;
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
