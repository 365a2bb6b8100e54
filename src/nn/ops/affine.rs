//! Affine map of channels: `y = scale[c] x + shift[c]`, with secret factors and addends: batch normalisation, and constants that
//! a model multiplies with or adds. One number for each channel, or for each element of an item. It is folded into the product before it, or
//! becomes a depthwise convolution of its own.

#[cfg(feature = "onnx")]
use super::onnx::{Names, Writer};
use super::{
    conv::Conv,
    operation::{Constants, Float, Operation},
    reshape::Reshape,
};
use crate::{
    Result,
    nn::value::{Tensor, Value, misfit},
    shape::{Axis, Shape},
};
use std::{borrow::Cow, ops::RangeInclusive};

/// `scale[c] x + shift[c]` of x, scale and shift, the latter whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine;

impl Operation for Affine {
    fn kind(&self) -> &'static str {
        "Affine"
    }

    fn arity(&self) -> RangeInclusive<usize> {
        3..=3
    }

    fn output(&self, inputs: &[Value]) -> Result<Value> {
        let [x, scale, shift] = inputs else { return Err(misfit("an affine map reads a value, factors and addends")) };
        let (channels, elements) = (x.item().first().copied().unwrap_or(1), x.item().iter().product::<usize>());
        let count = scale.shape.elements();
        match scale.whole && shift.whole && !x.whole && shift.shape == scale.shape && (count == channels || count == elements) {
            true => Ok(x.clone()),
            false => Err(misfit(format!("factors {} and addends {} of a value {}", scale.shape, shift.shape, x.shape))),
        }
    }

    fn floats(&self, inputs: &[Float<'_>], _: &Value) -> Vec<f32> {
        let [x, scale, shift] = [0, 1, 2].map(|i| inputs[i].values);
        let inner = inputs[0].value.item().iter().product::<usize>() / scale.len();
        let channel = |e: usize| e / inner % scale.len();
        x.iter().enumerate().map(|(e, v)| v * scale[channel(e)] + shift[channel(e)]).collect()
    }

    #[cfg(feature = "onnx")]
    fn write(&self, writer: &mut dyn Writer, names: &Names<'_>) {
        let extents = names.from[0].item();
        let count = names.from[1].shape.elements();
        let item = if count == extents[0] { [&extents[..1], &vec![1; extents.len() - 1]].concat() } else { extents.to_vec() };
        let [scale, shift] = [1, 2].map(|i| {
            let to: Vec<i64> = item.iter().map(|&extent| extent as i64).collect();
            let to = writer.integers(&to);
            writer.made("Reshape", &[names.inputs[i].clone(), to], Vec::new())
        });
        let scaled = writer.made("Mul", &[names.inputs[0].clone(), scale], Vec::new());
        writer.push("Add", &[scaled, shift], names.output, Vec::new());
    }

    /// One after another is one, which is where factors that vanish by themselves do not.
    fn take_affine(&self, constants: &mut Constants<'_>, _item: &[usize], scale: &[f32], shift: &[f32]) -> bool {
        let [_, Some(own_scale), Some(own_shift)] = constants else { return false };
        if own_scale.values.len() != scale.len() {
            return false;
        }
        for (i, (scale, shift)) in scale.iter().zip(shift).enumerate() {
            own_scale.values[i] *= scale;
            own_shift.values[i] = own_shift.values[i] * scale + shift;
        }
        true
    }

    fn scale_and_shift<'a>(&self, constants: &'a [Option<&Tensor>]) -> Option<[Cow<'a, [f32]>; 2]> {
        match constants {
            [_, Some(scale), Some(shift)] => Some([&scale.values, &shift.values].map(|values| Cow::Borrowed(&values[..]))),
            _ => None,
        }
    }
}

/// A depthwise convolution of 1 x 1, and what brings its input and output into shape.
#[derive(Debug)]
pub struct Depthwise {
    /// To an image, where x is none.
    pub before: Option<Reshape>,
    /// The convolution of as many groups as there are factors.
    pub conv: Conv,
    /// Shape of the factors as weights.
    pub weights: Shape,
    /// Back to the shape of x.
    pub after: Option<Reshape>,
}

impl Affine {
    /// The convolution that it is, of x and so many factors.
    pub fn depthwise(&self, x: &Value, count: usize) -> Result<Depthwise> {
        let extents = x.item();
        let conv = Conv { axes: [Axis::new(1), Axis::new(1)], groups: count };
        let weights = Shape::new([count, 1, 1, 1])?;
        if extents.len() == 3 && extents[0] == count {
            return Ok(Depthwise { before: None, conv, weights, after: None });
        }
        let inner = extents.iter().product::<usize>() / count;
        let reshape = |extents: Vec<usize>| Some(Reshape { extents });
        Ok(Depthwise { before: reshape(vec![count, inner, 1]), conv, weights, after: reshape(extents.to_vec()) })
    }
}
