//! Arrays that the importer computes with: constants, and the indices of an activation's elements. Layout operations are written
//! once for all of them; a layout operation on an activation is that operation on its indices.

use crate::{Error, Result};

/// Values in row-major order. An extent may be zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Array<T> {
    pub extents: Vec<usize>,
    pub values: Vec<T>,
}

impl<T: Copy> Array<T> {
    pub fn new(extents: Vec<usize>, values: Vec<T>) -> Result<Self> {
        match elements(&extents)? {
            n if n == values.len() => Ok(Self { extents, values }),
            n => Err(Error::Model(format!("{} values for a shape {extents:?} of {n} elements", values.len()))),
        }
    }

    pub fn one(value: T) -> Self {
        Self { extents: Vec::new(), values: vec![value] }
    }

    pub fn list(values: Vec<T>) -> Self {
        Self { extents: vec![values.len()], values }
    }

    /// The same extents with a function of each value.
    pub fn map<S>(&self, f: impl Fn(T) -> S) -> Array<S> {
        Array { extents: self.extents.clone(), values: self.values.iter().map(|&v| f(v)).collect() }
    }

    /// A function of pairs of two arrays broadcast against each other.
    pub fn paired<S>(&self, other: &Self, f: impl Fn(T, T) -> S) -> Result<Array<S>> {
        let extents = broadcast(&self.extents, &other.extents)?;
        let (a, b) = (self.broadcast(&extents)?, other.broadcast(&extents)?);
        Ok(Array { extents, values: a.values.iter().zip(&b.values).map(|(&a, &b)| f(a, b)).collect() })
    }

    pub fn rank(&self) -> usize {
        self.extents.len()
    }

    /// The elements that `at` names for each index of the result: flat indices, `None` for `fill`.
    pub fn picked(&self, extents: Vec<usize>, fill: T, at: impl Fn(&[usize]) -> Option<usize>) -> Result<Self> {
        let n = elements(&extents)?;
        let mut values = Vec::with_capacity(n);
        let mut index = vec![0; extents.len()];
        for _ in 0..n {
            let place = at(&index);
            values.push(place.and_then(|place| self.values.get(place).copied()).unwrap_or(fill));
            for d in (0..extents.len()).rev() {
                index[d] += 1;
                if index[d] < extents[d] {
                    break;
                }
                index[d] = 0;
            }
        }
        Ok(Self { extents, values })
    }

    /// The same where each index of the result is that of an element, axis by axis.
    fn along(&self, extents: Vec<usize>, at: impl Fn(usize, usize) -> usize) -> Result<Self> {
        let Some(&fill) = self.values.first() else { return Self::new(extents, Vec::new()) };
        let strides = strides(&self.extents);
        self.picked(extents, fill, |index| Some(index.iter().enumerate().map(|(d, &i)| at(d, i) * strides[d]).sum()))
    }

    pub fn reshaped(self, extents: Vec<usize>) -> Result<Self> {
        Self::new(extents, self.values)
    }

    pub fn transposed(&self, order: &[usize]) -> Result<Self> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..self.rank()) {
            return Err(Error::Model(format!("perm = {order:?} is no order of {} axes", self.rank())));
        }
        let Some(&fill) = self.values.first() else {
            return Self::new(order.iter().map(|&d| self.extents[d]).collect(), Vec::new());
        };
        let strides = strides(&self.extents);
        let extents = order.iter().map(|&d| self.extents[d]).collect();
        self.picked(extents, fill, |index| Some(index.iter().zip(order).map(|(&i, &d)| i * strides[d]).sum()))
    }

    /// Along one axis the elements at these indices.
    pub fn taken(&self, axis: usize, indices: &[usize]) -> Result<Self> {
        let mut extents = self.extents.clone();
        if let Some(place) = indices.iter().find(|&&index| index >= extents[axis]) {
            return Err(Error::Model(format!("index {place} of an axis of {} elements", extents[axis])));
        }
        extents[axis] = indices.len();
        self.along(extents, |d, i| if d == axis { indices[i] } else { i })
    }

    /// Repeated along axes of extent one, and new ones in front, as NumPy broadcasts.
    pub fn broadcast(&self, extents: &[usize]) -> Result<Self> {
        let bad = || Error::Model(format!("a shape {:?} does not broadcast to {extents:?}", self.extents));
        let front = extents.len().checked_sub(self.rank()).ok_or_else(bad)?;
        if self.extents.iter().zip(&extents[front..]).any(|(&own, &wanted)| own != wanted && own != 1) {
            return Err(bad());
        }
        let padded = Self { extents: [&vec![1; front], &self.extents[..]].concat(), values: self.values.clone() };
        let own = padded.extents.clone();
        padded.along(extents.to_vec(), |d, i| if own[d] == 1 { 0 } else { i })
    }

    /// One after another along an axis.
    pub fn concatenated(parts: &[Self], axis: usize) -> Result<Self> {
        let mut extents = parts[0].extents.clone();
        let fits = |part: &Self| part.rank() == extents.len() && (0..extents.len()).all(|d| d == axis || part.extents[d] == extents[d]);
        if axis >= extents.len() || !parts.iter().all(fits) {
            let shapes: Vec<_> = parts.iter().map(|part| &part.extents).collect();
            return Err(Error::Model(format!("shapes {shapes:?} do not fit along axis {axis}")));
        }
        extents[axis] = parts.iter().map(|part| part.extents[axis]).sum();
        let rows: usize = extents[..axis].iter().product();
        let row = |part: &Self, r: usize| {
            let width = part.values.len() / rows.max(1);
            part.values[r * width..][..width].to_vec()
        };
        let values = (0..rows).flat_map(|r| parts.iter().flat_map(move |part| row(part, r))).collect();
        Self::new(extents, values)
    }

    /// Elements before and after each axis: `at` maps a position, counted from the first real element, to a real one.
    pub fn padded(&self, pads: &[(i64, i64)], fill: T, at: impl Fn(i64, usize) -> Option<usize>) -> Result<Self> {
        let sized = |(&extent, &(before, after)): (&usize, &(i64, i64))| {
            usize::try_from(extent as i64 + before + after).map_err(|_| Error::Model(format!("pads of {before} and {after} at {extent}")))
        };
        let extents = self.extents.iter().zip(pads).map(sized).collect::<Result<Vec<usize>>>()?;
        let strides = strides(&self.extents);
        self.picked(extents, fill, |index| {
            let indices = index.iter().enumerate().map(|(d, &i)| Some(at(i as i64 - pads[d].0, self.extents[d])? * strides[d]));
            indices.sum()
        })
    }
}

/// A file that asks for larger arrays does not get them.
const MOST: usize = 1 << 28;

/// Number of elements, within what an array may have.
pub fn elements(extents: &[usize]) -> Result<usize> {
    let n = extents.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent));
    n.filter(|&n| n <= MOST).ok_or_else(|| Error::Model(format!("a shape {extents:?} of too many elements")))
}

/// The shape to which two shapes broadcast.
pub fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |extents: &[usize], d: usize| if d + extents.len() < rank { 1 } else { extents[d + extents.len() - rank] };
    let extent = |d: usize| match (at(a, d), at(b, d)) {
        (a, b) if a == b || b == 1 => Ok(a),
        (1, b) => Ok(b),
        _ => Err(Error::Model(format!("shapes {a:?} and {b:?} do not broadcast"))),
    };
    (0..rank).map(extent).collect()
}

/// An axis or an index counted from the end if it is negative.
pub fn place_of(i: i64, extent: usize) -> Result<usize> {
    let from_front = if i < 0 { i + extent as i64 } else { i };
    let place = usize::try_from(from_front).ok().filter(|&place| place < extent);
    place.ok_or_else(|| Error::Model(format!("{i} is outside the {extent} that there are")))
}

fn strides(extents: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; extents.len()];
    for d in (1..extents.len()).rev() {
        strides[d - 1] = strides[d] * extents[d];
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn movements_are_those_of_numpy() {
        let x = Array::new(vec![2, 3], vec![0, 1, 2, 3, 4, 5]).unwrap();
        assert_eq!(x.transposed(&[1, 0]).unwrap().values, [0, 3, 1, 4, 2, 5]);
        assert_eq!(x.taken(1, &[2, 0, 2]).unwrap().values, [2, 0, 2, 5, 3, 5]);
        assert_eq!(Array::list(vec![7, 8, 9]).broadcast(&[2, 3]).unwrap().values, [7, 8, 9, 7, 8, 9]);
        assert_eq!(Array::concatenated(&[x.clone(), x.clone()], 1).unwrap().values, [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]);
        let inside = |i: i64, extent: usize| usize::try_from(i).ok().filter(|&i| i < extent);
        assert_eq!(x.padded(&[(0, 1), (1, -1)], 9, inside).unwrap().values, [9, 0, 1, 9, 3, 4, 9, 9, 9]);
        assert!(x.transposed(&[0, 0]).is_err() && x.taken(1, &[3]).is_err() && x.broadcast(&[3, 2]).is_err());
        assert!(Array::<u8>::new(vec![usize::MAX, 2], vec![]).is_err() && elements(&[1 << 20, 1 << 20]).is_err());
    }
}
