//! The three kernels and the steps that run them.

use super::{
    answer::cpu_pair,
    deal::cpu_deal,
    layout::{ANSWERS, BLOCKS, GROUP, ShortParams},
    open::cpu_open,
};
use crate::{
    device::{Buffer, Device, Kernel, Out},
    kernels::{
        dealt::Dealt,
        masked::{Masked, Pad},
        planes::{self, LANES, TILE},
    },
};

const WGSL: &str = include_str!("../../../shaders/short.wgsl");

/// The lead's deal: A -> residues.
pub static SHORT_DEAL: Kernel<ShortParams> =
    Kernel { name: "short_deal", wgsl: WGSL, groups: |p| u64::from(p.window.count), cpu: cpu_deal, product: false };

/// The pair's answer: B, plane of B_63 ^ beta, residues -> masked list.
pub static SHORT_PAIR: Kernel<ShortParams> =
    Kernel { name: "short_pair", wgsl: WGSL, groups: |p| u64::from(p.window.count), cpu: cpu_pair, product: false };

/// The lead's end: A, both lists -> plane of 1 ^ A_63 ^ found.
pub static SHORT_OPEN: Kernel<ShortParams> =
    Kernel { name: "short_open", wgsl: WGSL, groups: |p| (u64::from(p.window.count) * 16).div_ceil(64), cpu: cpu_open, product: false };

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

fn params(n: usize) -> ShortParams {
    ShortParams { n: n as u32, ..bytemuck::Zeroable::zeroed() }
}

fn numbers(n: usize, of_each: usize) -> Out {
    Out { len: (n * of_each).div_ceil(2), per_item: GROUP * of_each / 2 }
}
