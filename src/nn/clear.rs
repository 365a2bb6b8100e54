//! Arithmetic in the clear: functions of numbers, of groups of them and of pairs, and labels of classes.

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub enum Each {
    /// `exp(x)`.
    Exp,
    /// `log(x)`.
    Log,
    /// The square root.
    Sqrt,
    /// The hyperbolic tangent.
    Tanh,
    /// `1 / x`.
    Reciprocal,
    /// `log(1 + exp(x))`.
    Softplus,
    /// The quantile of the normal distribution, in Winitzki's approximation, which is that of onnxruntime.
    Probit,
    /// `|x|`.
    Abs,
    /// The whole part, towards zero.
    Truncate,
    /// 1 where the number is not zero, else 0.
    IsNonzero,
    /// 1 where the number is more than zero, else 0.
    IsPositive,
    /// `c x`.
    Scale(f32),
    /// `x + c`.
    Shift(f32),
    /// A power.
    Power(f32),
    /// `min(max(x, low), high)`.
    Clip(f32, f32),
    /// -1, 0 or 1.
    Sign,
}

/// A number of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub enum Reduction {
    /// The sum.
    Sum,
    /// The mean.
    Mean,
    /// The largest.
    Max,
    /// The least.
    Min,
    /// The sum of absolute values.
    L1,
    /// The root of the sum of squares.
    L2,
    /// `log sum_i exp(x_i)`.
    LogSumExp,
}

/// A function of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub enum Pairing {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a b`.
    Mul,
    /// `a / b`.
    Div,
    /// The larger.
    Max,
    /// The smaller.
    Min,
}

/// Labels of classes, in the order of the classes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub enum Labels {
    /// Numbers.
    Integers(Vec<i64>),
    /// Texts.
    Strings(Vec<String>),
}

impl Each {
    /// The function's value.
    pub fn of(self, x: f32) -> f32 {
        match self {
            Self::Exp => x.exp(),
            Self::Log => x.ln(),
            Self::Sqrt => x.sqrt(),
            Self::Tanh => x.tanh(),
            Self::Reciprocal => x.recip(),
            Self::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Self::Probit => std::f32::consts::SQRT_2 * inverse_erf(2.0 * x - 1.0),
            Self::Abs => x.abs(),
            Self::Truncate => x.trunc(),
            Self::IsNonzero => f32::from(u8::from(x != 0.0)),
            Self::IsPositive => f32::from(u8::from(x > 0.0)),
            Self::Scale(c) => c * x,
            Self::Shift(c) => x + c,
            Self::Power(c) => x.powf(c),
            Self::Clip(low, high) => x.max(low).min(high),
            Self::Sign if x == 0.0 => 0.0,
            Self::Sign => x.signum(),
        }
    }

    /// Whether the largest number stays the largest.
    pub fn keeps_order(self) -> bool {
        match self {
            Self::Exp | Self::Tanh | Self::Softplus | Self::Probit | Self::Shift(_) => true,
            Self::Scale(c) => c > 0.0,
            _ => false,
        }
    }
}

/// The inverse of the error function. Source: Winitzki, A handy approximation for the error function and its inverse, 2008.
fn inverse_erf(x: f32) -> f32 {
    let log = ((1.0 - x) * (1.0 + x)).ln();
    let half = 2.0 / (std::f32::consts::PI * 0.147) + 0.5 * log;
    ((half * half - log / 0.147).sqrt() - half).sqrt().copysign(x)
}

impl Reduction {
    /// The number of a group.
    pub fn of(self, x: &[f32]) -> f32 {
        let sum = |f: fn(f32) -> f32| x.iter().map(|&v| f64::from(f(v))).sum::<f64>();
        let top = || x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        match self {
            Self::Sum => sum(|v| v) as f32,
            Self::Mean => (sum(|v| v) / x.len() as f64) as f32,
            Self::Max => top(),
            Self::Min => x.iter().copied().fold(f32::INFINITY, f32::min),
            Self::L1 => sum(f32::abs) as f32,
            Self::L2 => sum(|v| v * v).sqrt() as f32,
            Self::LogSumExp => top() + x.iter().map(|v| (v - top()).exp()).sum::<f32>().ln(),
        }
    }

    /// The group over this number of it; zeros stay zeros.
    pub fn normalized(self, x: &[f32]) -> Vec<f32> {
        let norm = self.of(x);
        x.iter().map(|v| if norm == 0.0 { *v } else { v / norm }).collect()
    }
}

impl Pairing {
    /// The function's value.
    pub fn of(self, a: f32, b: f32) -> f32 {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
            Self::Max => a.max(b),
            Self::Min => a.min(b),
        }
    }
}

impl Labels {
    /// Number of classes.
    pub fn len(&self) -> usize {
        match self {
            Self::Integers(all) => all.len(),
            Self::Strings(all) => all.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The label of a class as text; its index if it has none.
    pub fn text(&self, class: usize) -> String {
        match self {
            Self::Integers(all) => all.get(class).map(ToString::to_string),
            Self::Strings(all) => all.get(class).cloned(),
        }
        .unwrap_or_else(|| class.to_string())
    }

    /// The label of a class as a number: its own if labels are numbers, else the class's index.
    pub fn number(&self, class: usize) -> i64 {
        match self {
            Self::Integers(all) => all.get(class).copied().unwrap_or(class as i64),
            Self::Strings(_) => class as i64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_their_values() {
        let cases = [
            (Each::Exp, 1.0, std::f32::consts::E),
            (Each::Log, 2.0, std::f32::consts::LN_2),
            (Each::Sqrt, 2.25, 1.5),
            (Each::Tanh, 0.5, 0.462_117_2),
            (Each::Reciprocal, 4.0, 0.25),
            (Each::Softplus, 100.0, 100.0),
            (Each::Softplus, -1.0, 0.313_261_7),
            (Each::Probit, 0.975, 1.959_96),
            (Each::Probit, 0.2, -0.841_6),
            (Each::Abs, -2.0, 2.0),
            (Each::Truncate, -2.7, -2.0),
            (Each::IsNonzero, -0.5, 1.0),
            (Each::IsNonzero, 0.0, 0.0),
            (Each::IsPositive, 0.0, 0.0),
            (Each::IsPositive, 0.1, 1.0),
            (Each::Scale(-2.0), 3.0, -6.0),
            (Each::Shift(-2.0), 3.0, 1.0),
            (Each::Power(2.0), -3.0, 9.0),
            (Each::Clip(-1.0, 1.0), 3.0, 1.0),
            (Each::Sign, -3.0, -1.0),
            (Each::Sign, 0.0, 0.0),
        ];
        for (function, x, wanted) in cases {
            assert!((function.of(x) - wanted).abs() < 3e-3 * (1.0 + wanted.abs()), "{function:?}({x}) = {}", function.of(x));
        }
        let x = [3.0, -4.0];
        let reductions = [
            (Reduction::Sum, -1.0),
            (Reduction::Mean, -0.5),
            (Reduction::Max, 3.0),
            (Reduction::Min, -4.0),
            (Reduction::L1, 7.0),
            (Reduction::L2, 5.0),
        ];
        reductions.into_iter().for_each(|(reduction, wanted)| assert_eq!(reduction.of(&x), wanted, "{reduction:?}"));
        assert!((Reduction::LogSumExp.of(&[1000.0, 1000.0]) - 1_000.693_2).abs() < 1e-3);
        assert_eq!((Reduction::L2.normalized(&x), Reduction::L1.normalized(&[0.0, 0.0])), (vec![0.6, -0.8], vec![0.0, 0.0]));
        let pairings =
            [(Pairing::Add, 5.0), (Pairing::Sub, 1.0), (Pairing::Mul, 6.0), (Pairing::Div, 1.5), (Pairing::Max, 3.0), (Pairing::Min, 2.0)];
        pairings.into_iter().for_each(|(pairing, wanted)| assert_eq!(pairing.of(3.0, 2.0), wanted, "{pairing:?}"));
    }

    #[test]
    fn classes_without_a_label_are_their_index() {
        let (numbers, texts) = (Labels::Integers(vec![7, -1]), Labels::Strings(vec!["a".into()]));
        assert_eq!((numbers.text(1), numbers.text(2), texts.text(0), texts.text(9)), ("-1".into(), "2".into(), "a".into(), "9".into()));
        assert_eq!((numbers.number(0), numbers.number(5), texts.number(0)), (7, 5, 0));
    }
}
