//! Functions at the end of a network that whoever receives an output computes in the clear: the scores before them are revealed, which
//! they do not hide, and they cost no protocol.

use crate::{Error, Result};

/// Numbers along one axis of an item: `len` of them, `inner` elements apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Along {
    /// Extent of the axis.
    pub len: usize,
    /// Elements from one number to the next.
    pub inner: usize,
}

/// A function of the numbers of one item of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub enum Finish {
    /// `exp(x_i) / sum_j exp(x_j)`.
    Softmax(Along),
    /// `x_i - log sum_j exp(x_j)`.
    LogSoftmax(Along),
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// The index of the largest number, of equal ones the first or the last.
    ArgMax {
        /// The numbers that are compared.
        along: Along,
        /// The last.
        last: bool,
    },
    /// Elements in another order, or some of them.
    Move(Vec<u32>),
    /// The same numbers as an item of these extents.
    Shape(Vec<usize>),
}

/// No output has more functions.
const MOST: usize = 16;

/// The outcome of all functions, one after another, of one item.
pub fn finished(all: &[Finish], row: &[f32]) -> Vec<f32> {
    all.iter().fold(row.to_vec(), |row, finish| finish.of(&row))
}

/// Numbers of an item after all functions, of so many before. [`Error::Model`] if one does not fit.
pub fn length(all: &[Finish], row: usize) -> Result<usize> {
    match all.len() {
        0..=MOST => all.iter().try_fold(row, |row, finish| finish.length(row)),
        n => Err(Error::Model(format!("{n} functions at the end of an output; {MOST} are the most"))),
    }
}

/// Extents of an item after all functions: a row where elements have moved and nothing says more.
pub fn extents(all: &[Finish], item: &[usize]) -> Vec<usize> {
    all.iter().fold(item.to_vec(), |item, finish| finish.extents(item))
}

/// Whether they end with probabilities.
pub fn gives_probabilities(all: &[Finish]) -> bool {
    let last = all.iter().rev().find(|finish| !matches!(finish, Finish::Move(_) | Finish::Shape(_)));
    matches!(last, Some(Finish::Softmax(_) | Finish::Sigmoid))
}

impl Along {
    fn fits(self, row: usize) -> bool {
        self.len.checked_mul(self.inner).is_some_and(|n| n > 0 && row.is_multiple_of(n))
    }

    /// A function of each group of numbers along the axis.
    fn map(self, row: &[f32], f: impl Fn(&[f32]) -> Vec<f32>) -> Vec<f32> {
        let mut out = Vec::with_capacity(row.len());
        for block in row.chunks(self.len * self.inner) {
            let group = |i: usize| f(&block[i..].iter().copied().step_by(self.inner).collect::<Vec<f32>>());
            let groups: Vec<Vec<f32>> = (0..self.inner).map(group).collect();
            let len = groups.first().map_or(0, Vec::len);
            out.extend((0..len).flat_map(|i| groups.iter().map(move |group| group[i])));
        }
        out
    }
}

impl Finish {
    fn length(&self, row: usize) -> Result<usize> {
        let bad = || Error::Model(format!("{self:?} at the end of an output of {row} numbers"));
        match self {
            Self::Softmax(along) | Self::LogSoftmax(along) if along.fits(row) => Ok(row),
            Self::ArgMax { along, .. } if along.fits(row) => Ok(row / along.len),
            Self::Sigmoid => Ok(row),
            Self::Shape(extents) if extents.len() <= MOST && extents.iter().try_fold(1usize, |n, &e| n.checked_mul(e)) == Some(row) => {
                Ok(row)
            }
            Self::Move(indices) if indices.len() <= row && indices.iter().all(|&at| (at as usize) < row) => Ok(indices.len()),
            _ => Err(bad()),
        }
    }

    fn extents(&self, mut item: Vec<usize>) -> Vec<usize> {
        match self {
            Self::Softmax(_) | Self::LogSoftmax(_) | Self::Sigmoid => item,
            Self::ArgMax { along, .. } => {
                let is_it = |&axis: &usize| item[axis] == along.len && item[axis + 1..].iter().product::<usize>() == along.inner;
                match (0..item.len()).find(is_it) {
                    Some(axis) => _ = item.remove(axis),
                    // of several axes together
                    None => item = vec![item.iter().product::<usize>() / along.len.max(1)],
                }
                item
            }
            Self::Move(indices) => vec![indices.len()],
            Self::Shape(extents) => extents.clone(),
        }
    }

    /// The outcome for one item, whose length fits.
    fn of(&self, row: &[f32]) -> Vec<f32> {
        let top = |x: &[f32]| x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exponentials = |x: &[f32]| x.iter().map(|v| (v - top(x)).exp()).collect::<Vec<f32>>();
        match self {
            Self::Softmax(along) => along.map(row, |x| {
                let exponentials = exponentials(x);
                let sum: f32 = exponentials.iter().sum();
                exponentials.iter().map(|e| e / sum).collect()
            }),
            Self::LogSoftmax(along) => along.map(row, |x| {
                let log = top(x) + exponentials(x).iter().sum::<f32>().ln();
                x.iter().map(|v| v - log).collect()
            }),
            Self::Sigmoid => row.iter().map(|v| 1.0 / (1.0 + (-v).exp())).collect(),
            Self::ArgMax { along, last } => along.map(row, |x| {
                let found = x.iter().position(|v| *v == top(x)).filter(|_| !last).or_else(|| x.iter().rposition(|v| *v == top(x)));
                vec![found.unwrap_or(0) as f32]
            }),
            Self::Move(indices) => indices.iter().map(|&at| row[at as usize]).collect(),
            Self::Shape(_) => row.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: &[f32], b: &[f32]) {
        assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6), "{a:?} {b:?}");
    }

    #[test]
    fn each_function_along_an_axis() {
        let log = |x: f32| x.ln();
        // two classes, of three pixels each
        let (row, along) = ([log(1.0), log(2.0), log(3.0), log(3.0), log(2.0), log(1.0)], Along { len: 2, inner: 3 });
        let softmax = [0.25, 0.5, 0.75, 0.75, 0.5, 0.25];
        close(&finished(&[Finish::Softmax(along)], &row), &softmax);
        close(&finished(&[Finish::LogSoftmax(along)], &row), &softmax.map(log));
        assert_eq!(finished(&[Finish::ArgMax { along, last: false }], &row), [1.0, 0.0, 0.0]);
        assert_eq!(finished(&[Finish::ArgMax { along, last: true }], &row), [1.0, 1.0, 0.0]);
        close(&finished(&[Finish::Sigmoid, Finish::Move(vec![5, 0])], &row), &[0.5, 0.5]);
        close(&finished(&[Finish::Softmax(Along { len: 3, inner: 1 })], &[1000.0, 1000.0, 0.0]), &[0.5, 0.5, 0.0]);
        assert_eq!(finished(&[], &row), row);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let along = |len, inner| Along { len, inner };
        assert_eq!(length(&[Finish::ArgMax { along: along(2, 3), last: false }, Finish::Move(vec![2])], 12).unwrap(), 1);
        let bad = [
            Finish::Softmax(along(5, 1)),
            Finish::Softmax(along(0, 1)),
            Finish::LogSoftmax(along(usize::MAX, 2)),
            Finish::ArgMax { along: along(4, 2), last: true },
            Finish::Move(vec![12]),
            Finish::Move(vec![0; 13]),
            Finish::Shape(vec![3, 5]),
            Finish::Shape(vec![1 << 63, 2]),
            Finish::Shape([vec![12], vec![1; 16]].concat()),
        ];
        for finish in bad {
            assert!(length(std::slice::from_ref(&finish), 12).is_err(), "{finish:?}");
        }
        assert!(length(&vec![Finish::Sigmoid; 17], 12).is_err());
    }

    #[test]
    fn extents_after_functions() {
        let after = |finish: Finish, item: &[usize]| extents(&[finish], item);
        let argmax = |len, inner| Finish::ArgMax { along: Along { len, inner }, last: false };
        assert_eq!(after(Finish::Softmax(Along { len: 2, inner: 6 }), &[2, 2, 3]), [2, 2, 3]);
        assert_eq!((after(argmax(2, 6), &[2, 2, 3]), after(argmax(3, 1), &[2, 2, 3])), (vec![2, 3], vec![2, 2]));
        assert_eq!((after(argmax(12, 1), &[2, 2, 3]), after(argmax(3, 1), &[3])), (vec![1], vec![]));
        assert_eq!(after(Finish::Move(vec![1, 0]), &[2, 2, 3]), [2]);
        assert_eq!(extents(&[Finish::Move((0..12).collect()), Finish::Shape(vec![3, 4])], &[2, 2, 3]), [3, 4]);
    }

    #[test]
    fn probabilities_are_known_as_such() {
        let softmax = Finish::Softmax(Along { len: 2, inner: 1 });
        assert!(gives_probabilities(&[softmax.clone(), Finish::Move(vec![0, 1])]) && gives_probabilities(&[Finish::Sigmoid]));
        assert!(
            !gives_probabilities(&[])
                && !gives_probabilities(&[softmax, Finish::ArgMax { along: Along { len: 2, inner: 1 }, last: false }])
        );
    }
}
