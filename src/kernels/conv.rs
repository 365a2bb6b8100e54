//! Convolution of shares, one party's local part with its zero share: as [`matmul`](super::matmul) with `x` the activations
//! (N, C, H, W) and `y` the weights (O, C/groups, KH, KW), an implicit matrix product; no column matrix in memory.
//!
//! Shader: `shaders/conv.wgsl`. One item is an image, or if there is but one, a row of the output: an output channel of OH x OW words.

use super::{
    Stream,
    cross::Factors,
    matmul::{dot, tiles, with_rows, zero_share},
};
use crate::{
    device::{
        Buffer, Cpu, Device, Kernel, Out, Output, Params, Window,
        gemm::{Line, Matrix, Panels, Size, product},
        vector,
    },
    ring::Word,
    shape::Conv,
};
use std::{ops::Range, sync::LazyLock};

/// Uniform of the shader; `pad` is the padding before the first row and column; `by_image` is 1 if an item is an image; `rows` are those of an invocation.
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
    pub rows: u32,
    pub plus: Stream,
    pub minus: Stream,
}

impl Params for ConvParams {
    fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }
}

/// The kernels: x_own, x_next, y_own, y_next -> z. One for each number of rows of an invocation.
pub static CONV: LazyLock<[Kernel<ConvParams, String>; 3]> = LazyLock::new(|| {
    [1, 2, 4].map(|rows| {
        let (name, wgsl) = with_rows("conv", include_str!("../../shaders/conv.wgsl"), rows);
        Kernel { name, wgsl, groups, cpu, product: true }
    })
});

/// The rows of the output that a window holds.
fn window_rows(p: &ConvParams) -> Window {
    let rows = if p.by_image == 1 { p.out_channels } else { 1 };
    Window { first: p.window.first * rows, count: p.window.count * rows }
}

fn groups(p: &ConvParams) -> u64 {
    tiles(window_rows(p), p.rows, p.out_channels / p.groups, u64::from(p.out_height) * u64::from(p.out_width))
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
        rows: device.product_rows(c.batch * c.out_channels * pixels),
        plus,
        minus,
    };
    let out = c.out_channels * pixels;
    let (items, image, per_item) =
        if by_image { (c.batch, c.in_channels * c.input[0] * c.input[1], out) } else { (c.batch * c.out_channels, 0, pixels) };
    let inputs = [factors[0].each(image), factors[1].each(image), factors[2].whole(), factors[3].whole()];
    let (channels, taps) = (c.in_channels / c.groups, rows.kernel * columns.kernel);
    device.must_loop("conv", taps * (channels / 4 + 8));
    let [z] = device.run(&CONV[params.rows.ilog2() as usize], params, items, &inputs, [Out { len: c.batch * out, per_item }]);
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
    if s.rows < 3 {
        cpu.pieces(items, items.div_ceil(4 * cpu.threads()), vec![Output { words: z, per_item: s.pixels }], |range, outs| {
            zero_share(cpu, &p.plus, &p.minus, range.start * s.pixels, outs[0]);
            vector::vectorise!(|| {
                for (item, out) in range.zip(outs[0].chunks_exact_mut(s.pixels)) {
                    directly(p, &s, inputs, item, out);
                }
            });
        });
        return;
    }
    if p.batch == 1 && s.pixels <= NARROW {
        return narrow(cpu, p, &s, inputs, z);
    }
    let mut groups: Vec<Vec<Line<'_>>> = (0..p.groups).map(|_| Vec::new()).collect();
    for (item, words) in z.chunks_exact_mut(s.pixels).enumerate() {
        groups[item % p.out_channels as usize / s.rows].push(Line { first: item * s.pixels, words });
    }
    let size = Size { rows: s.rows, columns: s.pixels, depth: s.depth };
    for (group, out) in groups.into_iter().enumerate() {
        let x = |i: usize| Images { p, s: &s, group, x: inputs[i] };
        let weights = group * s.rows * s.depth..(group + 1) * s.rows * s.depth;
        let w = |plus: Option<usize>| Matrix {
            x: &inputs[2][weights.clone()],
            plus: plus.map(|i| &inputs[i][weights.clone()]),
            line_stride: s.depth,
            depth_stride: 1,
        };
        product(cpu, size, [(w(Some(3)), x(0)), (w(None), x(1))], out, |first, z| zero_share(cpu, &p.plus, &p.minus, first, z));
    }
}

/// Pixels up to which dot products along the depth, at the speed of memory, beat tiles that would be mostly empty.
const NARROW: usize = 8;

/// One image of few output pixels: its windows side by side, then a dot product for each weight row and pixel.
fn narrow(cpu: &Cpu, p: &ConvParams, s: &Sizes, inputs: &[&[Word]], z: &mut [Word]) {
    let windows = |group: usize, x: &[Word]| -> Vec<Word> {
        let mut panel = vec![[0; NARROW]; s.depth];
        Images { p, s, group, x }.pack(0, s.pixels, 0, &mut panel);
        (0..s.pixels).flat_map(|pixel| panel.iter().map(move |row| row[pixel])).collect()
    };
    let x: Vec<[Vec<Word>; 2]> = (0..p.groups as usize).map(|group| [windows(group, inputs[0]), windows(group, inputs[1])]).collect();
    let channels = p.out_channels as usize;
    cpu.pieces(channels, channels.div_ceil(4 * cpu.threads()), vec![Output { words: z, per_item: s.pixels }], |range, outs| {
        zero_share(cpu, &p.plus, &p.minus, range.start * s.pixels, outs[0]);
        vector::vectorise!(|| {
            for (channel, out) in range.zip(outs[0].chunks_exact_mut(s.pixels)) {
                let [w_own, w_next] = [2, 3].map(|i| &inputs[i][channel * s.depth..(channel + 1) * s.depth]);
                let [x_own, x_next] = &x[channel / s.rows];
                for (pixel, out) in out.iter_mut().enumerate() {
                    let at = pixel * s.depth..(pixel + 1) * s.depth;
                    *out = out.wrapping_add(dot(&x_own[at.clone()], &x_next[at], w_own, w_next));
                }
            }
        });
    });
}

/// One output channel tap by tap, without packing: for groups of one or two output channels.
#[inline(always)]
fn directly(p: &ConvParams, s: &Sizes, inputs: &[&[Word]], item: usize, out: &mut [Word]) {
    let (image, channel) = (item / p.out_channels as usize, item % p.out_channels as usize);
    let first = (image * p.in_channels as usize + channel / s.rows * s.channels) * s.image;
    let x = [0, 1].map(|i| &inputs[i][first..first + s.channels * s.image]);
    let w = [2, 3].map(|i| &inputs[i][channel * s.depth..(channel + 1) * s.depth]);
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

    /// The next position.
    #[inline(always)]
    fn advance(&mut self, p: &ConvParams) {
        self.right += p.dilation_w as isize;
        if self.right + p.pad_w as isize == (p.kernel_w * p.dilation_w) as isize {
            self.right = -(p.pad_w as isize);
            self.down += p.dilation_h as isize;
            if self.down + p.pad_h as isize == (p.kernel_h * p.dilation_h) as isize {
                self.down = -(p.pad_h as isize);
                self.channel += 1;
            }
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

/// The channels of one group as the right operand: lines are output pixels over all images, the depth runs over channels
/// and taps.
struct Images<'a> {
    p: &'a ConvParams,
    s: &'a Sizes,
    group: usize,
    x: &'a [Word],
}

/// Neighbouring pixels of a panel: one row of one image.
#[derive(Clone, Copy, Default)]
struct Run {
    /// Place in the panel.
    at: usize,
    len: usize,
    /// Where the group's channels of the image begin.
    image: usize,
    oh: usize,
    ow: usize,
}

impl Images<'_> {
    /// The panel of pixels `line..end` as runs.
    #[inline(always)]
    fn runs<const WIDE: usize>(&self, line: usize, end: usize) -> ([Run; WIDE], usize) {
        let width = self.p.out_width as usize;
        let (mut runs, mut count) = ([Run::default(); WIDE], 0);
        let mut at = line;
        while at < end {
            let (image, pixel) = (at / self.s.pixels, at % self.s.pixels);
            let len = (width - pixel % width).min(end - at);
            let image = (image * self.p.in_channels as usize + self.group * self.s.channels) * self.s.image;
            runs[count] = Run { at: at - line, len, image, oh: pixel / width, ow: pixel % width };
            count += 1;
            at += len;
        }
        (runs, count)
    }
}

impl Panels for Images<'_> {
    fn pack<const WIDE: usize>(&self, line: usize, end: usize, depth: usize, out: &mut [[Word; WIDE]]) {
        vector::vectorise!(|| self.panel(line, end, depth, out));
    }
}

impl Images<'_> {
    #[inline(always)]
    fn panel<const WIDE: usize>(&self, line: usize, end: usize, depth: usize, out: &mut [[Word; WIDE]]) {
        let p = self.p;
        let (runs, count) = self.runs::<WIDE>(line, end.min(line + WIDE));
        let (height, width) = (p.height as isize, p.width as isize);
        let mut tap = Tap::new(p, depth);
        for row in out {
            if count > 1 || runs[0].len < WIDE {
                row.fill(0);
            }
            for run in &runs[..count] {
                let ih = run.oh as isize * p.stride_h as isize + tap.down;
                let iw = run.ow as isize * p.stride_w as isize + tap.right;
                let out = &mut row[run.at..run.at + run.len];
                if ih < 0 || ih >= height {
                    out.fill(0);
                    continue;
                }
                let from = run.image + (tap.channel * p.height as usize + ih as usize) * p.width as usize;
                let input = &self.x[from..from + p.width as usize];
                let last = iw + ((run.len - 1) * p.stride_w as usize) as isize;
                let inside = iw >= 0 && last < width;
                if inside && p.stride_w == 1 {
                    copy::<WIDE>(&input[iw as usize..][..out.len()], out);
                } else if inside && p.stride_w == 2 && run.len == WIDE {
                    let input = &input[iw as usize..][..2 * WIDE - 1];
                    (0..WIDE).for_each(|i| out[i] = input[2 * i]);
                } else {
                    for (i, out) in out.iter_mut().enumerate() {
                        let at = iw + i as isize * p.stride_w as isize;
                        *out = if at >= 0 && at < width { input[at as usize] } else { 0 };
                    }
                }
            }
            tap.advance(p);
        }
    }
}

/// A copy whose usual lengths are known.
#[inline(always)]
fn copy<const WIDE: usize>(from: &[Word], to: &mut [Word]) {
    fn exactly<const N: usize>(from: &[Word], to: &mut [Word]) -> bool {
        match (<&mut [Word; N]>::try_from(to), <&[Word; N]>::try_from(from)) {
            (Ok(to), Ok(from)) => {
                *to = *from;
                true
            }
            _ => false,
        }
    }
    if !exactly::<WIDE>(from, to) && !exactly::<8>(from, to) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
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
            ([1, 4, 3, 4], 10, 2, [axis(3, 2, 1, 1), axis(3, 2, 1, 1)]),
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
