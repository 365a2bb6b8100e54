//! Elementwise affine combinations: `out[e] = alpha x[e] + beta y[g(e)] + gamma`, `g(e) = (e / inner) mod modulus`, and XOR.
//!
//! Addition, subtraction, public scale, public addend, a bias broadcast over channels, a residual shifted to the scale of a
//! product: all are this kernel. Shader: `shaders/linear.wgsl`. One item is one element.

use crate::{
    device::{Buffer, Cpu, Device, Kernel, Out, Output, Params, Window, vector},
    ring::Word,
};

/// Uniform of the shader.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct LinearParams {
    /// Elements.
    pub window: Window,
    /// Elements in a row that share one `y`.
    pub inner: u32,
    /// Elements of `y`.
    pub modulus: u32,
    /// Low and high half of the factor of `x`.
    pub alpha: [u32; 2],
    /// Low and high half of the factor of `y`.
    pub beta: [u32; 2],
    /// Low and high half of the addend.
    pub gamma: [u32; 2],
    /// 0: the formula above; 1: `x ^ y`.
    pub mode: u32,
    /// 1 if every window reads the whole `y`.
    pub broadcast: u32,
}

impl Params for LinearParams {
    fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }
}

/// The kernel: x, y -> out.
pub static LINEAR: Kernel<LinearParams> = Kernel {
    name: "linear",
    wgsl: include_str!("../../shaders/linear.wgsl"),
    groups: |p| u64::from(p.window.count).div_ceil(128),
    cpu,
    product: false,
};

/// Which element of `y` meets element `e` of `x`: `(e / inner) mod modulus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broadcast {
    /// Elements in a row that share one `y`.
    pub inner: usize,
    /// Elements of `y`.
    pub modulus: usize,
}

/// `alpha x + beta y + gamma`.
pub fn affine(device: &Device, x: &Buffer, y: &Buffer, broadcast: Option<Broadcast>, [alpha, beta, gamma]: [Word; 3]) -> Buffer {
    let n = x.len();
    let same = Broadcast { inner: 1, modulus: n };
    let b = broadcast.unwrap_or(same);
    assert_eq!(y.len(), b.modulus, "linear: y has another length");
    let halves = |word: Word| [word as u32, (word >> 32) as u32];
    let params = LinearParams {
        window: Window::default(),
        inner: b.inner as u32,
        modulus: b.modulus as u32,
        alpha: halves(alpha),
        beta: halves(beta),
        gamma: halves(gamma),
        mode: 0,
        broadcast: (b != same).into(),
    };
    let y = if b == same { y.each(1) } else { y.whole() };
    let [out] = device.run(&LINEAR, params, n, &[x.each(1), y], [Out { len: n, per_item: 1 }]);
    out
}

/// `x + y`.
pub fn add(device: &Device, x: &Buffer, y: &Buffer) -> Buffer {
    affine(device, x, y, None, [1, 1, 0])
}

/// `x - y`.
pub fn sub(device: &Device, x: &Buffer, y: &Buffer) -> Buffer {
    affine(device, x, y, None, [1, 1u64.wrapping_neg(), 0])
}

/// `factor x + addend`, both public.
pub fn scale(device: &Device, x: &Buffer, factor: Word, addend: Word) -> Buffer {
    affine(device, x, x, None, [factor, 0, addend])
}

/// `!x = -x - 1`, bit by bit.
pub fn not(device: &Device, x: &Buffer) -> Buffer {
    scale(device, x, u64::MAX, u64::MAX)
}

/// `x ^ y`.
pub fn xor(device: &Device, x: &Buffer, y: &Buffer) -> Buffer {
    let n = x.len();
    let params = LinearParams { inner: 1, modulus: n as u32, mode: 1, ..bytemuck::Zeroable::zeroed() };
    let [out] = device.run(&LINEAR, params, n, &[x.each(1), y.each(1)], [Out { len: n, per_item: 1 }]);
    out
}

fn cpu(cpu: &Cpu, p: &LinearParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let n = p.window.count as usize;
    let word = |halves: [u32; 2]| u64::from(halves[0]) | u64::from(halves[1]) << 32;
    let factors = [word(p.alpha), word(p.beta), word(p.gamma)];
    let (inner, modulus) = (p.inner as usize, p.modulus as usize);
    let [out] = outputs else { unreachable!("one output") };
    cpu.pieces(n, 1 << 14, vec![Output { words: out, per_item: 1 }], |range, outs| {
        vector::vectorise!(|| {
            let (x, out) = (&inputs[0][range.clone()], &mut *outs[0]);
            match (p.mode, modulus == n && inner == 1) {
                (1, _) => out.iter_mut().zip(x).zip(&inputs[1][range]).for_each(|((out, x), y)| *out = x ^ y),
                (_, true) => combine(out, x, &inputs[1][range], factors),
                (_, false) => {
                    let mut at = range.start;
                    while at < range.end {
                        let to = range.end.min((at / inner + 1) * inner);
                        let constant = inputs[1][at / inner % modulus].wrapping_mul(factors[1]).wrapping_add(factors[2]);
                        let local = at - range.start..to - range.start;
                        for (out, x) in out[local.clone()].iter_mut().zip(&x[local]) {
                            *out = x.wrapping_mul(factors[0]).wrapping_add(constant);
                        }
                        at = to;
                    }
                }
            }
        });
    });
}

#[inline(always)]
fn combine(out: &mut [Word], x: &[Word], y: &[Word], [alpha, beta, gamma]: [Word; 3]) {
    if alpha == 1 && beta == 1 && gamma == 0 {
        out.iter_mut().zip(x).zip(y).for_each(|((out, x), y)| *out = x.wrapping_add(*y));
    } else {
        for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
            *out = x.wrapping_mul(alpha).wrapping_add(y.wrapping_mul(beta)).wrapping_add(gamma);
        }
    }
}
