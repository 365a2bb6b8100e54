//! Copies side by side: `y[i_1, .., i_r] = x[i_1 mod n_1, .., i_r mod n_r]`, `repeats[d]` copies along axis d of an item. Source: ONNX,
//! Tile. It runs as a gather.

#[cfg(feature = "onnx")]
use super::onnx::{Names, Writer};
use super::{
    gather::picked,
    operation::{Float, Operation},
};
use crate::{
    Result,
    nn::value::{Value, misfit},
};
use std::sync::Arc;

/// Copies of an item along its axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Tile {
    /// Copies along each axis, the batch not counted.
    pub repeats: Vec<usize>,
}

impl Operation for Tile {
    fn kind(&self) -> &'static str {
        "Tile"
    }

    fn output(&self, inputs: &[Value]) -> Result<Value> {
        let item = inputs[0].item();
        let extents = item.iter().zip(&self.repeats).map(|(extent, copies)| extent.checked_mul(*copies)).collect::<Option<Vec<usize>>>();
        match extents.filter(|_| item.len() == self.repeats.len()) {
            Some(extents) => inputs[0].with_item(&extents),
            None => Err(misfit(format!("{:?} copies along the axes of {item:?}", self.repeats))),
        }
    }

    fn floats(&self, inputs: &[Float<'_>], output: &Value) -> Vec<f32> {
        picked(&self.indices(inputs[0].value, output), inputs[0].value, inputs[0].values)
    }

    #[cfg(feature = "onnx")]
    fn write(&self, writer: &mut dyn Writer, names: &Names<'_>) {
        let repeats: Vec<i64> = std::iter::once(1).chain(self.repeats.iter().map(|&copies| copies as i64)).collect();
        let repeats = writer.integers(&repeats);
        writer.push("Tile", &[names.inputs[0].clone(), repeats], names.output, Vec::new());
    }

    fn is_homogeneous(&self) -> bool {
        true
    }

    fn layout(&self, input: &Value, output: &Value) -> Option<Arc<[u32]>> {
        Some(self.indices(input, output))
    }
}

impl Tile {
    fn indices(&self, input: &Value, output: &Value) -> Arc<[u32]> {
        let (from, to) = (input.item(), output.item());
        let at = |mut e: usize| {
            let (mut index, mut stride) = (0, 1);
            for d in (0..to.len()).rev() {
                index += e % to[d] % from[d] * stride;
                (e, stride) = (e / to[d], stride * from[d]);
            }
            index as u32
        };
        (0..to.iter().product()).map(at).collect()
    }
}
