//! Layout operations on activations, and those that take several values or none in particular.

use super::{
    array::{Array, elements, place_of},
    attributes::Attributes,
    importer::{Importer, Meaning},
    layout::{Edge, Layout, layout_of},
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
    /// An activation after a layout operation; itself if nothing moves.
    pub(super) fn moved(&mut self, x: ValueId, layout: &Layout) -> Result<ValueId> {
        let extents = self.extents(x)?;
        if self.batched && !layout.keeps_batch() {
            return Err(Error::Model("it moves elements between the inputs of a batch".into()));
        }
        let count = elements(&extents)?;
        if let Layout::Reshape(to) = layout {
            let to = self.without_batch(to)?;
            return if to == self.without_batch(&extents)? { Ok(x) } else { self.push(Op::reshape(to), &[x]) };
        }
        if matches!(layout, Layout::Broadcast(to) if *to == extents) {
            return Ok(x);
        }
        // a batch stays in front
        if let Layout::Broadcast(to) = layout
            && to.len() == extents.len()
        {
            return self.push(Expand { extents: self.without_batch(to)? }, &[x]);
        }
        let indices = layout.run(&Array { extents, values: (0..count as u32).collect() }, NONE)?;
        let extents = self.without_batch(&indices.extents)?;
        self.push(Op::gather(extents, indices.values.into()), &[x])
    }

    pub(super) fn layout(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Meaning> {
        if node.op_type == "Concat" {
            return self.concat(node, attributes);
        }
        let x = self.value(node, 0)?;
        if node.op_type == "Tile" {
            return self.tile(node, x).map(Meaning::Value);
        }
        if node.op_type == "Pad" {
            return self.pad(node, attributes, x).map(Meaning::Value);
        }
        let extents = self.extents(x)?;
        let layout = self.layout_of(node, attributes, &extents)?;
        self.moved(x, &layout).map(Meaning::Value)
    }

    /// The layout operation of a node on a value of these extents.
    pub(super) fn layout_of(&self, node: &NodeProto, attributes: &mut Attributes<'_>, extents: &[usize]) -> Result<Layout> {
        let mut integers = |i: usize, name: &str| match self.integers(node, i)? {
            Some(array) => Ok(Some(array)),
            None => Ok(attributes.ints(name).map(Array::list)),
        };
        let given = match node.op_type.as_str() {
            "Squeeze" | "Unsqueeze" => [integers(1, "axes")?, None, None, None],
            "Slice" => [integers(1, "starts")?, integers(2, "ends")?, integers(3, "axes")?, integers(4, "")?],
            "Reshape" => [integers(1, "shape")?, None, None, None],
            "Expand" | "Gather" => [self.integers(node, 1)?, None, None, None],
            _ => Default::default(),
        };
        let batch = self.batched.then_some(self.batch);
        layout_of(&node.op_type, extents, given, attributes, batch)
    }

    /// Values and constants one after another.
    fn concat(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Meaning> {
        let axis = attributes.int("axis", 1);
        let values = (0..node.input.len()).map(|i| self.value(node, i)).collect::<Result<Vec<_>>>()?;
        let first = *values.first().ok_or_else(|| Error::Model("nothing to put together".into()))?;
        let axis = place_of(axis, self.extents(first)?.len())?;
        match (self.batched, axis) {
            (true, 0) => Err(Error::Model("it puts batches together; inputs of a batch stay apart".into())),
            _ => self.push(Concat { axis: axis - usize::from(self.batched) }, &values).map(Meaning::Value),
        }
    }

    /// Copies side by side; of the batch there is one.
    fn tile(&mut self, node: &NodeProto, x: ValueId) -> Result<ValueId> {
        let extents = self.extents(x)?;
        let repeats = self.integers(node, 1)?.ok_or_else(|| Error::Model("repeats are missing".into()))?.values;
        let repeats: Option<Vec<usize>> = repeats.iter().map(|&copies| usize::try_from(copies).ok().filter(|&copies| copies > 0)).collect();
        match repeats.filter(|repeats| repeats.len() == extents.len()) {
            Some(repeats) if self.batched && repeats[0] != 1 => {
                Err(Error::Model("it acts on the axis of the batch, whose inputs stay apart".into()))
            }
            Some(repeats) => self.push(Tile { repeats: repeats[usize::from(self.batched)..].to_vec() }, &[x]),
            None => Err(Error::Model(format!("one positive number of copies for each axis of {extents:?} is expected"))),
        }
    }

    pub(super) fn split(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Vec<Meaning>> {
        let x = self.value(node, 0)?;
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
