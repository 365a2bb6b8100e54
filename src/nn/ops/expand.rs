//! Copies along axes of one element: `y[i_1, .., i_r] = x[j_1, .., j_r]` with `j_d = i_d`, or 0 where x has one element along axis d.
//! Source: ONNX, Expand; NumPy's broadcast. It runs as a gather.

#[cfg(feature = "onnx")]
use super::onnx::{Names, Writer};
use super::{
    gather::{picked, strided},
    operation::{Float, Operation},
};
use crate::{
    Result,
    nn::value::{Value, misfit},
};
use std::sync::Arc;

/// An item with longer axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Expand {
    /// Extents of an item of the output: those of the input, but where it has one element.
    pub extents: Vec<usize>,
}

impl Operation for Expand {
    fn kind(&self) -> &'static str {
        "Expand"
    }

    fn output(&self, inputs: &[Value]) -> Result<Value> {
        let item = inputs[0].item();
        let fits = item.len() == self.extents.len() && item.iter().zip(&self.extents).all(|(&from, &to)| from == to || from == 1);
        match fits {
            true => inputs[0].with_item(&self.extents),
            false => Err(misfit(format!("an item of extents {item:?} expanded to {:?}", self.extents))),
        }
    }

    fn floats(&self, inputs: &[Float<'_>], _: &Value) -> Vec<f32> {
        picked(&self.indices(inputs[0].value.item()), inputs[0].value, inputs[0].values)
    }

    #[cfg(feature = "onnx")]
    fn write(&self, writer: &mut dyn Writer, names: &Names<'_>) {
        let extents: Vec<i64> = std::iter::once(1).chain(self.extents.iter().map(|&extent| extent as i64)).collect();
        let extents = writer.integers(&extents);
        writer.push("Expand", &[names.inputs[0].clone(), extents], names.output, Vec::new());
    }

    fn is_homogeneous(&self) -> bool {
        true
    }

    fn layout(&self, input: &Value, _: &Value) -> Option<Arc<[u32]>> {
        Some(self.indices(input.item()))
    }
}

impl Expand {
    fn indices(&self, item: &[usize]) -> Arc<[u32]> {
        let stride = |d: usize| if item[d] == 1 { 0 } else { item[d + 1..].iter().product() };
        strided(&self.extents, &(0..item.len()).map(stride).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Shape;

    #[test]
    fn axes_of_one_element_are_copied() {
        let x = Value::per_item(Shape::new([2, 1, 2, 1]).unwrap());
        let op = Expand { extents: vec![2, 2, 3] };
        let output = op.output(std::slice::from_ref(&x)).unwrap();
        assert_eq!(output.shape.extents(), [2, 2, 2, 3]);
        let wanted = [[1.0, 1.0, 1.0, 2.0, 2.0, 2.0].repeat(2), [3.0, 3.0, 3.0, 4.0, 4.0, 4.0].repeat(2)].concat();
        assert_eq!(op.floats(&[Float { value: &x, values: &[1.0, 2.0, 3.0, 4.0] }], &output), wanted);
        for extents in [vec![2, 3, 3], vec![2, 2], vec![1, 2, 1, 1]] {
            assert!(Expand { extents }.output(std::slice::from_ref(&x)).is_err());
        }
    }
}
