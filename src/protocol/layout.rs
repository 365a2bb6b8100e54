//! Layout operations: elements moved, or some of them added up, in a public pattern; both components alike, for free.

use crate::{
    device::{Buffer, Device},
    kernels::{
        gather::{self as kernel, Table},
        view,
    },
    party::Party,
    shape::{Pool, Shape},
    share::Arith,
};

/// Each input of a batch as the elements that the table names; `shape` is that of the result.
pub fn gather(p: &Party, x: &Arith, table: &Table, shape: Shape) -> Arith {
    let row = x.own.len() / shape.extents()[0];
    each(p, x, shape, |device, part| kernel::gather(device, part, row, table))
}

/// Tensors one after another along an axis; `shape` is that of the result.
pub fn concat(p: &Party, parts: &[Arith], axis: usize, shape: Shape) -> Arith {
    let rows = shape.extents()[..axis].iter().product();
    let all = |component: fn(&Arith) -> &Buffer| joined(p.device(), parts.iter().map(|part| component(part).clone()).collect(), rows);
    Arith { own: all(|part| &part.own), next: all(|part| &part.next), shape }
}

/// Neighbours first, so that no element is copied more often than the logarithm of their number.
fn joined(device: &Device, mut parts: Vec<Buffer>, rows: usize) -> Buffer {
    while parts.len() > 1 {
        let pair = |pair: &[Buffer]| match pair {
            [x, y] => kernel::concat(device, x, y, rows),
            _ => pair[0].clone(),
        };
        parts = parts.chunks(2).map(pair).collect();
    }
    parts.remove(0)
}

/// The sum of each window; an average is this with the divisor folded into what follows.
pub fn window_sum(p: &Party, x: &Arith, pool: &Pool) -> Arith {
    each(p, x, pool.out_shape(), |device, part| view::window_sum(device, part, pool))
}

/// One operation on both components.
pub(super) fn each(p: &Party, x: &Arith, shape: Shape, f: impl Fn(&Device, &Buffer) -> Buffer) -> Arith {
    Arith { shape, own: f(p.device(), &x.own), next: f(p.device(), &x.next) }
}
