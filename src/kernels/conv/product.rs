//! The kernels of a convolution and the local product that they make.

use super::{
    native::cpu,
    params::{ConvParams, window_rows},
};
use crate::{
    device::{Buffer, Device, Kernel, Out, Window},
    kernels::{
        cross::Factors,
        tiles::{Texts, Tiles, groups, kernels},
    },
    shape::Conv,
    stream::Stream,
};
use std::sync::LazyLock;

/// The kernels: x_own, x_next, y_own, y_next -> z. One for each way to share the work.
pub static CONV: LazyLock<[Kernel<ConvParams, String>; 6]> = LazyLock::new(|| {
    let texts = Texts {
        name: "conv",
        common: include_str!("../../../shaders/conv.wgsl"),
        direct: include_str!("../../../shaders/conv_direct.wgsl"),
        staged: include_str!("../../../shaders/conv_staged.wgsl"),
    };
    kernels(&texts, (workgroups, cpu))
});

fn workgroups(p: &ConvParams) -> u64 {
    groups(window_rows(p), p.rows, p.out_channels / p.groups, u64::from(p.out_height) * u64::from(p.out_width))
}

/// The local product.
pub fn convolution(device: &Device, factors: Factors<'_>, c: &Conv, [plus, minus]: [Stream; 2]) -> Buffer {
    let [rows, columns] = c.axes;
    let pixels = c.output[0] * c.output[1];
    let by_image = c.batch > 1;
    let tiles = Tiles::new(device, c.batch * c.groups, c.out_channels / c.groups, pixels);
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
        rows: tiles.rows,
        plus,
        minus,
    };
    let out = c.out_channels * pixels;
    let (items, image, per_item) =
        if by_image { (c.batch, c.in_channels * c.input[0] * c.input[1], out) } else { (c.batch * c.out_channels, 0, pixels) };
    let inputs = [factors[0].each(image), factors[1].each(image), factors[2].whole(), factors[3].whole()];
    let (channels, taps) = (c.in_channels / c.groups, rows.kernel * columns.kernel);
    device.must_loop("conv", taps * (channels / 4 + 8));
    let [z] = device.run(&CONV[tiles.kernel()], params, items, &inputs, [Out { len: c.batch * out, per_item }]);
    z
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::vector,
        ring::Word,
        shape::{Axis, Shape},
    };

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
