//! Functions at the end of a network that whoever receives an output computes in the clear: the scores before them are revealed, which
//! they do not hide, and they cost no protocol.

use super::clear::{Each, Labels, Pairing, Reduction};
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

/// A function of the numbers of one item of an output: of the latest result. Result 0 is what is revealed, result `i` the outcome of function `i`.
#[derive(Debug, Clone, PartialEq)]
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
    /// Elements in another order, some of them, or some several times.
    Move(Vec<u32>),
    /// The same numbers as an item of these extents.
    Shape(Vec<usize>),
    /// A function of each number.
    Each(Each),
    /// One number of each group.
    Reduce(Along, Reduction),
    /// Each group over one number of it.
    Normalize(Along, Reduction),
    /// Results one after another, by their numbers.
    Results(Vec<u32>),
    /// A function of each number of the first half and its partner in the second.
    Pairs(Pairing),
    /// Labels of indices of classes: numbers if they are; texts stay indices, which [`labels`] names.
    Labels(Labels),
    /// The same numbers, which are those of classes with these labels.
    Named(Labels),
}

/// No output has more functions.
const MOST: usize = 256;

/// Axes of an output at most.
const MOST_AXES: usize = 16;

/// Numbers of all results of an item, as a multiple of those that are revealed or of [`LEAST`].
const MOST_TIMES: usize = 64;

/// Numbers of an item that any output may have.
const LEAST: usize = 1 << 16;

/// The outcome of all functions of one item.
pub fn finished(all: &[Finish], row: &[f32]) -> Vec<f32> {
    let mut results = vec![row.to_vec()];
    for finish in all {
        let next = finish.of(&results);
        results.push(next);
    }
    results.pop().unwrap_or_default()
}

/// Numbers of an item after all functions, of so many before. [`Error::Model`] if one does not fit.
pub fn length(all: &[Finish], row: usize) -> Result<usize> {
    if all.len() > MOST {
        return Err(Error::Model(format!("{} functions at the end of an output; {MOST} are the most", all.len())));
    }
    let (mut lengths, mut sum) = (vec![row], row);
    for finish in all {
        let next = finish.length(&lengths)?;
        sum = sum.saturating_add(next);
        if sum > MOST_TIMES * row.max(LEAST) {
            return Err(Error::Model(format!("results of more than {} numbers at the end of an output", MOST_TIMES * row.max(LEAST))));
        }
        lengths.push(next);
    }
    Ok(lengths.last().copied().unwrap_or(row))
}

/// Extents of an item after all functions: a row where elements have moved and nothing says more.
pub fn extents(all: &[Finish], item: &[usize]) -> Vec<usize> {
    let mut items = vec![item.to_vec()];
    for finish in all {
        items.push(finish.extents(&items));
    }
    items.pop().unwrap_or_default()
}

/// Whether they end with probabilities.
pub fn gives_probabilities(all: &[Finish]) -> bool {
    let passed =
        |finish: &&Finish| matches!(finish, Finish::Move(_) | Finish::Shape(_) | Finish::Named(_) | Finish::Normalize(_, Reduction::L1));
    matches!(all.iter().rev().find(|finish| !passed(finish)), Some(Finish::Softmax(_) | Finish::Sigmoid))
}

/// Labels of the classes that an output is about.
pub fn labels(all: &[Finish]) -> Option<&Labels> {
    all.iter().rev().find_map(|finish| match finish {
        Finish::Labels(labels) | Finish::Named(labels) => Some(labels),
        _ => None,
    })
}

/// The class that the functions find for an item: the index that they end with, or that of their largest number.
pub fn class(all: &[Finish], row: &[f32]) -> usize {
    let end = all.iter().rposition(|finish| matches!(finish, Finish::Labels(_))).unwrap_or(all.len());
    let outcome = finished(&all[..end], row);
    let index = all[..end].iter().rev().find(|finish| !matches!(finish, Finish::Move(_) | Finish::Shape(_) | Finish::Each(Each::Truncate)));
    match (index, &outcome[..]) {
        (Some(Finish::ArgMax { .. } | Finish::Each(Each::IsPositive)), [index]) => *index as usize,
        _ => (0..outcome.len()).rev().max_by(|&a, &b| outcome[a].total_cmp(&outcome[b])).unwrap_or(0),
    }
}

/// Whether the class is that of the largest number before all functions, of so many.
pub fn keeps_largest(all: &[Finish], row: usize) -> bool {
    let whole = |along: &Along| along.len.checked_mul(along.inner) == Some(row) && along.inner == 1;
    let ordered = |finish: &Finish| match finish {
        Finish::Softmax(along) | Finish::LogSoftmax(along) | Finish::Normalize(along, Reduction::L1 | Reduction::L2) => whole(along),
        Finish::Each(each) => each.keeps_order(),
        Finish::Sigmoid | Finish::Named(_) | Finish::Shape(_) => true,
        _ => false,
    };
    match all.iter().position(|finish| matches!(finish, Finish::ArgMax { .. })) {
        None => all.iter().all(ordered),
        Some(at) => {
            let first = matches!(&all[at], Finish::ArgMax { along, last: false } if whole(along));
            let after =
                |finish: &Finish| matches!(finish, Finish::Labels(_) | Finish::Named(_) | Finish::Shape(_) | Finish::Each(Each::Truncate));
            first && all[..at].iter().all(ordered) && all[at + 1..].iter().all(after)
        }
    }
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
    /// Numbers of the outcome, of results of these lengths.
    fn length(&self, lengths: &[usize]) -> Result<usize> {
        let row = lengths.last().copied().unwrap_or(0);
        let bad = || Error::Model(format!("a function at the end of an output that does not fit its {row} numbers: {self:.60?}"));
        match self {
            Self::Softmax(along) | Self::LogSoftmax(along) | Self::Normalize(along, _) if along.fits(row) => Ok(row),
            Self::ArgMax { along, .. } | Self::Reduce(along, _) if along.fits(row) => Ok(row / along.len),
            Self::Sigmoid | Self::Each(_) | Self::Labels(_) | Self::Named(_) => Ok(row),
            Self::Move(indices) if indices.iter().all(|&at| (at as usize) < row) => Ok(indices.len()),
            Self::Results(numbers) => {
                let length = |&number: &u32| lengths.get(number as usize).copied();
                numbers.iter().map(length).try_fold(0usize, |sum, length| sum.checked_add(length?)).ok_or_else(bad)
            }
            Self::Shape(extents)
                if extents.len() <= MOST_AXES && extents.iter().try_fold(1usize, |n, &e| n.checked_mul(e)) == Some(row) =>
            {
                Ok(row)
            }
            Self::Pairs(_) if row.is_multiple_of(2) => Ok(row / 2),
            _ => Err(bad()),
        }
    }

    /// Extents of the outcome, of results of these.
    fn extents(&self, items: &[Vec<usize>]) -> Vec<usize> {
        let numbers = |item: &Vec<usize>| item.iter().product::<usize>();
        let mut item = items.last().cloned().unwrap_or_default();
        match self {
            Self::ArgMax { along, .. } | Self::Reduce(along, _) => {
                let is_it = |&axis: &usize| item[axis] == along.len && item[axis + 1..].iter().product::<usize>() == along.inner;
                match (0..item.len()).find(is_it) {
                    Some(axis) => _ = item.remove(axis),
                    // of several axes together
                    None => item = vec![numbers(&item) / along.len.max(1)],
                }
                item
            }
            Self::Move(indices) => vec![indices.len()],
            Self::Shape(extents) => extents.clone(),
            Self::Results(results) => vec![results.iter().filter_map(|&result| items.get(result as usize)).map(numbers).sum()],
            Self::Pairs(_) => vec![numbers(&item) / 2],
            _ => item,
        }
    }

    /// The outcome for one item, whose length fits.
    fn of(&self, results: &[Vec<f32>]) -> Vec<f32> {
        let row: &[f32] = results.last().map_or(&[], |row| row);
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
            Self::Each(each) => row.iter().map(|&v| each.of(v)).collect(),
            Self::Reduce(along, reduction) => along.map(row, |x| vec![reduction.of(x)]),
            Self::Normalize(along, reduction) => along.map(row, |x| reduction.normalized(x)),
            Self::Results(numbers) => numbers.iter().flat_map(|&number| results[number as usize].iter().copied()).collect(),
            Self::Pairs(pairing) => {
                let (a, b) = row.split_at(row.len() / 2);
                a.iter().zip(b).map(|(&a, &b)| pairing.of(a, b)).collect()
            }
            Self::Labels(labels) => row.iter().map(|&v| labels.number(v as usize) as f32).collect(),
            Self::Named(_) => row.to_vec(),
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
            Finish::Shape(vec![3, 5]),
            Finish::Shape(vec![1 << 63, 2]),
            Finish::Shape([vec![12], vec![1; 16]].concat()),
            Finish::Reduce(along(5, 1), Reduction::Sum),
            Finish::Normalize(along(0, 0), Reduction::L2),
            Finish::Results(vec![1]),
        ];
        for finish in bad {
            assert!(length(std::slice::from_ref(&finish), 12).is_err(), "{finish:?}");
        }
        assert!(length(&[Finish::Pairs(Pairing::Add)], 13).is_err());
        assert!(length(&vec![Finish::Sigmoid; 257], 12).is_err());
        // twice as many each time
        let doubling: Vec<Finish> = (0..40).map(|i| Finish::Results(vec![i, i])).collect();
        assert!(length(&doubling, 12).is_err());
    }

    #[test]
    fn results_are_read_by_their_numbers() {
        let along = Along { len: 3, inner: 1 };
        // x / sum x, and its largest number's label
        let all = [
            Finish::Reduce(along, Reduction::Sum),
            Finish::Move(vec![0, 0, 0]),
            Finish::Results(vec![0, 2]),
            Finish::Pairs(Pairing::Div),
            Finish::ArgMax { along, last: false },
            Finish::Labels(Labels::Integers(vec![10, 20, 30])),
        ];
        let row = [1.0, 5.0, 2.0];
        assert_eq!(finished(&all[..4], &row), [0.125, 0.625, 0.25]);
        assert_eq!((finished(&all, &row), class(&all, &row), length(&all, 3).unwrap()), (vec![20.0], 1, 1));
        assert_eq!(labels(&all).unwrap().text(1), "20");
        // what a class is when nothing says so
        assert_eq!((class(&[], &row), class(&all[..4], &row), class(&[Finish::Move(vec![1, 0])], &row)), (1, 1, 0));
        let positive = [Finish::Each(Each::IsPositive), Finish::Labels(Labels::Strings(vec!["no".into(), "yes".into()]))];
        assert_eq!((class(&positive, &[0.5]), class(&positive, &[-0.5]), finished(&positive, &[0.5])), (1, 0, vec![1.0]));
    }

    #[test]
    fn a_largest_score_is_known_to_be_the_class_or_not() {
        let (along, part) = (Along { len: 4, inner: 1 }, Along { len: 2, inner: 1 });
        let (softmax, index) = (Finish::Softmax(along), |along, last| Finish::ArgMax { along, last });
        let named = Finish::Labels(Labels::Integers(vec![1, 2, 3, 4]));
        assert!(keeps_largest(&[], 4) && keeps_largest(&[softmax.clone(), Finish::Normalize(along, Reduction::L1)], 4));
        assert!(keeps_largest(&[softmax, index(along, false), named.clone()], 4) && keeps_largest(&[Finish::Each(Each::Scale(2.0))], 4));
        for bad in
            [Finish::Softmax(part), index(along, true), index(part, false), Finish::Each(Each::Scale(-1.0)), Finish::Move(vec![0]), named]
        {
            assert!(!keeps_largest(std::slice::from_ref(&bad), 4), "{bad:?}");
        }
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
