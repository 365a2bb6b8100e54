//! A network's steps on shares: one party's forward pass.

use super::{
    ranges::Bits,
    steps::{self, Activation, Kind, Product, Step, Steps},
};
use crate::{
    Result,
    fixed::Fixed,
    kernels::{gather::Table, linear::Broadcast, matmul::Layout},
    party::{Cell, Party, Tag, join_all, tagged},
    protocol as mpc,
    shape::{Axis, Pool, Shape},
    share::Arith,
};
use std::future::Future;

/// What a party holds of a model.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Weights and bias of each product in turn.
    pub parameters: Vec<Arith>,
    /// The table of each movement in turn.
    pub tables: Vec<Table>,
}

/// What belongs to one step.
enum Own<'a> {
    Nothing,
    Parameters(&'a [Arith]),
    Table(&'a Table),
}

/// All steps at once: each waits for its inputs, so independent ones share rounds.
pub(super) async fn forward(p: &Party, network: &Steps, bits: &[Bits], held: &Held, x: Arith) -> Vec<Arith> {
    let cells: Vec<Cell<Arith>> = network.readers().into_iter().map(Cell::new).collect();
    cells[network.input].set(p, x);
    let (mut parameters, mut tables) = (held.parameters.chunks(2), held.tables.iter());
    let task = |(number, step): (usize, &Step)| {
        let own = match step.kind {
            Kind::Product(_) => Own::Parameters(parameters.next().unwrap_or_default()),
            Kind::Select { .. } => tables.next().map_or(Own::Nothing, Own::Table),
            _ => Own::Nothing,
        };
        let (cells, step, bits) = (&cells, step.clone(), bits[number]);
        async move {
            let mut inputs = Vec::new();
            for &value in &step.inputs {
                inputs.push(cells[value].get(p).await);
            }
            let layer = Tag { layer: Some(number as u16), ..Tag::default() };
            let output = tagged(p, layer, run_step(p, &step.kind, bits, own, inputs)).await;
            cells[step.output].set(p, output);
        }
    };
    let tasks = network.steps.iter().enumerate().map(task).collect();
    join_all(p, tasks).await;
    let mut results = Vec::new();
    for output in &network.outputs {
        results.push(cells[output.value].get(p).await);
    }
    results
}

async fn run_step(p: &Party, kind: &Kind, bits: Bits, own: Own<'_>, mut inputs: Vec<Arith>) -> Arith {
    if let Kind::Concat(axis) = kind {
        let mut extents = inputs[0].shape().extents().to_vec();
        extents[*axis] = inputs.iter().map(|x| x.shape().extents()[*axis]).sum();
        return mpc::concat(p, &inputs, *axis, checked(Shape::new(extents)));
    }
    if let Kind::Sum { factors, constant } = kind {
        return sum(p, &inputs, factors, *constant).await;
    }
    let x = inputs.remove(0);
    match kind {
        Kind::Concat(_) | Kind::Sum { .. } => x,
        Kind::Product(step) => match own {
            Own::Parameters(parameters) => product(p, step, bits, parameters, &x, &inputs).await,
            _ => unreachable!("each product has parameters"),
        },
        Kind::Select { extents, .. } => match own {
            Own::Table(table) => mpc::gather(p, &x, table, checked(Shape::new([&x.shape().extents()[..1], extents].concat()))),
            _ => unreachable!("each movement has a table"),
        },
        Kind::Activation(Activation::Relu) => within(p, bits.relu, mpc::relu(p, &x)).await,
        Kind::Activation(activation) => within(p, bits.relu, mpc::clip(p, &x, bounds(p, *activation))).await,
        Kind::MaxPool(axes) => within(p, bits.pool, mpc::max_pool(p, &x, &pool(x.shape(), *axes))).await,
        Kind::SumPool(axes) => mpc::window_sum(p, &x, &pool(x.shape(), *axes)),
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
    let inner = if step.conv.is_some() { z.shape().extents()[2..].iter().product() } else { 1 };
    z = mpc::accumulate(p, z, bias, Some(Broadcast { inner, modulus: rows }), 1);
    for (residual, factor) in residuals.iter().zip(checked(steps::residual_factors(step, fixed(p), ""))) {
        z = mpc::accumulate(p, z, residual, None, factor);
    }
    z = z.reshaped(checked(step.product_shape(x.shape())));
    let wide = match step.pool {
        None => mpc::split(p, z).await,
        Some(axes) => {
            let windows = pool(z.shape(), axes);
            let share = mpc::reshare(p, z).await;
            mpc::split_of_share(p, &within(p, bits.pool, mpc::max_pool(p, &share, &windows)).await)
        }
    };
    match step.activation {
        None => mpc::rescale(p, &wide).await,
        Some(Activation::Relu) => within(p, bits.relu, mpc::activate(p, &wide, p.fraction_bits())).await,
        Some(activation) => within(p, bits.relu, mpc::activate_clip(p, &wide, p.fraction_bits(), bounds(p, activation))).await,
    }
}

/// `sum_i factors[i] x_i + constant`.
async fn sum(p: &Party, inputs: &[Arith], factors: &[f32], constant: f32) -> Arith {
    let (factors, constant, bits) = checked(steps::factors(factors, constant, fixed(p), ""));
    let scaled = |(x, factor): (&Arith, u64)| if factor == 1 { x.clone() } else { mpc::scale(p, x, factor) };
    let sum = inputs.iter().zip(factors).map(scaled).reduce(|sum, x| mpc::add(p, &sum, &x));
    let sum = sum.unwrap_or_else(|| unreachable!("a sum of no values"));
    let sum = if constant == 0 { sum } else { mpc::add_public(p, &sum, constant) };
    if bits > 0 { mpc::truncate(p, &mpc::split_of_share(p, &sum), bits).await } else { sum }
}

fn bounds(p: &Party, activation: Activation) -> [Option<u64>; 2] {
    checked(activation.bounds(fixed(p), ""))
}

fn fixed(p: &Party) -> Fixed {
    checked(Fixed::new(p.fraction_bits()))
}

/// What was checked when the model was loaded.
fn checked<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|e| unreachable!("the network was checked: {e}"))
}

/// Signs in `work` look at so many bits only.
async fn within<F: Future>(p: &Party, bits: u32, work: F) -> F::Output {
    tagged(p, Tag { range_bits: Some(bits), ..Tag::default() }, work).await
}

/// `(.., in) (out, in)^T`.
fn dense(x: &Shape, weights: &Shape) -> Layout {
    let (rows, columns) = (x.elements() / weights.extents()[1], weights.extents()[0]);
    Layout { batch: 1, m: rows, k: weights.extents()[1], n: columns, transpose_x: false, transpose_y: true }
}

fn pool(x: &Shape, axes: [Axis; 2]) -> Pool {
    checked(Pool::new(x, axes))
}
