//! Two oracles: the network in f32, and in the same fixed point without sharing.
//!
//! The f32 one walks the graph as it was imported, so that it checks the passes too. The fixed-point one walks the steps,
//! truncates to the floor (the protocol gives the floor or one more) and finds every value that leaves the range.

use super::{
    graph::{Graph, Op, Tensor},
    steps::{Kind, Product, Steps},
};
use crate::{
    Error, Result,
    fixed::Fixed,
    ring::Word,
    shape::{Conv, Pool, Shape},
};

/// The graph on a batch of inputs, in f32.
pub fn run_f32(graph: &Graph, input: &[f32], batch: usize) -> Result<Tensor> {
    let shapes = graph.shapes(batch)?;
    let shape = |v: usize| shapes[v].clone().ok_or_else(|| Error::Model("a value without a maker".into()));
    expect_input(&shape(graph.input)?, input.len())?;
    let mut values: Vec<Option<Vec<f32>>> = vec![None; graph.values];
    values[graph.input] = Some(input.to_vec());
    for node in &graph.nodes {
        let x = values[node.inputs[0]].as_deref().unwrap_or_default();
        let (from, to) = (shape(node.inputs[0])?, shape(node.output)?);
        let out = match &node.op {
            Op::Conv { weights, bias, axes, groups } => {
                convolve(&Conv::new(&from, &weights.shape, *axes, *groups)?, x, &weights.values, bias)
            }
            Op::Linear { weights, bias } => multiply(x, &weights.values, bias),
            Op::Add => x.iter().zip(values[node.inputs[1]].as_deref().unwrap_or_default()).map(|(a, b)| a + b).collect(),
            Op::Affine { scale, shift } => {
                let inner: usize = to.extents()[2..].iter().product();
                x.iter().enumerate().map(|(e, v)| v * scale[e / inner % scale.len()] + shift[e / inner % scale.len()]).collect()
            }
            Op::Relu => x.iter().map(|v| v.max(0.0)).collect(),
            Op::MaxPool { axes } => pool(&Pool::new(&from, *axes)?, x, f32::NEG_INFINITY, f32::max),
            Op::SumPool { axes } => pool(&Pool::new(&from, *axes)?, x, 0.0, |a, b| a + b),
            Op::AveragePool { axes } => {
                let taps = (axes[0].kernel * axes[1].kernel) as f32;
                pool(&Pool::new(&from, *axes)?, x, 0.0, |a, b| a + b).iter().map(|v| v / taps).collect()
            }
            Op::Scale { factor } => x.iter().map(|v| v * factor).collect(),
            Op::Reshape { .. } => x.to_vec(),
        };
        values[node.output] = Some(out);
    }
    let values = values[graph.output].take().ok_or_else(|| Error::Model("no node makes the output".into()))?;
    Ok(Tensor { shape: shape(graph.output)?, values })
}

/// The steps on encoded inputs, in fixed point. Errors name the step whose values leave the range.
pub fn run_fixed(steps: &Steps, fixed: Fixed, input: &[Word], batch: usize) -> Result<Vec<Word>> {
    let shapes = steps.shapes(batch)?;
    let shape = |v: usize| shapes[v].clone().ok_or_else(|| Error::Model("a value without a maker".into()));
    expect_input(&shape(steps.input)?, input.len())?;
    let parameters = steps.parameters(fixed)?;
    let mut parameters = parameters.iter();
    let mut values: Vec<Option<Vec<i64>>> = vec![None; steps.values];
    values[steps.input] = Some(input.iter().map(|&w| w as i64).collect());
    let f = fixed.fraction_bits();
    for step in &steps.steps {
        let x = values[step.inputs[0]].clone().unwrap_or_default();
        let from = shape(step.inputs[0])?;
        let in_range = |wide: Vec<i128>| -> Result<Vec<i64>> {
            match wide.iter().find(|v| v.unsigned_abs() >= 1 << 62) {
                None => Ok(wide.iter().map(|&v| v as i64).collect()),
                Some(v) => Err(Error::Range(format!(
                    "step '{}': a value needs {} bits before truncation, 62 are there at {f} fraction bits; use fewer",
                    step.name,
                    128 - v.unsigned_abs().leading_zeros()
                ))),
            }
        };
        let out = match &step.kind {
            Kind::Product(product) => {
                let (Some(weights), Some(bias)) = (parameters.next(), parameters.next()) else {
                    return Err(Error::Model(format!("step '{}' has no parameters", step.name)));
                };
                let mut sums = sums(product, &from, &x, &weights.words, &bias.words)?;
                for &residual in &step.inputs[1..] {
                    let r = values[residual].as_deref().unwrap_or_default();
                    sums.iter_mut().zip(r).for_each(|(sum, &r)| *sum += i128::from(r) << f);
                }
                let mut out = in_range(sums)?;
                if let Some(axes) = product.pool {
                    out = pool(&Pool::new(&product.product_shape(&from)?, axes)?, &out, i64::MIN, i64::max);
                }
                out.iter_mut().for_each(|v| *v = if product.relu { (*v >> f).max(0) } else { *v >> f });
                out
            }
            Kind::Relu => x.iter().map(|&v| v.max(0)).collect(),
            Kind::MaxPool(axes) => pool(&Pool::new(&from, *axes)?, &x, i64::MIN, i64::max),
            Kind::SumPool(axes) => pool(&Pool::new(&from, *axes)?, &x, 0, i64::wrapping_add),
            Kind::Scale(factor) => {
                let factor = i128::from(fixed.encode("scale", &[*factor])?[0] as i64);
                in_range(x.iter().map(|&v| i128::from(v) * factor).collect())?.iter().map(|v| v >> f).collect()
            }
            Kind::Add => x.iter().zip(values[step.inputs[1]].as_deref().unwrap_or_default()).map(|(a, b)| a.wrapping_add(*b)).collect(),
            Kind::Reshape(_) => x,
        };
        values[step.output] = Some(out);
    }
    Ok(values[steps.output].take().unwrap_or_default().iter().map(|&v| v as u64).collect())
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
