//! What moves elements in a public pattern. One [`Movement`] serves constants and activations: of an activation it moves the
//! places, and the result is one [`Op::Select`].

use super::{Constant, Importer, Meaning, array::Array, array::elements, attributes::Attributes, schema::NodeProto};
use crate::{
    Error, Result,
    kernels::gather::NONE,
    nn::{
        ops::{Concat, Op, Sum, Tile},
        value::ValueId,
    },
};

/// A movement of elements.
#[derive(Debug, Clone, PartialEq)]
pub enum Movement {
    /// The order of the axes.
    Transpose(Vec<usize>),
    /// Along an axis the elements at these places, then another shape.
    Take(usize, Vec<usize>),
    /// Other extents.
    Reshape(Vec<usize>),
    /// NumPy's broadcast.
    Broadcast(Vec<usize>),
    /// Elements before and after each axis.
    Pad(Vec<(i64, i64)>, Edge),
    /// One movement after another.
    All(Vec<Movement>),
}

/// What lies beyond the edge of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// A number.
    Constant,
    /// The last element.
    Repeat,
    /// The elements before the last one, backwards.
    Reflect,
    /// The elements at the other end.
    Wrap,
}

impl Movement {
    /// The moved array; `fill` lies beyond constant edges.
    pub fn run<T: Copy>(&self, x: &Array<T>, fill: T) -> Result<Array<T>> {
        match self {
            Self::Transpose(order) => x.transposed(order),
            Self::Take(axis, places) => x.taken(*axis, places),
            Self::Reshape(extents) => x.clone().reshaped(extents.clone()),
            Self::Broadcast(extents) => x.broadcast(extents),
            Self::Pad(pads, edge) => x.padded(pads, fill, |i, extent| edge.place(i, extent)),
            Self::All(all) => all.iter().try_fold(x.clone(), |x, movement| movement.run(&x, fill)),
        }
    }

    /// Whether inputs of a batch stay apart, the batch being axis 0.
    fn keeps_batch(&self) -> bool {
        match self {
            Self::Transpose(order) => order.first() == Some(&0),
            Self::Take(axis, _) => *axis > 0,
            Self::Pad(pads, _) => pads.first() == Some(&(0, 0)),
            Self::Reshape(extents) | Self::Broadcast(extents) => extents.first() == Some(&1),
            Self::All(all) => all.iter().all(Self::keeps_batch),
        }
    }
}

impl Edge {
    /// The real element at a position, if there is one.
    fn place(self, i: i64, extent: usize) -> Option<usize> {
        let n = extent as i64;
        let place = match self {
            Self::Constant => i,
            Self::Repeat => i.clamp(0, n - 1),
            Self::Wrap => i.rem_euclid(n),
            Self::Reflect if n == 1 => 0,
            Self::Reflect => {
                let around = i.rem_euclid(2 * (n - 1));
                around.min(2 * (n - 1) - around)
            }
        };
        usize::try_from(place).ok().filter(|&place| place < extent)
    }
}

impl Importer {
    /// An activation's elements moved; itself if nothing moves.
    pub(super) fn moved(&mut self, x: ValueId, movement: &Movement) -> Result<ValueId> {
        let extents = self.extents(x)?;
        if self.batched && !movement.keeps_batch() {
            return Err(Error::Model("it moves elements between the inputs of a batch".into()));
        }
        let count = elements(&extents)?;
        if let Movement::Reshape(to) = movement {
            let to = self.without_batch(to)?;
            return if to == self.without_batch(&extents)? { Ok(x) } else { self.push(Op::reshape(to), &[x]) };
        }
        if matches!(movement, Movement::Broadcast(to) if *to == extents) {
            return Ok(x);
        }
        let places = movement.run(&Array { extents, values: (0..count as u32).collect() }, NONE)?;
        let extents = self.without_batch(&places.extents)?;
        self.push(Op::gather(extents, places.values.into()), &[x])
    }

    pub(super) fn movement(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Meaning> {
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
        let movement = movement_of(&node.op_type, &extents, given, attributes, batch)?;
        self.moved(x, &movement).map(Meaning::Value)
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
            let places = (from..from + size).collect();
            parts.push(Meaning::Value(self.moved(x, &Movement::Take(axis, places))?));
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
        if edge != Edge::Constant || value == 0.0 {
            return self.moved(x, &Movement::Pad(all, edge));
        }
        let lowered = self.push(Sum { factors: vec![1.0], constant: -value }, &[x])?;
        let padded = self.moved(lowered, &Movement::Pad(all, edge))?;
        self.push(Sum { factors: vec![1.0], constant: value }, &[padded])
    }
}

/// The movement of an operator on an array of these extents; `given` are its integer inputs or attributes in their order. Axis
/// 0 of an activation may be that of a batch.
pub fn movement_of(
    name: &str,
    extents: &[usize],
    given: [Option<Array<i64>>; 4],
    attributes: &mut Attributes<'_>,
    batch: Option<usize>,
) -> Result<Movement> {
    let rank = extents.len();
    let on_batch = |d: usize| batch.is_some() && d == 0;
    let apart = || Error::Model("it acts on the axis of the batch, whose inputs stay apart".into());
    let [first, second, third, fourth] = given;
    let needed = |what: &str| Error::Model(format!("the {what} must be constant integers"));
    match name {
        "Transpose" => {
            let reversed = || (0..rank as i64).rev().collect();
            let order = attributes.ints("perm").unwrap_or_else(reversed).iter().map(|&d| place_of(d, rank)).collect::<Result<_>>()?;
            Ok(Movement::Transpose(order))
        }
        "Squeeze" => {
            let axes = first.map(|axes| axes.values.iter().map(|&axis| place_of(axis, rank)).collect::<Result<Vec<_>>>()).transpose()?;
            if axes.as_ref().is_some_and(|axes| axes.iter().any(|&d| on_batch(d))) {
                return Err(apart());
            }
            let gone = |d: usize| axes.as_ref().map_or(extents[d] == 1 && !on_batch(d), |axes| axes.contains(&d));
            if let Some(d) = (0..rank).find(|&d| gone(d) && extents[d] != 1) {
                return Err(Error::Model(format!("axis {d} has {} elements and not one", extents[d])));
            }
            Ok(Movement::Reshape((0..rank).filter(|&d| !gone(d)).map(|d| extents[d]).collect()))
        }
        "Unsqueeze" => {
            let axes = first.ok_or_else(|| needed("axes"))?.values;
            let axes = axes.iter().map(|&axis| place_of(axis, rank + axes.len())).collect::<Result<Vec<_>>>()?;
            if axes.iter().any(|&d| on_batch(d)) {
                return Err(apart());
            }
            let mut old = extents.iter();
            let extent = |d: usize| if axes.contains(&d) { Some(1) } else { old.next().copied() };
            let to: Option<Vec<usize>> = (0..rank + axes.len()).map(extent).collect();
            to.map(Movement::Reshape).ok_or_else(|| Error::Model(format!("axes {axes:?} named twice")))
        }
        "Flatten" => {
            let axis = match attributes.int("axis", 1) {
                axis if axis == rank as i64 => rank,
                axis => place_of(axis, rank)?,
            };
            if on_batch(axis) {
                return Err(apart());
            }
            Ok(Movement::Reshape(vec![extents[..axis].iter().product(), extents[axis..].iter().product()]))
        }
        "Reshape" => {
            let keeps_zeros = attributes.int("allowzero", 0) != 0;
            let mut wanted = first.ok_or_else(|| needed("shape"))?.values;
            if batch.is_some_and(|batch| wanted.first() == Some(&(batch as i64))) {
                wanted[0] = 1;
            }
            resolve(extents, &wanted, keeps_zeros).map(Movement::Reshape)
        }
        "Expand" => {
            let wanted = first.ok_or_else(|| needed("shape"))?.values;
            let bad = || Error::Model(format!("an expansion to {wanted:?}"));
            let mut wanted =
                wanted.iter().map(|&e| usize::try_from(e).ok().filter(|&e| e > 0).ok_or_else(bad)).collect::<Result<Vec<_>>>()?;
            if wanted.len() >= rank && batch.is_some_and(|batch| wanted.first() == Some(&batch)) {
                wanted[0] = 1;
            }
            super::elementwise::broadcast(extents, &wanted).map(Movement::Broadcast)
        }
        "Gather" => {
            let axis = place_of(attributes.int("axis", 0), rank)?;
            let indices = first.ok_or_else(|| needed("indices"))?;
            let places = indices.values.iter().map(|&i| place_of(i, extents[axis])).collect::<Result<Vec<_>>>()?;
            let to = [&extents[..axis], &indices.extents[..], &extents[axis + 1..]].concat();
            Ok(Movement::All(vec![Movement::Take(axis, places), Movement::Reshape(to)]))
        }
        "Slice" => {
            let (starts, ends) = (first.ok_or_else(|| needed("starts"))?.values, second.ok_or_else(|| needed("ends"))?.values);
            let axes = third.map_or_else(|| (0..starts.len() as i64).collect(), |axes| axes.values);
            let steps = fourth.map_or_else(|| vec![1; starts.len()], |steps| steps.values);
            if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
                return Err(Error::Model("starts, ends, axes and steps differ in length".into()));
            }
            let slice = |i: usize| {
                let axis = place_of(axes[i], rank)?;
                Ok(Movement::Take(axis, sliced(starts[i], ends[i], steps[i], extents[axis])?))
            };
            // all of a batch is no movement
            let whole = |i: &usize| {
                place_of(axes[*i], rank).is_ok_and(on_batch) && (starts[*i], steps[*i]) == (0, 1) && ends[*i] > i64::from(i32::MAX) / 2
            };
            Ok(Movement::All((0..starts.len()).filter(|i| !whole(i)).map(slice).collect::<Result<_>>()?))
        }
        "DepthToSpace" | "SpaceToDepth" => {
            let (&[n, c, h, w], block) = (extents, attributes.int("blocksize", 0)) else {
                return Err(Error::Model(format!("an input of shape {extents:?} where (N, C, H, W) is expected")));
            };
            let b = usize::try_from(block)
                .ok()
                .filter(|&b| (1..1 << 12).contains(&b))
                .ok_or_else(|| Error::Model(format!("blocksize = {block}")))?;
            let columns_first = name == "DepthToSpace" && attributes.text("mode").as_deref() == Some("CRD");
            let bad = || Error::Model(format!("blocks of {b} of an input {extents:?}"));
            let (split, order, to) = if name == "SpaceToDepth" {
                let (h, w) = (h.is_multiple_of(b).then_some(h / b).ok_or_else(bad)?, w.is_multiple_of(b).then_some(w / b).ok_or_else(bad)?);
                (vec![n, c, h, b, w, b], [0, 3, 5, 1, 2, 4], vec![n, c * b * b, h, w])
            } else {
                let c = c.is_multiple_of(b * b).then_some(c / (b * b)).ok_or_else(bad)?;
                let to = vec![n, c, h * b, w * b];
                match columns_first {
                    true => (vec![n, c, b, b, h, w], [0, 1, 4, 2, 5, 3], to),
                    false => (vec![n, b, b, c, h, w], [0, 3, 4, 1, 5, 2], to),
                }
            };
            Ok(Movement::All(vec![Movement::Reshape(split), Movement::Transpose(order.to_vec()), Movement::Reshape(to)]))
        }
        other => Err(Error::Model(format!("'{other}' moves nothing"))),
    }
}

/// An axis or an index counted from the end if it is negative.
pub fn place_of(i: i64, extent: usize) -> Result<usize> {
    let from_front = if i < 0 { i + extent as i64 } else { i };
    let place = usize::try_from(from_front).ok().filter(|&place| place < extent);
    place.ok_or_else(|| Error::Model(format!("{i} is outside the {extent} that there are")))
}

/// Places of a slice, as NumPy takes them.
fn sliced(start: i64, end: i64, step: i64, extent: usize) -> Result<Vec<usize>> {
    let n = extent as i64;
    let from_front = |i: i64| if i < 0 { i.saturating_add(n) } else { i };
    let places: Vec<usize> = match step {
        0 => return Err(Error::Model("a step of zero".into())),
        1.. => (from_front(start).clamp(0, n)..from_front(end).clamp(0, n)).step_by(step as usize).map(|i| i as usize).collect(),
        _ => {
            let (from, to) = (from_front(start).clamp(-1, n - 1), from_front(end).clamp(-1, n - 1));
            (to + 1..=from).rev().step_by(step.unsigned_abs() as usize).map(|i| i as usize).collect()
        }
    };
    Ok(places)
}

/// The extents that a Reshape asks for, 0 and -1 resolved.
fn resolve(from: &[usize], wanted: &[i64], keeps_zeros: bool) -> Result<Vec<usize>> {
    let bad = || Error::Model(format!("cannot reshape {from:?} to {wanted:?}"));
    let mut to = Vec::new();
    for (d, &extent) in wanted.iter().enumerate() {
        to.push(match extent {
            0 if !keeps_zeros => Some(*from.get(d).ok_or_else(bad)?),
            -1 => None,
            1.. => Some(extent as usize),
            _ => return Err(bad()),
        });
    }
    let elements: usize = from.iter().product();
    let known = to.iter().flatten().try_fold(1usize, |n, &e| n.checked_mul(e)).ok_or_else(bad)?;
    let free = to.iter().filter(|e| e.is_none()).count();
    if free > 1 || known == 0 || !elements.is_multiple_of(known) || (free == 0 && known != elements) {
        return Err(bad());
    }
    Ok(to.into_iter().map(|e| e.unwrap_or(elements / known)).collect())
}

impl Constant {
    /// A constant moved; beyond constant edges lies zero.
    pub(super) fn moved(&self, movement: &Movement) -> Result<Self> {
        Ok(match self {
            Self::Floats(array) => Self::Floats(movement.run(array, 0.0)?),
            Self::Integers(array) => Self::Integers(movement.run(array, 0)?),
        })
    }

    pub(super) fn extents(&self) -> &[usize] {
        match self {
            Self::Floats(array) => &array.extents,
            Self::Integers(array) => &array.extents,
        }
    }
}
