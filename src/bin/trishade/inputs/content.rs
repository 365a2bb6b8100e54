//! Files as they are, whatever their names say.

use crate::{
    files, npy,
    npz::{self, Archive},
};
use std::path::{Path, PathBuf};
use trishade::{
    Error, Result,
    data::{
        Batch, Numbers, cifar, idx,
        images::{self, Format},
    },
};

/// A file, or an array of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// The array's name in an archive.
    pub array: Option<String>,
}

/// Content of a file.
pub enum Content {
    /// An image, still encoded.
    Image(Vec<u8>),
    /// An array: a .npy or an IDX file.
    Array(Numbers),
    /// Several arrays with names: a .npz file.
    Archive(Archive),
    /// Images with their classes: a file of CIFAR's.
    Batch(Batch),
    /// Text: rows of numbers.
    Table(String),
}

/// Kinds of files that are read, for errors.
const READ: &str =
    "images (PNG, JPEG, WebP, BMP), .npy, .npz, CSV, IDX (MNIST) and CIFAR's .bin files are read, the last two and .npy also gzipped";

/// The beginning of a file that `gzip` has packed.
const PACKED: &[u8] = b"\x1f\x8b";

/// Beginnings of files that people have and that are not read.
const UNREAD: [(&[u8], &str); 10] = [
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file; save its arrays with numpy.save"),
    (b"PAR1", "a Parquet file; save it as CSV"),
    (b"ARROW1", "an Arrow file; save it as CSV"),
    (b"MATLAB 5.0", "a MATLAB file; save its arrays with numpy.save"),
    (b"\x80\x02", "a pickle of Python, which only Python can read; save its arrays with numpy.save"),
    (b"\x80\x03", "a pickle of Python, which only Python can read; save its arrays with numpy.save"),
    (b"\x80\x04", "a pickle of Python, which only Python can read; save its arrays with numpy.save"),
    (b"\x80\x05", "a pickle of Python, which only Python can read; save its arrays with numpy.save"),
    (b"\xff\xfe", "text in UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "text in UTF-16; save it as UTF-8"),
];

impl Source {
    /// `FILE`, or `FILE:ARRAY` where there is no file of that whole name.
    pub fn new(argument: &Path) -> Self {
        let whole = || Self { path: argument.into(), array: None };
        let Some(text) = argument.to_str().filter(|_| !argument.exists()) else { return whole() };
        let part = |(at, _): (usize, _)| {
            let (path, array) = (Path::new(&text[..at]), &text[at + 1..]);
            (path.is_file() && !array.is_empty()).then(|| Self { path: path.into(), array: Some(array.into()) })
        };
        text.match_indices(':').find_map(part).unwrap_or_else(whole)
    }

    /// Its name for errors.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Reads the file. An array that is named is that one alone.
    pub fn read(&self) -> Result<Content> {
        let name = self.name();
        match (recognised(files::read(&self.path)?, &name)?, &self.array) {
            (Content::Archive(mut archive), Some(array)) => Ok(Content::Array(archive.array(array)?)),
            (_, Some(array)) => Err(Error::Input(format!("{name} is no .npz file, of which ':{array}' would name an array"))),
            (content, None) => Ok(content),
        }
    }
}

/// The file of an argument `NAME=FILE` for this name, which may have the sign in it as well. A file of that whole name is no such argument.
pub fn file_for(argument: &Path, name: &str) -> Option<PathBuf> {
    let name_and_file = argument.to_str().filter(|_| !argument.exists())?;
    Some(name_and_file.strip_prefix(name)?.strip_prefix('=')?.into())
}

/// The content of a file by its bytes, one that `gzip` has packed taken as what is in it. `name` is for errors.
pub fn recognised(bytes: Vec<u8>, name: &str) -> Result<Content> {
    if !bytes.starts_with(PACKED) {
        return unpacked(bytes, name);
    }
    let inner = files::unpacked(&bytes, name)?;
    match inner.starts_with(PACKED) {
        true => Err(Error::File(format!("{name}: packed by gzip twice; unpack it once"))),
        false => unpacked(inner, name),
    }
}

fn unpacked(bytes: Vec<u8>, name: &str) -> Result<Content> {
    let bad = |what: &str| Err(Error::File(format!("{name}: {what}")));
    let format = images::format(&bytes[..bytes.len().min(images::HEAD)]);
    if bytes.is_empty() {
        return bad("an empty file");
    }
    if bytes.starts_with(npy::MAGIC) {
        return npy::numbers(&bytes, name).map(Content::Array);
    }
    if npz::MAGICS.iter().any(|magic| bytes.starts_with(magic)) {
        return Archive::new(bytes, name).map(Content::Archive);
    }
    match format {
        Some(Format::Known(_)) => return Ok(Content::Image(bytes)),
        Some(Format::Other(what)) => return bad(&format!("{what}; {READ}")),
        None => (),
    }
    // the first pixels of an image may look like the head of an IDX file, but not be as long as it says
    if idx::is_whole(&bytes) {
        return idx::read(&bytes, name).map(Content::Array);
    }
    if let Some(classes) = cifar::classes(&bytes) {
        return cifar::read(&bytes, classes, name).map(Content::Batch);
    }
    if idx::is(&bytes) {
        return idx::read(&bytes, name).map(Content::Array);
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return bad("a tar archive; unpack it");
    }
    if let Some((_, what)) = UNREAD.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return bad(what);
    }
    table(bytes, name)
}

/// A text without control characters but those that end lines and columns.
fn table(bytes: Vec<u8>, name: &str) -> Result<Content> {
    let is_text = |bytes: &[u8]| !bytes.iter().any(|b| matches!(b, 0..=8 | 11 | 12 | 14..=31 | 127));
    if !is_text(&bytes) {
        return Err(Error::File(format!("{name}: not a file of a kind that is known, or a damaged one; {READ}")));
    }
    match String::from_utf8(bytes) {
        Ok(mut text) => {
            let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
            text.drain(..mark);
            Ok(Content::Table(text))
        }
        Err(e) => {
            Err(Error::File(format!("{name}: text that is not UTF-8 from byte {} on; save it as UTF-8", e.utf8_error().valid_up_to())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn kind(bytes: &[u8]) -> String {
        match recognised(bytes.to_vec(), "x") {
            Ok(Content::Image(_)) => "image".into(),
            Ok(Content::Array(numbers)) => format!("array {:?}", numbers.extents),
            Ok(Content::Archive(_)) => "archive".into(),
            Ok(Content::Batch(batch)) => format!("{} images", batch.labels.len()),
            Ok(Content::Table(text)) => format!("table {text}"),
            Err(e) => e.to_string(),
        }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        to.write_all(bytes).unwrap();
        to.finish().unwrap()
    }

    #[test]
    fn files_are_what_they_are() {
        let mut npy = Vec::new();
        npy::write(&mut npy, &[2, 1], &[1.0, 2.0], false).unwrap();
        let idx = [0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2, 7, 9];
        // a picture of CIFAR's whose first bytes are those of an IDX file
        let mut cifar = vec![200; 3073];
        cifar[..4].copy_from_slice(&[0, 0, 8, 3]);
        for (bytes, wanted) in [
            (&npy[..], "array [2, 1]"),
            (&gzip(&npy), "array [2, 1]"),
            (&idx, "array [1, 2]"),
            (&gzip(&idx), "array [1, 2]"),
            (&cifar, "1 images"),
            (&gzip(&cifar.repeat(2)), "2 images"),
            (b"\x89PNG\r\n\x1a\n...", "image"),
            (b"\xff\xd8\xff\xe0", "image"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "image"),
            (b"\xef\xbb\xbfa,b\n1,2\n", "table a,b\n1,2\n"),
            (&gzip(b"1,2\n"), "table 1,2\n"),
            (b"BMI,age\n1,2\n", "table BMI,age\n1,2\n"),
            (b"P1,P2\n1,2\n", "table P1,P2\n1,2\n"),
        ] {
            assert_eq!(kind(bytes), wanted);
        }
    }

    #[test]
    fn what_is_not_read_is_named() {
        for (bytes, word) in [
            (&b""[..], "empty"),
            (b"GIF89a", "GIF"),
            (b"\x89HDF\r\n\x1a\n", "HDF5"),
            (b"\x80\x04\x95", "pickle"),
            (b"\xff\xfea\0,\0", "UTF-16"),
            (b"caf\xe9,1\n", "not UTF-8 from byte 3"),
            (b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "without arrays"),
            (b"PK\x03\x04", "damaged zip"),
            (b"\x1f\x8b\x08", "damaged gzip"),
            (&gzip(&gzip(b"1")), "twice"),
            (b"\x93NUMPY\x01", "damaged"),
            (&[0, 0, 8, 1, 0, 0, 0, 9, 1], "IDX"),
            (&[&[b'x'; 257][..], b"ustar\0"].concat(), "tar archive; unpack it"),
            (b"\x08\x07\x12", "CSV, IDX (MNIST)"),
        ] {
            assert!(kind(bytes).contains(word) && kind(bytes).starts_with("x: "), "{}", kind(bytes));
        }
    }

    #[test]
    fn an_array_of_an_archive_is_named_behind_its_file() {
        let folder = std::env::temp_dir().join(format!("trishade-source-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (plain, signed) = (folder.join("a.npz"), folder.join("b:c"));
        std::fs::write(&plain, "1,2").unwrap();
        std::fs::write(&signed, "1,2").unwrap();
        let with = |path: &Path, array: &str| PathBuf::from(format!("{}:{array}", path.display()));
        let source = |path: &Path, array: Option<&str>| Source { path: path.into(), array: array.map(Into::into) };
        assert_eq!(Source::new(&with(&plain, "input:0")), source(&plain, Some("input:0")));
        assert_eq!((Source::new(&signed), Source::new(&with(&signed, "x"))), (source(&signed, None), source(&signed, Some("x"))));
        assert_eq!(Source::new(Path::new("/no/such:file")), source(Path::new("/no/such:file"), None));
        assert!(Source::new(&with(&plain, "x")).read().err().unwrap().to_string().contains("no .npz file"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
