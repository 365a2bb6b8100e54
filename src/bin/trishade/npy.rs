//! Arrays from .npy files: lengths checked against the file, numbers against what they are for.

use crate::args::Preprocess;
use npyz::{DType, NpyHeader, Order, TypeChar};
use std::path::Path;
use trishade::{Error, Result, shape::Shape};

/// An array as the file has it.
struct Array {
    shape: Shape,
    kind: TypeChar,
    size: usize,
    big_endian: bool,
    bytes: Vec<u8>,
    at: String,
}

/// A batch of inputs, and its shape.
pub fn inputs(bytes: Vec<u8>, name: &str, preprocess: Option<Preprocess>) -> Result<(Shape, Vec<f32>)> {
    let array = Array::new(bytes, name)?;
    let (values, usual): (Vec<f32>, _) = match (array.kind, array.size) {
        (TypeChar::Float, 4) => (array.numbers(f32::from_le_bytes).collect(), Preprocess::Raw),
        (TypeChar::Float, 8) => (array.numbers(|b| f64::from_le_bytes(b) as f32).collect(), Preprocess::Raw),
        (TypeChar::Uint, 1) => (array.bytes.iter().map(|&b| f32::from(b)).collect(), Preprocess::Unit),
        _ => return Err(array.unusable("float32, float64 and uint8 are")),
    };
    let factor = if preprocess.unwrap_or(usual) == Preprocess::Unit { 1.0 / 255.0 } else { 1.0 };
    Ok((array.shape, values.into_iter().map(|v| v * factor).collect()))
}

/// One class for each of `count` inputs.
pub fn labels(bytes: Vec<u8>, name: &str, count: usize) -> Result<Vec<usize>> {
    let array = Array::new(bytes, name)?;
    if array.shape.elements() != count {
        return Err(Error::File(format!("{name}: {} labels for {count} inputs", array.shape.elements())));
    }
    let values: Vec<i64> = match (array.kind, array.size) {
        (TypeChar::Int, 8) => array.numbers(i64::from_le_bytes).collect(),
        (TypeChar::Uint, 8) => array.numbers(|b| i64::try_from(u64::from_le_bytes(b)).unwrap_or(-1)).collect(),
        (TypeChar::Int, 4) => array.numbers(|b| i32::from_le_bytes(b).into()).collect(),
        (TypeChar::Uint, 4) => array.numbers(|b| u32::from_le_bytes(b).into()).collect(),
        (TypeChar::Int, 2) => array.numbers(|b| i16::from_le_bytes(b).into()).collect(),
        (TypeChar::Uint, 2) => array.numbers(|b| u16::from_le_bytes(b).into()).collect(),
        (TypeChar::Int, 1) => array.numbers(|b| i8::from_le_bytes(b).into()).collect(),
        (TypeChar::Uint, 1) => array.bytes.iter().map(|&b| b.into()).collect(),
        _ => return Err(array.unusable("integers are")),
    };
    let classes = values.iter().map(|&v| usize::try_from(v));
    classes.collect::<std::result::Result<_, _>>().map_err(|_| Error::File(format!("{name}: a label is negative")))
}

/// A whole file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::File(format!("cannot read {}: {e}", path.display())))
}

impl Array {
    fn new(bytes: Vec<u8>, name: &str) -> Result<Self> {
        let bad = |what: String| Error::File(format!("{name}: {what}"));
        let mut rest = &bytes[..];
        let header = NpyHeader::from_reader(&mut rest).map_err(|e| bad(format!("not a .npy file, or a damaged one: {e}")))?;
        let DType::Plain(kind) = header.dtype() else {
            return Err(bad("an array of records; one plain number type is expected".into()));
        };
        if header.order() == Order::Fortran && header.shape().len() > 1 {
            return Err(bad("an array in Fortran order; save it with numpy.ascontiguousarray".into()));
        }
        let extents = header.shape().iter().map(|&e| usize::try_from(e)).collect::<std::result::Result<Vec<_>, _>>();
        let shape = extents.map_err(|e| bad(e.to_string())).and_then(|e| Shape::new(e).map_err(|e| bad(e.to_string())))?;
        let size = kind.size_field() as usize;
        if shape.elements().checked_mul(size) != Some(rest.len()) {
            return Err(bad(format!("an array {shape} of {size} bytes an element, but the file holds {} bytes of data", rest.len())));
        }
        let (kind, big_endian) = (kind.type_char(), kind.endianness() == npyz::Endianness::Big);
        let start = bytes.len() - rest.len();
        Ok(Self { shape, kind, size, big_endian, bytes: bytes[start..].to_vec(), at: name.into() })
    }

    /// The elements, read from little-endian bytes.
    fn numbers<const N: usize, T>(&self, read: impl Fn([u8; N]) -> T) -> impl Iterator<Item = T> {
        let turned = self.big_endian;
        self.bytes.chunks_exact(N).map(move |b| read(std::array::from_fn(|i| b[if turned { N - 1 - i } else { i }])))
    }

    fn unusable(&self, what: &str) -> Error {
        Error::File(format!("{}: elements of type {} with {} bytes are not supported; {what}", self.at, self.kind, self.size))
    }
}
