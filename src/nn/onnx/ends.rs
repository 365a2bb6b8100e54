//! The end of a model: functions that whoever receives an output computes in the clear, and what only moves their results.

use super::{
    array::{Array, elements, place_of},
    attributes::Attributes,
    importer::{Finished, Importer},
    schema::NodeProto,
    tensor,
};
use crate::{
    Error, Result,
    kernels::gather::NONE,
    nn::finish::{Along, Finish},
};

impl Importer {
    /// The node as a function in the clear: one of those that end a model, or one that moves the result of one.
    pub(super) fn ended(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Option<Finished>> {
        let ends = matches!(node.op_type.as_str(), "Softmax" | "LogSoftmax" | "Sigmoid" | "ArgMax");
        let before = match node.input.first().and_then(|name| self.finished.get(name)) {
            Some(before) => before.clone(),
            None if ends => match self.value(node, 0) {
                Ok(value) => Finished { value, finish: Vec::new(), operator: String::new(), extents: self.extents(value)? },
                // of a constant it is one
                Err(_) => return Ok(None),
            },
            None => return Ok(None),
        };
        match node.op_type.as_str() {
            "Softmax" | "LogSoftmax" | "Sigmoid" | "ArgMax" => self.function(node, before, attributes).map(Some),
            "Identity" | "Dropout" => {
                attributes.ignore(&["ratio", "seed"]);
                Ok(Some(before))
            }
            "Cast" => {
                attributes.ignore(&["saturate"]);
                let whole = matches!(before.finish.last(), Some(Finish::ArgMax { .. }));
                match tensor::is_float(attributes.int("to", 0) as i32)? || whole {
                    true => Ok(Some(before)),
                    false => Err(Error::Model("broken numbers cannot be cast to integers at the end".into())),
                }
            }
            "Transpose" | "Squeeze" | "Unsqueeze" | "Flatten" | "Reshape" | "Gather" | "Slice" => {
                self.moved_after(node, before, attributes).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn function(&mut self, node: &NodeProto, mut before: Finished, attributes: &mut Attributes<'_>) -> Result<Finished> {
        let (name, rank) = (node.op_type.as_str(), before.extents.len());
        before.operator = name.into();
        if name == "Sigmoid" {
            before.finish.push(Finish::Sigmoid);
            return Ok(before);
        }
        // before operator set 13 all axes from this one on are one
        let together = self.opset < 13 && name != "ArgMax";
        let usual = if name == "ArgMax" {
            0
        } else if together {
            1
        } else {
            -1
        };
        let axis = place_of(attributes.int("axis", usual), rank)?;
        if self.batched && axis == 0 {
            return Err(Error::Model("it acts on the axis of the batch, whose inputs stay apart".into()));
        }
        let after = before.extents[axis + 1..].iter().product::<usize>();
        let along = if together {
            Along { len: before.extents[axis] * after, inner: 1 }
        } else {
            Along { len: before.extents[axis], inner: after }
        };
        before.finish.push(match name {
            "Softmax" => Finish::Softmax(along),
            "LogSoftmax" => Finish::LogSoftmax(along),
            _ => {
                match attributes.int("keepdims", 1) {
                    0 => drop(before.extents.remove(axis)),
                    _ => before.extents[axis] = 1,
                }
                Finish::ArgMax { along, last: attributes.int("select_last_index", 0) != 0 }
            }
        });
        Ok(before)
    }

    fn moved_after(&mut self, node: &NodeProto, mut before: Finished, attributes: &mut Attributes<'_>) -> Result<Finished> {
        let layout = self.layout_of(node, attributes, &before.extents)?;
        if self.batched && !layout.keeps_batch() {
            return Err(Error::Model("it moves elements between the inputs of a batch".into()));
        }
        let count = elements(&before.extents)?;
        let moved = layout.run(&Array { extents: before.extents, values: (0..count as u32).collect() }, NONE)?;
        if moved.values.iter().enumerate().any(|(i, &at)| i != at as usize) {
            before.finish.push(Finish::Move(moved.values));
        }
        Ok(Finished { extents: moved.extents, ..before })
    }
}
