//! Operators of the domain `ai.onnx.ml`, as scikit-learn's models are written: linear models and scalings are products and affine maps of
//! secret parameters, labels and probabilities are computed in the clear by whoever receives the scores.

use super::{
    array::Array,
    attributes::Attributes,
    constant::Constant,
    importer::{Finished, Importer, Meaning, Outcome},
    layout::Layout,
    schema::NodeProto,
};
use crate::{
    Error, Result,
    nn::{
        clear::{Each, Labels, Pairing, Reduction},
        finish::{Along, Finish},
        value::{Tensor, ValueId},
    },
    shape::Shape,
};

/// The domain of these operators.
pub const DOMAIN: &str = "ai.onnx.ml";

impl Importer {
    /// The meanings of a node's outputs.
    pub(super) fn classical(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Vec<Outcome>> {
        let one = match node.op_type.as_str() {
            "Scaler" => Outcome::value(self.scaler(node, attributes)?),
            "LinearRegressor" => self.linear_regressor(node, attributes)?,
            "LinearClassifier" => return self.linear_classifier(node, attributes),
            "Normalizer" => self.normalizer(node, attributes)?,
            "ZipMap" => {
                let labels = labels(attributes, "classlabels_int64s", "classlabels_strings")?;
                Outcome::Finished(self.end_of(node, 0)?.named(labels)?)
            }
            "ArrayFeatureExtractor" => self.features(node)?,
            // inputs are numbers: there is nothing to put in the place of what is none
            "Imputer" if attributes.float("replaced_value_float", 0.0).is_nan() => {
                attributes.ignore(&["imputed_value_floats"]);
                Outcome::value(self.value(node, 0)?)
            }
            other => return Err(Error::Model(refusal(other))),
        };
        Ok(vec![one])
    }

    /// `(x - offset) scale`, each one number or one for each feature.
    fn scaler(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<ValueId> {
        let x = self.activation(node, 0)?;
        let features = self.view(x)?.extents.last().copied().unwrap_or(1);
        let mut numbers = |name: &str, usual: f32| match attributes.floats(name) {
            None => Ok(vec![usual; features]),
            Some(one) if one.len() == 1 => Ok(vec![one[0]; features]),
            Some(all) if all.len() == features => Ok(all),
            Some(other) => Err(Error::Model(format!("{name} of {} numbers for {features} features", other.len()))),
        };
        let (offset, scale) = (numbers("offset", 0.0)?, numbers("scale", 1.0)?);
        let shift = scale.iter().zip(&offset).map(|(scale, offset)| -scale * offset).collect();
        self.affine(x, &Array::list(scale), &Array::list(shift))
    }

    /// Features of an input of shape (N, features).
    fn features_of(&self, x: ValueId) -> Result<usize> {
        match self.view(x)?.item()[..] {
            [features] => Ok(features),
            _ => Err(Error::Model(format!("an input of shape {:?}; (N, features) is expected", self.extents(x)?))),
        }
    }

    /// `W x + b` with the weights of the attributes, one row for each of `rows`.
    fn of_attributes(&mut self, x: ValueId, rows: usize, attributes: &mut Attributes<'_>) -> Result<ValueId> {
        let features = self.features_of(x)?;
        let weights = attributes.floats("coefficients").unwrap_or_default();
        let bias = attributes.floats("intercepts").unwrap_or_else(|| vec![0.0; rows]);
        if rows == 0 || weights.len() != rows * features || bias.len() != rows {
            return Err(Error::Model(format!(
                "{} coefficients and {} intercepts for {rows} scores of {features} features",
                weights.len(),
                bias.len()
            )));
        }
        self.linear(x, Tensor { shape: Shape::new([rows, features])?, values: weights }, bias)
    }

    fn linear_regressor(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Outcome> {
        let x = self.activation(node, 0)?;
        let targets = usize::try_from(attributes.int("targets", 1)).unwrap_or(0);
        let transform = attributes.text("post_transform").unwrap_or_default();
        let value = self.of_attributes(x, targets, attributes)?;
        match (transform.as_str(), targets) {
            ("" | "NONE", _) => Ok(Outcome::value(value)),
            (_, 1) => Err(Error::Model(format!("post_transform = {transform} of one target is not supported; NONE is"))),
            _ => Ok(Outcome::Finished(self.as_end(value)?.then(transformed(&transform, targets)?, &node.op_type))),
        }
    }

    /// The label of each input, and its scores. One score stands for two classes.
    fn linear_classifier(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Vec<Outcome>> {
        let x = self.activation(node, 0)?;
        let labels = labels(attributes, "classlabels_ints", "classlabels_strings")?;
        attributes.ignore(&["multi_class"]);
        let transform = attributes.text("post_transform").unwrap_or_default();
        // the intercepts may be left out
        let rows = attributes.len_of_floats("coefficients") / self.features_of(x)?.max(1);
        let value = self.of_attributes(x, rows, attributes)?;
        let end = self.as_end(value)?;
        let classes = if rows == 1 { 2 } else { rows };
        if labels.len() != classes {
            return Err(Error::Model(format!("{} labels for {classes} classes", labels.len())));
        }
        let mut one = end.clone();
        one.view.extents.pop();
        let index = match rows {
            1 => vec![Finish::Each(Each::IsPositive)],
            _ => vec![Finish::ArgMax { along: Along { len: rows, inner: 1 }, last: false }],
        };
        let label = one.then(index, &node.op_type).labelled(labels, &node.op_type)?;
        let scores = match (rows, transform.as_str()) {
            (1, "LOGISTIC") => vec![Finish::Sigmoid],
            (1, "PROBIT") => return Err(Error::Model("post_transform = PROBIT of one score is not supported; of several it is".into())),
            (1, _) => vec![],
            (_, "" | "NONE") => return Ok(vec![Outcome::Finished(label), Outcome::value(value)]),
            _ => transformed(&transform, rows)?,
        };
        if rows > 1 {
            return Ok(vec![Outcome::Finished(label), Outcome::Finished(end.then(scores, &node.op_type))]);
        }
        let score = end.then(scores, &node.op_type);
        let other = score.clone().then(vec![Finish::Each(Each::Scale(-1.0)), Finish::Each(Each::Shift(1.0))], &node.op_type);
        let both = [other, score];
        let two = self.concatenated(&both, both[0].view.extents.len() - 1, &node.op_type)?;
        Ok(vec![Outcome::Finished(label), Outcome::Finished(two)])
    }

    fn normalizer(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Outcome> {
        let kind = match attributes.text("norm").as_deref() {
            None | Some("MAX") => Reduction::Max,
            Some("L1") => Reduction::L1,
            Some("L2") => Reduction::L2,
            Some(other) => return Err(Error::Model(format!("norm = {other} is not supported; MAX, L1 and L2 are"))),
        };
        let before = self.end_of(node, 0)?;
        let len = before.view.extents.last().copied().unwrap_or(1);
        Ok(Outcome::Finished(before.then(vec![Finish::Normalize(Along { len, inner: 1 }, kind)], &node.op_type)))
    }

    /// Columns by constant indices, or labels by indices that are found at the end.
    fn features(&mut self, node: &NodeProto) -> Result<Outcome> {
        if node.input.get(1).is_some_and(|name| self.finished.contains_key(name)) {
            let labels = self.labels_of(node, 0)?;
            return Ok(Outcome::Finished(self.end_of(node, 1)?.labelled(labels, &node.op_type)?));
        }
        let indices = self.integers(node, 1)?.ok_or_else(|| Error::Model("the indices are missing".into()))?.values;
        let taken =
            indices.iter().map(|&i| usize::try_from(i).map_err(|_| Error::Model(format!("the index {i}")))).collect::<Result<_>>()?;
        if node.input.first().is_some_and(|name| self.finished.contains_key(name)) {
            let before = self.end_of(node, 0)?;
            let axis = self.item_axis(-1, &before.view)?;
            return Ok(Outcome::Finished(self.rearranged(before, &Layout::Take(axis, taken))?));
        }
        match self.meaning(node, 0)? {
            Meaning::Value(x) => {
                let axis = self.item_axis(-1, &self.view(x)?)?;
                Ok(Outcome::value(self.moved(x, &Layout::Take(axis, taken))?))
            }
            Meaning::Constant(constant) => {
                let axis = constant.extents().len().saturating_sub(1);
                let taken: Constant = constant.moved(&Layout::Take(axis, taken))?;
                Ok(Outcome::Known(Meaning::Constant(taken)))
            }
        }
    }
}

impl Finished {
    /// The same numbers as those of classes.
    fn named(self, labels: Labels) -> Result<Self> {
        match self.view.extents.last() {
            Some(&classes) if classes == labels.len() => Ok(self.then(vec![Finish::Named(labels)], "ZipMap")),
            other => Err(Error::Model(format!("{} labels for {} numbers", labels.len(), other.unwrap_or(&1)))),
        }
    }
}

/// Labels of classes, numbers or texts.
fn labels(attributes: &mut Attributes<'_>, integers: &str, strings: &str) -> Result<Labels> {
    match (attributes.ints(integers).filter(|all| !all.is_empty()), attributes.texts(strings).filter(|all| !all.is_empty())) {
        (Some(all), None) => Ok(Labels::Integers(all)),
        (None, Some(all)) => Ok(Labels::Strings(all)),
        (Some(_), Some(_)) => Err(Error::Model(format!("both {integers} and {strings}"))),
        (None, None) => Err(Error::Model(format!("{integers} or {strings} is missing"))),
    }
}

/// Functions of scores, so many in a row.
fn transformed(transform: &str, len: usize) -> Result<Vec<Finish>> {
    let along = Along { len, inner: 1 };
    Ok(match transform {
        "" | "NONE" => vec![],
        "SOFTMAX" => vec![Finish::Softmax(along)],
        "LOGISTIC" => vec![Finish::Sigmoid],
        "PROBIT" => vec![Finish::Each(Each::Probit)],
        // zeros stay, the softmax is that of the others
        "SOFTMAX_ZERO" => vec![
            Finish::Each(Each::IsNonzero),
            Finish::Results(vec![0]),
            Finish::Softmax(along),
            Finish::Results(vec![3, 1]),
            Finish::Pairs(Pairing::Mul),
            Finish::Normalize(along, Reduction::L1),
        ],
        other => {
            return Err(Error::Model(format!(
                "post_transform = {other} is not supported; NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO and PROBIT are"
            )));
        }
    })
}

/// Why an operator is not there.
fn refusal(name: &str) -> String {
    let reason = match name {
        "TreeEnsembleClassifier" | "TreeEnsembleRegressor" | "TreeEnsemble" => "trees compare every input with secret thresholds; ",
        "SVMClassifier" | "SVMRegressor" => "a kernel machine; a linear one (LinearSVC, LinearSVR) is a linear model; ",
        "OneHotEncoder" | "LabelEncoder" | "CategoryMapper" | "DictVectorizer" | "FeatureVectorizer" | "Imputer" | "Binarizer" => {
            "encode categories and missing values before they are shared; "
        }
        _ => "",
    };
    format!("the operator {name} of {DOMAIN} is not supported: {reason}supported: {SUPPORTED}")
}

/// The operators of this domain.
pub const SUPPORTED: &str =
    "ArrayFeatureExtractor, Imputer (of NaN), LinearClassifier, LinearRegressor, Normalizer (at the end), Scaler, ZipMap";
