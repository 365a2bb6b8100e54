//! The lead's deal, natively: the blocks of its low bits as residues.

use super::{
    digits::{by_23, draw, keystream, words_of},
    layout::{BLOCKS, GROUP, RESIDUES, Row, ShortParams, clear_end, grain},
};
use crate::{
    device::{Cpu, Output, vector},
    ring::Word,
};

pub(super) fn cpu_deal(cpu: &Cpu, p: &ShortParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
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
