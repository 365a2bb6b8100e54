//! Each operator as one operation of the graph.

use super::{Importer, Meaning, SUPPORTED, Tensor, ValueId, attributes::Attributes, schema::NodeProto};
use crate::{
    Error, Result,
    nn::graph::Op,
    shape::{Axis, Shape},
};

type Made = (Op, Vec<ValueId>);

impl Importer {
    /// The operation of a node and the values that it reads.
    pub(super) fn operator(&self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Made> {
        match node.op_type.as_str() {
            "Conv" => self.conv(node, attributes),
            "Gemm" => self.gemm(node, attributes),
            "MatMul" => self.matmul(node),
            "Add" => self.add(node),
            "Relu" => Ok((Op::Relu, vec![self.value(node, 0)?])),
            "MaxPool" => {
                let x = self.value(node, 0)?;
                let axes = attributes.windows(None, self.shape(x)?)?;
                attributes.only("storage_order", 0)?;
                Ok((Op::MaxPool { axes }, vec![x]))
            }
            "AveragePool" => self.average_pool(node, attributes),
            "GlobalAveragePool" => {
                let x = self.value(node, 0)?;
                match *self.shape(x)?.extents() {
                    [_, _, h, w] => Ok((Op::AveragePool { axes: [Axis::new(h), Axis::new(w)] }, vec![x])),
                    _ => Err(Error::Model("an input (N, C, H, W) is expected".into())),
                }
            }
            "BatchNormalization" => self.batch_normalization(node, attributes),
            "Flatten" => {
                let x = self.value(node, 0)?;
                attributes.only("axis", 1)?;
                Ok((Op::Reshape { extents: vec![self.shape(x)?.extents()[1..].iter().product()] }, vec![x]))
            }
            "Reshape" => self.reshape(node, attributes),
            _ => Err(Error::Model(format!("this operator is not supported; supported: {SUPPORTED}"))),
        }
    }

    fn conv(&self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Made> {
        let x = self.value(node, 0)?;
        let weights = self.weights(node, 1, "weights")?;
        let &[o, _, kh, kw] = weights.shape.extents() else {
            return Err(Error::Model(format!("weights of shape {}; only two-dimensional convolutions are supported", weights.shape)));
        };
        let bias = self.constant(node, 2)?.map_or(vec![0.0; o], |bias| bias.values);
        let axes = attributes.windows(Some([kh, kw]), self.shape(x)?)?;
        let groups = usize::try_from(attributes.int("group", 1)).unwrap_or(0);
        Ok((Op::Conv { weights, bias, axes, groups }, vec![x]))
    }

    fn gemm(&self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Made> {
        let x = self.value(node, 0)?;
        attributes.only("transA", 0)?;
        let transposed = attributes.int("transB", 0) != 0;
        let (alpha, beta) = (attributes.float("alpha", 1.0), attributes.float("beta", 1.0));
        let mut weights = self.weights(node, 1, "matrix")?;
        if !transposed {
            weights = transpose(&weights)?;
        }
        weights.values.iter_mut().for_each(|w| *w *= alpha);
        let out = weights.shape.extents().first().copied().unwrap_or(0);
        let bias = match self.constant(node, 2)? {
            None => vec![0.0; out],
            Some(bias) if bias.values.len() == 1 => vec![bias.values[0] * beta; out],
            Some(bias) if bias.values.len() == out && bias.shape.extents().last() == Some(&out) => {
                bias.values.iter().map(|b| b * beta).collect()
            }
            Some(bias) => return Err(Error::Model(format!("a bias of shape {} for {out} outputs", bias.shape))),
        };
        Ok((Op::Linear { weights, bias }, vec![x]))
    }

    fn matmul(&self, node: &NodeProto) -> Result<Made> {
        let x = self.value(node, 0)?;
        let weights = transpose(&self.weights(node, 1, "matrix")?)?;
        let bias = vec![0.0; weights.shape.extents()[0]];
        Ok((Op::Linear { weights, bias }, vec![x]))
    }

    /// Two activations, or an activation and a constant for each channel.
    fn add(&self, node: &NodeProto) -> Result<Made> {
        match (self.meaning(node, 0)?, self.meaning(node, 1)?) {
            (Meaning::Value(a), Meaning::Value(b)) => Ok((Op::add(), vec![a, b])),
            (Meaning::Value(x), Meaning::Floats(constant)) | (Meaning::Floats(constant), Meaning::Value(x)) => {
                let shift = per_channel(self.shape(x)?, &constant)?;
                Ok((Op::Affine { scale: vec![1.0; shift.len()], shift }, vec![x]))
            }
            _ => Err(Error::Model("a sum of two activations, or of an activation and floats, is expected".into())),
        }
    }

    fn average_pool(&self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Made> {
        let x = self.value(node, 0)?;
        let axes = attributes.windows(None, self.shape(x)?)?;
        let counts_padding = attributes.int("count_include_pad", 0) != 0;
        if !counts_padding && axes.iter().any(|a| a.pad_begin + a.pad_end > 0) {
            return Err(Error::Model(
                "padding with count_include_pad = 0 is not supported: the divisor would differ from place to place".into(),
            ));
        }
        Ok((Op::AveragePool { axes }, vec![x]))
    }

    /// `scale (x - mean) / sqrt(variance + epsilon) + bias`.
    fn batch_normalization(&self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Made> {
        let x = self.value(node, 0)?;
        let epsilon = attributes.float("epsilon", 1e-5);
        attributes.ignore(&["momentum"]);
        attributes.only("spatial", 1)?;
        attributes.only("training_mode", 0)?;
        let [scale, bias, mean, variance] = ["scale", "bias", "mean", "variance"];
        let (scale, bias) = (self.weights(node, 1, scale)?.values, self.weights(node, 2, bias)?.values);
        let (mean, variance) = (self.weights(node, 3, mean)?.values, self.weights(node, 4, variance)?.values);
        if [&bias, &mean, &variance].iter().any(|v| v.len() != scale.len()) {
            return Err(Error::Model("scale, bias, mean and variance differ in length".into()));
        }
        if variance.iter().any(|&v| v + epsilon <= 0.0) {
            return Err(Error::Range("a variance is not positive".into()));
        }
        let factors: Vec<f32> = scale.iter().zip(&variance).map(|(s, v)| s / (v + epsilon).sqrt()).collect();
        let shift = factors.iter().zip(&mean).zip(&bias).map(|((f, m), b)| b - f * m).collect();
        Ok((Op::Affine { scale: factors, shift }, vec![x]))
    }

    fn reshape(&self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Made> {
        let x = self.value(node, 0)?;
        attributes.only("allowzero", 0)?;
        let Meaning::Integers(wanted) = self.meaning(node, 1)? else {
            return Err(Error::Model("the shape must be a constant of integers".into()));
        };
        let from = self.shape(x)?;
        let to = resolve(from, &wanted)?;
        match to.split_first() {
            Some((1, extents)) => Ok((Op::Reshape { extents: extents.to_vec() }, vec![x])),
            _ => Err(Error::Model(format!("{from} to {wanted:?} moves elements between inputs of a batch"))),
        }
    }
}

/// The extents that a Reshape asks for, 0 and -1 resolved, for a batch of one.
fn resolve(from: &Shape, wanted: &[i64]) -> Result<Vec<usize>> {
    let bad = || Error::Model(format!("cannot reshape {from} to {wanted:?}"));
    let mut to = Vec::new();
    for (d, &extent) in wanted.iter().enumerate() {
        to.push(match extent {
            0 => Some(*from.extents().get(d).ok_or_else(bad)?),
            -1 => None,
            1.. => Some(extent as usize),
            _ => return Err(bad()),
        });
    }
    let known = to.iter().flatten().try_fold(1usize, |n, &e| n.checked_mul(e)).ok_or_else(bad)?;
    let free = to.iter().filter(|e| e.is_none()).count();
    if free > 1 || known == 0 || !from.elements().is_multiple_of(known) || (free == 0 && known != from.elements()) {
        return Err(bad());
    }
    Ok(to.into_iter().map(|e| e.unwrap_or(from.elements() / known)).collect())
}

fn transpose(x: &Tensor) -> Result<Tensor> {
    let &[rows, columns] = x.shape.extents() else {
        return Err(Error::Model(format!("a matrix is expected, found {}", x.shape)));
    };
    let values = (0..rows * columns).map(|e| x.values[e % rows * columns + e / rows]).collect();
    Ok(Tensor { shape: Shape::new([columns, rows])?, values })
}

/// A constant that has one number a channel, or one in all.
fn per_channel(x: &Shape, constant: &Tensor) -> Result<Vec<f32>> {
    let channels = x.extents().get(1).copied().unwrap_or(0);
    let mut extents = vec![1; x.rank().saturating_sub(constant.shape.rank())];
    extents.extend(constant.shape.extents());
    let fits = extents.len() == x.rank() && extents.iter().enumerate().all(|(d, &e)| e == 1 || (d == 1 && e == channels));
    match constant.values.len() {
        1 => Ok(vec![constant.values[0]; channels]),
        _ if fits => Ok(constant.values.clone()),
        _ => Err(Error::Model(format!("a constant of shape {} for an activation {x}; one number a channel is supported", constant.shape))),
    }
}
