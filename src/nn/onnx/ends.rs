//! The end of a model: functions that whoever receives an output computes in the clear, and what follows them.

use super::{
    array::{Array, broadcast, elements, place_of},
    attributes::Attributes,
    batch::View,
    constant::Constant,
    importer::{Finished, Importer, Meaning},
    layout::{Layout, apart},
    schema::NodeProto,
    tensor,
};
use crate::{
    Error, Result,
    nn::{
        clear::{Each, Labels, Pairing, Reduction},
        finish::{Along, Finish},
        value::ValueId,
    },
};

/// Operators with which the end of a model begins, on what is computed privately before: the scores are revealed instead.
const FIRST: [&str; 15] = [
    "Softmax",
    "LogSoftmax",
    "Sigmoid",
    "ArgMax",
    "ArgMin",
    "Exp",
    "Log",
    "Sqrt",
    "Tanh",
    "Reciprocal",
    "Softplus",
    "Sign",
    "LpNormalization",
    "ReduceL2",
    "ReduceLogSumExp",
];

/// An operand at the end: numbers of each input of the batch, or one number of the model.
enum End {
    Finished(Finished),
    One(f32, Vec<usize>),
}

impl Importer {
    /// The node as a function in the clear: one with which the end of a model begins, or one of what such a function has made.
    pub(super) fn ended(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Option<Finished>> {
        let name = node.op_type.as_str();
        let follows = node.input.iter().any(|name| self.finished.contains_key(name));
        let begins = FIRST.contains(&name) || self.is_cast_to_integers(node)?;
        // of a constant it is one
        let ends = follows || (begins && self.value(node, 0).is_ok());
        if !ends {
            return Ok(None);
        }
        if let Some(pairing) = pairing(name) {
            return self.ended_pairs(node, pairing).map(Some);
        }
        if name == "Concat" {
            let axis = attributes.int("axis", 1);
            return self.ended_concat(node, axis).map(Some);
        }
        if name == "Gather" && !self.finished.contains_key(&node.input[0]) {
            return self.labelled(node, attributes).map(Some);
        }
        if name == "ReduceL2" && !follows {
            // the sum of squares reveals less than the numbers
            let squares = self.reduce(&NodeProto { op_type: "ReduceSumSquare".into(), ..node.clone() }, attributes)?;
            return Ok(Some(self.as_end(squares)?.then(vec![Finish::Each(Each::Sqrt)], name)));
        }
        let before = self.end_of(node, 0)?;
        if let Some(reduction) = reduction(name) {
            return self.ended_reduction(node, before, reduction, attributes).map(Some);
        }
        if let Some(functions) = self.of_each(node, attributes)? {
            return Ok(Some(before.then(functions, name)));
        }
        match name {
            "Softmax" | "LogSoftmax" | "ArgMax" | "ArgMin" => self.along_axis(node, before, attributes).map(Some),
            "LpNormalization" => {
                let kind = if attributes.int("p", 2) == 1 { Reduction::L1 } else { Reduction::L2 };
                let axis = self.item_axis(attributes.int("axis", -1), &before.view)?;
                let extents = &before.view.extents;
                let along = Along { len: extents[axis], inner: extents[axis + 1..].iter().product() };
                Ok(Some(before.then(vec![Finish::Normalize(along, kind)], name)))
            }
            "Transpose" | "Squeeze" | "Unsqueeze" | "Flatten" | "Reshape" | "Gather" | "Slice" | "Expand" => {
                self.moved_after(node, before, attributes).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Whether the node cuts numbers with a fraction to integers, or to true and false.
    fn is_cast_to_integers(&self, node: &NodeProto) -> Result<bool> {
        let to = node.attribute.iter().find(|attribute| attribute.name == "to").map_or(0, |attribute| attribute.i);
        Ok(node.op_type == "Cast"
            && !tensor::is_float(to as i32)?
            && self.value(node, 0).is_ok()
            && !self.whole.contains_key(&node.input[0]))
    }

    /// Input `i` as numbers that are known at the end.
    pub(super) fn end_of(&self, node: &NodeProto, i: usize) -> Result<Finished> {
        match node.input.get(i).and_then(|name| self.finished.get(name)) {
            Some(finished) => Ok(finished.clone()),
            None => self.as_end(self.value(node, i)?),
        }
    }

    fn operand_of(&self, node: &NodeProto, i: usize) -> Result<End> {
        if node.input.get(i).is_some_and(|name| self.finished.contains_key(name)) {
            return self.end_of(node, i).map(End::Finished);
        }
        let array = match self.meaning(node, i)? {
            Meaning::Value(value) => return self.as_end(value).map(End::Finished),
            Meaning::Constant(constant) => constant.floats(),
        };
        match array.values[..] {
            [one, ref rest @ ..] if rest.iter().all(|v| *v == one) => Ok(End::One(one, array.extents)),
            _ => Err(Error::Model(format!(
                "'{}' is {} numbers of the model that would become public with the functions in the clear; one number is supported there, such as in 1 - p",
                node.input[i],
                array.values.len()
            ))),
        }
    }

    /// A value with no functions yet.
    pub(super) fn as_end(&self, value: ValueId) -> Result<Finished> {
        Ok(Finished { value, finish: Vec::new(), operator: String::new(), view: self.view(value)? })
    }

    /// An axis that is not the batch's.
    pub(super) fn item_axis(&self, axis: i64, view: &View) -> Result<usize> {
        let axis = place_of(axis, view.extents.len())?;
        if self.batch.kept(view) == Some(axis) { Err(apart()) } else { Ok(axis) }
    }

    /// Functions of each number.
    fn of_each(&self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Option<Vec<Finish>>> {
        let all = match node.op_type.as_str() {
            "Sigmoid" => return Ok(Some(vec![Finish::Sigmoid])),
            "Identity" | "Dropout" => {
                attributes.ignore(&["ratio", "seed"]);
                vec![]
            }
            "Cast" => {
                attributes.ignore(&["saturate"]);
                match attributes.int("to", 0) as i32 {
                    tensor::BOOL => vec![Each::IsNonzero],
                    to if tensor::is_float(to)? || self.ends_whole(node) => vec![],
                    _ => vec![Each::Truncate],
                }
            }
            "Not" => vec![Each::IsNonzero, Each::Scale(-1.0), Each::Shift(1.0)],
            "Neg" => vec![Each::Scale(-1.0)],
            "Abs" => vec![Each::Abs],
            "Exp" => vec![Each::Exp],
            "Sign" => vec![Each::Sign],
            "Log" => vec![Each::Log],
            "Sqrt" => vec![Each::Sqrt],
            "Tanh" => vec![Each::Tanh],
            "Reciprocal" => vec![Each::Reciprocal],
            "Softplus" => vec![Each::Softplus],
            "Relu" => vec![Each::Clip(0.0, f32::INFINITY)],
            "Clip" => {
                let (low, high) = (attributes.float("min", f32::NEG_INFINITY), attributes.float("max", f32::INFINITY));
                vec![Each::Clip(self.bound(node, 1)?.unwrap_or(low), self.bound(node, 2)?.unwrap_or(high))]
            }
            "Pow" => match self.operand_of(node, 1)? {
                End::One(exponent, _) => vec![Each::Power(exponent)],
                End::Finished(_) => return Err(Error::Model("Pow with one constant exponent is supported".into())),
            },
            _ => return Ok(None),
        };
        Ok(Some(all.into_iter().map(Finish::Each).collect()))
    }

    /// Whether numbers at the end are integers already.
    fn ends_whole(&self, node: &NodeProto) -> bool {
        let last =
            self.finished.get(&node.input[0]).and_then(|finished| finished.finish.iter().rev().find(|f| !matches!(f, Finish::Move(_))));
        matches!(
            last,
            Some(
                Finish::ArgMax { .. } | Finish::Labels(_) | Finish::Each(Each::Truncate | Each::IsNonzero | Each::IsPositive | Each::Sign)
            )
        )
    }

    /// A function along one axis, before operator set 13 along all from one on.
    fn along_axis(&mut self, node: &NodeProto, mut before: Finished, attributes: &mut Attributes<'_>) -> Result<Finished> {
        let name = node.op_type.as_str();
        let index = name.starts_with("Arg");
        let together = self.opset < 13 && !index;
        let usual = if index { 0 } else { 2 * i64::from(together) - 1 };
        let axis = self.item_axis(attributes.int("axis", usual), &before.view)?;
        if together && self.batch.kept(&before.view).is_some_and(|at| at > axis) {
            return Err(apart());
        }
        let extents = &mut before.view.extents;
        let after = extents[axis + 1..].iter().product::<usize>();
        let along = match together {
            true => Along { len: extents[axis] * after, inner: 1 },
            false => Along { len: extents[axis], inner: after },
        };
        let finish = match name {
            "Softmax" => vec![Finish::Softmax(along)],
            "LogSoftmax" => vec![Finish::LogSoftmax(along)],
            _ => {
                let gone = attributes.int("keepdims", 1) == 0;
                extents[axis] = 1;
                if gone {
                    extents.remove(axis);
                }
                let at = before.view.place.axis().map(|at| at - usize::from(gone && at > axis));
                before.view = self.batch.view(std::mem::take(extents), at);
                let last = attributes.int("select_last_index", 0) != 0;
                let negated = (name == "ArgMin").then_some(Finish::Each(Each::Scale(-1.0)));
                negated.into_iter().chain([Finish::ArgMax { along, last }]).collect()
            }
        };
        Ok(before.then(finish, name))
    }

    fn moved_after(&mut self, node: &NodeProto, before: Finished, attributes: &mut Attributes<'_>) -> Result<Finished> {
        let layout = self.layout_of(node, attributes, &before.view)?;
        self.rearranged(before, &layout)
    }

    /// Numbers at the end in another order.
    pub(super) fn rearranged(&self, mut before: Finished, layout: &Layout) -> Result<Finished> {
        let (count, View { extents, place }) = (elements(&before.view.extents)?, before.view);
        let (moved, place) = self.batch.moved((Array { extents, values: (0..count as u32).collect() }, place), layout)?;
        if moved.values.len() != count || moved.values.iter().enumerate().any(|(i, &at)| i != at as usize) {
            before.finish.push(Finish::Move(moved.values));
        }
        Ok(Finished { view: View { extents: moved.extents, place }, ..before })
    }

    /// Numbers of the model by an index that is found at the end: labels of classes.
    fn labelled(&self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Finished> {
        let (labels, indices) = (self.labels_of(node, 0)?, self.end_of(node, 1)?);
        attributes.only("axis", 0)?;
        indices.labelled(labels, &node.op_type)
    }

    /// A constant list of labels.
    pub(super) fn labels_of(&self, node: &NodeProto, i: usize) -> Result<Labels> {
        if let Some(texts) = node.input.get(i).and_then(|name| self.texts.get(name)) {
            return Ok(Labels::Strings(texts.clone()));
        }
        match self.meaning(node, i)? {
            Meaning::Constant(Constant::Integers(array)) if array.rank() <= 1 => Ok(Labels::Integers(array.values)),
            _ => Err(Error::Model(format!("'{}' is no list of labels: integers or texts are expected", node.input[i]))),
        }
    }

    fn ended_pairs(&mut self, node: &NodeProto, pairing: Pairing) -> Result<Finished> {
        let name = node.op_type.as_str();
        let mut all = self.operand_of(node, 0)?;
        for i in 1..node.input.len() {
            all = End::Finished(match (all, self.operand_of(node, i)?) {
                (End::Finished(a), End::Finished(b)) => self.paired(a, b, pairing)?,
                (End::Finished(x), End::One(c, extents)) => self.like_at_end(x, &extents)?.then(with(pairing, c), name),
                (End::One(c, extents), End::Finished(x)) => self.like_at_end(x, &extents)?.then(with_first(pairing, c), name),
                (End::One(..), End::One(..)) => return Err(Error::Model("two constants before what is computed".into())),
            });
        }
        match all {
            End::Finished(finished) => Ok(finished.then(Vec::new(), name)),
            End::One(..) => Err(Error::Model("an activation is expected among the operands".into())),
        }
    }

    /// Numbers at the end with the extents that a constant adds.
    fn like_at_end(&self, x: Finished, extents: &[usize]) -> Result<Finished> {
        let to = broadcast(&self.batch.extents(&x.view), extents)?;
        self.rearranged(x, &Layout::Broadcast(to))
    }
}

impl Finished {
    /// More functions, which an operator has added; the first operator is that with which the end begins.
    pub(super) fn then(mut self, finish: Vec<Finish>, operator: &str) -> Self {
        self.finish.extend(finish);
        if self.operator.is_empty() {
            self.operator = operator.into();
        }
        self
    }

    /// Labels of indices, which must be indices of no more classes.
    pub(super) fn labelled(self, labels: Labels, operator: &str) -> Result<Self> {
        let last = self.finish.iter().rev().find(|finish| !matches!(finish, Finish::Move(_) | Finish::Each(Each::Truncate)));
        let classes = match last {
            Some(Finish::ArgMax { along, .. }) => along.len,
            Some(Finish::Each(Each::IsPositive | Each::IsNonzero)) => 2,
            _ => return Err(Error::Model("labels of numbers that are no indices of classes".into())),
        };
        match labels.len() {
            n if n >= classes => Ok(self.then(vec![Finish::Labels(labels)], operator)),
            n => Err(Error::Model(format!("{n} labels for {classes} classes"))),
        }
    }
}

fn pairing(name: &str) -> Option<Pairing> {
    Some(match name {
        "Add" | "Sum" => Pairing::Add,
        "Sub" => Pairing::Sub,
        "Mul" => Pairing::Mul,
        "Div" => Pairing::Div,
        "Max" => Pairing::Max,
        "Min" => Pairing::Min,
        _ => return None,
    })
}

fn reduction(name: &str) -> Option<Reduction> {
    Some(match name {
        "ReduceSum" => Reduction::Sum,
        "ReduceMean" => Reduction::Mean,
        "ReduceMax" => Reduction::Max,
        "ReduceMin" => Reduction::Min,
        "ReduceL1" => Reduction::L1,
        "ReduceL2" => Reduction::L2,
        "ReduceLogSumExp" => Reduction::LogSumExp,
        _ => return None,
    })
}

/// `x op c` as functions of each number.
fn with(pairing: Pairing, c: f32) -> Vec<Finish> {
    let each = match pairing {
        Pairing::Add => Each::Shift(c),
        Pairing::Sub => Each::Shift(-c),
        Pairing::Mul => Each::Scale(c),
        Pairing::Div => Each::Scale(c.recip()),
        Pairing::Max => Each::Clip(c, f32::INFINITY),
        Pairing::Min => Each::Clip(f32::NEG_INFINITY, c),
    };
    vec![Finish::Each(each)]
}

/// `c op x` as functions of each number.
fn with_first(pairing: Pairing, c: f32) -> Vec<Finish> {
    let all = match pairing {
        Pairing::Sub => [Each::Scale(-1.0), Each::Shift(c)],
        Pairing::Div => [Each::Reciprocal, Each::Scale(c)],
        other => return with(other, c),
    };
    all.map(Finish::Each).into()
}
