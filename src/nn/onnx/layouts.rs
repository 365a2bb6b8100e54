//! Layout operations on activations, and those that take several values or none in particular.

use super::{
    array::{Array, elements, place_of},
    attributes::Attributes,
    batch::{Batch, Place, View},
    constant::Constant,
    importer::{Importer, Meaning},
    layout::{Edge, Layout, apart, layout_of},
    schema::NodeProto,
};
use crate::{
    Error, Result,
    kernels::gather::NONE,
    nn::{
        ops::{Concat, Expand, Op, Sum, Tile},
        value::ValueId,
    },
};

impl Importer {
    /// An activation after a layout operation, in extents as the model sees them; itself if nothing moves.
    pub(super) fn moved(&mut self, x: ValueId, layout: &Layout) -> Result<ValueId> {
        let view = self.view(x)?;
        let (from, count) = (view.item(), elements(&view.extents)?);
        let indices = Array { extents: view.extents, values: (0..count as u32).collect() };
        let (indices, place) = self.batch.moved((indices, view.place), layout)?;
        let to = View { extents: indices.extents, place }.item();
        let unmoved = indices.values.len() == count && indices.values.iter().enumerate().all(|(i, &at)| i == at as usize);
        match (unmoved, layout) {
            (true, _) if (&to, place) == (&from, view.place) => Ok(x),
            (true, _) => self.push_at(Op::reshape(to), &[x], place),
            (false, Layout::Broadcast(_)) if to.len() == from.len() => self.push_at(Expand { extents: to }, &[x], place),
            (false, _) => self.push_at(Op::gather(to, indices.values.into()), &[x], place),
        }
    }

    /// A constant as a value that each item has, of such a view: nothing of an input, and the constant added to it.
    pub(super) fn of_each_item(&mut self, constant: &Array<f32>, view: &View) -> Result<ValueId> {
        let numbers = self.batch.numbers(constant, view)?;
        let nothing = Op::gather(view.item(), vec![NONE; numbers.len()].into());
        let nothing = self.push_at(nothing, &[0], view.place)?;
        let numbers = self.list(numbers)?;
        self.push(Sum::of_two(), &[nothing, numbers])
    }

    pub(super) fn layout(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Meaning> {
        if node.op_type == "Concat" {
            return self.concat(node, attributes);
        }
        if let "DepthToSpace" | "SpaceToDepth" = node.op_type.as_str() {
            self.value(node, 0)?;
        }
        let x = self.activation(node, 0)?;
        if node.op_type == "Tile" {
            return self.tile(node, x).map(Meaning::Value);
        }
        if node.op_type == "Pad" {
            return self.pad(node, attributes, x).map(Meaning::Value);
        }
        let layout = self.layout_of(node, attributes, &self.view(x)?)?;
        self.moved(x, &layout).map(Meaning::Value)
    }

    /// The layout operation of a node on such a value.
    pub(super) fn layout_of(&self, node: &NodeProto, attributes: &mut Attributes<'_>, view: &View) -> Result<Layout> {
        let mut integers = |i: usize, name: &str| match self.integers(node, i)? {
            Some(array) => Ok(Some(array)),
            None => Ok(attributes.ints(name).map(Array::list)),
        };
        let given = match node.op_type.as_str() {
            "Squeeze" | "Unsqueeze" => [integers(1, "axes")?, None, None, None],
            "Slice" => [integers(1, "starts")?, integers(2, "ends")?, integers(3, "axes")?, integers(4, "")?],
            "Reshape" => [integers(1, "shape")?.map(|shape| self.batch.written(view, shape)), None, None, None],
            "Expand" | "Gather" => [self.integers(node, 1)?, None, None, None],
            _ => Default::default(),
        };
        layout_of(&node.op_type, &self.batch.extents(view), given, attributes, self.batch.kept(view))
    }

    /// Values and constants one after another.
    fn concat(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Meaning> {
        let axis = attributes.int("axis", 1);
        let all = (0..node.input.len()).map(|i| self.meaning(node, i)).collect::<Result<Vec<_>>>()?;
        let first = all.iter().find_map(|meaning| if let Meaning::Value(value) = meaning { Some(*value) } else { None });
        let first = self.view(first.ok_or_else(|| Error::Model("nothing to put together".into()))?)?;
        let axis = place_of(axis, first.extents.len())?;
        if self.batch.kept(&first) == Some(axis) {
            return Err(Error::Model("it puts batches together; inputs of a batch stay apart".into()));
        }
        let mut values = Vec::new();
        for meaning in all {
            let value = match meaning {
                Meaning::Value(value) => value,
                Meaning::Constant(constant) => self.beside(&first, &constant, axis)?,
            };
            // of a batch of one the axis is like others
            values.push(if self.batch == Batch::One && axis == 0 { self.in_full(value)? } else { value });
        }
        let place = self.view(values[0])?.place;
        for &value in &values {
            let view = self.view(value)?;
            if view.place != place || view.extents.len() != first.extents.len() {
                let (first, other) = (self.batch.extents(&first), self.batch.extents(&view));
                return Err(Error::Model(format!("shapes {first:?} and {other:?} do not fit along axis {axis}")));
            }
        }
        let joined = self.push(Concat { axis: place.of_item(axis).unwrap_or(axis) }, &values)?;
        self.in_place(joined).map(Meaning::Value)
    }

    /// A constant as a value beside one, along an axis.
    fn beside(&mut self, value: &View, constant: &Constant, axis: usize) -> Result<ValueId> {
        let constant = constant.floats();
        let own = self.batch.extents(value);
        // one for all inputs of a batch is as good as one for each
        let kept = self.batch.kept(value);
        let same = |d: usize| d == axis || constant.extents[d] == own[d] || (kept == Some(d) && constant.extents[d] == 1);
        let fits = constant.rank() == own.len() && (0..own.len()).all(same);
        if !fits || constant.values.is_empty() {
            let other = &constant.extents;
            return Err(Error::Model(format!("a value of shape {own:?} and a constant of shape {other:?} do not fit along axis {axis}")));
        }
        let mut extents = value.extents.clone();
        extents[axis] = constant.extents[axis];
        let at = value.place.axis();
        self.of_each_item(&constant, &self.batch.view(extents, at))
    }

    /// A value of a batch of one with all the axes that the model sees as those of an item.
    pub(super) fn in_full(&mut self, x: ValueId) -> Result<ValueId> {
        let view = self.view(x)?;
        if view.place == Place::Nowhere { Ok(x) } else { self.push_at(Op::reshape(view.extents), &[x], Place::Nowhere) }
    }

    /// The same value with the batch of one in front, if it has one.
    pub(super) fn in_place(&mut self, x: ValueId) -> Result<ValueId> {
        let view = self.view(x)?;
        if self.batch != Batch::One || view.place != Place::Nowhere || view.extents.first() != Some(&1) {
            return Ok(x);
        }
        self.push_at(Op::reshape(view.extents[1..].to_vec()), &[x], Place::Own(0))
    }

    /// Copies side by side; of the batch there is one.
    fn tile(&mut self, node: &NodeProto, x: ValueId) -> Result<ValueId> {
        let view = self.view(x)?;
        let repeats = self.integers(node, 1)?.ok_or_else(|| Error::Model("repeats are missing".into()))?.values;
        let repeats: Option<Vec<usize>> = repeats.iter().map(|&copies| usize::try_from(copies).ok().filter(|&copies| copies > 0)).collect();
        let Some(mut repeats) = repeats.filter(|repeats| repeats.len() == view.extents.len()) else {
            let extents = self.batch.extents(&view);
            return Err(Error::Model(format!("one positive number of copies for each axis of {extents:?} is expected")));
        };
        match view.place.axis().filter(|&at| repeats[at] != 1) {
            Some(_) if self.batch != Batch::One => Err(apart()),
            Some(_) => {
                let full = self.in_full(x)?;
                self.push(Tile { repeats }, &[full])
            }
            None => {
                if let Place::Own(at) = view.place {
                    repeats.remove(at);
                }
                self.push(Tile { repeats }, &[x])
            }
        }
    }

    pub(super) fn split(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Vec<Meaning>> {
        let x = self.activation(node, 0)?;
        let extents = self.extents(x)?;
        let axis = place_of(attributes.int("axis", 0), extents.len())?;
        let count = attributes.int("num_outputs", node.output.len() as i64).max(1) as usize;
        let given = self.integers(node, 1)?.map(|array| array.values).or_else(|| attributes.ints("split"));
        let part = extents[axis].div_ceil(count);
        let sizes = given.unwrap_or_else(|| (0..count).map(|i| extents[axis].saturating_sub(i * part).min(part) as i64).collect());
        if sizes.iter().any(|&size| size < 1) || sizes.iter().sum::<i64>() != extents[axis] as i64 || sizes.len() < node.output.len() {
            return Err(Error::Model(format!("an axis of {} elements in parts of {sizes:?}", extents[axis])));
        }
        let mut from = 0;
        let mut parts = Vec::new();
        for size in sizes.iter().map(|&size| size as usize).take(node.output.len()) {
            let indices = (from..from + size).collect();
            parts.push(Meaning::Value(self.moved(x, &Layout::Take(axis, indices))?));
            from += size;
        }
        Ok(parts)
    }

    /// A constant edge of `c` is `pad(x - c) + c`.
    fn pad(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>, x: ValueId) -> Result<ValueId> {
        let rank = self.extents(x)?.len();
        let pads = self.integers(node, 1)?.map(|array| array.values).or_else(|| attributes.ints("pads"));
        let pads = pads.ok_or_else(|| Error::Model("pads are missing".into()))?;
        let axes = self.integers(node, 3)?.map_or_else(|| (0..rank as i64).collect(), |array| array.values);
        let axes = axes.iter().map(|&axis| place_of(axis, rank)).collect::<Result<Vec<_>>>()?;
        if pads.len() != 2 * axes.len() || pads.iter().any(|pad| pad.abs() >= 1 << 24) {
            return Err(Error::Model(format!("pads = {pads:?} for {} axes", axes.len())));
        }
        let mut all = vec![(0, 0); rank];
        for (i, &axis) in axes.iter().enumerate() {
            all[axis] = (pads[i], pads[i + axes.len()]);
        }
        let edge = match attributes.text("mode").as_deref().unwrap_or("constant") {
            "constant" => Edge::Constant,
            "edge" => Edge::Repeat,
            "reflect" => Edge::Reflect,
            "wrap" => Edge::Wrap,
            other => return Err(Error::Model(format!("mode = {other} is not supported; constant, edge, reflect and wrap are"))),
        };
        let value = match self.floats(node, 2)? {
            Some(array) => array.values.first().copied().unwrap_or(0.0),
            None => attributes.float("value", 0.0),
        };
        if edge == Edge::Constant && value < -1e38 {
            // no element is less: a maximum of windows takes it for padding of its own
            let maxima =
                node.output.first().and_then(|name| self.readers.get(name)).is_some_and(|all| all.iter().all(|op| op == "MaxPool"));
            let around = all.iter().enumerate().all(|(d, &(before, after))| before >= 0 && after >= 0 && (d > 1 || before + after == 0));
            if !maxima || !around {
                return Err(Error::Model(format!("pads of {value}: before a MaxPool, around its windows, they are supported")));
            }
            self.framed.insert(node.output[0].clone(), all);
            return Ok(x);
        }
        if edge != Edge::Constant || value == 0.0 {
            return self.moved(x, &Layout::Pad(all, edge));
        }
        let lowered = self.push(Sum { factors: vec![1.0], constant: -value }, &[x])?;
        let padded = self.moved(lowered, &Layout::Pad(all, edge))?;
        self.push(Sum { factors: vec![1.0], constant: value }, &[padded])
    }
}
