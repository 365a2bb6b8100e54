//! The end of a model: functions that whoever receives an output computes in the clear, and what only moves their results.

use super::{
    array::{Array, elements, place_of},
    attributes::Attributes,
    batch::View,
    importer::{Finished, Importer},
    layout::apart,
    schema::NodeProto,
    tensor,
};
use crate::{
    Error, Result,
    nn::finish::{Along, Finish},
};

impl Importer {
    /// The node as a function in the clear: one of those that end a model, or one that moves the result of one.
    pub(super) fn ended(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Option<Finished>> {
        let ends = matches!(node.op_type.as_str(), "Softmax" | "LogSoftmax" | "Sigmoid" | "ArgMax");
        let before = match node.input.first().and_then(|name| self.finished.get(name)) {
            Some(before) => before.clone(),
            None if ends => match self.activation(node, 0) {
                Ok(value) => Finished { value, finish: Vec::new(), operator: String::new(), view: self.view(value)? },
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
        let (name, rank) = (node.op_type.as_str(), before.view.extents.len());
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
        let kept = self.batch.kept(&before.view);
        if kept.is_some_and(|at| at == axis || (together && at > axis)) {
            return Err(apart());
        }
        let extents = &mut before.view.extents;
        let after = extents[axis + 1..].iter().product::<usize>();
        let along = if together { Along { len: extents[axis] * after, inner: 1 } } else { Along { len: extents[axis], inner: after } };
        before.finish.push(match name {
            "Softmax" => Finish::Softmax(along),
            "LogSoftmax" => Finish::LogSoftmax(along),
            _ => {
                let gone = attributes.int("keepdims", 1) == 0;
                extents[axis] = 1;
                if gone {
                    extents.remove(axis);
                }
                let at = before.view.place.axis().map(|at| at - usize::from(gone && at > axis));
                before.view = self.batch.view(std::mem::take(extents), at);
                Finish::ArgMax { along, last: attributes.int("select_last_index", 0) != 0 }
            }
        });
        Ok(before)
    }

    fn moved_after(&mut self, node: &NodeProto, mut before: Finished, attributes: &mut Attributes<'_>) -> Result<Finished> {
        let layout = self.layout_of(node, attributes, &before.view)?;
        let (count, View { extents, place }) = (elements(&before.view.extents)?, before.view);
        let (moved, place) = self.batch.moved((Array { extents, values: (0..count as u32).collect() }, place), &layout)?;
        if moved.values.iter().enumerate().any(|(i, &at)| i != at as usize) {
            before.finish.push(Finish::Move(moved.values));
        }
        Ok(Finished { view: View { extents: moved.extents, place }, ..before })
    }
}
