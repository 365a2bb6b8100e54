//! Attributes of a node: each is taken once, and what is left over is an error, not ignored.

use super::{
    Meaning, Tensor,
    schema::{AttributeProto, NodeProto},
    tensor,
};
use crate::{
    Error, Result,
    shape::{Axis, Shape},
};
use std::collections::HashMap;

pub struct Attributes<'a> {
    left: HashMap<&'a str, &'a AttributeProto>,
}

impl<'a> Attributes<'a> {
    pub fn new(node: &'a NodeProto) -> Self {
        Self { left: node.attribute.iter().map(|a| (a.name.as_str(), a)).collect() }
    }

    pub fn int(&mut self, name: &str, default: i64) -> i64 {
        self.left.remove(name).map_or(default, |a| a.i)
    }

    pub fn float(&mut self, name: &str, default: f32) -> f32 {
        self.left.remove(name).map_or(default, |a| a.f)
    }

    pub fn ints(&mut self, name: &str) -> Option<Vec<i64>> {
        self.left.remove(name).map(|a| a.ints.clone())
    }

    pub fn text(&mut self, name: &str) -> Option<String> {
        self.left.remove(name).map(|a| String::from_utf8_lossy(&a.s).into_owned())
    }

    /// Takes an attribute that must have one value.
    pub fn only(&mut self, name: &str, value: i64) -> Result<()> {
        match self.int(name, value) {
            found if found == value => Ok(()),
            found => Err(Error::Model(format!("{name} = {found} is not supported, {value} is"))),
        }
    }

    pub fn ignore(&mut self, names: &[&'a str]) {
        names.iter().for_each(|name| {
            self.left.remove(name);
        });
    }

    /// Everything must have been taken.
    pub fn done(self) -> Result<()> {
        match self.left.keys().min() {
            None => Ok(()),
            Some(name) => Err(Error::Model(format!("the attribute '{name}' is not supported"))),
        }
    }

    /// The value of a Constant.
    pub fn constant(&mut self) -> Result<Meaning> {
        if let Some(a) = self.left.remove("value") {
            return tensor::read(a.t.as_ref().ok_or_else(|| Error::Model("the constant has no tensor".into()))?);
        }
        let floats =
            self.left.remove("value_floats").map(|a| a.floats.clone()).or_else(|| self.left.remove("value_float").map(|a| vec![a.f]));
        if let Some(values) = floats {
            return Ok(Meaning::Floats(Tensor { shape: Shape::new([values.len()])?, values }));
        }
        let ints = self.ints("value_ints").or_else(|| self.left.remove("value_int").map(|a| vec![a.i]));
        ints.map(Meaning::Integers).ok_or_else(|| Error::Model("the constant has no value of a supported kind".into()))
    }

    /// Windows over rows and columns: kernel, strides, pads, dilations, auto_pad, ceil_mode, for an input of this shape.
    pub fn windows(&mut self, kernel: Option<[usize; 2]>, input: &Shape) -> Result<[Axis; 2]> {
        let &[_, _, height, width] = input.extents() else {
            return Err(Error::Model(format!("an input of shape {input} where (N, C, H, W) is expected")));
        };
        let given = self.pair("kernel_shape")?;
        let kernel = match (kernel, given) {
            (Some(kernel), Some(given)) if kernel != given => {
                return Err(Error::Model(format!("kernel_shape {given:?} does not fit weights with {kernel:?}")));
            }
            (Some(kernel), _) | (None, Some(kernel)) => kernel,
            (None, None) => return Err(Error::Model("kernel_shape is missing".into())),
        };
        let strides = self.pair("strides")?.unwrap_or([1, 1]);
        let dilations = self.pair("dilations")?.unwrap_or([1, 1]);
        let pads = self.numbers::<4>("pads")?;
        let auto = self.text("auto_pad").unwrap_or_default();
        let mut axes: [Axis; 2] = std::array::from_fn(|d| {
            let (pad_begin, pad_end) = pads.map_or((0, 0), |p| (p[d], p[d + 2]));
            Axis { kernel: kernel[d], stride: strides[d], pad_begin, pad_end, dilation: dilations[d] }
        });
        if axes.iter().any(|a| a.kernel == 0 || a.stride == 0 || a.dilation == 0) {
            return Err(Error::Model("kernel, strides and dilations must be at least 1".into()));
        }
        for (axis, extent) in axes.iter_mut().zip([height, width]) {
            pad_automatically(axis, extent, &auto, pads.is_some())?;
        }
        if self.int("ceil_mode", 0) != 0 {
            for (axis, extent) in axes.iter_mut().zip([height, width]) {
                let reach = (axis.kernel - 1) * axis.dilation + 1;
                let padded = extent + axis.pad_begin + axis.pad_end;
                if padded >= reach && (padded - reach) % axis.stride != 0 {
                    return Err(Error::Model("ceil_mode = 1 is supported only where it changes nothing".into()));
                }
            }
        }
        Ok(axes)
    }

    fn pair(&mut self, name: &str) -> Result<Option<[usize; 2]>> {
        self.numbers(name)
    }

    fn numbers<const N: usize>(&mut self, name: &str) -> Result<Option<[usize; N]>> {
        let Some(ints) = self.ints(name) else { return Ok(None) };
        let values: Option<Vec<usize>> = ints.iter().map(|&v| usize::try_from(v).ok().filter(|&v| v < 1 << 24)).collect();
        let fits = values.and_then(|v| <[usize; N]>::try_from(v).ok());
        fits.map(Some).ok_or_else(|| Error::Model(format!("{name} = {ints:?} is not supported; {N} numbers from 0 are")))
    }
}

fn pad_automatically(axis: &mut Axis, extent: usize, auto: &str, explicit: bool) -> Result<()> {
    match auto {
        "" | "NOTSET" => {}
        _ if explicit => return Err(Error::Model("both pads and auto_pad".into())),
        "VALID" => {}
        "SAME_UPPER" | "SAME_LOWER" => {
            let outputs = extent.div_ceil(axis.stride);
            let reach = (axis.kernel - 1) * axis.dilation + 1;
            let total = ((outputs - 1) * axis.stride + reach).saturating_sub(extent);
            let small = total / 2;
            (axis.pad_begin, axis.pad_end) = if auto == "SAME_UPPER" { (small, total - small) } else { (total - small, small) };
        }
        other => return Err(Error::Model(format!("auto_pad = {other} is not supported; NOTSET, VALID, SAME_UPPER and SAME_LOWER are"))),
    }
    Ok(())
}
