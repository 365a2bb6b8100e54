//! Convolution: `z[n, o, i, j] = b[o] + sum over c, k, l of w[o, c, k, l] x[n, c, i s + k d - p, j s + l d - p]`, as
//! cross-correlation, in groups of channels. x is (N, C, H, W), w whole (O, C/groups, KH, KW), b whole (O). Source: ONNX, Conv.

#[cfg(feature = "onnx")]
use super::onnx::{self, Attribute, Names, Writer};
use super::{
    arithmetic::{Number, convolve},
    interval::{Interval, Intervals},
    operation::{Bounded, Constants, Float, Operation},
};
use crate::{
    Result,
    nn::value::{Tensor, Value, misfit},
    party::Party,
    protocol,
    shape::{Axis, Conv as Geometry, Shape},
    share::{Arith, Local},
};
use std::ops::{Range, RangeInclusive};

/// Convolution of images (N, C, H, W) with weights (O, C/groups, KH, KW), a bias (O) or none.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Conv {
    /// Windows over rows and columns.
    pub axes: [Axis; 2],
    /// Groups of channels.
    pub groups: usize,
}

impl Operation for Conv {
    fn kind(&self) -> &'static str {
        "Conv"
    }

    fn arity(&self) -> RangeInclusive<usize> {
        2..=3
    }

    fn output(&self, inputs: &[Value]) -> Result<Value> {
        let output = self.shape(&inputs[0], &inputs[1])?;
        match inputs.get(2) {
            Some(b) if !b.whole || b.shape.extents() != &output.item()[..1] => {
                Err(misfit(format!("a bias of shape {} for {} channels", b.shape, output.item()[0])))
            }
            _ => Ok(output),
        }
    }

    fn floats(&self, inputs: &[Float<'_>], _: &Value) -> Vec<f32> {
        let bias = inputs.get(2).map(|bias| bias.values);
        let geometry = self.geometry(&inputs[0].value.shape, &inputs[1].value.shape);
        convolve(&super::operation::checked(geometry), inputs[0].values, inputs[1].values, |o| bias.map_or(0.0, |bias| bias[o]))
    }

    fn multiply_adds(&self, inputs: &[Value], output: &Value) -> u64 {
        let depth: usize = inputs[1].shape.extents()[1..].iter().product();
        output.shape.elements() as u64 * depth as u64
    }

    #[cfg(feature = "onnx")]
    fn write(&self, writer: &mut dyn Writer, names: &Names<'_>) {
        let mut attributes = onnx::windows(&self.axes);
        attributes.extend([onnx::dilations(&self.axes), Attribute::Int("group", self.groups as i64)]);
        writer.push("Conv", names.inputs, names.output, attributes);
    }

    fn take_factor(&self, constants: &mut Constants<'_>, factor: f32) -> bool {
        let [_, Some(weights), ..] = constants else { return false };
        weights.values.iter_mut().for_each(|w| *w *= factor);
        true
    }

    fn take_affine(&self, constants: &mut Constants<'_>, _item: &[usize], scale: &[f32], shift: &[f32]) -> bool {
        let [_, Some(weights), Some(bias)] = constants else { return false };
        scale.len() == bias.values.len() && scale_rows(weights, bias, scale, shift)
    }

    /// Taps of a kernel that lie in the padding at every output are cut off at its edges: a 3 x 3 convolution of one padded
    /// pixel is one of 1 x 1, with a ninth of the weights.
    fn trim(&mut self, inputs: &[Value], output: &Value, constants: &mut Constants<'_>) -> Result<()> {
        let [_, Some(weights), ..] = constants else { return Ok(()) };
        let live = [0, 1].map(|i| live_taps(self.axes[i], inputs[0].shape.extents()[2 + i], output.shape.extents()[2 + i]));
        let kernels = self.axes.map(|axis| axis.kernel);
        if live.iter().map(Range::len).eq(kernels) {
            return Ok(());
        }
        let plane = |plane: &[f32]| -> Vec<f32> {
            plane.chunks(kernels[1]).skip(live[0].start).take(live[0].len()).flat_map(|row| row[live[1].clone()].to_vec()).collect()
        };
        let values = weights.values.chunks(kernels[0] * kernels[1]).flat_map(plane).collect();
        let channels = &weights.shape.extents()[..2];
        **weights = Tensor { shape: Shape::new([channels, &[live[0].len(), live[1].len()]].concat())?, values };
        for (axis, live) in self.axes.iter_mut().zip(&live) {
            axis.pad_begin -= live.start * axis.dilation;
            axis.pad_end -= (axis.kernel - live.end) * axis.dilation;
            axis.kernel = live.len();
        }
        Ok(())
    }
}

impl Conv {
    /// Description for people.
    pub fn describe(&self) -> String {
        format!("conv {}x{}", self.axes[0].kernel, self.axes[1].kernel)
    }

    /// Shape of the output from images and weights.
    pub fn shape(&self, x: &Value, w: &Value) -> Result<Value> {
        if x.whole || !w.whole {
            return Err(misfit("a convolution with weights that are computed for each input of a batch is not supported"));
        }
        Ok(Value::per_item(self.geometry(&x.shape, &w.shape)?.out_shape()))
    }

    fn geometry(&self, x: &Shape, w: &Shape) -> Result<Geometry> {
        Geometry::new(x, w, self.axes, self.groups)
    }

    /// Each party's summand of the product.
    pub fn local(&self, p: &Party, x: &Arith, w: &Arith) -> Local {
        protocol::convolution(p, x, w, &super::operation::checked(self.geometry(x.shape(), w.shape())))
    }

    /// The sums of the definition, without a bias.
    pub fn sums<T: Number>(&self, x: (&Value, &[T]), w: (&Value, &[T])) -> Vec<T> {
        convolve(&super::operation::checked(self.geometry(&x.0.shape, &w.0.shape)), x.1, w.1, |_| T::default())
    }

    /// Each row of the weights on the intervals of the channels that it reads; a tap may lie in the padding.
    pub fn bounds(&self, x: &Bounded<'_>, w: &Bounded<'_>) -> Intervals {
        let padded = self.axes.iter().any(|axis| axis.pad_begin + axis.pad_end > 0);
        let channels: Vec<Interval> = x.intervals.iter().map(|v| if padded { v.with_zero() } else { *v }).collect();
        rows_of(w, self.groups, &channels)
    }
}

/// `scale[o] (W x + b)[o] + shift[o]` for each row of W.
pub(super) fn scale_rows(weights: &mut Tensor, bias: &mut Tensor, scale: &[f32], shift: &[f32]) -> bool {
    let row = weights.values.len() / bias.values.len();
    for (o, weights) in weights.values.chunks_mut(row).enumerate() {
        weights.iter_mut().for_each(|w| *w *= scale[o]);
        bias.values[o] = bias.values[o] * scale[o] + shift[o];
    }
    true
}

/// Each row of the weights, in groups, on the intervals that its taps read, `taps` to a channel.
pub(super) fn rows_of(w: &Bounded<'_>, groups: usize, channels: &[Interval]) -> Intervals {
    let rows = w.value.shape.extents()[0];
    let (depth, per_group) = (w.words.len() / rows, channels.len() / groups);
    let taps = (depth / per_group.max(1)).max(1);
    let row = |(o, weights): (usize, &[u64])| {
        let first = o / (rows / groups) * per_group;
        weights
            .chunks(taps)
            .zip(&channels[first..])
            .fold(Interval::ZERO, |sum, (taps, v)| taps.iter().fold(sum, |sum, &w| sum.plus(v.times(i128::from(w as i64)))))
    };
    w.words.chunks(depth).enumerate().map(row).collect()
}

/// The taps between those that meet only padding at the beginning and at the end.
fn live_taps(axis: Axis, input: usize, output: usize) -> Range<usize> {
    let meets = |tap: usize| {
        let inside = axis.pad_begin..axis.pad_begin + input;
        (0..output).any(|o| inside.contains(&(o * axis.stride + tap * axis.dilation)))
    };
    let first = (0..axis.kernel - 1).take(axis.pad_begin / axis.dilation).take_while(|&tap| !meets(tap)).count();
    let last = (first + 1..axis.kernel).rev().take(axis.pad_end / axis.dilation).take_while(|&tap| !meets(tap)).count();
    first..axis.kernel - last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_taps_that_meet_nothing_are_cut() {
        let axis = |kernel, stride, pad, dilation| Axis { kernel, stride, pad_begin: pad, pad_end: pad, dilation };
        assert_eq!(live_taps(axis(3, 1, 1, 1), 1, 1), 1..2);
        assert_eq!(live_taps(axis(3, 1, 1, 1), 2, 2), 0..3);
        assert_eq!(live_taps(axis(5, 1, 2, 1), 2, 2), 1..4);
        assert_eq!(live_taps(axis(3, 1, 2, 2), 2, 2), 1..2);
        assert_eq!(live_taps(axis(11, 4, 9, 1), 32, 10), 0..11);
        assert_eq!(live_taps(axis(1, 1, 0, 1), 7, 7), 0..1);
        assert_eq!(live_taps(axis(2, 1, 1, 1), 1, 2), 0..2);
        // one that meets nothing at all keeps a tap
        assert_eq!(live_taps(axis(1, 3, 1, 1), 1, 1), 0..1);
    }
}
