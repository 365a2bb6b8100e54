//! Which operator becomes what: constants are computed, products keep their weights, the rest is in the files by kind.

use super::{
    array::{Array, broadcast},
    attributes::Attributes,
    batch::{Batch, View},
    constant::Constant,
    fold,
    importer::{Importer, Meaning},
    layout::{Layout, apart},
    schema::NodeProto,
    tensor,
};
use crate::{
    Error, Result,
    nn::{
        ops::MatMul,
        value::{Tensor, ValueId},
    },
    shape::Shape,
};

/// The operators that an import understands. Arithmetic and layout operations are also computed on constants.
pub const SUPPORTED: &str = "Abs, Add, ArgMax (at the end), ArgMin (at the end), AveragePool, BatchNormalization, Cast, Clip, Concat, Constant, ConstantOfShape, \
Conv, ConvTranspose, DepthToSpace, DequantizeLinear (of weights), Div (by constants), Dropout, Exp (at the end), Expand, Flatten, \
Gather, Gemm, GlobalAveragePool, GlobalMaxPool, Greater, GreaterOrEqual, HardSigmoid, HardSwish, Identity, If (of constants), LeakyRelu, Less, LessOrEqual, Log (at the end), \
LogSoftmax (at the end), LpNormalization (at the end), MatMul, Max, MaxPool, Mean, Min, Mul, Neg, Not, PRelu, Pad, Pow \
(whole powers), Reciprocal (at the end), ReduceL1, ReduceL2 (at the end), ReduceLogSumExp (at the end), ReduceMax, ReduceMean, \
ReduceMin, ReduceProd (of 8 at most), ReduceSum, ReduceSumSquare, Relu, Reshape, Resize, Shape, Sigmoid (at the end), Sign (at the \
end), Slice, Softmax (at the end), Softplus (at the end), SpaceToDepth, Split, Sqrt (at the end), Squeeze, Sub, Sum, Tanh (at the \
end), Tile, Transpose, Unsqueeze, Upsample, Where (by constants or comparisons)";

impl Importer {
    /// The meaning of a node's first output.
    pub(super) fn operator(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Meaning> {
        if let Some(constant) = self.folded(node, attributes)? {
            return Ok(Meaning::Constant(constant));
        }
        let value = match node.op_type.as_str() {
            "Identity" | "Dropout" => {
                if matches!(self.integers(node, 2), Ok(Some(training)) if training.values != [0]) {
                    return Err(Error::Model("training_mode is not supported".into()));
                }
                attributes.ignore(&["ratio", "seed"]);
                return self.meaning(node, 0);
            }
            "Cast" => {
                attributes.ignore(&["saturate"]);
                let to = attributes.int("to", 0) as i32;
                match node.input.first().and_then(|name| self.comparisons.get(name)) {
                    Some(&comparison) if tensor::is_float(to)? => self.indicator(comparison),
                    _ => self.cast_whole(node, to),
                }
            }
            "Conv" => self.conv(node, attributes),
            "ConvTranspose" => self.conv_transpose(node, attributes),
            "Gemm" => self.gemm(node, attributes),
            "MatMul" => self.matmul(node),
            "BatchNormalization" => self.batch_normalization(node, attributes),
            "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" => self.pool(node, attributes),
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceL1" | "ReduceSumSquare" => self.reduce(node, attributes),
            "ReduceProd" => self.reduced_product(node, attributes),
            "Resize" | "Upsample" => self.resize(node, attributes),
            "Add" | "Sub" | "Mul" | "Div" | "Sum" | "Mean" | "Max" | "Min" | "Neg" | "Abs" | "Relu" | "LeakyRelu" | "PRelu" | "Clip"
            | "HardSigmoid" | "HardSwish" | "Pow" | "Where" => self.elementwise(node, attributes),
            "Transpose" | "Concat" | "Slice" | "Pad" | "Squeeze" | "Unsqueeze" | "Expand" | "Gather" | "Flatten" | "Reshape"
            | "DepthToSpace" | "SpaceToDepth" | "Tile" => return self.layout(node, attributes),
            other => Err(Error::Model(refusal(other))),
        };
        value.map(Meaning::Value)
    }

    /// The constant that a node without computed inputs makes, or that is known of a computed one's shape.
    fn folded(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Option<Constant>> {
        let name = node.op_type.as_str();
        if name == "Constant" {
            return attributes.constant().map(Some);
        }
        if matches!(name, "Shape" | "Size")
            && let Ok(end) = self.end_of(node, 0)
        {
            self.batch_read |= self.batch.is_followed();
            let extents: Vec<i64> = self.batch.extents(&end.view).iter().map(|&extent| extent as i64).collect();
            return match name {
                "Shape" => fold::shape(&extents, attributes).map(Some),
                _ => Ok(Some(Constant::Integers(Array::one(extents.iter().product())))),
            };
        }
        let mut inputs = Vec::new();
        for i in 0..node.input.len() {
            let compared = node.input.get(i).is_some_and(|name| self.comparisons.contains_key(name));
            match self.has(node, i).then(|| self.meaning(node, i)).filter(|_| !compared).transpose()? {
                None if compared => return Ok(None),
                None => inputs.push(None),
                Some(Meaning::Constant(constant)) => inputs.push(Some(constant)),
                Some(Meaning::Value(_)) => return Ok(None),
            }
        }
        fold::fold(name, &inputs, attributes)
    }

    /// A cast of integers to a type that holds them all, or to floats, where nothing changes; or of floats to floats.
    fn cast_whole(&mut self, node: &NodeProto, to: i32) -> Result<ValueId> {
        let x = self.value(node, 0)?;
        match self.whole.get(&node.input[0]).copied() {
            _ if tensor::is_float(to)? => Ok(x),
            Some(from) if tensor::holds(to, from) => {
                self.whole.insert(node.output[0].clone(), to);
                Ok(x)
            }
            _ => Err(Error::Model("integers cannot be cast to a type that does not hold them all; cast them to floats".into())),
        }
    }

    /// Integers stay integers where they only move; arithmetic on them must be that on numbers.
    pub(super) fn keep_whole(&mut self, node: &NodeProto) -> Result<()> {
        let Some(element_type) = node.input.iter().find_map(|name| self.whole.get(name)).copied() else { return Ok(()) };
        match node.op_type.as_str() {
            "Cast" | "Shape" | "Size" => {}
            "Identity" | "Dropout" | "Transpose" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" | "Slice" | "Gather" | "Expand"
            | "Tile" | "Concat" | "Split" | "Pad" | "DepthToSpace" | "SpaceToDepth" => {
                self.whole.extend(node.output.iter().map(|name| (name.clone(), element_type)));
            }
            "Div" | "Mean" | "ReduceMean" | "AveragePool" | "GlobalAveragePool" => {
                return Err(Error::Model("it divides integers, whose quotients are cut; cast them to floats before".into()));
            }
            _ if tensor::is_narrow(element_type) => {
                return Err(Error::Model("it computes with integers of 8 or 16 bits, which wrap; cast them to floats before".into()));
            }
            _ => {}
        }
        Ok(())
    }

    fn gemm(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<ValueId> {
        let x = self.activation(node, 0)?;
        attributes.only("transA", 0)?;
        let transposed = attributes.int("transB", 0) != 0;
        let (alpha, beta) = (attributes.float("alpha", 1.0), attributes.float("beta", 1.0));
        let mut weights = self.weights(node, 1, "matrix")?;
        if !transposed {
            weights = transpose(&weights)?;
        }
        weights.values.iter_mut().for_each(|w| *w *= alpha);
        let out = weights.shape.extents().first().copied().unwrap_or(0);
        if self.has(node, 2) && self.value(node, 2).is_ok() {
            let (bias, product) = (self.value(node, 2)?, self.linear(x, weights, vec![0.0; out])?);
            return self.combined(product, bias, [1.0, beta]);
        }
        let Some(bias) = self.constant(node, 2)? else { return self.linear(x, weights, vec![0.0; out]) };
        let values: Vec<f32> = bias.values.iter().map(|b| b * beta).collect();
        match bias.shape.extents().last() {
            _ if values.len() == 1 => self.linear(x, weights, vec![values[0]; out]),
            Some(&last) if (last, values.len()) == (out, out) => self.linear(x, weights, values),
            // one for each row
            _ => {
                let product = self.linear(x, weights, vec![0.0; out])?;
                self.shifted(product, Array { extents: bias.shape.extents().to_vec(), values })
            }
        }
    }

    /// `W x + b` along the last extent, W (out, in).
    pub(super) fn linear(&mut self, x: ValueId, weights: Tensor, bias: Vec<f32>) -> Result<ValueId> {
        let view = self.view(x)?;
        if self.batch.kept(&view).is_some_and(|at| at + 1 == view.extents.len()) {
            return Err(apart());
        }
        let (weights, bias) = (self.parameter(weights), self.list(bias)?);
        self.push(MatMul { transposed: true }, &[x, weights, bias])
    }

    /// A constant factor is a weight; two computed ones are multiplied item by item.
    fn matmul(&mut self, node: &NodeProto) -> Result<ValueId> {
        match (self.meaning(node, 0)?, self.meaning(node, 1)?) {
            (Meaning::Value(x), Meaning::Value(y)) => self.matrices(x, y),
            (Meaning::Value(x), Meaning::Constant(y)) if stacked(&y) => {
                let y = self.matrices_of(&y, x)?;
                self.matrices(x, y)
            }
            (Meaning::Constant(x), Meaning::Value(y)) if stacked(&x) => {
                let x = self.matrices_of(&x, y)?;
                self.matrices(x, y)
            }
            (Meaning::Value(x), Meaning::Constant(_)) => {
                let (weights, vector) = matrix(self.weights(node, 1, "matrix")?, false)?;
                let bias = vec![0.0; weights.shape.extents()[0]];
                let y = self.linear(x, weights, bias)?;
                if vector { self.without_axis(y, 1) } else { Ok(y) }
            }
            // W X = (X^T W^T)^T
            (Meaning::Constant(_), Meaning::Value(x)) => {
                let (weights, vector) = matrix(self.weights(node, 0, "matrix")?, true)?;
                let bias = vec![0.0; weights.shape.extents()[0]];
                let turned = self.turned(x)?;
                let product = self.linear(turned, weights, bias)?;
                let y = self.turned(product)?;
                if vector { self.without_axis(y, 2) } else { Ok(y) }
            }
            (Meaning::Constant(_), Meaning::Constant(_)) => Err(Error::Model("a product of two constants of these kinds".into())),
        }
    }

    /// The last two axes exchanged.
    fn turned(&mut self, x: ValueId) -> Result<ValueId> {
        let rank = self.extents(x)?.len();
        if rank < 2 {
            return Err(Error::Model(format!("a matrix is expected, found {:?}", self.extents(x)?)));
        }
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(rank - 2, rank - 1);
        self.moved(x, &Layout::Transpose(order))
    }

    /// Without an axis of one element, counted from the end.
    fn without_axis(&mut self, x: ValueId, from_end: usize) -> Result<ValueId> {
        let mut extents = self.extents(x)?;
        extents.remove(extents.len() - from_end);
        self.moved(x, &Layout::Reshape(extents))
    }

    /// Products of matrices of each item, the axes in front broadcast against each other.
    fn matrices(&mut self, x: ValueId, y: ValueId) -> Result<ValueId> {
        let views = [self.view(x)?, self.view(y)?];
        let [a, b] = views.each_ref().map(|view| self.batch.extents(view));
        let inside = |view: &View| self.batch.kept(view).is_none_or(|at| at + 2 < view.extents.len());
        if a.len() < 2 || b.len() < 2 || !views.iter().all(inside) || self.batch.meets(&views[0], &views[1]).is_err() {
            return Err(Error::Model(format!(
                "a product of computed values of shapes {a:?} and {b:?}: two matrices for each input of the batch are supported"
            )));
        }
        let front = broadcast(&a[..a.len() - 2], &b[..b.len() - 2])?;
        let mut factors = [
            self.moved(x, &Layout::Broadcast([&front[..], &a[a.len() - 2..]].concat()))?,
            self.moved(y, &Layout::Broadcast([&front[..], &b[b.len() - 2..]].concat()))?,
        ];
        if front.is_empty() && self.batch == Batch::One {
            factors = [self.in_full(factors[0])?, self.in_full(factors[1])?];
        }
        let product = self.push(MatMul { transposed: false }, &factors)?;
        self.in_place(product)
    }

    /// Several constant matrices as a value that each item has, its axes those of another value.
    fn matrices_of(&mut self, constant: &Constant, other: ValueId) -> Result<ValueId> {
        let (constant, other) = (constant.floats(), self.view(other)?);
        let rank = constant.rank().max(other.extents.len());
        let padded = [&vec![1; rank - constant.rank()], &constant.extents[..]].concat();
        let (mut extents, at) = (padded.clone(), other.place.axis());
        let at = at.map(|at| at + rank - other.extents.len());
        if let (Some(at), Some(own)) = (at, self.batch.kept(&other)) {
            extents[at] = other.extents[own];
        }
        let view = self.batch.view(extents, at);
        self.of_each_item(&constant.reshaped(padded)?, &view)
    }

    /// `scale (x - mean) / sqrt(variance + epsilon) + bias`.
    fn batch_normalization(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<usize> {
        if self.batch == Batch::Absent {
            return Err(Error::Model("it needs channels behind a batch, and this model is read without one".into()));
        }
        let x = self.activation(node, 0)?;
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
        let inner = vec![1; self.view(x)?.extents.len().saturating_sub(2)];
        let channels = |values: Vec<f32>| Array { extents: [&[values.len()], &inner[..]].concat(), values };
        self.affine(x, &channels(factors), &channels(shift))
    }
}

/// Why an operator is not there, and what may stand in its place.
pub(super) fn refusal(name: &str) -> String {
    let reason = match name {
        "Tanh" | "Erf" | "Gelu" | "Elu" | "Selu" | "Celu" | "Softplus" | "Softsign" | "Mish" | "Swish" | "ThresholdedRelu" => {
            "an activation that no protocol computes yet: train with Relu, LeakyRelu, HardSwish or HardSigmoid in its place"
        }
        "Exp" | "Log" | "Sqrt" | "Reciprocal" | "Sin" | "Cos" | "Einsum" | "CumSum" | "Mod" => {
            "it is computed from constants only: leave it out of the network, or to whoever receives the output"
        }
        "LRN"
        | "LayerNormalization"
        | "InstanceNormalization"
        | "GroupNormalization"
        | "LpNormalization"
        | "RMSNormalization"
        | "MeanVarianceNormalization" => {
            "a normalisation by statistics of the input, which no protocol computes yet: BatchNormalization costs nothing"
        }
        "LSTM" | "GRU" | "RNN" | "Loop" | "Scan" => {
            "a model whose course depends on its steps: unroll it, or use convolutions or attention"
        }
        "Equal" | "And" | "Or" | "Xor" | "Sign" => {
            "it makes bits of computed values, of which there are those of Greater, Less and their kin, before Where, Not or Cast"
        }
        "QuantizeLinear"
        | "DequantizeLinear"
        | "DynamicQuantizeLinear"
        | "QLinearConv"
        | "QLinearMatMul"
        | "ConvInteger"
        | "MatMulInteger" => "it quantizes activations: export the model in floats; weights may stay in 8 bits behind DequantizeLinear",
        _ => "express it by operators that are",
    };
    format!("this operator is not supported; {reason}. Supported: {SUPPORTED}")
}

/// Whether a constant is several matrices.
fn stacked(constant: &Constant) -> bool {
    let extents = constant.extents();
    extents.len() > 2 && extents[..extents.len() - 2].iter().any(|&extent| extent != 1)
}

/// Weights (out, in) of a constant factor on the `left` or on the right, and whether it is a vector.
fn matrix(mut tensor: Tensor, left: bool) -> Result<(Tensor, bool)> {
    let extents = tensor.shape.extents().to_vec();
    let vector = extents.len() == 1;
    let small: Vec<usize> = match vector {
        true if left => vec![1, extents[0]],
        true => vec![extents[0], 1],
        false => extents[extents.len() - 2..].to_vec(),
    };
    tensor.shape = Shape::new(small)?;
    Ok((if left { tensor } else { transpose(&tensor)? }, vector))
}

fn transpose(x: &Tensor) -> Result<Tensor> {
    let &[rows, columns] = x.shape.extents() else {
        return Err(Error::Model(format!("a matrix is expected, found {}", x.shape)));
    };
    let values = (0..rows * columns).map(|e| x.values[e % rows * columns + e / rows]).collect();
    Ok(Tensor { shape: Shape::new([columns, rows])?, values })
}
