//! Arrays of numpy: .npy files of any number type, in either order of bytes and of axes. Lengths are checked against the file.

use half::f16;
use npyz::{DType, NpyHeader, Order, TypeChar, TypeStr};
use std::io::{self, Read, Write};
use trishade::{
    Error, Result,
    data::{Kind, Numbers},
    shape::Shape,
};

/// The first bytes of a file.
pub const MAGIC: &[u8] = b"\x93NUMPY";

/// The array of a file. `name` is for errors.
pub fn numbers(bytes: &[u8], name: &str) -> Result<Numbers> {
    let mut data = bytes;
    let Head { shape, order, element } = head(&mut data, name)?;
    let (size, kind) = usable(&element).map_err(|what| Error::File(format!("{name}: {what}")))?;
    if shape.elements().checked_mul(size) != Some(data.len()) {
        let there = data.len();
        return Err(Error::File(format!("{name}: an array {shape} of {size} bytes an element, but the file holds {there} bytes of data")));
    }
    let values = values(&element, size, data);
    let extents = shape.extents().to_vec();
    let values = if order == Order::Fortran && extents.len() > 1 { row_major(&extents, &values) } else { values };
    Ok(Numbers { extents, kind, values })
}

/// Shape and type of an array, for people.
pub fn outline(mut stream: impl Read, name: &str) -> Result<String> {
    let head = head(&mut stream, name)?;
    Ok(format!("{} {}", head.shape, numpy_name(&head.element)))
}

/// A file of f32 or, if they are `whole` numbers, of i64.
pub fn write(to: &mut impl Write, extents: &[usize], values: &[f32], whole: bool) -> io::Result<()> {
    let descr = if whole { "<i8" } else { "<f4" };
    let extents: String = extents.iter().map(|extent| format!("{extent}, ")).collect();
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", extents.trim_end());
    // the data begin at a multiple of 64
    let spaces = 63 - (MAGIC.len() + 4 + header.len()) % 64;
    header.push_str(&" ".repeat(spaces));
    header.push('\n');
    let length = u16::try_from(header.len()).map_err(io::Error::other)?;
    to.write_all(&[MAGIC, &[1, 0], &length.to_le_bytes(), header.as_bytes()].concat())?;
    values.iter().try_for_each(|&v| if whole { to.write_all(&(v as i64).to_le_bytes()) } else { to.write_all(&v.to_le_bytes()) })
}

struct Head {
    shape: Shape,
    order: Order,
    element: TypeStr,
}

fn head(stream: &mut impl Read, name: &str) -> Result<Head> {
    let bad = |what: String| Error::File(format!("{name}: {what}"));
    let header = NpyHeader::from_reader(stream).map_err(|e| bad(format!("not a .npy file, or a damaged one: {e}")))?;
    let DType::Plain(element) = header.dtype() else {
        return Err(bad("an array of records; one plain number type is expected".into()));
    };
    let extents = header.shape().iter().map(|&extent| usize::try_from(extent)).collect::<std::result::Result<Vec<_>, _>>();
    let shape = extents.map_err(|e| bad(e.to_string())).and_then(|extents| Shape::new(extents).map_err(|e| bad(e.to_string())))?;
    Ok(Head { shape, order: header.order(), element })
}

/// Bytes of an element and its kind, if it is a number.
fn usable(element: &TypeStr) -> std::result::Result<(usize, Kind), String> {
    let kind = match (element.type_char(), element.size_field()) {
        (TypeChar::Float, 2 | 4 | 8) => Kind::Floats,
        (TypeChar::Uint, 1) => Kind::Bytes,
        (TypeChar::Int | TypeChar::Uint, 1 | 2 | 4 | 8) | (TypeChar::Bool, 1) => Kind::Integers,
        (TypeChar::Object, _) => {
            return Err("an array of Python objects, which only Python can read; save it with .astype(numpy.float32)".into());
        }
        (TypeChar::UnicodeStr | TypeChar::ByteStr, _) => return Err("an array of texts; save numbers, with .astype(numpy.float32)".into()),
        _ => {
            let known = "floats of 16, 32 and 64 bits, integers and bool are";
            return Err(format!("elements of type {} are not supported; {known}", numpy_name(element)));
        }
    };
    Ok((element.size_field() as usize, kind))
}

/// A type as numpy writes it: `float32`.
fn numpy_name(element: &TypeStr) -> String {
    let bits = element.size_field().saturating_mul(8);
    match element.type_char() {
        TypeChar::Bool => "bool".into(),
        TypeChar::Int => format!("int{bits}"),
        TypeChar::Uint => format!("uint{bits}"),
        TypeChar::Float => format!("float{bits}"),
        TypeChar::Complex => format!("complex{bits}"),
        TypeChar::Object => "object".into(),
        TypeChar::UnicodeStr | TypeChar::ByteStr => "text".into(),
        _ => element.to_string(),
    }
}

/// The elements as the file has them, one after another.
fn values(element: &TypeStr, size: usize, data: &[u8]) -> Vec<f32> {
    let big = element.endianness() == npyz::Endianness::Big;
    match (element.type_char(), size) {
        (TypeChar::Float, 2) => words(data, big).map(|b| f16::from_le_bytes(b).to_f32()).collect(),
        (TypeChar::Float, 4) => words(data, big).map(f32::from_le_bytes).collect(),
        (TypeChar::Float, _) => words(data, big).map(|b| f64::from_le_bytes(b) as f32).collect(),
        (TypeChar::Int, 1) => data.iter().map(|&b| (b as i8).into()).collect(),
        (TypeChar::Int, 2) => words(data, big).map(|b| i16::from_le_bytes(b).into()).collect(),
        (TypeChar::Int, 4) => words(data, big).map(|b| i32::from_le_bytes(b) as f32).collect(),
        (TypeChar::Int, _) => words(data, big).map(|b| i64::from_le_bytes(b) as f32).collect(),
        (TypeChar::Uint, 2) => words(data, big).map(|b| u16::from_le_bytes(b).into()).collect(),
        (TypeChar::Uint, 4) => words(data, big).map(|b| u32::from_le_bytes(b) as f32).collect(),
        (TypeChar::Uint, 8) => words(data, big).map(|b| u64::from_le_bytes(b) as f32).collect(),
        (TypeChar::Bool, _) => data.iter().map(|&b| f32::from(b != 0)).collect(),
        _ => data.iter().map(|&b| b.into()).collect(),
    }
}

/// The bytes of each element, the lowest first.
fn words<const N: usize>(data: &[u8], big_endian: bool) -> impl Iterator<Item = [u8; N]> {
    data.chunks_exact(N).map(move |b| std::array::from_fn(|i| b[if big_endian { N - 1 - i } else { i }]))
}

/// An array whose first axis varies fastest, as one whose last does.
fn row_major(extents: &[usize], values: &[f32]) -> Vec<f32> {
    let mut strides = vec![1; extents.len()];
    for axis in 1..extents.len() {
        strides[axis] = strides[axis - 1] * extents[axis - 1];
    }
    let (mut at, mut index) = (0, vec![0; extents.len()]);
    let mut out = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        out.push(values[at]);
        for axis in (0..extents.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < extents[axis] {
                break;
            }
            (at, index[axis]) = (at - strides[axis] * extents[axis], 0);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        [MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes(), data].concat()
    }

    #[test]
    fn every_number_type_is_read_in_either_order_of_bytes() {
        let cases: [(&str, &[u8], Kind, [f32; 2]); 14] = [
            ("<f2", &[0x00, 0xc1, 0x01, 0x00], Kind::Floats, [-2.5, 5.960_464_5e-8]),
            (">f2", &[0x7b, 0xff, 0x3c, 0x00], Kind::Floats, [65504.0, 1.0]),
            ("<f4", &[0, 0, 0xc0, 0x3f, 0, 0, 0, 0], Kind::Floats, [1.5, 0.0]),
            (">f8", &[0xbf, 0xf8, 0, 0, 0, 0, 0, 0, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0], Kind::Floats, [-1.5, 1.0]),
            ("|i1", &[0x80, 0x7f], Kind::Integers, [-128.0, 127.0]),
            ("|u1", &[0, 255], Kind::Bytes, [0.0, 255.0]),
            ("<i2", &[0xfe, 0xff, 0, 1], Kind::Integers, [-2.0, 256.0]),
            (">u2", &[0xff, 0xfe, 0, 1], Kind::Integers, [65534.0, 1.0]),
            ("<i4", &[0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0], Kind::Integers, [-1.0, 3.0]),
            (">u4", &[0x80, 0, 0, 0, 0, 0, 0, 5], Kind::Integers, [2_147_483_648.0, 5.0]),
            ("<i8", &[0xf9, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0, 0, 0], Kind::Integers, [-7.0, 2.0]),
            (">i8", &[0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 9], Kind::Integers, [256.0, 9.0]),
            ("<u8", &[4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0], Kind::Integers, [4.0, 5.0]),
            ("|b1", &[1, 0], Kind::Integers, [1.0, 0.0]),
        ];
        for (descr, data, kind, values) in cases {
            let read = numbers(&file(descr, false, "(2,)", data), "x").unwrap();
            assert_eq!((read.extents, read.kind, &read.values[..]), (vec![2], kind, &values[..]), "{descr}");
        }
    }

    /// `numpy.asfortranarray(numpy.arange(24).reshape(2, 3, 4)).astype("u1")`
    #[test]
    fn fortran_order_is_turned() {
        let data = [0, 12, 4, 16, 8, 20, 1, 13, 5, 17, 9, 21, 2, 14, 6, 18, 10, 22, 3, 15, 7, 19, 11, 23];
        let read = numbers(&file("|u1", true, "(2, 3, 4)", &data), "x").unwrap();
        assert_eq!((read.extents, read.values), (vec![2, 3, 4], (0..24).map(|v| v as f32).collect()));
        assert_eq!(numbers(&file("|u1", true, "(2,)", &[1, 2]), "x").unwrap().values, [1.0, 2.0]);
    }

    #[test]
    fn what_are_no_numbers_is_said() {
        let cases = [
            ("|O", "Python objects"),
            ("<U3", "texts"),
            ("|S3", "texts"),
            ("<c8", "complex64"),
            ("<f16", "float128"),
            ("<M8[s]", "not supported"),
        ];
        for (descr, word) in cases {
            let error = numbers(&file(descr, false, "(1,)", &[0; 16]), "x.npy").unwrap_err().to_string();
            assert!(error.starts_with("x.npy: ") && error.contains(word), "{error}");
        }
        assert!(numbers(b"\x93NUMPY", "x").unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn what_is_written_is_read() {
        for (extents, values, whole) in [(&[2, 3][..], &[0.5, -1.0, 2.0, 3.0, 4.0, 5.0][..], false), (&[3], &[0.0, 2.0, 9.0], true)] {
            let mut bytes = Vec::new();
            write(&mut bytes, extents, values, whole).unwrap();
            let read = numbers(&bytes, "x").unwrap();
            assert_eq!((&read.extents[..], &read.values[..], read.kind == Kind::Integers), (extents, values, whole));
            assert!(bytes.len() % 64 == values.len() * if whole { 8 } else { 4 } % 64);
        }
        assert_eq!(outline(&file("<f2", false, "(5, 2)", &[])[..], "x").unwrap(), "(5, 2) float16");
    }
}
