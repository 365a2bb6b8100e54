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

/// `z_i` of the matrix product `[x][y]`, `(.., m, k)` by `(.., k, n)`; either may be stored transposed. Local; a
/// [`reshare`], 1 round and 192 bits an element of the result, makes it a share.
///
/// ```
/// use trishade::{
///     device::Device,
///     kernels::matmul::Layout,
///     party::{Party, Transport, run},
///     protocol as mpc,
///     shape::Shape,
/// };
///
/// # fn main() -> trishade::Result<()> {
/// let device = Device::cpu(1)?;
/// let parties = Party::local([device.clone(), device.clone(), device], 20)?;
/// let x = mpc::share(&Shape::new([2, 3])?, &[1, 2, 3, 4, 5, 6])?;
/// let y = mpc::share(&Shape::new([3, 1])?, &[1, 10, 100])?;
/// let layout = Layout { batch: 1, m: 2, k: 3, n: 1, transpose_x: false, transpose_y: false };
/// let parts = pollster::block_on(run(&parties, Transport::Handover, |p| async {
///     let (x, y) = (mpc::input(p, &x[p.number()]), mpc::input(p, &y[p.number()]));
///     let z = mpc::reshare(p, mpc::matmul(p, &x, &y, layout)).await;
///     p.device().download(&[&mpc::reveal(p, &z)]).await
/// }))?;
/// let [a, b, c] = parts;
/// assert_eq!(mpc::combine([&a?[0], &b?[0], &c?[0]]), [321, 654]);
/// # Ok(())
/// # }
/// ```
pub fn matmul(p: &Party, x: &Arith, y: &Arith, layout: Layout) -> Local {
    let op = p.op(Label::MATMUL);
    let z = matmul_kernel(p.device(), [&x.own, &x.next, &y.own, &y.next], layout, op.zero_share());
    let mut extents = vec![layout.m, layout.n];
    if layout.batch > 1 {
        extents.insert(0, layout.batch);
    }
    let shape = Shape::new(extents).expect("the product has been made, its extents fit");
    Local { shape, z }
}

/// `z_i` of the convolution of activations `x` with weights `w`.
pub fn convolution(p: &Party, x: &Arith, w: &Arith, geometry: &Conv) -> Local {
    let op = p.op(Label::CONVOLUTION);
    let z = conv_kernel(p.device(), [&x.own, &x.next, &w.own, &w.next], geometry, op.zero_share());
    Local { shape: geometry.out_shape(), z }
}
