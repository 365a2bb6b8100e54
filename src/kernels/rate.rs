//! Multiplications in registers alone, for benchmarks: what a device multiplies when nothing else holds it up.
//!
//! `x = x FACTOR + ADDEND`, sixteen chains an item, in numbers of 32 bits or in words of the ring. Shader: `shaders/rate.wgsl`.

use crate::{
    device::{Buffer, Cpu, Device, Kernel, Out, Output, Params, Window, vector},
    ring::Word,
};

/// Uniform of the shader.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct RateParams {
    /// Items.
    pub window: Window,
    /// Turns of the loop, two multiply-adds a chain each.
    pub turns: u32,
    /// 1 for words of the ring, 0 for 32 bits.
    pub ring: u32,
}

impl Params for RateParams {
    fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }
}

/// The kernel: -> a word an item.
pub static RATE: Kernel<RateParams> = Kernel {
    name: "rate",
    wgsl: include_str!("../../shaders/rate.wgsl"),
    groups: |p| u64::from(p.window.count).div_ceil(64),
    cpu,
    product: false,
};

const CHAINS: usize = 16;
const FACTOR: u64 = 0x915f_77f5;
const ADDEND: u64 = 0x6c07_8965;

/// Runs `turns` turns in each of so many items.
pub fn rate(device: &Device, items: usize, turns: u32, ring: bool) -> Buffer {
    device.must_loop("rate", turns as usize);
    let params = RateParams { window: Window::default(), turns, ring: ring.into() };
    let [z] = device.run(&RATE, params, items, &[], [Out { len: items, per_item: 1 }]);
    z
}

/// Multiply-adds of [`rate`].
#[cfg(feature = "gpu")]
pub fn multiply_adds(items: usize, turns: u32) -> f64 {
    (items * 2 * CHAINS) as f64 * f64::from(turns)
}

fn cpu(cpu: &Cpu, p: &RateParams, _: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let items = p.window.count as usize;
    let [z] = outputs else { unreachable!("one output") };
    cpu.pieces(items, items.div_ceil(4 * cpu.threads()), vec![Output { words: z, per_item: 1 }], |range, outs| {
        vector::vectorise!(|| {
            for (item, z) in range.zip(outs[0].iter_mut()) {
                *z = if p.ring == 1 { in_ring(item as u32, p.turns) } else { in_short(item as u32, p.turns) };
            }
        });
    });
}

#[inline(always)]
fn in_ring(seed: u32, turns: u32) -> Word {
    let mut x: [u64; CHAINS] = std::array::from_fn(|i| u64::from(seed.wrapping_mul(16).wrapping_add(i as u32)));
    let (factor, addend) = (FACTOR | ADDEND << 32, ADDEND | FACTOR << 32);
    for _ in 0..2 * turns {
        x.iter_mut().for_each(|x| *x = x.wrapping_mul(factor).wrapping_add(addend));
    }
    x.iter().fold(0, |all, x| all ^ x)
}

#[inline(always)]
fn in_short(seed: u32, turns: u32) -> Word {
    let mut x: [u32; CHAINS] = std::array::from_fn(|i| seed.wrapping_mul(16).wrapping_add(i as u32));
    for _ in 0..2 * turns {
        x.iter_mut().for_each(|x| *x = x.wrapping_mul(FACTOR as u32).wrapping_add(ADDEND as u32));
    }
    u64::from(x.iter().fold(0, |all, x| all ^ x))
}
