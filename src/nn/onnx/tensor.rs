//! Constant tensors: lengths checked against shapes, numbers finite.

use super::{Meaning, Tensor, schema::TensorProto};
use crate::{Error, Result, shape::Shape};

const FLOAT: i32 = 1;
const INT64: i32 = 7;
const DOUBLE: i32 = 11;
const EXTERNAL: i32 = 1;

/// An initializer or the value of a Constant.
pub fn read(proto: &TensorProto) -> Result<Meaning> {
    let name = &proto.name;
    let bad = |what: String| Error::Model(format!("tensor '{name}': {what}"));
    if proto.data_location == EXTERNAL {
        return Err(bad("its data lies in another file, which is not supported; save the model in one file".into()));
    }
    let extents =
        proto.dims.iter().map(|&d| usize::try_from(d).map_err(|_| bad(format!("an extent of {d}")))).collect::<Result<Vec<_>>>()?;
    match proto.data_type {
        INT64 => {
            let values = if proto.raw_data.is_empty() { proto.int64_data.clone() } else { words(&proto.raw_data, i64::from_le_bytes) };
            let wanted = extents.iter().try_fold(1usize, |n, &e| n.checked_mul(e));
            check(wanted, values.len(), proto.raw_data.len() % 8).map_err(bad)?;
            Ok(Meaning::Integers(values))
        }
        FLOAT | DOUBLE => {
            let shape = Shape::new(extents).map_err(|e| bad(e.to_string()))?;
            let (values, rest): (Vec<f32>, usize) = match (proto.data_type, proto.raw_data.is_empty()) {
                (FLOAT, true) => (proto.float_data.clone(), 0),
                (FLOAT, false) => (words(&proto.raw_data, f32::from_le_bytes), proto.raw_data.len() % 4),
                (_, true) => (proto.double_data.iter().map(|&v| v as f32).collect(), 0),
                (_, false) => (words(&proto.raw_data, |b| f64::from_le_bytes(b) as f32), proto.raw_data.len() % 8),
            };
            check(Some(shape.elements()), values.len(), rest).map_err(bad)?;
            if let Some(i) = values.iter().position(|v| !v.is_finite()) {
                return Err(Error::Range(format!(
                    "tensor '{name}': element {i} is {}",
                    if values[i].is_nan() { "not a number (NaN)" } else { "infinite" }
                )));
            }
            Ok(Meaning::Floats(Tensor { shape, values }))
        }
        other => Err(bad(format!("element type {other} is not supported; float (1), double (11) and int64 (7) are"))),
    }
}

fn check(wanted: Option<usize>, found: usize, rest: usize) -> std::result::Result<(), String> {
    match wanted {
        Some(wanted) if wanted == found && rest == 0 => Ok(()),
        Some(wanted) => Err(format!("its shape has {wanted} elements, its data {found}{}", if rest == 0 { "" } else { " and a part" })),
        None => Err("its shape is too large".into()),
    }
}

fn words<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.chunks_exact(N).map(|b| read(std::array::from_fn(|i| b[i]))).collect()
}
