//! Elementwise local product of shares with its zero share: two products a party, not three.
//!
//! `z = x_i (y_i + y_{i+1}) + x_{i+1} y_i + F_i - F_{i+1}`; for bits `z = x_i & (y_i ^ y_{i+1}) ^ x_{i+1} & y_i ^ F_i ^ F_{i+1}`.
//! Shader: `shaders/cross.wgsl`. One item is a group of 8 elements, one ChaCha block.

use crate::{
    device::{Buffer, Cpu, Device, Kernel, Out, Output, Params, Window, vector},
    ring::Word,
    stream::Stream,
};

/// Uniform of the shader.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct CrossParams {
    /// Groups of 8 elements.
    pub window: Window,
    /// Elements.
    pub n: u32,
    /// 1 for the product of bits.
    pub binary: u32,
    /// F_i.
    pub plus: Stream,
    /// F_{i+1}.
    pub minus: Stream,
}

impl Params for CrossParams {
    fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }
}

/// The kernel: x_own, x_next, y_own, y_next -> z.
pub static CROSS: Kernel<CrossParams> = Kernel {
    name: "cross",
    wgsl: include_str!("../../shaders/cross.wgsl"),
    groups: |p| u64::from(p.window.count).div_ceil(64),
    cpu,
    product: false,
};

/// Both components of both factors, own before next: x_own, x_next, y_own, y_next.
pub type Factors<'a> = [&'a Buffer; 4];

/// The local product of two shares of equal length.
pub fn cross(device: &Device, factors: Factors<'_>, binary: bool, [plus, minus]: [Stream; 2]) -> Buffer {
    let n = factors[0].len();
    let params = CrossParams { window: Window::default(), n: n as u32, binary: binary.into(), plus, minus };
    let [z] = device.run(&CROSS, params, n.div_ceil(8), &factors.map(|f| f.each(8)), [Out { len: n, per_item: 8 }]);
    z
}

fn cpu(cpu: &Cpu, p: &CrossParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let (n, groups) = (p.n as usize, p.window.count as usize);
    let [z] = outputs else { unreachable!("one output") };
    cpu.pieces(groups, 1 << 9, vec![Output { words: z, per_item: 8 }], |range, outs| {
        vector::vectorise!(|| {
            let elements = range.start * 8..n.min(range.end * 8);
            let [xo, xn, yo, yn] = [0, 1, 2, 3].map(|i| &inputs[i][elements.clone()]);
            let z = &mut outs[0][..elements.len()];
            let mut minus = vec![0; elements.len()];
            vector::keystream(&p.plus, range.start as u32, z);
            vector::keystream(&p.minus, range.start as u32, &mut minus);
            if p.binary == 1 { and(z, &minus, xo, xn, yo, yn) } else { multiply(z, &minus, xo, xn, yo, yn) }
        });
    });
    cpu.count(2 * groups, if p.binary == 1 { 0 } else { 2 * n as u64 });
}

#[inline(always)]
fn multiply(z: &mut [Word], minus: &[Word], xo: &[Word], xn: &[Word], yo: &[Word], yn: &[Word]) {
    let n = z.len();
    let (minus, xo, xn, yo, yn) = (&minus[..n], &xo[..n], &xn[..n], &yo[..n], &yn[..n]);
    for i in 0..n {
        let product = xo[i].wrapping_mul(yo[i].wrapping_add(yn[i])).wrapping_add(xn[i].wrapping_mul(yo[i]));
        z[i] = z[i].wrapping_add(product).wrapping_sub(minus[i]);
    }
}

#[inline(always)]
fn and(z: &mut [Word], minus: &[Word], xo: &[Word], xn: &[Word], yo: &[Word], yn: &[Word]) {
    let n = z.len();
    let (minus, xo, xn, yo, yn) = (&minus[..n], &xo[..n], &xn[..n], &yo[..n], &yn[..n]);
    for i in 0..n {
        z[i] ^= (xo[i] & (yo[i] ^ yn[i])) ^ (xn[i] & yo[i]) ^ minus[i];
    }
}
