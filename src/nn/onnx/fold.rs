//! Constants known when a model is read: shapes, and arithmetic and layout operations of constants.

use super::{
    array::{Array, place_of},
    attributes::Attributes,
    constant::Constant,
    elements::{elementwise, reduced},
    layout::layout_of,
};
use crate::{Error, Result};

/// Constants larger than this are not made of smaller ones.
const MOST: usize = 1 << 28;

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
        "Concat" => concat(inputs, attributes)?,
        "DequantizeLinear" => dequantised(first()?, input(1), input(2), attributes)?,
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
        _ if inputs.is_empty() => return Ok(None),
        _ => {
            let made = reduced(name, first()?, input(1), attributes)?;
            match made.map_or_else(|| elementwise(name, &inputs.iter().flatten().collect::<Vec<_>>(), attributes), |made| Ok(Some(made)))? {
                Some(made) => made,
                None => return Ok(None),
            }
        }
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

/// `(x - zero) scale`, the latter two one number or one along an axis.
fn dequantised(x: &Constant, scale: Option<&Constant>, zero: Option<&Constant>, attributes: &mut Attributes<'_>) -> Result<Constant> {
    attributes.only("block_size", 0)?;
    attributes.ignore(&["output_dtype"]);
    let (Constant::Integers(x), Some(Constant::Floats(scale))) = (x, scale) else {
        return Err(Error::Model("integers with a scale of floats are supported".into()));
    };
    let axis = attributes.int("axis", 1);
    let spread = |extents: &[usize]| match extents {
        [] | [1] => Ok(Vec::new()),
        [n] => {
            let axis = place_of(axis, x.rank())?;
            Ok([&[*n][..], &vec![1; x.rank() - 1 - axis]].concat())
        }
        other => Err(Error::Model(format!("a scale of shape {other:?}"))),
    };
    let scale = scale.clone().reshaped(spread(&scale.extents)?)?.broadcast(&x.extents)?;
    let zero = match zero {
        None => Array::one(0),
        Some(Constant::Integers(zero)) => zero.clone().reshaped(spread(&zero.extents)?)?,
        Some(_) => return Err(Error::Model("a zero point of floats".into())),
    };
    let zero = zero.broadcast(&x.extents)?;
    let numbers = x.values.iter().zip(&zero.values).zip(&scale.values).map(|((x, zero), scale)| (x - zero) as f32 * scale);
    Ok(Constant::Floats(Array { values: numbers.collect(), extents: x.extents.clone() }))
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
