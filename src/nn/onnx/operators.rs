//! Which operator becomes what: constants are computed, products keep their weights, the rest is in the files by kind.

use super::{Constant, Importer, Meaning, SUPPORTED, Tensor, array::Array, attributes::Attributes, fold, schema::NodeProto, tensor};
use crate::{Error, Result, nn::graph::Op, shape::Shape};

impl Importer {
    /// What a node's first output means.
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
                match tensor::is_float(attributes.int("to", 0) as i32)? {
                    true => self.value(node, 0),
                    false => Err(Error::Model("an activation cannot be cast to integers".into())),
                }
            }
            "Conv" => self.conv(node, attributes),
            "ConvTranspose" => self.conv_transpose(node, attributes),
            "Gemm" => self.gemm(node, attributes),
            "MatMul" => self.matmul(node),
            "BatchNormalization" => self.batch_normalization(node, attributes),
            "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" => self.pool(node, attributes),
            "ReduceMean" | "ReduceSum" | "ReduceMax" => self.reduce(node, attributes),
            "Resize" | "Upsample" => self.resize(node, attributes),
            "Add" | "Sub" | "Mul" | "Div" | "Sum" | "Mean" | "Max" | "Min" | "Neg" | "Abs" | "Relu" | "LeakyRelu" | "PRelu" | "Clip"
            | "HardSigmoid" => self.elementwise(node, attributes),
            "Transpose" | "Concat" | "Slice" | "Pad" | "Squeeze" | "Unsqueeze" | "Expand" | "Gather" | "Flatten" | "Reshape"
            | "DepthToSpace" | "SpaceToDepth" => return self.movement(node, attributes),
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
        if let ("Shape" | "Size", Ok(Meaning::Value(value))) = (name, self.meaning(node, 0)) {
            self.batch_read |= self.batched;
            let shape = self.shape(value)?.extents();
            let extents: Vec<i64> = shape[usize::from(!self.batched)..].iter().map(|&extent| extent as i64).collect();
            return match name {
                "Shape" => fold::shape(&extents, attributes).map(Some),
                _ => Ok(Some(Constant::Integers(Array::one(extents.iter().product())))),
            };
        }
        let mut inputs = Vec::new();
        for i in 0..node.input.len() {
            match self.has(node, i).then(|| self.meaning(node, i)).transpose()? {
                None => inputs.push(None),
                Some(Meaning::Constant(constant)) => inputs.push(Some(constant)),
                Some(Meaning::Value(_)) => return Ok(None),
            }
        }
        fold::fold(name, &inputs, attributes)
    }

    fn gemm(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<usize> {
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
        self.push(Op::Linear { weights, bias }, &[x])
    }

    fn matmul(&mut self, node: &NodeProto) -> Result<usize> {
        if self.value(node, 1).is_ok() {
            return Err(Error::Model("the second factor is computed; a product of two activations is not supported".into()));
        }
        let x = self.value(node, 0)?;
        let weights = transpose(&self.weights(node, 1, "matrix")?)?;
        let bias = vec![0.0; weights.shape.extents()[0]];
        self.push(Op::Linear { weights, bias }, &[x])
    }

    /// `scale (x - mean) / sqrt(variance + epsilon) + bias`.
    fn batch_normalization(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<usize> {
        if !self.batched {
            return Err(Error::Model("it needs channels behind a batch, and this model is read without one".into()));
        }
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
        self.push(Op::Affine { scale: factors, shift }, &[x])
    }
}

/// Why an operator is not there.
fn refusal(name: &str) -> String {
    let reason = match name {
        "Sigmoid"
        | "Tanh"
        | "Exp"
        | "Log"
        | "Sqrt"
        | "Reciprocal"
        | "Pow"
        | "Erf"
        | "Gelu"
        | "Elu"
        | "Selu"
        | "Celu"
        | "Softplus"
        | "Softsign"
        | "Mish"
        | "HardSwish"
        | "LogSoftmax"
        | "Softmax"
        | "LRN"
        | "LayerNormalization"
        | "InstanceNormalization"
        | "GroupNormalization"
        | "LpNormalization" => "a function that no protocol computes yet; ",
        "LSTM" | "GRU" | "RNN" | "Loop" | "If" | "Scan" => "a model whose course depends on its steps; ",
        _ => "",
    };
    format!("this operator is not supported: {reason}supported: {SUPPORTED}")
}

fn transpose(x: &Tensor) -> Result<Tensor> {
    let &[rows, columns] = x.shape.extents() else {
        return Err(Error::Model(format!("a matrix is expected, found {}", x.shape)));
    };
    let values = (0..rows * columns).map(|e| x.values[e % rows * columns + e / rows]).collect();
    Ok(Tensor { shape: Shape::new([columns, rows])?, values })
}
