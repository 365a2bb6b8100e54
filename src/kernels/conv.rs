//! Convolution of shares, one party's local part with its zero share: as [`matmul`](super::matmul) with `x` the activations
//! (N, C, H, W) and `y` the weights (O, C/groups, KH, KW), an implicit matrix product; no column matrix in memory.
//!
//! Shader: `shaders/conv.wgsl`. One item is an image, or if there is but one, a row of the output: an output channel of OH x OW words.

use super::{
    Stream,
    cross::Factors,
    matmul::{tiles, zero_share},
};
use crate::{
    device::{
        Buffer, Cpu, Device, Kernel, Out, Output, Params, Window,
        gemm::{Matrix, Panels, accumulate},
        vector,
    },
    ring::Word,
    shape::Conv,
};
use std::ops::Range;

/// Uniform of the shader; `pad` is the padding before the first row and column; `by_image` is 1 if an item is an image.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[allow(missing_docs, reason = "the fields are those of shape::Conv")]
pub struct ConvParams {
    pub window: Window,
    pub batch: u32,
    pub in_channels: u32,
    pub height: u32,
    pub width: u32,
    pub out_channels: u32,
    pub out_height: u32,
    pub out_width: u32,
    pub groups: u32,
    pub kernel_h: u32,
    pub kernel_w: u32,
    pub stride_h: u32,
    pub stride_w: u32,
    pub pad_h: u32,
    pub pad_w: u32,
    pub dilation_h: u32,
    pub dilation_w: u32,
    pub by_image: u32,
    pub padding: u32,
    pub plus: Stream,
    pub minus: Stream,
}

impl Params for ConvParams {
    fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }
}

/// The kernel: x_own, x_next, y_own, y_next -> z.
pub static CONV: Kernel<ConvParams> = Kernel { name: "conv", wgsl: include_str!("../../shaders/conv.wgsl"), groups, cpu };

/// The rows of the output that a window holds.
fn window_rows(p: &ConvParams) -> Window {
    let rows = if p.by_image == 1 { p.out_channels } else { 1 };
    Window { first: p.window.first * rows, count: p.window.count * rows }
}

fn groups(p: &ConvParams) -> u64 {
    tiles(window_rows(p), p.out_channels / p.groups, u64::from(p.out_height) * u64::from(p.out_width))
}

/// The local product.
pub fn convolution(device: &Device, factors: Factors<'_>, c: &Conv, [plus, minus]: [Stream; 2]) -> Buffer {
    let [rows, columns] = c.axes;
    let pixels = c.output[0] * c.output[1];
    let by_image = c.batch > 1;
    let params = ConvParams {
        window: Window::default(),
        batch: c.batch as u32,
        in_channels: c.in_channels as u32,
        height: c.input[0] as u32,
        width: c.input[1] as u32,
        out_channels: c.out_channels as u32,
        out_height: c.output[0] as u32,
        out_width: c.output[1] as u32,
        groups: c.groups as u32,
        kernel_h: rows.kernel as u32,
        kernel_w: columns.kernel as u32,
        stride_h: rows.stride as u32,
        stride_w: columns.stride as u32,
        pad_h: rows.pad_begin as u32,
        pad_w: columns.pad_begin as u32,
        dilation_h: rows.dilation as u32,
        dilation_w: columns.dilation as u32,
        by_image: by_image.into(),
        padding: 0,
        plus,
        minus,
    };
    let out = c.out_channels * pixels;
    let (items, image, per_item) =
        if by_image { (c.batch, c.in_channels * c.input[0] * c.input[1], out) } else { (c.batch * c.out_channels, 0, pixels) };
    let inputs = [factors[0].each(image), factors[1].each(image), factors[2].whole(), factors[3].whole()];
    let [z] = device.run(&CONV, params, items, &inputs, [Out { len: c.batch * out, per_item }]);
    z
}

/// Sizes as the native code wants them.
struct Sizes {
    channels: usize,
    rows: usize,
    pixels: usize,
    depth: usize,
    image: usize,
}

fn cpu(cpu: &Cpu, p: &ConvParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let items = window_rows(p).count as usize;
    let channels = (p.in_channels / p.groups) as usize;
    let s = Sizes {
        channels,
        rows: (p.out_channels / p.groups) as usize,
        pixels: (p.out_height * p.out_width) as usize,
        depth: channels * (p.kernel_h * p.kernel_w) as usize,
        image: (p.height * p.width) as usize,
    };
    let [z] = outputs else { unreachable!("one output") };
    cpu.count(0, 2 * (items * s.pixels * s.depth) as u64);
    let grain = items.div_ceil(cpu.threads());
    cpu.pieces(items, grain, vec![Output { words: z, per_item: s.pixels }], |range, outs| {
        zero_share(cpu, &p.plus, &p.minus, range.start * s.pixels, outs[0]);
        let mut at = range.start;
        while at < range.end {
            // up to the end of this image's group
            let end = range.end.min((at / s.rows + 1) * s.rows);
            let local = &mut outs[0][(at - range.start) * s.pixels..(end - range.start) * s.pixels];
            one_group(p, &s, inputs, at..end, local);
            at = end;
        }
    });
}

/// Output channels of one group of one image.
fn one_group(p: &ConvParams, s: &Sizes, inputs: &[&[Word]], items: Range<usize>, out: &mut [Word]) {
    let (image, channel) = (items.start / p.out_channels as usize, items.start % p.out_channels as usize);
    let group = channel / s.rows;
    let first = (image * p.in_channels as usize + group * s.channels) * s.image;
    let x = |i: usize| Image { p, x: &inputs[i][first..first + s.channels * s.image] };
    let weights = group * s.rows * s.depth..(group + 1) * s.rows * s.depth;
    let w = |plus: Option<usize>| Matrix {
        x: &inputs[2][weights.clone()],
        plus: plus.map(|i| &inputs[i][weights.clone()]),
        line_stride: s.depth,
        depth_stride: 1,
    };
    let rows = channel % s.rows..channel % s.rows + items.len();
    if rows.len() < 3 {
        vector::vectorised(|| {
            for (row, out) in rows.zip(out.chunks_exact_mut(s.pixels)) {
                let weights = |i: usize| &inputs[i][weights.clone()][row * s.depth..(row + 1) * s.depth];
                directly(p, s, [x(0).x, x(1).x], [weights(2), weights(3)], out);
            }
        });
        return;
    }
    accumulate(&w(Some(3)), &x(0), rows.clone(), s.pixels, s.depth, out);
    accumulate(&w(None), &x(1), rows, s.pixels, s.depth, out);
}

/// One output channel tap by tap, without packing: for groups of one or two output channels.
#[inline(always)]
fn directly(p: &ConvParams, s: &Sizes, x: [&[Word]; 2], w: [&[Word]; 2], out: &mut [Word]) {
    for k in 0..s.depth {
        let (own, next) = (w[0][k], w[1][k]);
        let both = own.wrapping_add(next);
        let tap = Tap::new(p, k);
        for oh in 0..p.out_height as usize {
            let Some((input, columns)) = tap.row(p, oh) else { continue };
            let out = &mut out[oh * p.out_width as usize..][columns.clone()];
            let start = input + tap.column(p, columns.start);
            let stride = p.stride_w as usize;
            if stride == 1 {
                let len = out.len();
                let (a, b) = (&x[0][start..start + len], &x[1][start..start + len]);
                for i in 0..len {
                    out[i] = out[i].wrapping_add(both.wrapping_mul(a[i])).wrapping_add(own.wrapping_mul(b[i]));
                }
            } else {
                for (i, out) in out.iter_mut().enumerate() {
                    let at = start + i * stride;
                    *out = out.wrapping_add(both.wrapping_mul(x[0][at])).wrapping_add(own.wrapping_mul(x[1][at]));
                }
            }
        }
    }
}

/// One position of the kernel: a channel and an offset.
struct Tap {
    channel: usize,
    down: isize,
    right: isize,
}

impl Tap {
    #[inline(always)]
    fn new(p: &ConvParams, k: usize) -> Self {
        let (kh, kw) = (p.kernel_h as usize, p.kernel_w as usize);
        Self {
            channel: k / (kh * kw),
            down: (k / kw % kh) as isize * p.dilation_h as isize - p.pad_h as isize,
            right: (k % kw) as isize * p.dilation_w as isize - p.pad_w as isize,
        }
    }

    /// Where the input's row of output row `oh` begins, and the output columns whose input is not in the padding.
    #[inline(always)]
    fn row(&self, p: &ConvParams, oh: usize) -> Option<(usize, Range<usize>)> {
        let ih = oh as isize * p.stride_h as isize + self.down;
        if ih < 0 || ih >= p.height as isize {
            return None;
        }
        let (stride, width) = (p.stride_w as isize, p.width as isize);
        let first = if self.right >= 0 { 0 } else { (-self.right + stride - 1) / stride };
        let last = if width > self.right { (width - 1 - self.right) / stride + 1 } else { 0 };
        let columns = first as usize..last.clamp(0, p.out_width as isize) as usize;
        (columns.start < columns.end).then(|| ((self.channel * p.height as usize + ih as usize) * p.width as usize, columns))
    }

    /// The input column of an output column that [`row`](Self::row) has given.
    #[inline(always)]
    fn column(&self, p: &ConvParams, ow: usize) -> usize {
        (ow as isize * p.stride_w as isize + self.right) as usize
    }
}

/// The channels of one group as the right operand: lines are output pixels, the depth runs over channels and taps.
struct Image<'a> {
    p: &'a ConvParams,
    x: &'a [Word],
}

impl Panels for Image<'_> {
    fn pack<const WIDE: usize>(&self, line: usize, lines: usize, depth: usize, out: &mut [[Word; WIDE]]) {
        let p = self.p;
        let (width, stride) = (p.out_width as usize, p.stride_w as usize);
        let end = lines.min(line + WIDE);
        for (k, row) in out.iter_mut().enumerate() {
            row.fill(0);
            let tap = Tap::new(p, depth + k);
            let mut pixel = line;
            while pixel < end {
                let (oh, ow) = (pixel / width, pixel % width);
                let to = (width - ow).min(end - pixel);
                if let Some((input, columns)) = tap.row(p, oh) {
                    let (first, last) = (columns.start.max(ow), columns.end.min(ow + to));
                    if first < last {
                        let from = input + tap.column(p, first);
                        let at = pixel - line + first - ow;
                        let out = &mut row[at..at + last - first];
                        match stride {
                            1 => out.copy_from_slice(&self.x[from..from + out.len()]),
                            _ => out.iter_mut().enumerate().for_each(|(i, out)| *out = self.x[from + i * stride]),
                        }
                    }
                }
                pixel += to;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Axis, Shape};

    fn words(n: usize, seed: u64) -> Vec<Word> {
        let edges = crate::ring::EDGES;
        (0..n)
            .map(|i| {
                if i % 5 == 0 { edges[i / 5 % edges.len()] } else { (i as u64 + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) }
            })
            .collect()
    }

    fn axis(kernel: usize, stride: usize, pad: usize, dilation: usize) -> Axis {
        Axis { kernel, stride, pad_begin: pad, pad_end: pad / 2 + 1, dilation }
    }

    #[test]
    fn equals_the_definition() {
        let streams = [Stream { key: [1; 8], nonce: [1, 0, 0, 0] }, Stream { key: [2; 8], nonce: [1, 0, 0, 0] }];
        let cases = [
            ([1, 1, 28, 28], 20, 1, [axis(5, 1, 0, 1), axis(5, 1, 0, 1)]),
            ([2, 3, 9, 11], 5, 1, [axis(3, 2, 1, 1), axis(2, 1, 2, 2)]),
            ([1, 4, 8, 7], 4, 4, [axis(3, 1, 1, 1), axis(3, 2, 1, 1)]),
            ([2, 6, 5, 5], 9, 3, [axis(1, 1, 0, 1), axis(3, 1, 3, 1)]),
            ([1, 2, 17, 3], 33, 1, [axis(4, 3, 2, 2), axis(3, 4, 4, 1)]),
        ];
        for threads in [1, 2] {
            let device = Device::cpu(threads).unwrap();
            for (x, o, groups, axes) in cases {
                let shape = Shape::new(x).unwrap();
                let w = Shape::new([o, x[1] / groups, axes[0].kernel, axes[1].kernel]).unwrap();
                let c = Conv::new(&shape, &w, axes, groups).unwrap();
                let [xo, xn] = [3, 4].map(|seed| words(shape.elements(), seed));
                let [yo, yn] = [5, 6].map(|seed| words(w.elements(), seed));
                let b = [&xo, &xn, &yo, &yn].map(|w| device.upload(w));
                let z = convolution(&device, [&b[0], &b[1], &b[2], &b[3]], &c, streams);
                let z = crate::kernels::now_or_never(device.download(&[&z])).unwrap().remove(0);
                check(&c, [&xo, &xn, &yo, &yn], streams, &z);
            }
        }
    }

    fn check(c: &Conv, [xo, xn, yo, yn]: [&Vec<Word>; 4], streams: [Stream; 2], z: &[Word]) {
        let (mut plus, mut minus) = (vec![0; z.len()], vec![0; z.len()]);
        vector::keystream(&streams[0], 0, &mut plus);
        vector::keystream(&streams[1], 0, &mut minus);
        let ([h, w], [oh, ow]) = (c.input, c.output);
        let (cg, og) = (c.in_channels / c.groups, c.out_channels / c.groups);
        for e in 0..z.len() {
            let (n, o, i, j) = (e / (c.out_channels * oh * ow), e / (oh * ow) % c.out_channels, e / ow % oh, e % ow);
            let mut want = plus[e].wrapping_sub(minus[e]);
            for k in 0..c.depth() {
                let (ch, kh, kw) =
                    (k / (c.axes[0].kernel * c.axes[1].kernel), k / c.axes[1].kernel % c.axes[0].kernel, k % c.axes[1].kernel);
                let at = |d: usize, o: usize, k: usize| (o * c.axes[d].stride + k * c.axes[d].dilation).checked_sub(c.axes[d].pad_begin);
                if let (Some(ih), Some(iw)) = (at(0, i, kh).filter(|&v| v < h), at(1, j, kw).filter(|&v| v < w)) {
                    let x = ((n * c.in_channels + o / og * cg + ch) * h + ih) * w + iw;
                    let y = o * c.depth() + k;
                    want = want.wrapping_add(xo[x].wrapping_mul(yo[y].wrapping_add(yn[y]))).wrapping_add(xn[x].wrapping_mul(yo[y]));
                }
            }
            assert_eq!(z[e], want, "{c:?} element {e}");
        }
    }
}
