//! Two oracles: the network in f32, and in the same fixed point without sharing.
//!
//! The f32 one walks the graph as it was imported, so that it checks the passes too. The fixed-point one walks the steps,
//! truncates to the floor (the protocol gives the floor or one more) and finds every value that leaves the range.

use super::{
    graph::{Graph, GraphOutput, Op, Tensor},
    steps::{self, Kind, Product, Steps},
};
use crate::{
    Error, Result,
    fixed::Fixed,
    ring::Word,
    shape::{Conv, Pool, Shape},
};

/// The first output of the graph on a batch of inputs, in f32.
pub fn run_f32(graph: &Graph, input: &[f32], batch: usize) -> Result<Tensor> {
    Ok(run_all_f32(graph, input, batch)?.swap_remove(0))
}

/// All outputs of the graph on a batch of inputs, in f32.
pub fn run_all_f32(graph: &Graph, input: &[f32], batch: usize) -> Result<Vec<Tensor>> {
    let shapes = graph.shapes(batch)?;
    let shape = |v: usize| shapes[v].clone().ok_or_else(|| Error::Model("a value without a maker".into()));
    expect_input(&shape(graph.input)?, input.len())?;
    let mut values: Vec<Option<Vec<f32>>> = vec![None; graph.values];
    values[graph.input] = Some(input.to_vec());
    for node in &graph.nodes {
        let all: Vec<&[f32]> = node.inputs.iter().map(|&v| values[v].as_deref().unwrap_or_default()).collect();
        let x = all[0];
        let (from, to) = (shape(node.inputs[0])?, shape(node.output)?);
        let out = match &node.op {
            Op::Conv { weights, bias, axes, groups } => {
                convolve(&Conv::new(&from, &weights.shape, *axes, *groups)?, x, &weights.values, bias)
            }
            Op::Linear { weights, bias } => multiply(x, &weights.values, bias),
            Op::Sum { factors, constant } => {
                (0..x.len()).map(|e| all.iter().zip(factors).fold(*constant, |sum, (x, factor)| sum + factor * x[e])).collect()
            }
            Op::Affine { scale, shift } => {
                let inner = x.len() / batch / scale.len();
                x.iter().enumerate().map(|(e, v)| v * scale[e / inner % scale.len()] + shift[e / inner % scale.len()]).collect()
            }
            Op::Relu => x.iter().map(|v| v.max(0.0)).collect(),
            Op::Clip { low, high } => x.iter().map(|v| v.max(*low).min(*high)).collect(),
            Op::MaxPool { axes } => pool(&Pool::new(&from, *axes)?, x, f32::NEG_INFINITY, f32::max),
            Op::SumPool { axes } => pool(&Pool::new(&from, *axes)?, x, 0.0, |a, b| a + b),
            Op::AveragePool { axes } => {
                let taps = (axes[0].kernel * axes[1].kernel) as f32;
                pool(&Pool::new(&from, *axes)?, x, 0.0, |a, b| a + b).iter().map(|v| v / taps).collect()
            }
            Op::Concat { axis } => concatenate(&all, to.extents()[..=*axis].iter().product()),
            Op::Select { table, .. } => select(x, table, batch),
            Op::Reshape { .. } => x.to_vec(),
        };
        values[node.output] = Some(out);
    }
    let result = |output: &GraphOutput| {
        let values = values[output.value].clone().ok_or_else(|| Error::Model(format!("no node makes the output '{}'", output.name)))?;
        Ok(Tensor { shape: shape(output.value)?, values })
    };
    graph.outputs.iter().map(result).collect()
}

/// The first output of the steps on encoded inputs, in fixed point. Errors name the step whose values leave the range.
pub fn run_fixed(steps: &Steps, fixed: Fixed, input: &[Word], batch: usize) -> Result<Vec<Word>> {
    let f = fixed.fraction_bits();
    let outputs = walk_fixed(steps, fixed, input, batch, |number, bits| match bits {
        0..=ROOM => Ok(()),
        bits => Err(Error::Range(format!(
            "step '{}': a value needs {bits} bits before truncation, {ROOM} are there at {f} fraction bits; use fewer",
            steps.steps[number].name
        ))),
    })?;
    outputs.into_iter().next().ok_or_else(|| Error::Model("the network has no output".into()))
}

/// Bits of the absolute value that a truncation can take: below 2^62.
pub const ROOM: u32 = 62;

/// All outputs of the steps. `watch` hears the number of each step and the bits that its largest absolute value needs, before
/// truncation if it has one; what needs more than [`ROOM`] goes on as the largest value there is.
pub fn walk_fixed(
    steps: &Steps,
    fixed: Fixed,
    input: &[Word],
    batch: usize,
    mut watch: impl FnMut(usize, u32) -> Result<()>,
) -> Result<Vec<Vec<Word>>> {
    let shapes = steps.shapes(batch)?;
    let shape = |v: usize| shapes[v].clone().ok_or_else(|| Error::Model("a value without a maker".into()));
    expect_input(&shape(steps.input)?, input.len())?;
    let mut values: Vec<Option<Vec<i64>>> = vec![None; steps.values];
    values[steps.input] = Some(input.iter().map(|&w| w as i64).collect());
    let f = fixed.fraction_bits();
    for (number, step) in steps.steps.iter().enumerate() {
        let all: Vec<&[i64]> = step.inputs.iter().map(|&v| values[v].as_deref().unwrap_or_default()).collect();
        let (x, from) = (all[0], shape(step.inputs[0])?);
        let mut narrow = |wide: Vec<i128>| -> Result<Vec<i64>> {
            let most = wide.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0);
            watch(number, 128 - most.leading_zeros())?;
            Ok(wide.iter().map(|&v| v.clamp(1 - (1 << ROOM), (1 << ROOM) - 1) as i64).collect())
        };
        let out = match &step.kind {
            Kind::Product(product) => {
                let [weights, bias] = product.encoded(fixed, &step.name)?;
                let mut sums = sums(product, &from, x, &weights.words, &bias.words)?;
                for (r, factor) in all[1..].iter().zip(steps::residual_factors(product, fixed, &step.name)?) {
                    let factor = i128::from(factor as i64);
                    sums.iter_mut().zip(*r).for_each(|(sum, &r)| *sum += i128::from(r) * factor);
                }
                let mut out = narrow(sums)?;
                if let Some(axes) = product.pool {
                    out = pool(&Pool::new(&product.product_shape(&from)?, axes)?, &out, i64::MIN, i64::max);
                }
                out.iter_mut().for_each(|v| *v >>= f);
                match product.activation {
                    Some(activation) => bounded(&out, activation.bounds(fixed, &step.name)?),
                    None => out,
                }
            }
            Kind::Activation(activation) => bounded(x, activation.bounds(fixed, &step.name)?),
            Kind::MaxPool(axes) => pool(&Pool::new(&from, *axes)?, x, i64::MIN, i64::max),
            Kind::SumPool(axes) => {
                let wide: Vec<i128> = x.iter().map(|&v| i128::from(v)).collect();
                narrow(pool(&Pool::new(&from, *axes)?, &wide, 0, |a, b| a + b))?
            }
            Kind::Sum { factors, constant } => {
                let (factors, constant, shift) = steps::factors(factors, *constant, fixed, &step.name)?;
                let term = |(x, &factor): (&&[i64], &Word), e: usize| i128::from(x[e]) * i128::from(factor as i64);
                let constant = i128::from(constant as i64);
                let wide = (0..x.len()).map(|e| all.iter().zip(&factors).fold(constant, |sum, pair| sum + term(pair, e))).collect();
                narrow(wide)?.iter().map(|v| v >> shift).collect()
            }
            Kind::Concat(axis) => concatenate(&all, from.extents()[..*axis].iter().product()),
            Kind::Select { table, .. } => select(x, table, batch),
            Kind::Reshape(_) => x.to_vec(),
        };
        values[step.output] = Some(out);
    }
    let result = |output: &GraphOutput| values[output.value].iter().flatten().map(|&v| v as u64).collect();
    Ok(steps.outputs.iter().map(result).collect())
}

fn bounded(x: &[i64], [low, high]: [Option<Word>; 2]) -> Vec<i64> {
    let (low, high) = (low.map_or(i64::MIN, |low| low as i64), high.map_or(i64::MAX, |high| high as i64));
    x.iter().map(|&v| v.max(low).min(high)).collect()
}

fn concatenate<T: Copy>(parts: &[&[T]], rows: usize) -> Vec<T> {
    let row = |r: usize| parts.iter().flat_map(move |part| part.chunks(part.len() / rows).nth(r).unwrap_or_default()).copied();
    (0..rows).flat_map(row).collect()
}

fn select<T: Copy + Default>(x: &[T], table: &[u32], batch: usize) -> Vec<T> {
    let row = |row: &[T]| table.iter().map(|&at| row.get(at as usize).copied().unwrap_or_default()).collect::<Vec<T>>();
    x.chunks(x.len() / batch).flat_map(row).collect()
}

fn expect_input(shape: &Shape, found: usize) -> Result<()> {
    if shape.elements() == found { Ok(()) } else { Err(Error::Input(format!("{found} input values, the network expects {shape}"))) }
}

/// Untruncated sums, bias included, wide enough to see an overflow.
fn sums(product: &Product, from: &Shape, x: &[i64], weights: &[Word], bias: &[Word]) -> Result<Vec<i128>> {
    let wide: Vec<i128> = x.iter().map(|&v| i128::from(v)).collect();
    let weights: Vec<i128> = weights.iter().map(|&w| i128::from(w as i64)).collect();
    let bias: Vec<i128> = bias.iter().map(|&b| i128::from(b as i64)).collect();
    Ok(match product.conv {
        Some(_) => convolve(&product.geometry(from)?, &wide, &weights, &bias),
        None => multiply(&wide, &weights, &bias),
    })
}

/// What both number types share.
trait Number: Copy + std::ops::Mul<Output = Self> + std::ops::AddAssign {}
impl Number for f32 {}
impl Number for i128 {}

fn convolve<T: Number>(c: &Conv, x: &[T], weights: &[T], bias: &[T]) -> Vec<T> {
    let ([h, w], [oh, ow]) = (c.input, c.output);
    let [rows, columns] = c.axes;
    let (per_group, out_per_group) = (c.in_channels / c.groups, c.out_channels / c.groups);
    let mut out = Vec::with_capacity(c.out_shape().elements());
    for n in 0..c.batch {
        for o in 0..c.out_channels {
            let start = out.len();
            out.resize(start + oh * ow, bias[o]);
            for k in 0..c.depth() {
                let (ch, kh, kw) = (k / (rows.kernel * columns.kernel), k / columns.kernel % rows.kernel, k % columns.kernel);
                let weight = weights[o * c.depth() + k];
                let plane = &x[(n * c.in_channels + o / out_per_group * per_group + ch) * h * w..][..h * w];
                for i in 0..oh {
                    let Some(ih) = (i * rows.stride + kh * rows.dilation).checked_sub(rows.pad_begin).filter(|&v| v < h) else { continue };
                    let line = &plane[ih * w..][..w];
                    let sums = &mut out[start + i * ow..][..ow];
                    for (j, sum) in sums.iter_mut().enumerate() {
                        if let Some(&v) =
                            (j * columns.stride + kw * columns.dilation).checked_sub(columns.pad_begin).and_then(|iw| line.get(iw))
                        {
                            *sum += weight * v;
                        }
                    }
                }
            }
        }
    }
    out
}

fn multiply<T: Number>(x: &[T], weights: &[T], bias: &[T]) -> Vec<T> {
    let depth = weights.len() / bias.len();
    let mut out = Vec::with_capacity(x.len() / depth * bias.len());
    for row in x.chunks(depth) {
        for (weights, &bias) in weights.chunks(depth).zip(bias) {
            let mut sum = bias;
            row.iter().zip(weights).for_each(|(&a, &b)| sum += a * b);
            out.push(sum);
        }
    }
    out
}

fn pool<T: Copy>(p: &Pool, x: &[T], start: T, combine: impl Fn(T, T) -> T) -> Vec<T> {
    let ([h, w], [oh, ow]) = (p.input, p.output);
    let mut out = Vec::with_capacity(p.planes * oh * ow);
    for plane in x.chunks(h * w) {
        for i in 0..oh {
            for j in 0..ow {
                let taps = p.taps(0, i).flat_map(|ih| p.taps(1, j).map(move |iw| ih * w + iw));
                out.push(taps.fold(start, |all, at| combine(all, plane[at])));
            }
        }
    }
    out
}
