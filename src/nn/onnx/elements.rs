//! Arithmetic on constants: element by element, casts, and reductions along axes. Source: ONNX, the operators of these names; where its
//! text leaves a case open, onnxruntime.

use super::{
    array::{Array, broadcast, place_of},
    attributes::Attributes,
    constant::Constant,
    layout::Layout,
    tensor,
};
use crate::{Error, Result};
use std::cmp::Ordering;

/// The constant that an operator of elements makes of constants; `None` for another operator.
pub fn elementwise(name: &str, inputs: &[&Constant], attributes: &mut Attributes<'_>) -> Result<Option<Constant>> {
    let made = match (name, inputs) {
        ("Cast", [x]) => {
            attributes.ignore(&["saturate"]);
            cast(x, attributes.int("to", 0) as i32)?
        }
        ("Where", [condition, yes, no]) => choose(condition, yes, no)?,
        ("Clip", [x, bounds @ ..]) => {
            let bound = |i: usize, given: f32| bounds.get(i).map_or(Constant::Floats(Array::one(given)), |bound| (*bound).clone());
            let (low, high) = (attributes.float("min", f32::NEG_INFINITY), attributes.float("max", f32::INFINITY));
            match x {
                Constant::Integers(_) if bounds.len() < 2 => return Err(Error::Model("Clip of integers needs both bounds".into())),
                _ => binary("Min", &binary("Max", x, &bound(0, low), 0)?, &bound(1, high), 0)?,
            }
        }
        ("Sum" | "Max" | "Min" | "Mean", [first, more @ ..]) => {
            let operator = if name == "Sum" || name == "Mean" { "Add" } else { name };
            let all = more.iter().try_fold((*first).clone(), |all, next| binary(operator, &all, next, 0))?;
            match name {
                "Mean" => binary("Div", &all, &Constant::Floats(Array::one(inputs.len() as f32)), 0)?,
                _ => all,
            }
        }
        (_, [x]) => match unary(name, x, attributes) {
            Some(made) => made,
            None => return Ok(None),
        },
        (_, [a, b]) if is_binary(name) => binary(name, a, b, attributes.int("fmod", 0))?,
        _ => return Ok(None),
    };
    match &made {
        Constant::Floats(array) if array.values.iter().any(|v| v.is_nan()) => {
            Err(Error::Range(format!("{name} of constants gives what is no number (NaN)")))
        }
        _ => Ok(Some(made)),
    }
}

/// Numbers as another type has them.
fn cast(x: &Constant, to: i32) -> Result<Constant> {
    Ok(match (x, tensor::is_float(to)?) {
        (Constant::Integers(x), true) => Constant::Floats(x.map(|v| tensor::rounded(v as f32, to))),
        (Constant::Floats(x), true) => Constant::Floats(x.map(|v| tensor::rounded(v, to))),
        // a fraction is true
        (Constant::Floats(x), false) if to == tensor::BOOL => Constant::Integers(x.map(|v| i64::from(v != 0.0))),
        (Constant::Floats(x), false) => Constant::Integers(x.map(|v| tensor::wrapped(v as i64, to))),
        (Constant::Integers(x), false) => Constant::Integers(x.map(|v| tensor::wrapped(v, to))),
    })
}

/// The error function to 2e-7. Source: Abramowitz and Stegun, 7.1.26.
fn erf(x: f32) -> f32 {
    let (size, t) = (f64::from(x.abs()), 1.0 / (1.0 + 0.327_591_1 * f64::from(x.abs())));
    let series = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    let sum = series.iter().fold(0.0, |sum, term| (sum + term) * t);
    ((1.0 - sum * (-size * size).exp()) as f32).copysign(x)
}

fn unary(name: &str, x: &Constant, attributes: &mut Attributes<'_>) -> Option<Constant> {
    match x {
        Constant::Floats(x) => float_function(name, attributes).map(|f| Constant::Floats(x.map(f))),
        Constant::Integers(x) => {
            let f: fn(i64) -> i64 = match name {
                "Neg" => i64::wrapping_neg,
                "Abs" => i64::wrapping_abs,
                "Sign" => i64::signum,
                "Relu" => |v| v.max(0),
                "Not" => |v| i64::from(v == 0),
                "BitwiseNot" => |v| !v,
                _ => return None,
            };
            Some(Constant::Integers(x.map(f)))
        }
    }
}

fn float_function(name: &str, attributes: &mut Attributes<'_>) -> Option<Box<dyn Fn(f32) -> f32>> {
    let plain: fn(f32) -> f32 = match name {
        "Abs" => f32::abs,
        "Neg" => |v| -v,
        "Sign" => |v| if v == 0.0 { 0.0 } else { v.signum() },
        "Floor" => f32::floor,
        "Ceil" => f32::ceil,
        "Round" => f32::round_ties_even,
        "Sqrt" => f32::sqrt,
        "Reciprocal" => f32::recip,
        "Exp" => f32::exp,
        "Log" => f32::ln,
        "Erf" => erf,
        "Sin" => f32::sin,
        "Cos" => f32::cos,
        "Tan" => f32::tan,
        "Asin" => f32::asin,
        "Acos" => f32::acos,
        "Atan" => f32::atan,
        "Sinh" => f32::sinh,
        "Cosh" => f32::cosh,
        "Tanh" => f32::tanh,
        "Asinh" => f32::asinh,
        "Acosh" => f32::acosh,
        "Atanh" => f32::atanh,
        "Sigmoid" => |v| 1.0 / (1.0 + (-v).exp()),
        "Relu" => |v| v.max(0.0),
        "Softplus" => |v| v.max(0.0) + (-v.abs()).exp().ln_1p(),
        "Softsign" => |v| v / (1.0 + v.abs()),
        "HardSwish" => |v| v * (v / 6.0 + 0.5).clamp(0.0, 1.0),
        _ => return with_attributes(name, attributes),
    };
    Some(Box::new(plain))
}

fn with_attributes(name: &str, attributes: &mut Attributes<'_>) -> Option<Box<dyn Fn(f32) -> f32>> {
    let mut alpha = |usual: f32| attributes.float("alpha", usual);
    Some(match name {
        "LeakyRelu" => {
            let alpha = alpha(0.01);
            Box::new(move |v| if v < 0.0 { alpha * v } else { v })
        }
        "Elu" => {
            let alpha = alpha(1.0);
            Box::new(move |v| if v < 0.0 { alpha * v.exp_m1() } else { v })
        }
        "Celu" => {
            let alpha = alpha(1.0);
            Box::new(move |v| v.max(0.0) + (alpha * (v / alpha).exp_m1()).min(0.0))
        }
        "ThresholdedRelu" => {
            let alpha = alpha(1.0);
            Box::new(move |v| if v > alpha { v } else { 0.0 })
        }
        "HardSigmoid" => {
            let (alpha, beta) = (alpha(0.2), attributes.float("beta", 0.5));
            Box::new(move |v| (alpha * v + beta).clamp(0.0, 1.0))
        }
        "Selu" => {
            let (alpha, gamma) = (alpha(1.673_263_2), attributes.float("gamma", 1.050_701));
            Box::new(move |v| gamma * if v < 0.0 { alpha * v.exp_m1() } else { v })
        }
        _ => return None,
    })
}

/// An order of two numbers that makes a comparison true.
fn comparison(name: &str) -> Option<fn(Ordering) -> bool> {
    Some(match name {
        "Equal" => Ordering::is_eq,
        "Less" => Ordering::is_lt,
        "Greater" => Ordering::is_gt,
        "LessOrEqual" => Ordering::is_le,
        "GreaterOrEqual" => Ordering::is_ge,
        _ => return None,
    })
}

fn is_binary(name: &str) -> bool {
    let others =
        ["Add", "Sub", "Mul", "Div", "Mod", "Pow", "PRelu", "And", "Or", "Xor", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitShift"];
    others.contains(&name) || comparison(name).is_some()
}

fn binary(name: &str, a: &Constant, b: &Constant, fmod: i64) -> Result<Constant> {
    let unknown = |kind: &str| Error::Model(format!("{name} of constant {kind} is not supported"));
    match (a, b) {
        (Constant::Floats(a), Constant::Floats(b)) => {
            if let Some(f) = comparison(name) {
                return a.paired(b, |a, b| i64::from(a.partial_cmp(&b).is_some_and(f))).map(Constant::Integers);
            }
            let f: fn(f32, f32) -> f32 = match name {
                "Add" => |a, b| a + b,
                "Sub" => |a, b| a - b,
                "Mul" => |a, b| a * b,
                "Div" => |a, b| a / b,
                "Pow" => f32::powf,
                "Min" => f32::min,
                "Max" => f32::max,
                "PRelu" => |a, b| if a < 0.0 { a * b } else { a },
                "Mod" if fmod != 0 => |a, b| a % b,
                _ => return Err(unknown("floats")),
            };
            a.paired(b, f).map(Constant::Floats)
        }
        (Constant::Integers(a), Constant::Integers(b)) => {
            if let Some(f) = comparison(name) {
                return a.paired(b, |a, b| i64::from(f(a.cmp(&b)))).map(Constant::Integers);
            }
            if let "Div" | "Mod" = name
                && b.values.contains(&0)
            {
                return Err(Error::Range("a division by zero".into()));
            }
            let f: fn(i64, i64) -> i64 = match name {
                "Add" => i64::wrapping_add,
                "Sub" => i64::wrapping_sub,
                "Mul" => i64::wrapping_mul,
                "Min" => i64::min,
                "Max" => i64::max,
                "Div" => i64::wrapping_div,
                "Mod" if fmod != 0 => i64::wrapping_rem,
                "Mod" => modulo,
                "Pow" => power,
                "And" => |a, b| i64::from(a != 0 && b != 0),
                "Or" => |a, b| i64::from(a != 0 || b != 0),
                "Xor" => |a, b| i64::from((a != 0) != (b != 0)),
                "BitwiseAnd" => |a, b| a & b,
                "BitwiseOr" => |a, b| a | b,
                "BitwiseXor" => |a, b| a ^ b,
                _ => return Err(unknown("integers")),
            };
            a.paired(b, f).map(Constant::Integers)
        }
        // the one operator whose operands may differ in type: the result has the first one's
        (Constant::Floats(_), Constant::Integers(b)) if name == "Pow" => binary(name, a, &Constant::Floats(b.map(|v| v as f32)), 0),
        (Constant::Integers(a), Constant::Floats(b)) if name == "Pow" => {
            a.map(|v| v as f32).paired(b, |a, b| a.powf(b) as i64).map(Constant::Integers)
        }
        // a mean of integers divides by a number of its own
        (Constant::Integers(a), Constant::Floats(b)) if name == "Div" => a.map(|v| v as f32).paired(b, |a, b| a / b).map(Constant::Floats),
        _ => Err(Error::Model(format!("{name} of floats and integers"))),
    }
}

/// The remainder with the sign of the divisor.
fn modulo(a: i64, b: i64) -> i64 {
    let rest = a.wrapping_rem(b);
    if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
}

/// A whole power; a negative one of an integer is zero, but of 1 and -1.
fn power(a: i64, b: i64) -> i64 {
    match (a, u32::try_from(b)) {
        (_, Ok(b)) => a.wrapping_pow(b),
        (1, _) => 1,
        (-1, _) => {
            if b % 2 == 0 {
                1
            } else {
                -1
            }
        }
        _ => 0,
    }
}

fn choose(condition: &Constant, yes: &Constant, no: &Constant) -> Result<Constant> {
    let Constant::Integers(condition) = condition else { return Err(Error::Model("the condition of Where must be true or false".into())) };
    match (yes, no) {
        (Constant::Integers(yes), Constant::Integers(no)) => chosen(condition, yes, no).map(Constant::Integers),
        (Constant::Floats(yes), Constant::Floats(no)) => chosen(condition, yes, no).map(Constant::Floats),
        _ => Err(Error::Model("Where of floats and integers".into())),
    }
}

fn chosen<T: Copy>(condition: &Array<i64>, yes: &Array<T>, no: &Array<T>) -> Result<Array<T>> {
    let extents = broadcast(&condition.extents, &broadcast(&yes.extents, &no.extents)?)?;
    let (condition, yes, no) = (condition.broadcast(&extents)?, yes.broadcast(&extents)?, no.broadcast(&extents)?);
    let values = condition.values.iter().zip(yes.values.iter().zip(&no.values)).map(|(&c, (&yes, &no))| if c != 0 { yes } else { no });
    Ok(Array { values: values.collect(), extents })
}

/// A reduction along the given axes, or all; `None` for another operator.
pub fn reduced(name: &str, x: &Constant, axes: Option<&Constant>, attributes: &mut Attributes<'_>) -> Result<Option<Constant>> {
    let known = ["Sum", "Mean", "Prod", "Max", "Min", "L1", "L2", "SumSquare", "LogSum", "LogSumExp"];
    let Some(kind) = name.strip_prefix("Reduce").filter(|kind| known.contains(kind)) else { return Ok(None) };
    let (keeps, nothing) = (attributes.int("keepdims", 1) != 0, attributes.int("noop_with_empty_axes", 0) != 0);
    let axes = match axes {
        Some(Constant::Integers(axes)) => Some(axes.values.clone()),
        _ => attributes.ints("axes"),
    };
    let rank = x.extents().len();
    let gone = match axes.unwrap_or_default() {
        empty if empty.is_empty() && nothing => return Ok(Some(x.clone())),
        empty if empty.is_empty() => (0..rank).collect(),
        axes => axes.iter().map(|&axis| place_of(axis, rank)).collect::<Result<Vec<_>>>()?,
    };
    Ok(Some(match x {
        Constant::Floats(x) => Constant::Floats(along(x, &gone, keeps, |group| of_floats(kind, group))?),
        Constant::Integers(x) => Constant::Integers(along(x, &gone, keeps, |group| of_integers(kind, group))?),
    }))
}

fn of_floats(kind: &str, x: &[f32]) -> f32 {
    let sum = |f: fn(f64) -> f64| x.iter().map(|&v| f(f64::from(v))).sum::<f64>();
    (match kind {
        "Sum" => sum(|v| v),
        "Mean" => sum(|v| v) / x.len() as f64,
        "Prod" => x.iter().map(|&v| f64::from(v)).product(),
        "Max" => x.iter().copied().fold(f32::NEG_INFINITY, f32::max).into(),
        "Min" => x.iter().copied().fold(f32::INFINITY, f32::min).into(),
        "L1" => sum(f64::abs),
        "L2" => sum(|v| v * v).sqrt(),
        "SumSquare" => sum(|v| v * v),
        "LogSum" => sum(|v| v).ln(),
        _ => sum(f64::exp).ln(),
    }) as f32
}

fn of_integers(kind: &str, x: &[i64]) -> i64 {
    match kind {
        "Sum" => x.iter().copied().fold(0, i64::wrapping_add),
        "Mean" => x.iter().copied().fold(0, i64::wrapping_add) / x.len().max(1) as i64,
        "Prod" => x.iter().copied().fold(1, i64::wrapping_mul),
        "Max" => x.iter().copied().max().unwrap_or(i64::MIN),
        "Min" => x.iter().copied().min().unwrap_or(i64::MAX),
        "L1" => x.iter().fold(0, |sum: i64, v| sum.wrapping_add(v.wrapping_abs())),
        "SumSquare" => x.iter().fold(0, |sum: i64, v| sum.wrapping_add(v.wrapping_mul(*v))),
        _ => of_floats(kind, &x.iter().map(|&v| v as f32).collect::<Vec<_>>()) as i64,
    }
}

/// One number of those along the axes that go.
fn along<T: Copy + Default>(x: &Array<T>, gone: &[usize], keeps: bool, f: impl Fn(&[T]) -> T) -> Result<Array<T>> {
    let stays: Vec<usize> = (0..x.rank()).filter(|d| !gone.contains(d)).collect();
    let gone: Vec<usize> = (0..x.rank()).filter(|d| gone.contains(d)).collect();
    let width: usize = gone.iter().map(|&d| x.extents[d]).product();
    let moved = Layout::Transpose([&stays[..], &gone].concat()).run(x, T::default())?;
    let rows = stays.iter().map(|&d| x.extents[d]).product();
    let values = (0..rows).map(|row| f(&moved.values[row * width..][..width])).collect();
    let extent = |d: usize| if gone.contains(&d) { keeps.then_some(1) } else { Some(x.extents[d]) };
    Array::new((0..x.rank()).filter_map(extent).collect(), values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::onnx::schema::{AttributeProto, NodeProto};

    fn floats(values: &[f32]) -> Constant {
        Constant::Floats(Array::list(values.to_vec()))
    }

    fn integers(values: &[i64]) -> Constant {
        Constant::Integers(Array::list(values.to_vec()))
    }

    fn made(name: &str, inputs: &[&Constant], attributes: &[(&str, i64)]) -> Constant {
        let attribute = attributes.iter().map(|&(name, i)| AttributeProto { name: name.into(), i, ..Default::default() }).collect();
        let node = NodeProto { attribute, ..Default::default() };
        let mut attributes = Attributes::new(&node);
        let made = elementwise(name, inputs, &mut attributes).unwrap().unwrap();
        attributes.done().unwrap();
        made
    }

    #[test]
    fn remainders_have_the_sign_that_is_asked_for() {
        let (a, b) = (integers(&[7, -7, 7, -7, 6, i64::MIN]), integers(&[3, 3, -3, -3, -3, -1]));
        assert_eq!(made("Mod", &[&a, &b], &[]), integers(&[1, 2, -2, -1, 0, 0]));
        assert_eq!(made("Mod", &[&a, &b], &[("fmod", 1)]), integers(&[1, -1, 1, -1, 0, 0]));
        assert_eq!(made("Mod", &[&floats(&[-7.5]), &floats(&[2.0])], &[("fmod", 1)]), floats(&[-1.5]));
    }

    #[test]
    fn casts_are_those_of_the_types() {
        assert_eq!(made("Cast", &[&floats(&[0.5, 0.0, -2.0])], &[("to", 9)]), integers(&[1, 0, 1]));
        assert_eq!(made("Cast", &[&integers(&[300, -1, 5])], &[("to", 2)]), integers(&[44, 255, 5]));
        assert_eq!(made("Cast", &[&integers(&[300, 200, -129])], &[("to", 3)]), integers(&[44, -56, 127]));
        assert_eq!(made("Cast", &[&integers(&[1 << 40, 7])], &[("to", 6)]), integers(&[0, 7]));
        assert_eq!(made("Cast", &[&integers(&[2, 0])], &[("to", 9)]), integers(&[1, 0]));
        assert_eq!(made("Cast", &[&floats(&[2.9, -2.9])], &[("to", 7)]), integers(&[2, -2]));
        // 2049 is between two halves, 1e-8 below all of them
        assert_eq!(made("Cast", &[&floats(&[2049.0, 1e-8, 1.0, 6e-8])], &[("to", 10)]), floats(&[2048.0, 0.0, 1.0, f32::powi(2.0, -24)]));
    }

    #[test]
    fn functions_and_comparisons() {
        let x = floats(&[-1.5, 0.5, 2.0]);
        assert_eq!(made("Round", &[&x], &[]), floats(&[-2.0, 0.0, 2.0]));
        assert_eq!(made("Greater", &[&x, &floats(&[0.0])], &[]), integers(&[0, 1, 1]));
        assert_eq!(made("Where", &[&integers(&[0, 1, 1]), &x, &floats(&[9.0])], &[]), floats(&[9.0, 0.5, 2.0]));
        assert_eq!(made("Pow", &[&x, &integers(&[2])], &[]), floats(&[2.25, 0.25, 4.0]));
        assert_eq!(made("Clip", &[&x, &floats(&[-1.0]), &floats(&[1.0])], &[]), floats(&[-1.0, 0.5, 1.0]));
        assert_eq!(made("Mean", &[&x, &x, &floats(&[3.0])], &[]), floats(&[0.0, 4.0 / 3.0, 7.0 / 3.0]));
        assert_eq!(made("Pow", &[&integers(&[2, -1, 3]), &integers(&[10, -3, -1])], &[]), integers(&[1024, -1, 0]));
        for (at, value) in [(0.0, 0.0), (0.5, 0.520_499_9), (-1.0, -0.842_700_8), (4.0, 1.0)] {
            assert!((erf(at) - value).abs() < 3e-7);
        }
        assert!(elementwise("Log", &[&floats(&[-1.0])], &mut Attributes::new(&NodeProto::default())).is_err());
    }

    #[test]
    fn every_reduction_of_floats_and_integers() {
        let x = Array::new(vec![2, 3], vec![1.0, -2.0, 3.0, 4.0, 0.5, -6.0]).unwrap();
        let whole = Constant::Integers(x.map(|v| v as i64));
        let x = Constant::Floats(x);
        let node = NodeProto::default();
        let rows = |name: &str, x: &Constant| reduced(name, x, Some(&integers(&[-1])), &mut Attributes::new(&node)).unwrap().unwrap();
        let column = |values: [f32; 2]| Constant::Floats(Array { extents: vec![2, 1], values: values.to_vec() });
        for (name, values) in [
            ("ReduceSum", [2.0, -1.5]),
            ("ReduceMean", [2.0 / 3.0, -0.5]),
            ("ReduceProd", [-6.0, -12.0]),
            ("ReduceMax", [3.0, 4.0]),
            ("ReduceMin", [-2.0, -6.0]),
            ("ReduceL1", [6.0, 10.5]),
            ("ReduceSumSquare", [14.0, 52.25]),
        ] {
            assert_eq!(rows(name, &x), column(values), "{name}");
        }
        for (name, values) in [("ReduceSum", [2, -2]), ("ReduceProd", [-6, 0]), ("ReduceL1", [6, 10]), ("ReduceMax", [3, 4])] {
            assert_eq!(rows(name, &whole), Constant::Integers(Array { extents: vec![2, 1], values: values.to_vec() }), "{name}");
        }
        let all = reduced("ReduceSum", &x, None, &mut Attributes::new(&node)).unwrap().unwrap();
        assert_eq!(all, Constant::Floats(Array { extents: vec![1, 1], values: vec![0.5] }));
        assert!(reduced("Reshape", &x, None, &mut Attributes::new(&node)).unwrap().is_none());
    }
}
