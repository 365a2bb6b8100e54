//! Matrix product of shares, one party's local part with its zero share:
//! `z = x_i (y_i + y_{i+1}) + x_{i+1} y_i + F_i - F_{i+1}`.
//!
//! Batched, either operand stored transposed. Shader: `shaders/matmul.wgsl`. One item is one row of the output over all
//! batches; word `e` of the streams belongs to element `e` of the whole output.

use super::{
    cross::Factors,
    tiles::{Texts, Tiles, groups, kernels},
};
use crate::{
    device::{
        Buffer, Cpu, Device, Kernel, Out, Output, Params, Window,
        gemm::{Line, Matrix, Size, product},
        vector,
    },
    ring::Word,
    stream::Stream,
};
use std::{ops::Range, sync::LazyLock};

/// Uniform of the shader.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct MatmulParams {
    /// Rows of the output over all batches.
    pub window: Window,
    /// Matrices.
    pub batch: u32,
    /// Rows of x.
    pub m: u32,
    /// Depth.
    pub k: u32,
    /// Columns of y.
    pub n: u32,
    /// 1 if x is stored (k, m).
    pub transpose_x: u32,
    /// 1 if y is stored (n, k).
    pub transpose_y: u32,
    /// Rows of an invocation.
    pub rows: u32,
    /// To a multiple of 16 bytes.
    pub padding: [u32; 3],
    /// F_i.
    pub plus: Stream,
    /// F_{i+1}.
    pub minus: Stream,
}

impl Params for MatmulParams {
    fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }
}

/// The kernels: x_own, x_next, y_own, y_next -> z. One for each way to share the work.
pub static MATMUL: LazyLock<[Kernel<MatmulParams, String>; 6]> = LazyLock::new(|| {
    let texts = Texts {
        name: "matmul",
        common: include_str!("../../shaders/matmul.wgsl"),
        direct: include_str!("../../shaders/matmul_direct.wgsl"),
        staged: include_str!("../../shaders/matmul_staged.wgsl"),
    };
    kernels(&texts, (|p| groups(p.window, p.rows, p.m, p.n.into()), cpu))
});

/// Sizes and storage of a product `(batch, m, k)` by `(batch, k, n)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Matrices.
    pub batch: usize,
    /// Rows of x.
    pub m: usize,
    /// Depth.
    pub k: usize,
    /// Columns of y.
    pub n: usize,
    /// x is stored (k, m).
    pub transpose_x: bool,
    /// y is stored (n, k).
    pub transpose_y: bool,
}

/// The local product.
pub fn matmul(device: &Device, factors: Factors<'_>, layout: Layout, [plus, minus]: [Stream; 2]) -> Buffer {
    let Layout { batch, m, k, n, .. } = layout;
    assert_eq!((factors[0].len(), factors[2].len()), (batch * m * k, batch * k * n), "matmul: operands do not fit {layout:?}");
    let tiles = Tiles::new(device, batch, m, n);
    let params = MatmulParams {
        window: Window::default(),
        batch: batch as u32,
        m: m as u32,
        k: k as u32,
        n: n as u32,
        transpose_x: layout.transpose_x.into(),
        transpose_y: layout.transpose_y.into(),
        rows: tiles.rows,
        padding: [0; 3],
        plus,
        minus,
    };
    device.must_loop("matmul", k / 4 + 8);
    // rows of x go with rows of the output unless x is transposed; of y every window needs all
    let per_row = if layout.transpose_x || batch > 1 { 0 } else { k };
    let inputs = [factors[0].each(per_row), factors[1].each(per_row), factors[2].whole(), factors[3].whole()];
    let [z] = device.run(&MATMUL[tiles.kernel()], params, batch * m, &inputs, [Out { len: batch * m * n, per_item: n }]);
    z
}

/// Fills a piece of a local product with its zero share: `z[e] = F_i[e] - F_{i+1}[e]` for words from `first` on.
pub(super) fn zero_share(cpu: &Cpu, plus: &Stream, minus: &Stream, first: usize, z: &mut [Word]) {
    let mut drawn = [0; 2048];
    for (c, chunk) in z.chunks_mut(drawn.len()).enumerate() {
        let at = (first + c * drawn.len()) as u64;
        vector::keystream_from_word(plus, at, chunk);
        let drawn = &mut drawn[..chunk.len()];
        vector::keystream_from_word(minus, at, drawn);
        vector::vectorise!(|| chunk.iter_mut().zip(drawn).for_each(|(z, m)| *z = z.wrapping_sub(*m)));
    }
    cpu.count(2 * z.len().div_ceil(8), 0);
}

fn cpu(cpu: &Cpu, p: &MatmulParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let (rows, m, k, n) = (p.window.count as usize, p.m as usize, p.k as usize, p.n as usize);
    let [z] = outputs else { unreachable!("one output") };
    cpu.count(0, 2 * (rows * n * k) as u64);
    if rows <= 2 && p.transpose_y == 1 && p.transpose_x == 0 && p.batch == 1 {
        for row in 0..rows {
            let out = vec![Output { words: &mut z[row * n..(row + 1) * n], per_item: 1 }];
            cpu.pieces(n, n.div_ceil(cpu.threads()).max(16), out, |columns, outs| {
                zero_share(cpu, &p.plus, &p.minus, row * n + columns.start, outs[0]);
                vector::vectorise!(|| one_row(inputs, row, k, columns, outs[0]));
            });
        }
        return;
    }
    let mut lines = z.chunks_exact_mut(n).enumerate().map(|(row, words)| Line { first: row * n, words });
    for batch in 0..rows / m {
        let x = |i: usize| Matrix {
            x: &inputs[i][batch * m * k..(batch + 1) * m * k],
            plus: None,
            line_stride: if p.transpose_x == 1 { 1 } else { k },
            depth_stride: if p.transpose_x == 1 { m } else { 1 },
        };
        let y = |i: usize| &inputs[i][batch * k * n..(batch + 1) * k * n];
        let right = |plus| Matrix {
            x: y(2),
            plus,
            line_stride: if p.transpose_y == 1 { k } else { 1 },
            depth_stride: if p.transpose_y == 1 { 1 } else { n },
        };
        let out = lines.by_ref().take(m).collect();
        let passes = [(x(0), right(Some(y(3)))), (x(1), right(None))];
        product(cpu, Size { rows: m, columns: n, depth: k }, passes, out, |first, z| zero_share(cpu, &p.plus, &p.minus, first, z));
    }
}

/// One row by the transposed matrix: dot products at the speed of memory, nothing packed.
#[inline(always)]
fn one_row(inputs: &[&[Word]], row: usize, k: usize, columns: Range<usize>, out: &mut [Word]) {
    let (xo, xn) = (&inputs[0][row * k..(row + 1) * k], &inputs[1][row * k..(row + 1) * k]);
    for (j, out) in columns.zip(out) {
        *out = out.wrapping_add(dot(xo, xn, &inputs[2][j * k..(j + 1) * k], &inputs[3][j * k..(j + 1) * k]));
    }
}

/// `sum x_i (y_i + y_{i+1}) + x_{i+1} y_i`.
#[inline(always)]
pub(super) fn dot(xo: &[Word], xn: &[Word], yo: &[Word], yn: &[Word]) -> Word {
    let n = xo.len();
    let (xn, yo, yn) = (&xn[..n], &yo[..n], &yn[..n]);
    let mut sum = 0u64;
    for i in 0..n {
        sum = sum.wrapping_add(xo[i].wrapping_mul(yo[i].wrapping_add(yn[i]))).wrapping_add(xn[i].wrapping_mul(yo[i]));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(n: usize, seed: u64) -> Vec<Word> {
        let edges = crate::ring::EDGES;
        (0..n)
            .map(|i| {
                if i % 7 == 0 { edges[i / 7 % edges.len()] } else { (i as u64 + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) }
            })
            .collect()
    }

    #[test]
    fn equals_the_definition() {
        let streams = [Stream { key: [1; 8], nonce: [1, 0, 0, 0] }, Stream { key: [2; 8], nonce: [1, 0, 0, 0] }];
        let sizes = [(1, 1, 1, 1), (1, 7, 33, 9), (1, 1, 800, 50), (2, 2, 5, 17), (1, 8, 16, 16), (3, 9, 300, 33), (1, 65, 17, 400)];
        for threads in [1, 2] {
            let device = Device::cpu(threads).unwrap();
            for (batch, m, k, n) in sizes {
                for (transpose_x, transpose_y) in [(false, false), (false, true), (true, false), (true, true)] {
                    let [xo, xn] = [3, 4].map(|seed| words(batch * m * k, seed));
                    let [yo, yn] = [5, 6].map(|seed| words(batch * k * n, seed));
                    let buffers = [&xo, &xn, &yo, &yn].map(|w| device.upload(w));
                    let layout = Layout { batch, m, k, n, transpose_x, transpose_y };
                    let z = matmul(&device, [&buffers[0], &buffers[1], &buffers[2], &buffers[3]], layout, streams);
                    let z = pollster_free(&device, &z);
                    let (mut plus, mut minus) = (vec![0; z.len()], vec![0; z.len()]);
                    vector::keystream(&streams[0], 0, &mut plus);
                    vector::keystream(&streams[1], 0, &mut minus);
                    for e in 0..z.len() {
                        let (b, i, j) = (e / (m * n), e / n % m, e % n);
                        let mut want = plus[e].wrapping_sub(minus[e]);
                        for d in 0..k {
                            let x = b * m * k + if transpose_x { d * m + i } else { i * k + d };
                            let y = b * k * n + if transpose_y { j * k + d } else { d * n + j };
                            want = want.wrapping_add(xo[x].wrapping_mul(yo[y].wrapping_add(yn[y]))).wrapping_add(xn[x].wrapping_mul(yo[y]));
                        }
                        assert_eq!(z[e], want, "{layout:?} {e}");
                    }
                }
            }
        }
    }

    fn pollster_free(device: &Device, buffer: &Buffer) -> Vec<Word> {
        crate::kernels::now_or_never(device.download(&[buffer])).unwrap().remove(0)
    }
}
