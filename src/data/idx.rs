//! IDX, the format of MNIST: a magic number with the type of the elements, extents, elements with their highest byte first.

use super::numbers::{Kind, Numbers};
use crate::{Error, Result, shape::MAX_ELEMENTS};

/// Bytes of a magic number.
const MAGIC: usize = 4;

/// The array of a file.
pub fn read(bytes: &[u8], name: &str) -> Result<Numbers> {
    let bad = |what: String| Error::File(format!("{name}: {what}"));
    let &[0, 0, code, rank, ..] = bytes else {
        return Err(bad("not an IDX file: it does not begin with two zero bytes".into()));
    };
    let Some(size) = size(code) else {
        return Err(bad(format!("an IDX file with elements of type {code:#04x}, which the format does not have")));
    };
    let Some((extents, data)) = parts(bytes, rank) else {
        return Err(bad(format!("an IDX file with {rank} extents that ends after {} bytes", bytes.len())));
    };
    match elements(&extents) {
        Some(wanted) if wanted.checked_mul(size) == Some(data.len()) => {
            let (kind, values) = decoded(code, data);
            Ok(Numbers { extents, kind, values })
        }
        _ => Err(bad(format!("an IDX file of extents {extents:?}, {size} bytes an element, with {} bytes of data", data.len()))),
    }
}

/// Whether a file begins as one does.
pub fn is(bytes: &[u8]) -> bool {
    matches!(bytes, [0, 0, code, 1..=8, ..] if size(*code).is_some())
}

/// Whether a file is a whole one: begins as one does, and is as long as it says.
pub fn is_whole(bytes: &[u8]) -> bool {
    let whole = |(extents, data): (Vec<usize>, &[u8])| Some(elements(&extents)?.checked_mul(size(bytes[2])?)? == data.len());
    is(bytes) && parts(bytes, bytes[3]).and_then(whole).unwrap_or(false)
}

/// Bytes of an element.
fn size(code: u8) -> Option<usize> {
    match code {
        0x08 | 0x09 => Some(1),
        0x0B => Some(2),
        0x0C | 0x0D => Some(4),
        0x0E => Some(8),
        _ => None,
    }
}

/// The extents and what follows them.
fn parts(bytes: &[u8], rank: u8) -> Option<(Vec<usize>, &[u8])> {
    let (head, data) = bytes[MAGIC..].split_at_checked(4 * usize::from(rank)).filter(|_| rank > 0)?;
    Some((head.chunks(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect(), data))
}

fn elements(extents: &[usize]) -> Option<usize> {
    extents.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent)).filter(|&n| n <= MAX_ELEMENTS)
}

fn decoded(code: u8, data: &[u8]) -> (Kind, Vec<f32>) {
    match code {
        0x08 => (Kind::Bytes, data.iter().map(|&v| v.into()).collect()),
        0x09 => (Kind::Integers, data.iter().map(|&v| (v as i8).into()).collect()),
        0x0B => (Kind::Integers, words(data).map(|b| i16::from_be_bytes(b).into()).collect()),
        0x0C => (Kind::Integers, words(data).map(|b| i32::from_be_bytes(b) as f32).collect()),
        0x0D => (Kind::Floats, words(data).map(f32::from_be_bytes).collect()),
        _ => (Kind::Floats, words(data).map(|b| f64::from_be_bytes(b) as f32).collect()),
    }
}

fn words<const N: usize>(data: &[u8]) -> impl Iterator<Item = [u8; N]> {
    data.chunks_exact(N).map(|b| std::array::from_fn(|i| b[i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(code: u8, extents: &[u32], data: &[u8]) -> Vec<u8> {
        let extents = extents.iter().flat_map(|extent| extent.to_be_bytes()).collect::<Vec<u8>>();
        [&[0, 0, code, (extents.len() / 4) as u8], &extents[..], data].concat()
    }

    #[test]
    fn what_is_there_is_read_and_nothing_else() {
        let file = file(8, &[2, 3], &[1, 2, 3, 4, 5, 6]);
        let numbers = Numbers { extents: vec![2, 3], kind: Kind::Bytes, values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0] };
        assert_eq!(read(&file, "x").unwrap(), numbers);
        assert!(is(&file) && is_whole(&file) && !is(b"\x93NUMPY"));
        for end in 0..file.len() {
            assert!(!is_whole(&file[..end]));
            assert!(read(&file[..end], "x").unwrap_err().to_string().starts_with("x: "));
        }
        assert!(read(&[0, 0, 10, 1, 0, 0, 0, 0], "x").unwrap_err().to_string().contains("0x0a"));
        let huge = [&[0, 0, 8, 3][..], &[255; 12]].concat();
        assert!(read(&huge, "x").is_err() && !is_whole(&huge));
    }

    #[test]
    fn every_type_of_element_is_read() {
        let cases: [(u8, Vec<u8>, Kind, [f32; 2]); 6] = [
            (0x08, vec![0, 255], Kind::Bytes, [0.0, 255.0]),
            (0x09, vec![0x80, 127], Kind::Integers, [-128.0, 127.0]),
            (0x0B, vec![0xff, 0xfe, 1, 0], Kind::Integers, [-2.0, 256.0]),
            (0x0C, vec![0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0], Kind::Integers, [-1.0, 65536.0]),
            (0x0D, [1.5f32.to_be_bytes(), (-2.25f32).to_be_bytes()].concat(), Kind::Floats, [1.5, -2.25]),
            (0x0E, [1e-3f64.to_be_bytes(), (-7f64).to_be_bytes()].concat(), Kind::Floats, [1e-3, -7.0]),
        ];
        for (code, data, kind, values) in cases {
            let read = read(&file(code, &[2], &data), "x").unwrap();
            assert_eq!((read.kind, &read.values[..]), (kind, &values[..]), "{code:#04x}");
        }
    }
}
