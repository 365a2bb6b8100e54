//! Weights by the names of their layers, as a safetensors file holds them.

use super::value::Tensor;
use crate::{Error, Result, shape::Shape};
use std::collections::HashMap;

/// Tensors by name.
#[derive(Clone, Default)]
pub struct Weights {
    tensors: HashMap<String, Tensor>,
}

impl Weights {
    /// Tensors that are at hand.
    pub fn new(tensors: HashMap<String, Tensor>) -> Self {
        Self { tensors }
    }

    /// Reads a safetensors file of 32-bit floats.
    #[cfg(feature = "weights")]
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self> {
        let bad = |what: String| Error::Model(format!("weights: {what}"));
        let file =
            safetensors::SafeTensors::deserialize(bytes).map_err(|e| bad(format!("not a safetensors file, or a damaged one: {e}")))?;
        let mut tensors = HashMap::new();
        for (name, view) in file.tensors() {
            if view.dtype() != safetensors::Dtype::F32 {
                return Err(bad(format!("tensor '{name}' holds {:?}; 32-bit floats are supported", view.dtype())));
            }
            let shape = Shape::new(view.shape().to_vec()).map_err(|e| bad(format!("tensor '{name}': {e}")))?;
            let values: Vec<f32> = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            if let Some(i) = values.iter().position(|v| !v.is_finite()) {
                return Err(Error::Range(format!("weights: tensor '{name}': element {i} is not finite")));
            }
            if values.len() != shape.elements() {
                return Err(bad(format!("tensor '{name}' of shape {shape} has {} elements", values.len())));
            }
            tensors.insert(name, Tensor { shape, values });
        }
        Ok(Self { tensors })
    }

    /// The tensor of a name, which must have this shape.
    pub fn get(&self, name: &str, shape: &Shape) -> Result<Tensor> {
        match self.tensors.get(name) {
            Some(tensor) if tensor.shape == *shape => Ok(tensor.clone()),
            Some(tensor) => {
                Err(Error::Model(format!("weights: tensor '{name}' has the shape {}, the network needs {shape}", tensor.shape)))
            }
            None => Err(Error::Model(format!("weights: there is no tensor '{name}'"))),
        }
    }
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Weights({} tensors)", self.tensors.len())
    }
}
