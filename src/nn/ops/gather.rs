//! Elements in a public order: element `i` of an item of the output is element `indices[i]` of the same item of the input, or
//! zero. Every layout operation is one: transposes, slices, pads, broadcasts, interpolation by the nearest.

#[cfg(feature = "onnx")]
use super::onnx::{Attribute, Names, Writer};
use super::{
    interval::{Interval, Intervals, hulls},
    operation::{Action, Bits, Bounded, Float, Narrow, Operation, Own, Running, Word64, ready, shape_of},
};
use crate::{
    Result,
    kernels::gather::NONE,
    nn::value::{Operand, Value, misfit},
    party::Party,
    protocol,
    share::Arith,
};
use std::sync::Arc;

/// The most extents of an item: what a model of somebody else may ask for.
pub(super) const MOST_AXES: usize = 16;

/// Elements by their indices.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Gather {
    /// Extents of an item of the output.
    pub extents: Vec<usize>,
    /// One index for each of its elements, [`NONE`] for a zero.
    pub indices: Arc<[u32]>,
}

impl Operation for Gather {
    fn kind(&self) -> &'static str {
        "Gather"
    }

    fn output(&self, inputs: &[Value]) -> Result<Value> {
        self.shape(&inputs[0])
    }

    fn floats(&self, inputs: &[Float<'_>], _: &Value) -> Vec<f32> {
        self.of(inputs[0].value, inputs[0].values)
    }

    /// Flattened, a zero put behind the last element where there are holes, gathered, reshaped.
    #[cfg(feature = "onnx")]
    fn write(&self, writer: &mut dyn Writer, names: &Names<'_>) {
        let row: usize = names.from[0].item().iter().product();
        let mut flat = writer.fresh();
        writer.reshape(&names.inputs[0], &[row], &flat);
        if self.indices.contains(&NONE) {
            let pads = writer.integers(&[0, 0, 0, 1]);
            flat = writer.made("Pad", &[flat, pads], Vec::new());
        }
        let indices: Vec<i64> = self.indices.iter().map(|&at| if at == NONE { row as i64 } else { i64::from(at) }).collect();
        let indices = writer.integers(&indices);
        let moved = writer.made("Gather", &[flat, indices], vec![Attribute::Int("axis", 1)]);
        writer.reshape(&moved, names.to.item(), names.output);
    }

    fn is_homogeneous(&self) -> bool {
        true
    }

    fn layout(&self, _: &Value, _: &Value) -> Option<Arc<[u32]>> {
        Some(self.indices.clone())
    }
}

impl Gather {
    fn shape(&self, x: &Value) -> Result<Value> {
        if self.extents.len() >= MOST_AXES || x.whole {
            return Err(misfit(format!("elements in {} extents, or of a constant", self.extents.len())));
        }
        let row = x.item().iter().product::<usize>();
        let output = x.with_item(&self.extents)?;
        let elements: usize = output.item().iter().product();
        if self.indices.len() != elements {
            return Err(misfit(format!("{} indices instead of {elements}", self.indices.len())));
        }
        match self.indices.iter().find(|&&at| at != NONE && at as usize >= row) {
            Some(at) => Err(misfit(format!("index {at} of an item of {row} elements"))),
            None => Ok(output),
        }
    }

    fn of<T: Copy + Default>(&self, x: &Value, values: &[T]) -> Vec<T> {
        picked(&self.indices, x, values)
    }
}

/// Elements of each item by their indices, zero where there is none.
pub(super) fn picked<T: Copy + Default>(indices: &[u32], x: &Value, values: &[T]) -> Vec<T> {
    let row = |row: &[T]| indices.iter().map(|&at| row.get(at as usize).copied().unwrap_or_default()).collect::<Vec<T>>();
    values.chunks(values.len() / x.batch()).flat_map(row).collect()
}

/// For each element of an item of these extents the index `sum_d i_d strides[d]` of an element of another.
pub(super) fn strided(extents: &[usize], strides: &[usize]) -> Arc<[u32]> {
    let at = |mut e: usize| {
        let mut index = 0;
        for (extent, stride) in extents.iter().zip(strides).rev() {
            index += e % extent * stride;
            e /= extent;
        }
        index as u32
    };
    (0..extents.iter().product()).map(at).collect()
}

impl Action for Gather {
    fn describe(&self) -> String {
        "gather".into()
    }

    fn output(&self, inputs: &[Operand]) -> Result<Operand> {
        match inputs {
            [x] => Ok(Operand { value: self.shape(&x.value)?, ..x.clone() }),
            _ => Err(misfit(format!("elements of {} values", inputs.len()))),
        }
    }

    fn fixed(&self, inputs: &[Word64<'_>], _: &Operand, _: &mut Narrow<'_>) -> Result<Vec<i64>> {
        Ok(self.of(inputs[0].value, inputs[0].words))
    }

    /// Elements that move between channels mix them.
    fn bounds(&self, inputs: &[Bounded<'_>], output: &Operand) -> (Intervals, Bits) {
        let holes = self.indices.contains(&NONE);
        let all: Vec<Interval> = inputs[0].intervals.iter().map(|v| if holes { v.with_zero() } else { *v }).collect();
        (hulls(all.iter(), output.value.item()), Bits::default())
    }

    fn run<'a>(&'a self, p: &'a Party, own: Own<'a>, inputs: Vec<Arith>) -> Running<'a> {
        let table = own.table.expect("a model keeps the table of each of its gathers");
        ready(protocol::gather(p, &inputs[0], table, shape_of(&inputs[0], &self.extents)))
    }

    fn table(&self) -> Option<&[u32]> {
        Some(&self.indices)
    }
}
