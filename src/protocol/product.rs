//! Products of shares: elementwise, AND, matrix, convolution. Each is local; [`reshare`] or [`split`](super::split) follows.

use super::reshare::reshare;
use crate::{
    kernels::{
        conv::convolution as conv_kernel,
        cross::cross,
        matmul::{Layout, matmul as matmul_kernel},
    },
    party::{Label, Party},
    shape::{Conv, Shape},
    share::{Arith, Binary, Local},
};

/// `z_i` of `[x][y]`, elementwise.
pub fn product(p: &Party, x: &Arith, y: &Arith) -> Local {
    assert_eq!(x.shape, y.shape, "product of different shapes");
    let op = p.op(Label::PRODUCT);
    let z = cross(p.device(), [&x.own, &x.next, &y.own, &y.next], false, op.zero_share());
    Local { shape: x.shape.clone(), z }
}

/// `[xy]` elementwise, not truncated: 1 round, 192 bits.
pub async fn mul(p: &Party, x: &Arith, y: &Arith) -> Arith {
    reshare(p, product(p, x, y)).await
}

/// `[x & y]`, bit by bit: 1 round, 192 bits a word. Each party sends its masked product to the one before it.
pub async fn and(p: &Party, x: &Binary, y: &Binary) -> Binary {
    assert_eq!(x.shape, y.shape, "AND of different shapes");
    let op = p.op(Label::PRODUCT);
    let z = cross(p.device(), [&x.own, &x.next, &y.own, &y.next], true, op.zero_share());
    let next = super::reshare::rotate(&op, &z).await;
    Binary { shape: x.shape.clone(), own: z, next }
}

/// `z_i` of the matrix product `[x][y]`, `(.., m, k)` by `(.., k, n)`; either may be stored transposed.
pub fn matmul(p: &Party, x: &Arith, y: &Arith, layout: Layout) -> Local {
    let op = p.op(Label::MATMUL);
    let z = matmul_kernel(p.device(), [&x.own, &x.next, &y.own, &y.next], layout, op.zero_share());
    let mut extents = vec![layout.m, layout.n];
    if layout.batch > 1 {
        extents.insert(0, layout.batch);
    }
    let shape = Shape::new(extents).unwrap_or_else(|_| x.shape.clone());
    Local { shape, z }
}

/// `z_i` of the convolution of activations `x` with weights `w`.
pub fn convolution(p: &Party, x: &Arith, w: &Arith, geometry: &Conv) -> Local {
    let op = p.op(Label::CONVOLUTION);
    let z = conv_kernel(p.device(), [&x.own, &x.next, &w.own, &w.next], geometry, op.zero_share());
    Local { shape: geometry.out_shape(), z }
}
