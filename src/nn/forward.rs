//! A network's steps on shares: one party's forward pass.

use super::{
    ranges::Bits,
    steps::{Kind, Product, Step, Steps},
};
use crate::{
    kernels::{linear::Broadcast, matmul::Layout},
    party::{Cell, Party, Tag, join_all, tagged},
    protocol as mpc,
    shape::{Axis, Pool, Shape},
    share::Arith,
};
use std::future::Future;

/// All steps at once: each waits for its inputs, so independent ones share rounds.
pub(super) async fn forward(p: &Party, network: &Steps, bits: &[Bits], parameters: &[Arith], x: Arith) -> Arith {
    let cells: Vec<Cell<Arith>> = (0..network.values).map(|value| Cell::new(network.readers(value))).collect();
    cells[network.input].set(p, x);
    let mut parameters = parameters.chunks(2);
    let task = |(number, step): (usize, &Step)| {
        let parameters = if matches!(step.kind, Kind::Product(_)) { parameters.next().unwrap_or_default() } else { &[] };
        let (cells, step, bits) = (&cells, step.clone(), bits[number]);
        async move {
            let mut inputs = Vec::new();
            for &value in &step.inputs {
                inputs.push(cells[value].get(p).await);
            }
            let layer = Tag { layer: Some(number as u16), ..Tag::default() };
            let output = tagged(p, layer, run_step(p, &step.kind, bits, parameters, inputs)).await;
            cells[step.output].set(p, output);
        }
    };
    let tasks = network.steps.iter().enumerate().map(task).collect();
    join_all(p, tasks).await;
    cells[network.output].get(p).await
}

async fn run_step(p: &Party, kind: &Kind, bits: Bits, parameters: &[Arith], mut inputs: Vec<Arith>) -> Arith {
    let x = inputs.remove(0);
    match kind {
        Kind::Product(step) => product(p, step, bits, parameters, &x, &inputs).await,
        Kind::Relu => within(p, bits.relu, mpc::relu(p, &x)).await,
        Kind::MaxPool(axes) => within(p, bits.pool, mpc::max_pool(p, &x, &pool(x.shape(), *axes))).await,
        Kind::SumPool(axes) => mpc::window_sum(p, &x, &pool(x.shape(), *axes)),
        Kind::Scale(factor) => {
            let wide = mpc::scale(p, &x, (f64::from(*factor) * f64::powi(2.0, p.fraction_bits() as i32)).round() as i64 as u64);
            mpc::rescale(p, &mpc::split_of_share(p, &wide)).await
        }
        Kind::Add => mpc::add(p, &x, &inputs[0]),
        Kind::Reshape(extents) => {
            let extents = [&x.shape().extents()[..1], &extents[..]].concat();
            x.reshaped(&extents).unwrap_or(x)
        }
    }
}

/// One local product, what is added to it before truncation, and one conversion: to a share if a pool follows, else split.
async fn product(p: &Party, step: &Product, bits: Bits, parameters: &[Arith], x: &Arith, residuals: &[Arith]) -> Arith {
    let [weights, bias] = parameters else { unreachable!("each product has weights and a bias") };
    let rows = weights.shape().extents()[0];
    let mut z = match step.geometry(x.shape()) {
        Ok(geometry) => mpc::convolution(p, x, weights, &geometry),
        Err(_) => mpc::matmul(p, x, weights, dense(x.shape(), weights.shape())),
    };
    let inner = z.shape().extents()[2..].iter().product();
    z = mpc::accumulate(p, z, bias, Some(Broadcast { inner, modulus: rows }), 1);
    for residual in residuals {
        z = mpc::accumulate(p, z, residual, None, 1 << p.fraction_bits());
    }
    let wide = match step.pool {
        None => mpc::split(p, z).await,
        Some(axes) => {
            let windows = pool(z.shape(), axes);
            let share = mpc::reshare(p, z).await;
            mpc::split_of_share(p, &within(p, bits.pool, mpc::max_pool(p, &share, &windows)).await)
        }
    };
    if step.relu { within(p, bits.relu, mpc::activate(p, &wide)).await } else { mpc::rescale(p, &wide).await }
}

/// Signs in `work` look at so many bits only.
async fn within<F: Future>(p: &Party, bits: u32, work: F) -> F::Output {
    tagged(p, Tag { range_bits: Some(bits), ..Tag::default() }, work).await
}

/// `(N, in) (out, in)^T`.
fn dense(x: &Shape, weights: &Shape) -> Layout {
    let (rows, columns) = (x.extents()[0], weights.extents()[0]);
    Layout { batch: 1, m: rows, k: weights.extents()[1], n: columns, transpose_x: false, transpose_y: true }
}

fn pool(x: &Shape, axes: [Axis; 2]) -> Pool {
    Pool::new(x, axes).unwrap_or_else(|e| unreachable!("the network's shapes were checked: {e}"))
}
