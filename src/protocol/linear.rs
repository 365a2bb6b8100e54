//! Free protocols: sums, public factors and addends, on both components alike.

use crate::{
    device::Buffer,
    kernels::linear::{self, Broadcast},
    party::{Party, Role},
    ring::Word,
    share::{Arith, Binary, Local, Split},
};

/// `[x + y]`, equal shapes.
pub fn add(p: &Party, x: &Arith, y: &Arith) -> Arith {
    both(x, y, |x, y| linear::add(p.device(), x, y))
}

/// `[x + y]`, y broadcast over x.
pub fn add_to_each(p: &Party, x: &Arith, y: &Arith, broadcast: Broadcast) -> Arith {
    let sum = |x: &Buffer, y: &Buffer| linear::affine(p.device(), x, y, Some(broadcast), [1, 1, 0]);
    Arith { shape: x.shape.clone(), own: sum(&x.own, &y.own), next: sum(&x.next, &y.next) }
}

/// `[x - y]`, equal shapes.
pub fn sub(p: &Party, x: &Arith, y: &Arith) -> Arith {
    both(x, y, |x, y| linear::sub(p.device(), x, y))
}

/// `[x ^ y]`, bit by bit, equal shapes.
pub fn xor(p: &Party, x: &Binary, y: &Binary) -> Binary {
    assert_eq!(x.shape, y.shape, "shares of different shapes");
    let both = |x: &Buffer, y: &Buffer| linear::xor(p.device(), x, y);
    Binary { shape: x.shape.clone(), own: both(&x.own, &y.own), next: both(&x.next, &y.next) }
}

/// `[factor x]`, a public ring element.
pub fn scale(p: &Party, x: &Arith, factor: Word) -> Arith {
    both(x, x, |x, _| linear::scale(p.device(), x, factor, 0))
}

/// `[x + addend]`, a public ring element: component 0 of the lead takes it.
pub fn add_public(p: &Party, x: &Arith, addend: Word) -> Arith {
    let shifted = |part: &Buffer| linear::scale(p.device(), part, 1, addend);
    let (own, next) = match p.role() {
        Role::Lead => (shifted(&x.own), x.next.clone()),
        Role::First => (x.own.clone(), x.next.clone()),
        Role::Second => (x.own.clone(), shifted(&x.next)),
    };
    Arith { shape: x.shape.clone(), own, next }
}

/// A split value plus a public ring element, which the lead takes.
pub fn add_public_split(p: &Party, x: &Split, addend: Word) -> Split {
    let part = if p.number() == x.lead { linear::scale(p.device(), &x.part, 1, addend) } else { x.part.clone() };
    Split { shape: x.shape.clone(), lead: x.lead, part }
}

/// `z + factor y`, the share's own component added to the local product; `y` broadcast if asked.
pub fn accumulate(p: &Party, z: Local, y: &Arith, broadcast: Option<Broadcast>, factor: Word) -> Local {
    let sum = linear::affine(p.device(), &z.z, &y.own, broadcast, [1, factor, 0]);
    Local { shape: z.shape, z: sum }
}

/// The sum of two products, which one conversion then makes a share or a split value.
pub fn add_products(p: &Party, x: Local, y: Local) -> Local {
    assert_eq!(x.shape, y.shape, "products of different shapes");
    Local { z: linear::add(p.device(), &x.z, &y.z), shape: x.shape }
}

/// One operation on both components.
pub(super) fn both(x: &Arith, y: &Arith, f: impl Fn(&Buffer, &Buffer) -> Buffer) -> Arith {
    assert_eq!(x.shape, y.shape, "shares of different shapes");
    Arith { shape: x.shape.clone(), own: f(&x.own, &y.own), next: f(&x.next, &y.next) }
}
