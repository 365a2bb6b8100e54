//! Resize and Upsample: nearest elements are moved; linear interpolation is a product with a public matrix along each axis.

use super::{
    array::place_of,
    attributes::Attributes,
    importer::Importer,
    layout::{Layout, apart},
    schema::NodeProto,
};
use crate::{
    Error, Result,
    nn::value::{Tensor, ValueId},
    shape::Shape,
};

/// How output positions are mapped to input positions along one axis, in single precision as onnxruntime does it: ties and the
/// rounding of `scale * extent` decide between elements.
#[derive(Debug, Clone, Copy)]
struct Mapping<'a> {
    input: usize,
    output: usize,
    scale: f32,
    coordinates: &'a str,
}

impl Mapping<'_> {
    fn position(&self, o: usize) -> Result<f32> {
        let (o, input, output) = (o as f32, self.input as f32, self.output as f32);
        Ok(match self.coordinates {
            "half_pixel" => (o + 0.5) / self.scale - 0.5,
            "half_pixel_symmetric" => {
                let adjusted = output / (self.scale * input);
                input / 2.0 * (1.0 - adjusted) + (o + 0.5) / self.scale - 0.5
            }
            "pytorch_half_pixel" | "align_corners" if self.output == 1 => 0.0,
            "pytorch_half_pixel" => (o + 0.5) / self.scale - 0.5,
            // the last element is the last, whatever whole number the scale has been rounded to
            "align_corners" => o * (input - 1.0) / (output - 1.0),
            "asymmetric" => o / self.scale,
            other => return Err(Error::Model(format!("coordinate_transformation_mode = {other} is not supported"))),
        })
    }

    /// The nearest element to each position.
    fn nearest(&self, rounding: &str) -> Result<Vec<usize>> {
        let round = |at: f32| match rounding {
            "round_prefer_floor" => Ok((at - 0.5).ceil()),
            "round_prefer_ceil" => Ok((at + 0.5).floor()),
            "floor" => Ok(at.floor()),
            "ceil" => Ok(at.ceil()),
            other => Err(Error::Model(format!("nearest_mode = {other} is not supported"))),
        };
        (0..self.output).map(|o| Ok(round(self.position(o)?)?.clamp(0.0, (self.input - 1) as f32) as usize)).collect()
    }

    /// Rows of weights of the two elements on both sides of each position.
    fn linear(&self) -> Result<Vec<f32>> {
        let mut matrix = vec![0.0; self.output * self.input];
        for (o, row) in matrix.chunks_mut(self.input).enumerate() {
            let at = self.position(o)?.clamp(0.0, (self.input - 1) as f32);
            let (first, part) = (at.floor() as usize, at.fract());
            row[first] += 1.0 - part;
            if part > 0.0 {
                row[first + 1] += part;
            }
        }
        Ok(matrix)
    }
}

/// No interpolation matrix has more elements.
const MOST: usize = 1 << 22;

impl Importer {
    pub(super) fn resize(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<ValueId> {
        let x = self.value(node, 0)?;
        let (extents, kept) = (self.extents(x)?, self.view(x)?.place.axis());
        // the first versions have one further input or attribute, the scales
        let first = node.op_type == "Upsample" || node.input.len() == 2;
        let (scales, sizes) = match first {
            true => (self.floats(node, 1)?.map(|s| s.values).or_else(|| attributes.floats("scales")), None),
            false => (self.floats(node, 2)?.map(|s| s.values), self.integers(node, 3)?.map(|s| s.values)),
        };
        let axes = attributes.ints("axes").unwrap_or_else(|| (0..extents.len() as i64).collect());
        let axes = axes.iter().map(|&axis| place_of(axis, extents.len())).collect::<Result<Vec<_>>>()?;
        let mode = attributes.text("mode").unwrap_or_else(|| "nearest".into());
        let coordinates = match first {
            true => "asymmetric".into(),
            false => attributes.text("coordinate_transformation_mode").unwrap_or_else(|| "half_pixel".into()),
        };
        let rounding = attributes.text("nearest_mode").unwrap_or_else(|| "round_prefer_floor".into());
        if attributes.text("keep_aspect_ratio_policy").is_some_and(|policy| policy != "stretch") {
            return Err(Error::Model("keep_aspect_ratio_policy is supported as stretch".into()));
        }
        attributes.only("exclude_outside", 0)?;
        attributes.only("antialias", 0)?;
        attributes.ignore(&["cubic_coeff_a", "extrapolation_value"]);
        let mut value = x;
        for (i, &axis) in axes.iter().enumerate() {
            let input = extents[axis];
            let bad = || Error::Model(format!("scales {scales:?} and sizes {sizes:?} for an input {extents:?}"));
            let (output, scale) = match (scales.as_ref().filter(|s| !s.is_empty()), &sizes) {
                (Some(scales), _) => {
                    let scale = *scales.get(i).ok_or_else(bad)?;
                    ((input as f32 * scale).floor() as usize, scale)
                }
                (None, Some(sizes)) => {
                    // the batch keeps its size, whatever it was when the sizes were computed
                    let size = if kept == Some(axis) { input as i64 } else { *sizes.get(i).ok_or_else(bad)? };
                    (usize::try_from(size).map_err(|_| bad())?, size as f32 / input as f32)
                }
                (None, None) => return Err(bad()),
            };
            if !(1..1 << 20).contains(&output) || !scale.is_finite() {
                return Err(bad());
            }
            if (output, scale) == (input, 1.0) {
                continue;
            }
            let mapping = Mapping { input, output, scale, coordinates: &coordinates };
            // the first versions took the element before where they enlarge, and the one after where they reduce
            let rounding = match first {
                true if scale < 1.0 => "ceil",
                true => "floor",
                false => &rounding,
            };
            value = match mode.as_str() {
                "nearest" => self.moved(value, &Layout::Take(axis, mapping.nearest(rounding)?))?,
                "linear" | "bilinear" => self.interpolated(value, axis, mapping)?,
                other => return Err(Error::Model(format!("mode = {other} is not supported; nearest and linear are"))),
            };
        }
        Ok(value)
    }

    /// The axis goes to the end, is multiplied with, and goes back.
    fn interpolated(&mut self, x: ValueId, axis: usize, mapping: Mapping<'_>) -> Result<ValueId> {
        if mapping.input * mapping.output > MOST {
            return Err(Error::Model(format!("a linear interpolation from {} to {} elements is too large", mapping.input, mapping.output)));
        }
        if self.batch.kept(&self.view(x)?) == Some(axis) {
            return Err(apart());
        }
        let rank = self.extents(x)?.len();
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(axis, rank - 1);
        let matrix = Tensor { shape: Shape::new([mapping.output, mapping.input])?, values: mapping.linear()? };
        let swap = Layout::Transpose(order);
        let ends = axis == rank - 1;
        let last = if ends { x } else { self.moved(x, &swap)? };
        let y = self.linear(last, matrix, vec![0.0; mapping.output])?;
        if ends { Ok(y) } else { self.moved(y, &swap) }
    }
}
