//! Attributes of a node: each is taken once, and what is left over is an error, not ignored.

use super::{
    array::Array,
    constant::Constant,
    schema::{AttributeProto, GraphProto, NodeProto},
    tensor,
};
use crate::{Error, Result, shape::Axis};
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
    pub fn constant(&mut self) -> Result<Constant> {
        if let Some(a) = self.left.remove("value") {
            return tensor::read(a.t.as_ref().ok_or_else(|| Error::Model("the constant has no tensor".into()))?, None);
        }
        if let Some(a) = self.left.remove("value_floats") {
            return Ok(Constant::Floats(Array::list(a.floats.clone())));
        }
        if let Some(a) = self.left.remove("value_float") {
            return Ok(Constant::Floats(Array::one(a.f)));
        }
        if let Some(ints) = self.ints("value_ints") {
            return Ok(Constant::Integers(Array::list(ints)));
        }
        let one = self.left.remove("value_int").map(|a| Constant::Integers(Array::one(a.i)));
        one.ok_or_else(|| Error::Model("the constant has no value of a supported kind".into()))
    }

    /// The tensor of an attribute, if it is there.
    pub fn tensor(&mut self, name: &str) -> Result<Option<Constant>> {
        self.left.remove(name).and_then(|a| a.t.as_ref()).map(|t| tensor::read(t, None)).transpose()
    }

    /// The graph of an attribute, a branch.
    pub fn graph(&mut self, name: &str) -> Option<&'a GraphProto> {
        self.left.remove(name).and_then(|a| a.g.as_deref())
    }

    pub fn floats(&mut self, name: &str) -> Option<Vec<f32>> {
        self.left.remove(name).map(|a| a.floats.clone())
    }

    /// How many floats an attribute has.
    pub fn len_of_floats(&self, name: &str) -> usize {
        self.left.get(name).map_or(0, |a| a.floats.len())
    }

    pub fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        self.left.remove(name).map(|a| a.strings.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect())
    }

    pub fn has(&self, name: &str) -> bool {
        self.left.contains_key(name)
    }

    /// Windows over so many spatial axes: kernel, strides, pads, dilations, auto_pad, for an input of these extents.
    pub fn windows<const N: usize>(&mut self, kernel: Option<[usize; N]>, input: [usize; N]) -> Result<[Axis; N]> {
        let given = self.numbers::<N>("kernel_shape")?;
        let kernel = match (kernel, given) {
            (Some(kernel), Some(given)) if kernel != given => {
                return Err(Error::Model(format!("kernel_shape {given:?} does not fit weights with {kernel:?}")));
            }
            (Some(kernel), _) | (None, Some(kernel)) => kernel,
            (None, None) => return Err(Error::Model("kernel_shape is missing".into())),
        };
        let strides = self.numbers::<N>("strides")?.unwrap_or([1; N]);
        let dilations = self.numbers::<N>("dilations")?.unwrap_or([1; N]);
        let pads = self.pads::<N>()?;
        let auto = self.text("auto_pad").unwrap_or_default();
        let mut axes: [Axis; N] = std::array::from_fn(|d| {
            let [pad_begin, pad_end] = pads.map_or([0, 0], |p| p[d]);
            Axis { kernel: kernel[d], stride: strides[d], pad_begin, pad_end, dilation: dilations[d] }
        });
        if axes.iter().any(|a| a.kernel == 0 || a.stride == 0 || a.dilation == 0) {
            return Err(Error::Model("kernel, strides and dilations must be at least 1".into()));
        }
        for (axis, extent) in axes.iter_mut().zip(input) {
            pad_automatically(axis, extent, &auto, pads.is_some())?;
        }
        Ok(axes)
    }

    /// Before and after each spatial axis.
    pub fn pads<const N: usize>(&mut self) -> Result<Option<[[usize; 2]; N]>> {
        let Some(ints) = self.ints("pads") else { return Ok(None) };
        let values: Option<Vec<usize>> = ints.iter().map(|&v| small(v)).collect();
        let values = values.filter(|values| values.len() == 2 * N);
        let values = values.ok_or_else(|| Error::Model(format!("pads = {ints:?} is not supported; {} numbers from 0 are", 2 * N)))?;
        Ok(Some(std::array::from_fn(|d| [values[d], values[d + N]])))
    }

    pub fn numbers<const N: usize>(&mut self, name: &str) -> Result<Option<[usize; N]>> {
        let Some(ints) = self.ints(name) else { return Ok(None) };
        let values: Option<Vec<usize>> = ints.iter().map(|&v| small(v)).collect();
        let fits = values.and_then(|v| <[usize; N]>::try_from(v).ok());
        fits.map(Some).ok_or_else(|| Error::Model(format!("{name} = {ints:?} is not supported; {N} numbers from 0 are")))
    }
}

/// Nothing of a window is larger.
fn small(v: i64) -> Option<usize> {
    usize::try_from(v).ok().filter(|&v| v < 1 << 14)
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
