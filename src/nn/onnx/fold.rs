//! Constants known when a model is read: shapes, and arithmetic and layout operations of constants.

use super::{
    array::{Array, broadcast, place_of},
    attributes::Attributes,
    constant::Constant,
    layout::{Layout, layout_of},
    tensor,
};
use crate::{Error, Result};

/// Constants larger than this are not made of smaller ones.
const MOST: usize = 1 << 24;

/// The extents of an activation that Shape asks for.
pub fn shape(extents: &[i64], attributes: &mut Attributes<'_>) -> Result<Constant> {
    let n = extents.len() as i64;
    let end = |i: i64| (if i < 0 { i + n } else { i }).clamp(0, n) as usize;
    let (from, to) = (end(attributes.int("start", 0)), end(attributes.int("end", n)));
    Ok(Constant::Integers(Array::list(extents[from.min(to)..to].to_vec())))
}

/// The constant that an operator makes of constants; `None` for one that is not computed so.
pub fn fold(name: &str, inputs: &[Option<Constant>], attributes: &mut Attributes<'_>) -> Result<Option<Constant>> {
    let input = |i: usize| inputs.get(i).and_then(Option::as_ref);
    let first = || input(0).ok_or_else(|| Error::Model("input 0 is missing".into()));
    let folded = match name {
        "Identity" => first()?.clone(),
        "Shape" => {
            let extents: Vec<i64> = first()?.extents().iter().map(|&e| e as i64).collect();
            shape(&extents, attributes)?
        }
        "Size" => Constant::Integers(Array::one(first()?.extents().iter().product::<usize>() as i64)),
        "ConstantOfShape" => constant_of_shape(first()?, attributes)?,
        "Range" => range(input(0), input(1), input(2))?,
        "Cast" => cast(first()?, tensor::is_float(attributes.int("to", 0) as i32)?),
        "Floor" | "Ceil" | "Neg" | "Abs" | "Sqrt" | "Not" => unary(name, first()?)?,
        "Add" | "Sub" | "Mul" | "Div" | "Min" | "Max" | "Mod" | "Equal" | "Less" | "Greater" if inputs.len() == 2 => {
            binary(name, first()?, input(1).ok_or_else(|| Error::Model("input 1 is missing".into()))?)?
        }
        "Where" => choose(input(0), input(1), input(2))?,
        "Concat" => concat(inputs, attributes)?,
        "ReduceProd" | "ReduceSum" | "ReduceMax" | "ReduceMin" => reduced(name, first()?, input(1), attributes)?,
        "Transpose" | "Squeeze" | "Unsqueeze" | "Flatten" | "Reshape" | "Expand" | "Gather" | "Slice" => {
            let integers = |i: usize| match input(i) {
                Some(Constant::Integers(array)) => Some(array.clone()),
                _ => None,
            };
            let mut given = [integers(1), integers(2), integers(3), integers(4)];
            for (i, name) in ["axes", "ends", "axes", ""].iter().enumerate() {
                let name = if i == 0 && name == &"axes" && attributes.has("starts") { "starts" } else { name };
                if given[i].is_none() && inputs.len() == 1 {
                    given[i] = attributes.ints(name).map(Array::list);
                }
            }
            let x = first()?;
            x.moved(&layout_of(name, x.extents(), given, attributes, None)?)?
        }
        _ => return Ok(None),
    };
    let count = |constant: &Constant| constant.extents().iter().product::<usize>();
    match count(&folded) {
        n if n <= MOST.max(inputs.iter().flatten().map(count).sum()) => Ok(Some(folded)),
        n => Err(Error::Model(format!("a constant of {n} elements made of smaller ones; {MOST} are the most"))),
    }
}

fn constant_of_shape(shape: &Constant, attributes: &mut Attributes<'_>) -> Result<Constant> {
    let Constant::Integers(shape) = shape else { return Err(Error::Model("the shape must be integers".into())) };
    let extents = shape.values.iter().map(|&e| usize::try_from(e).map_err(|_| Error::Model(format!("an extent of {e}"))));
    let extents = extents.collect::<Result<Vec<usize>>>()?;
    let n = super::array::elements(&extents)?;
    if n > MOST {
        return Err(Error::Model(format!("a constant of {n} elements; {MOST} are the most")));
    }
    Ok(match attributes.tensor("value")? {
        Some(Constant::Integers(one)) => Constant::Integers(Array { extents, values: vec![one.values.first().copied().unwrap_or(0); n] }),
        Some(Constant::Floats(one)) => Constant::Floats(Array { extents, values: vec![one.values.first().copied().unwrap_or(0.0); n] }),
        None => Constant::Floats(Array { extents, values: vec![0.0; n] }),
    })
}

fn range(start: Option<&Constant>, limit: Option<&Constant>, step: Option<&Constant>) -> Result<Constant> {
    let one = |constant: Option<&Constant>| match constant {
        Some(Constant::Integers(array)) if array.values.len() == 1 => Ok(array.values[0]),
        _ => Err(Error::Model("Range of three integers is supported".into())),
    };
    let (start, limit, step) = (one(start)?, one(limit)?, one(step)?);
    let count = if step == 0 { 0 } else { (i128::from(limit) - i128::from(start)).div_euclid(i128::from(step)).max(0) as u128 };
    if step == 0 || count > MOST as u128 {
        return Err(Error::Model(format!("a range from {start} to {limit} by {step}")));
    }
    let all = std::iter::successors(Some(start), |&i| i.checked_add(step)).take(count as usize + 1);
    Ok(Constant::Integers(Array::list(all.take_while(|&i| if step > 0 { i < limit } else { i > limit }).collect())))
}

fn cast(x: &Constant, float: bool) -> Constant {
    match (x, float) {
        (Constant::Integers(array), true) => {
            Constant::Floats(Array { extents: array.extents.clone(), values: array.values.iter().map(|&v| v as f32).collect() })
        }
        (Constant::Floats(array), false) => {
            Constant::Integers(Array { extents: array.extents.clone(), values: array.values.iter().map(|&v| v as i64).collect() })
        }
        (same, _) => same.clone(),
    }
}

fn unary(name: &str, x: &Constant) -> Result<Constant> {
    let floats = |array: &Array<f32>, f: fn(f32) -> f32| {
        Constant::Floats(Array { extents: array.extents.clone(), values: array.values.iter().map(|&v| f(v)).collect() })
    };
    let integers = |array: &Array<i64>, f: fn(i64) -> i64| {
        Constant::Integers(Array { extents: array.extents.clone(), values: array.values.iter().map(|&v| f(v)).collect() })
    };
    Ok(match (name, x) {
        ("Floor", Constant::Floats(x)) => floats(x, f32::floor),
        ("Ceil", Constant::Floats(x)) => floats(x, f32::ceil),
        ("Sqrt", Constant::Floats(x)) => floats(x, f32::sqrt),
        ("Neg", Constant::Floats(x)) => floats(x, |v| -v),
        ("Abs", Constant::Floats(x)) => floats(x, f32::abs),
        ("Neg", Constant::Integers(x)) => integers(x, i64::wrapping_neg),
        ("Abs", Constant::Integers(x)) => integers(x, i64::wrapping_abs),
        ("Not", Constant::Integers(x)) => integers(x, |v| i64::from(v == 0)),
        _ => return Err(Error::Model(format!("{name} of such a constant is not supported"))),
    })
}

fn binary(name: &str, a: &Constant, b: &Constant) -> Result<Constant> {
    match (a, b) {
        (Constant::Floats(a), Constant::Floats(b)) => {
            let f: fn(f32, f32) -> f32 = match name {
                "Add" => |a, b| a + b,
                "Sub" => |a, b| a - b,
                "Mul" => |a, b| a * b,
                "Div" => |a, b| a / b,
                "Min" => f32::min,
                "Max" => f32::max,
                _ => return Err(Error::Model(format!("{name} of floats is not supported"))),
            };
            pairs(a, b, f).map(Constant::Floats)
        }
        (Constant::Integers(a), Constant::Integers(b)) => {
            let f: fn(i64, i64) -> i64 = match name {
                "Add" => i64::wrapping_add,
                "Sub" => i64::wrapping_sub,
                "Mul" => i64::wrapping_mul,
                "Min" => i64::min,
                "Max" => i64::max,
                "Equal" => |a, b| i64::from(a == b),
                "Less" => |a, b| i64::from(a < b),
                "Greater" => |a, b| i64::from(a > b),
                "Div" | "Mod" if b.values.contains(&0) => return Err(Error::Model("a division by zero".into())),
                "Div" => i64::wrapping_div,
                "Mod" => i64::wrapping_rem_euclid,
                _ => return Err(Error::Model(format!("{name} of integers is not supported"))),
            };
            pairs(a, b, f).map(Constant::Integers)
        }
        _ => Err(Error::Model(format!("{name} of floats and integers"))),
    }
}

fn pairs<T: Copy>(a: &Array<T>, b: &Array<T>, f: fn(T, T) -> T) -> Result<Array<T>> {
    let extents = broadcast(&a.extents, &b.extents)?;
    let (a, b) = (a.broadcast(&extents)?, b.broadcast(&extents)?);
    Ok(Array { extents, values: a.values.iter().zip(&b.values).map(|(&a, &b)| f(a, b)).collect() })
}

fn choose(condition: Option<&Constant>, yes: Option<&Constant>, no: Option<&Constant>) -> Result<Constant> {
    let (Some(Constant::Integers(condition)), Some(Constant::Integers(yes)), Some(Constant::Integers(no))) = (condition, yes, no) else {
        return Err(Error::Model("Where of integers is supported".into()));
    };
    let extents = broadcast(&condition.extents, &broadcast(&yes.extents, &no.extents)?)?;
    let [condition, yes, no] = [condition.broadcast(&extents)?, yes.broadcast(&extents)?, no.broadcast(&extents)?];
    let chosen = condition.values.iter().zip(yes.values.iter().zip(&no.values)).map(|(&c, (&yes, &no))| if c != 0 { yes } else { no });
    Ok(Constant::Integers(Array { extents, values: chosen.collect() }))
}

fn concat(inputs: &[Option<Constant>], attributes: &mut Attributes<'_>) -> Result<Constant> {
    let rank = inputs.first().and_then(Option::as_ref).map_or(0, |first| first.extents().len());
    let axis = place_of(attributes.int("axis", 1), rank)?;
    let floats: Vec<Array<f32>> =
        inputs.iter().flatten().filter_map(|c| if let Constant::Floats(array) = c { Some(array.clone()) } else { None }).collect();
    let integers: Vec<Array<i64>> =
        inputs.iter().flatten().filter_map(|c| if let Constant::Integers(array) = c { Some(array.clone()) } else { None }).collect();
    match (floats.is_empty(), integers.is_empty()) {
        (false, true) => Array::concatenated(&floats, axis).map(Constant::Floats),
        (true, false) => Array::concatenated(&integers, axis).map(Constant::Integers),
        _ => Err(Error::Model("floats and integers put together".into())),
    }
}

/// Along the given axes, or all.
fn reduced(name: &str, x: &Constant, axes: Option<&Constant>, attributes: &mut Attributes<'_>) -> Result<Constant> {
    let keeps = attributes.int("keepdims", 1) != 0;
    attributes.ignore(&["noop_with_empty_axes"]);
    let Constant::Integers(x) = x else { return Err(Error::Model(format!("{name} of constant integers is supported"))) };
    let axes = match axes {
        Some(Constant::Integers(axes)) => Some(axes.values.clone()),
        _ => attributes.ints("axes"),
    };
    let axes = axes.map(|axes| axes.iter().map(|&axis| place_of(axis, x.rank())).collect::<Result<Vec<_>>>()).transpose()?;
    let gone: Vec<usize> = axes.unwrap_or_else(|| (0..x.rank()).collect());
    let stays: Vec<usize> = (0..x.rank()).filter(|d| !gone.contains(d)).collect();
    let width: usize = gone.iter().map(|&d| x.extents[d]).product();
    let f: fn(i64, i64) -> i64 = match name {
        "ReduceProd" => i64::wrapping_mul,
        "ReduceSum" => i64::wrapping_add,
        "ReduceMax" => i64::max,
        _ => i64::min,
    };
    let moved = Layout::Transpose([&stays[..], &gone].concat()).run(x, 0)?;
    let all = |chunk: &[i64]| chunk.iter().copied().reduce(f).unwrap_or(0);
    let values = moved.values.chunks(width.max(1)).map(all).collect();
    let extent = |d: usize| if gone.contains(&d) { keeps.then_some(1) } else { Some(x.extents[d]) };
    Ok(Constant::Integers(Array::new((0..x.rank()).filter_map(extent).collect(), values)?))
}
