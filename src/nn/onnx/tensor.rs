//! Constant tensors: lengths checked against shapes, numbers finite, data in the model's file or beside it.

use super::{
    array::{Array, elements},
    constant::Constant,
    external::{self, Folder},
    schema::{SparseTensorProto, TensorProto},
};
use crate::{Error, Result};

const FLOAT: i32 = 1;
const UINT8: i32 = 2;
const INT8: i32 = 3;
const UINT16: i32 = 4;
const INT16: i32 = 5;
const INT32: i32 = 6;
const INT64: i32 = 7;
const STRING: i32 = 8;
/// True or false.
pub const BOOL: i32 = 9;
const FLOAT16: i32 = 10;
const DOUBLE: i32 = 11;
const UINT32: i32 = 12;
const BFLOAT16: i32 = 16;
const EXTERNAL: i32 = 1;

/// Whether elements of this type are numbers with a fraction; an error for what is no number of a supported kind.
pub fn is_float(element_type: i32) -> Result<bool> {
    match element_type {
        FLOAT | FLOAT16 | DOUBLE | BFLOAT16 => Ok(true),
        UINT8 | INT8 | UINT16 | INT16 | INT32 | INT64 | BOOL | UINT32 => Ok(false),
        other => Err(Error::Model(format!("element type {other} is not supported"))),
    }
}

/// An initializer or the value of a Constant; `folder` is where the model lies.
pub fn read(proto: &TensorProto, folder: Option<&Folder>) -> Result<Constant> {
    let name = &proto.name;
    let bad = |what: String| Error::Model(format!("tensor '{name}': {what}"));
    let extents =
        proto.dims.iter().map(|&d| usize::try_from(d).map_err(|_| bad(format!("an extent of {d}")))).collect::<Result<Vec<_>>>()?;
    let wanted = elements(&extents).map_err(|e| bad(e.to_string()))?;
    let external;
    let raw = if proto.data_location == EXTERNAL {
        external = beside(proto, folder, wanted).map_err(bad)?;
        &external
    } else {
        &proto.raw_data
    };
    let array = |found: Option<usize>| match found {
        Some(found) if found == wanted => Ok(extents.clone()),
        Some(found) => Err(bad(format!("its shape has {wanted} elements, its data {found}"))),
        None => Err(bad(format!("its data has {} bytes, no whole number of elements", raw.len()))),
    };
    if is_float(proto.data_type).map_err(|e| bad(e.to_string()))? {
        let values = floats(proto, raw);
        let extents = array(values.as_ref().map(Vec::len))?;
        let values = values.unwrap_or_default();
        if let Some(i) = values.iter().position(|v| v.is_nan()) {
            return Err(Error::Range(format!("tensor '{name}': element {i} is not a number (NaN)")));
        }
        Ok(Constant::Floats(Array { extents, values }))
    } else {
        let values = integers(proto, raw);
        let extents = array(values.as_ref().map(Vec::len))?;
        Ok(Constant::Integers(Array { extents, values: values.unwrap_or_default() }))
    }
}

/// Whether integers of a type hold all those of another.
pub fn holds(to: i32, from: i32) -> bool {
    let range = |element_type: i32| match element_type {
        BOOL => Some((0, 1)),
        UINT8 => Some((0, u8::MAX.into())),
        INT8 => Some((i8::MIN.into(), i8::MAX.into())),
        UINT16 => Some((0, u16::MAX.into())),
        INT16 => Some((i16::MIN.into(), i16::MAX.into())),
        UINT32 => Some((0, u32::MAX.into())),
        INT32 => Some((i32::MIN.into(), i32::MAX.into())),
        INT64 => Some((i64::MIN, i64::MAX)),
        _ => None,
    };
    matches!((range(to), range(from)), (Some((low, high)), Some((least, most))) if low <= least && most <= high)
}

/// Whether arithmetic with integers of a type leaves it after a few sums.
pub fn is_narrow(element_type: i32) -> bool {
    matches!(element_type, BOOL | UINT8 | INT8 | UINT16 | INT16)
}

/// The name and the texts of a tensor that holds texts.
pub fn texts(proto: &TensorProto) -> Option<(String, Vec<String>)> {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    (proto.data_type == STRING).then(|| (proto.name.clone(), proto.string_data.iter().map(text).collect()))
}

/// A sparse initializer, whose indices count in row-major order or one for each axis; other elements are zeros.
pub fn sparse(proto: &SparseTensorProto, folder: Option<&Folder>) -> Result<(String, Constant)> {
    let (values, indices) = (proto.values.clone().unwrap_or_default(), proto.indices.clone().unwrap_or_default());
    let name = values.name.clone();
    let bad = |what: String| Error::Model(format!("sparse tensor '{name}': {what}"));
    let extents =
        proto.dims.iter().map(|&d| usize::try_from(d).map_err(|_| bad(format!("an extent of {d}")))).collect::<Result<Vec<_>>>()?;
    let n = elements(&extents).map_err(|e| bad(e.to_string()))?;
    let Constant::Integers(indices) = read(&indices, folder)? else { return Err(bad("indices that are no integers".into())) };
    let rank = if indices.rank() == 2 { extents.len() } else { 1 };
    let axes = if indices.rank() == 2 { extents.clone() } else { vec![n] };
    let place = |index: &[i64]| {
        let inside = index.iter().zip(&axes).all(|(&i, &extent)| usize::try_from(i).is_ok_and(|i| i < extent));
        inside.then(|| index.iter().zip(&axes).fold(0, |place, (&i, &extent)| place * extent + i as usize))
    };
    let flat: Option<Vec<usize>> = indices.values.chunks(rank.max(1)).map(place).collect();
    let flat = flat.ok_or_else(|| bad(format!("an index outside its shape {extents:?}")))?;
    let constant = match read(&values, folder)? {
        Constant::Floats(values) => scattered(&flat, &values.values, n).map(|values| Constant::Floats(Array { extents, values })),
        Constant::Integers(values) => scattered(&flat, &values.values, n).map(|values| Constant::Integers(Array { extents, values })),
    };
    Ok((name.clone(), constant.ok_or_else(|| bad(format!("{} indices for another number of values", flat.len())))?))
}

fn scattered<T: Copy + Default>(indices: &[usize], values: &[T], n: usize) -> Option<Vec<T>> {
    let mut out = vec![T::default(); n];
    indices.iter().zip(values).for_each(|(&index, &value)| out[index] = value);
    (indices.len() == values.len()).then_some(out)
}

/// A float as a type of this number has it, ties to even.
pub fn rounded(v: f32, element_type: i32) -> f32 {
    let short = |bits: u32| {
        let (word, half) = (v.to_bits(), 1 << (bits - 1));
        f32::from_bits((word + half - 1 + (word >> bits & 1)) & !((1 << bits) - 1))
    };
    match element_type {
        _ if !v.is_finite() => v,
        // beneath its normal numbers a half has steps of 2^-24
        FLOAT16 if v.abs() < f32::powi(2.0, -14) => (v * f32::powi(2.0, 24)).round_ties_even() * f32::powi(2.0, -24),
        FLOAT16 if short(13).abs() > 65504.0 => f32::INFINITY.copysign(v),
        FLOAT16 => short(13),
        BFLOAT16 => short(16),
        _ => v,
    }
}

/// An integer as a type of this number has it.
pub fn wrapped(v: i64, element_type: i32) -> i64 {
    match element_type {
        BOOL => i64::from(v != 0),
        UINT8 => (v as u8).into(),
        INT8 => (v as i8).into(),
        UINT16 => (v as u16).into(),
        INT16 => (v as i16).into(),
        UINT32 => (v as u32).into(),
        INT32 => (v as i32).into(),
        _ => v,
    }
}

fn floats(proto: &TensorProto, raw: &[u8]) -> Option<Vec<f32>> {
    let listed = || proto.int32_data.iter().map(|&v| v as u16);
    match (proto.data_type, raw.is_empty()) {
        (FLOAT, true) => Some(proto.float_data.clone()),
        (FLOAT, false) => words(raw, f32::from_le_bytes),
        (DOUBLE, true) => Some(proto.double_data.iter().map(|&v| v as f32).collect()),
        (DOUBLE, false) => words(raw, |b| f64::from_le_bytes(b) as f32),
        (FLOAT16, true) => Some(listed().map(half).collect()),
        (FLOAT16, false) => words(raw, |b| half(u16::from_le_bytes(b))),
        (_, true) => Some(listed().map(brain).collect()),
        (_, false) => words(raw, |b| brain(u16::from_le_bytes(b))),
    }
}

fn integers(proto: &TensorProto, raw: &[u8]) -> Option<Vec<i64>> {
    match (proto.data_type, raw.is_empty()) {
        (INT64, true) => Some(proto.int64_data.clone()),
        (_, true) => Some(proto.int32_data.iter().map(|&v| v.into()).collect()),
        (INT64, false) => words(raw, i64::from_le_bytes),
        (INT32, false) => words(raw, |b| i32::from_le_bytes(b).into()),
        (UINT32, false) => words(raw, |b| u32::from_le_bytes(b).into()),
        (INT16, false) => words(raw, |b| i16::from_le_bytes(b).into()),
        (UINT16, false) => words(raw, |b| u16::from_le_bytes(b).into()),
        (INT8, false) => words(raw, |b| i8::from_le_bytes(b).into()),
        (_, false) => words(raw, |b| u8::from_le_bytes(b).into()),
    }
}

fn words<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
    let whole = bytes.len().is_multiple_of(N);
    whole.then(|| bytes.chunks_exact(N).map(|b| read(std::array::from_fn(|i| b[i]))).collect())
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let size = match exponent {
        0 => fraction * f32::powi(2.0, -24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * f32::powi(2.0, exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// The upper half of an f32.
fn brain(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The bytes of a tensor whose data lies in a file beside the model.
fn beside(proto: &TensorProto, folder: Option<&Folder>, elements: usize) -> std::result::Result<Vec<u8>, String> {
    let size = match proto.data_type {
        INT64 | DOUBLE => 8,
        FLOAT | INT32 | UINT32 => 4,
        FLOAT16 | BFLOAT16 | INT16 | UINT16 => 2,
        _ => 1,
    };
    let location = external::location(proto)?;
    let folder = folder.ok_or_else(|| format!("its data lies in the file '{location}'; open the model by its path"))?;
    folder.read(proto, (elements * size) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_floats() {
        for (bits, value) in
            [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 5.960_464_5e-8), (0x3555, 0.333_251_95), (0x7c00, f32::INFINITY)]
        {
            assert_eq!(half(bits), value);
        }
        assert!(half(0x7e00).is_nan());
        assert_eq!((brain(0x3f80), brain(0xc0a0)), (1.0, -5.0));
    }
}
