//! How operations write themselves as nodes of ONNX: the writer that they are given, and attributes.

use crate::{nn::value::Value, shape::Axis};

/// A file in the making.
pub trait Writer {
    /// Adds a node that makes `output`.
    fn push(&mut self, operator: &str, inputs: &[String], output: &str, attributes: Vec<Attribute>);
    /// A fresh name for a value.
    fn fresh(&mut self) -> String;
    /// Adds a constant of floats; its name.
    fn floats(&mut self, extents: &[usize], values: &[f32]) -> String;
    /// Adds a constant of integers; its name.
    fn integers(&mut self, values: &[i64]) -> String;
}

impl dyn Writer + '_ {
    /// Adds a node whose value gets a fresh name, which it gives.
    pub fn made(&mut self, operator: &str, inputs: &[String], attributes: Vec<Attribute>) -> String {
        let output = self.fresh();
        self.push(operator, inputs, &output, attributes);
        output
    }

    /// The same elements with other extents of an item; zero keeps the batch.
    pub fn reshape(&mut self, x: &str, item: &[usize], output: &str) {
        let to: Vec<i64> = std::iter::once(0).chain(item.iter().map(|&extent| extent as i64)).collect();
        let to = self.integers(&to);
        self.push("Reshape", &[x.to_owned(), to], output, Vec::new());
    }
}

/// Names and shapes of what a node reads and makes.
#[derive(Debug)]
pub struct Names<'a> {
    /// Inputs.
    pub inputs: &'a [String],
    /// Their shapes.
    pub from: &'a [Value],
    /// The output.
    pub output: &'a str,
    /// Its shape.
    pub to: &'a Value,
}

/// An attribute of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// A number.
    Int(&'static str, i64),
    /// Several.
    Ints(&'static str, Vec<i64>),
}

/// Kernel, strides and pads of windows.
pub fn windows(axes: &[Axis; 2]) -> Vec<Attribute> {
    let [rows, columns] = axes.map(|axis| [axis.pad_begin as i64, axis.pad_end as i64]);
    vec![
        Attribute::Ints("kernel_shape", axes.map(|axis| axis.kernel as i64).into()),
        Attribute::Ints("strides", axes.map(|axis| axis.stride as i64).into()),
        Attribute::Ints("pads", vec![rows[0], columns[0], rows[1], columns[1]]),
    ]
}

/// Distances between taps.
pub fn dilations(axes: &[Axis; 2]) -> Attribute {
    Attribute::Ints("dilations", axes.map(|axis| axis.dilation as i64).into())
}
