//! Layout operations: they move elements in a public pattern. One [`Layout`] serves constants and activations; on an activation it acts
//! on indices, and the result is the table of one gather.

use super::{
    array::{Array, broadcast, place_of},
    attributes::Attributes,
    constant::Constant,
};
use crate::{Error, Result};

/// A layout operation: it moves, repeats, drops or pads elements in a public pattern.
#[derive(Debug, Clone, PartialEq)]
pub enum Layout {
    /// The order of the axes.
    Transpose(Vec<usize>),
    /// Along an axis the elements at these indices.
    Take(usize, Vec<usize>),
    /// Other extents.
    Reshape(Vec<usize>),
    /// NumPy's broadcast.
    Broadcast(Vec<usize>),
    /// Elements before and after each axis.
    Pad(Vec<(i64, i64)>, Edge),
    /// One after another.
    All(Vec<Layout>),
}

/// Elements beyond the edge of an axis.
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

impl Layout {
    /// The array after it; `fill` lies beyond constant edges.
    pub fn run<T: Copy>(&self, x: &Array<T>, fill: T) -> Result<Array<T>> {
        match self {
            Self::Transpose(order) => x.transposed(order),
            Self::Take(axis, indices) => x.taken(*axis, indices),
            Self::Reshape(extents) => x.clone().reshaped(extents.clone()),
            Self::Broadcast(extents) => x.broadcast(extents),
            Self::Pad(pads, edge) => x.padded(pads, fill, |i, extent| edge.place(i, extent)),
            Self::All(all) => all.iter().try_fold(x.clone(), |x, layout| layout.run(&x, fill)),
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

impl Constant {
    /// The constant after a layout operation; beyond constant edges lies zero.
    pub(super) fn moved(&self, layout: &Layout) -> Result<Self> {
        Ok(match self {
            Self::Floats(array) => Self::Floats(layout.run(array, 0.0)?),
            Self::Integers(array) => Self::Integers(layout.run(array, 0)?),
        })
    }
}

/// The layout operation of an operator on an array of these extents; `given` are its integer inputs or attributes in their order.
/// One axis of an activation may be that of a batch.
pub fn layout_of(
    name: &str,
    extents: &[usize],
    given: [Option<Array<i64>>; 4],
    attributes: &mut Attributes<'_>,
    batch: Option<usize>,
) -> Result<Layout> {
    let rule = Rule { extents, batch };
    let [first, second, third, fourth] = given;
    match name {
        "Transpose" => rule.transpose(attributes),
        "Squeeze" => rule.squeeze(first),
        "Unsqueeze" => rule.unsqueeze(first),
        "Flatten" => rule.flatten(attributes),
        "Reshape" => rule.reshape(first, attributes),
        "Expand" => rule.expand(first),
        "Gather" => rule.gather(first, attributes),
        "Slice" => rule.slice([first, second], [third, fourth]),
        "DepthToSpace" => rule.depth_to_space(attributes),
        "SpaceToDepth" => rule.space_to_depth(attributes),
        other => Err(Error::Model(format!("'{other}' is no layout operation"))),
    }
}

/// The extents that an operator meets, and the axis of a batch.
struct Rule<'a> {
    extents: &'a [usize],
    batch: Option<usize>,
}

fn needed(given: Option<Array<i64>>, what: &str) -> Result<Array<i64>> {
    given.ok_or_else(|| Error::Model(format!("the {what} must be constant integers")))
}

/// The error of what acts on the batch.
pub fn apart() -> Error {
    Error::Model("it acts on the axis of the batch, whose inputs stay apart".into())
}

impl Rule<'_> {
    fn rank(&self) -> usize {
        self.extents.len()
    }

    fn is_batch(&self, axis: usize) -> bool {
        self.batch == Some(axis)
    }

    fn transpose(&self, attributes: &mut Attributes<'_>) -> Result<Layout> {
        let rank = self.rank();
        let reversed = || (0..rank as i64).rev().collect();
        let order = attributes.ints("perm").unwrap_or_else(reversed).iter().map(|&d| place_of(d, rank)).collect::<Result<_>>()?;
        Ok(Layout::Transpose(order))
    }

    fn squeeze(&self, axes: Option<Array<i64>>) -> Result<Layout> {
        let rank = self.rank();
        let axes = axes.map(|axes| axes.values.iter().map(|&axis| place_of(axis, rank)).collect::<Result<Vec<_>>>()).transpose()?;
        if axes.as_ref().is_some_and(|axes| axes.iter().any(|&d| self.is_batch(d))) {
            return Err(apart());
        }
        let gone = |d: usize| axes.as_ref().map_or(self.extents[d] == 1 && !self.is_batch(d), |axes| axes.contains(&d));
        if let Some(d) = (0..rank).find(|&d| gone(d) && self.extents[d] != 1) {
            return Err(Error::Model(format!("axis {d} has {} elements and not one", self.extents[d])));
        }
        Ok(Layout::Reshape((0..rank).filter(|&d| !gone(d)).map(|d| self.extents[d]).collect()))
    }

    fn unsqueeze(&self, axes: Option<Array<i64>>) -> Result<Layout> {
        let axes = needed(axes, "axes")?.values;
        let rank = self.rank() + axes.len();
        let axes = axes.iter().map(|&axis| place_of(axis, rank)).collect::<Result<Vec<_>>>()?;
        let mut old = self.extents.iter();
        let extent = |d: usize| if axes.contains(&d) { Some(1) } else { old.next().copied() };
        let to: Option<Vec<usize>> = (0..rank).map(extent).collect();
        to.map(Layout::Reshape).ok_or_else(|| Error::Model(format!("axes {axes:?} named twice")))
    }

    fn flatten(&self, attributes: &mut Attributes<'_>) -> Result<Layout> {
        let axis = match attributes.int("axis", 1) {
            axis if axis == self.rank() as i64 => self.rank(),
            axis => place_of(axis, self.rank())?,
        };
        Ok(Layout::Reshape(vec![self.extents[..axis].iter().product(), self.extents[axis..].iter().product()]))
    }

    fn reshape(&self, shape: Option<Array<i64>>, attributes: &mut Attributes<'_>) -> Result<Layout> {
        let keeps_zeros = attributes.int("allowzero", 0) != 0;
        resolve(self.extents, &needed(shape, "shape")?.values, keeps_zeros).map(Layout::Reshape)
    }

    fn expand(&self, shape: Option<Array<i64>>) -> Result<Layout> {
        let wanted = needed(shape, "shape")?.values;
        let bad = || Error::Model(format!("an expansion to {wanted:?}"));
        let to = wanted.iter().map(|&e| usize::try_from(e).ok().filter(|&e| e > 0).ok_or_else(bad)).collect::<Result<Vec<_>>>()?;
        broadcast(self.extents, &to).map(Layout::Broadcast)
    }

    fn gather(&self, indices: Option<Array<i64>>, attributes: &mut Attributes<'_>) -> Result<Layout> {
        let axis = place_of(attributes.int("axis", 0), self.rank())?;
        let indices = needed(indices, "indices")?;
        let taken = indices.values.iter().map(|&i| place_of(i, self.extents[axis])).collect::<Result<Vec<_>>>()?;
        let to = [&self.extents[..axis], &indices.extents[..], &self.extents[axis + 1..]].concat();
        Ok(Layout::All(vec![Layout::Take(axis, taken), Layout::Reshape(to)]))
    }

    fn slice(&self, [starts, ends]: [Option<Array<i64>>; 2], [axes, steps]: [Option<Array<i64>>; 2]) -> Result<Layout> {
        let (starts, ends) = (needed(starts, "starts")?.values, needed(ends, "ends")?.values);
        let axes = axes.map_or_else(|| (0..starts.len() as i64).collect(), |axes| axes.values);
        let steps = steps.map_or_else(|| vec![1; starts.len()], |steps| steps.values);
        if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
            return Err(Error::Model("starts, ends, axes and steps differ in length".into()));
        }
        let slice = |i: usize| {
            let axis = place_of(axes[i], self.rank())?;
            Ok(Layout::Take(axis, sliced(starts[i], ends[i], steps[i], self.extents[axis])?))
        };
        // all of a batch moves nothing
        let whole = |i: &usize| {
            let of_batch = place_of(axes[*i], self.rank()).is_ok_and(|axis| self.is_batch(axis));
            of_batch && (starts[*i], steps[*i]) == (0, 1) && ends[*i] > i64::from(i32::MAX) / 2
        };
        Ok(Layout::All((0..starts.len()).filter(|i| !whole(i)).map(slice).collect::<Result<_>>()?))
    }

    /// Extents of an image, and the size of blocks.
    fn blocks(&self, attributes: &mut Attributes<'_>) -> Result<([usize; 4], usize)> {
        let (&[n, c, h, w], size) = (self.extents, attributes.int("blocksize", 0)) else {
            return Err(Error::Model(format!("an input of shape {:?} where (N, C, H, W) is expected", self.extents)));
        };
        let size = usize::try_from(size).ok().filter(|&b| (1..1 << 12).contains(&b));
        Ok(([n, c, h, w], size.ok_or_else(|| Error::Model("blocksize must be at least 1".into()))?))
    }

    fn depth_to_space(&self, attributes: &mut Attributes<'_>) -> Result<Layout> {
        let ([n, c, h, w], b) = self.blocks(attributes)?;
        let columns_first = attributes.text("mode").as_deref() == Some("CRD");
        let c = divided(c, b * b, self.extents)?;
        let (split, order) = match columns_first {
            true => (vec![n, c, b, b, h, w], vec![0, 1, 4, 2, 5, 3]),
            false => (vec![n, b, b, c, h, w], vec![0, 3, 4, 1, 5, 2]),
        };
        Ok(Layout::All(vec![Layout::Reshape(split), Layout::Transpose(order), Layout::Reshape(vec![n, c, h * b, w * b])]))
    }

    fn space_to_depth(&self, attributes: &mut Attributes<'_>) -> Result<Layout> {
        let ([n, c, h, w], b) = self.blocks(attributes)?;
        let (h, w) = (divided(h, b, self.extents)?, divided(w, b, self.extents)?);
        let (split, order) = (vec![n, c, h, b, w, b], vec![0, 3, 5, 1, 2, 4]);
        Ok(Layout::All(vec![Layout::Reshape(split), Layout::Transpose(order), Layout::Reshape(vec![n, c * b * b, h, w])]))
    }
}

fn divided(extent: usize, parts: usize, extents: &[usize]) -> Result<usize> {
    let part = extent.is_multiple_of(parts).then_some(extent / parts);
    part.ok_or_else(|| Error::Model(format!("{extent} elements in parts of {parts}, of an input {extents:?}")))
}

/// Indices of a slice, as NumPy takes them.
fn sliced(start: i64, end: i64, step: i64, extent: usize) -> Result<Vec<usize>> {
    let n = extent as i64;
    let from_front = |i: i64| if i < 0 { i.saturating_add(n) } else { i };
    let indices: Vec<usize> = match step {
        0 => return Err(Error::Model("a step of zero".into())),
        1.. => (from_front(start).clamp(0, n)..from_front(end).clamp(0, n)).step_by(step as usize).map(|i| i as usize).collect(),
        _ => {
            let (from, to) = (from_front(start).clamp(-1, n - 1), from_front(end).clamp(-1, n - 1));
            (to + 1..=from).rev().step_by(step.unsigned_abs() as usize).map(|i| i as usize).collect()
        }
    };
    Ok(indices)
}

/// The extents that a Reshape asks for, 0 and -1 resolved.
pub fn resolve(from: &[usize], wanted: &[i64], keeps_zeros: bool) -> Result<Vec<usize>> {
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
