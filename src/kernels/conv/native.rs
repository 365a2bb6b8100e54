//! Convolution on the native device: an implicit matrix product whose right panels are packed from the images.

use super::params::{ConvParams, window_rows};
use crate::{
    device::{
        Cpu, Output,
        gemm::{Line, Matrix, Panels, Size, product},
        vector,
    },
    kernels::matmul::{dot, zero_share},
    ring::Word,
};
use std::ops::Range;

/// Sizes as the native code wants them.
struct Sizes {
    channels: usize,
    rows: usize,
    pixels: usize,
    depth: usize,
    image: usize,
}

/// The native twin of the kernel.
pub(super) fn cpu(cpu: &Cpu, p: &ConvParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
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
