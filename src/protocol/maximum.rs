//! Maximum, max-pool, argmax: tournaments of `max(a, b) = b + ReLU(a - b)`.

use super::{
    injection::{inject, inject_split},
    layout::each,
    linear::{add, sub},
    relu::relu,
    reshare::split_of_share,
    sign::nonnegative,
};
use crate::{
    kernels::view,
    party::{Party, join, join_all},
    shape::{Axis, Pool, Shape},
    share::Arith,
};

/// `[max(a, b)]`: the cost of one ReLU.
pub async fn max(p: &Party, a: &Arith, b: &Arith) -> Arith {
    add(p, b, &relu(p, &sub(p, a, b)).await)
}

/// The maximum of each window: `k - 1` comparisons an output in `ceil(log2 k)` levels of ReLU rounds. It may come before
/// ReLU and truncation, with which it commutes. A padded tap takes no part: it repeats a real one.
pub async fn max_pool(p: &Party, x: &Arith, pool: &Pool) -> Arith {
    let taps = (0..pool.axes[0].kernel).flat_map(|row| (0..pool.axes[1].kernel).map(move |column| [row, column]));
    let mut candidates: Vec<Arith> =
        taps.map(|tap| each(p, x, pool.out_shape(), |device, part| view::tap(device, part, pool, tap))).collect();
    while candidates.len() > 1 {
        let odd = (candidates.len() % 2 == 1).then(|| candidates.pop()).flatten();
        let pairs = candidates.chunks_exact(2).map(|pair| max(p, &pair[0], &pair[1])).collect();
        candidates = join_all(p, pairs).await;
        candidates.extend(odd);
    }
    candidates.remove(0)
}

/// Index of the largest entry of each row of `(N, C)`, the first of equal ones, as integers `(N, 1)`: `ceil(log2 C)` levels
/// of a comparison and two injections. Neighbours meet: the left one has the lower indices and wins a tie. With an odd number
/// of columns the last one meets itself.
pub async fn argmax(p: &Party, x: &Arith) -> Arith {
    let [rows, columns] = match *x.shape.extents() {
        [rows, columns] => [rows, columns],
        _ => [1, x.shape.elements()],
    };
    let indices: Vec<u64> = (0..rows).flat_map(|_| 0..columns as u64).collect();
    let mut index = super::io::public(p, &x.shape, &indices);
    let mut value = x.clone();
    let mut width = columns;
    while width > 1 {
        let half = width.div_ceil(2);
        let pairs = Axis { stride: 2, pad_end: width % 2, ..Axis::new(2) };
        let pool = Pool { planes: rows, leading: [rows, 1], input: [1, width], output: [1, half], axes: [Axis::new(1), pairs] };
        let shape = Shape::new([rows, half]).expect("half of a tensor's columns fit");
        let columns = |x: &Arith, tap: usize| each(p, x, shape.clone(), |device, part| view::tap(device, part, &pool, [0, tap]));
        let (left, right) = (columns(&value, 0), columns(&value, 1));
        let (left_index, right_index) = (columns(&index, 0), columns(&index, 1));
        let difference = sub(p, &left, &right);
        let split = split_of_share(p, &difference);
        let not_less = nonnegative(p, &split).await;
        let moved = sub(p, &left_index, &right_index);
        let (gain, shift) = join(p, inject_split(p, &difference, &split, &not_less), inject(p, &moved, &not_less)).await;
        value = add(p, &right, &gain);
        index = add(p, &right_index, &shift);
        width = half;
    }
    index
}
