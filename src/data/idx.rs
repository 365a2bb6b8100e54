//! IDX, the format of MNIST: a magic number, extents, bytes.

use crate::{Error, Result, shape::MAX_ELEMENTS};

/// The extents and bytes of a file; elements of other types than bytes are an error.
pub fn read<'a>(bytes: &'a [u8], name: &str) -> Result<(Vec<usize>, &'a [u8])> {
    let bad = |what: String| Error::File(format!("{name}: {what}"));
    let &[0, 0, kind, rank, ref rest @ ..] = bytes else {
        return Err(bad("not an IDX file: it does not begin with two zero bytes".into()));
    };
    if kind != 8 {
        return Err(bad(format!("an IDX file with elements of type {kind:#04x}; bytes (0x08) are supported")));
    }
    let head = 4 * usize::from(rank);
    if rank == 0 || rest.len() < head {
        return Err(bad(format!("an IDX file with {rank} extents that ends after {} bytes", bytes.len())));
    }
    let (head, data) = rest.split_at(head);
    let extents: Vec<usize> = head.chunks(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect();
    let wanted = extents.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent)).filter(|&n| n <= MAX_ELEMENTS);
    match wanted {
        Some(wanted) if wanted == data.len() => Ok((extents, data)),
        _ => Err(bad(format!("an IDX file of extents {extents:?} with {} bytes of data", data.len()))),
    }
}

/// Whether a file begins as one of bytes does.
pub fn is(bytes: &[u8]) -> bool {
    matches!(bytes, [0, 0, 8, 1..=8, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_read_and_nothing_else() {
        let file = [&[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[1, 2, 3, 4, 5, 6]].concat();
        assert_eq!(read(&file, "x").unwrap(), (vec![2, 3], &[1, 2, 3, 4, 5, 6][..]));
        assert!(is(&file) && !is(b"\x93NUMPY"));
        for end in 0..file.len() {
            assert!(read(&file[..end], "x").unwrap_err().to_string().starts_with("x: "));
        }
        assert!(read(&[0, 0, 13, 1, 0, 0, 0, 0], "x").unwrap_err().to_string().contains("0x0d"));
        let huge = [&[0, 0, 8, 3][..], &[255; 12]].concat();
        assert!(read(&huge, "x").is_err());
    }
}
