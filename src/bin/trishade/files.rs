//! Whole files: read and unpacked within bounds, written as a whole or not at all.

use flate2::read::MultiGzDecoder;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    path::{Path, PathBuf},
};
use trishade::{Error, Result};

/// Bytes that may come out of any packed file, and out of what has no length of its own, such as a pipe.
const MOST: u64 = 1 << 30;

/// A larger packed file may become so many times as large.
const RATIO: u64 = 100;

/// A whole file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |e: io::Error| Error::File(format!("cannot read {}: {e}", path.display()));
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(Error::File(format!("{} is a folder; a file is expected here", path.display())));
    }
    let limit = if metadata.is_file() { u64::MAX } else { MOST };
    bounded(file, limit)
        .map_err(failed)?
        .ok_or_else(|| Error::File(format!("{}: more than {limit} bytes from what is no file", path.display())))
}

/// The bytes of a file that `gzip` has packed. `name` is for errors.
pub fn unpacked(packed: &[u8], name: &str) -> Result<Vec<u8>> {
    let failed = |e: io::Error| Error::File(format!("{name}: a damaged gzip file: {e}"));
    let limit = unpacked_limit(packed.len() as u64);
    bounded(MultiGzDecoder::new(packed), limit).map_err(failed)?.ok_or_else(|| too_large(name, limit))
}

/// The most bytes that so many packed ones may become: more than any data does, and less than what is made to fill a memory.
pub fn unpacked_limit(packed: u64) -> u64 {
    packed.saturating_mul(RATIO).max(MOST)
}

/// The error of a packed file that becomes larger than it may.
pub fn too_large(name: &str, limit: u64) -> Error {
    Error::File(format!(
        "{name}: unpacked it has more than {limit} bytes, {RATIO} times its size or more; unpack it yourself if that is right"
    ))
}

/// All bytes of a stream; none if there are more than so many.
pub fn bounded(stream: impl Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    stream.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// A place where a file can be written, seen before there is anything to write.
#[derive(Debug)]
pub struct Place {
    to: PathBuf,
    /// A file of that name beside it, of this process.
    beside: PathBuf,
}

impl Place {
    /// [`Error::File`] if no file can be written there.
    pub fn new(to: &Path) -> Result<Self> {
        let failed = |e: io::Error| Error::File(format!("cannot write {}: {e}", to.display()));
        if to.is_dir() {
            return Err(Error::File(format!("cannot write {}: it is a folder", to.display())));
        }
        // what a link leads to is replaced, not the link
        let to = if to.exists() { to.canonicalize().map_err(failed)? } else { to.to_owned() };
        let name = to.file_name().ok_or_else(|| Error::File(format!("cannot write {}: it names no file", to.display())))?;
        let beside = to.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
        let place = Self { to, beside };
        place.open().map_err(failed)?;
        let _ = fs::remove_file(&place.beside);
        Ok(place)
    }

    /// Writes the file: others see the one before, or all of this one.
    pub fn write(&self, fill: impl FnOnce(&mut io::BufWriter<File>) -> io::Result<()>) -> Result<()> {
        let all = || {
            let mut to = io::BufWriter::new(self.open()?);
            fill(&mut to)?;
            to.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            fs::rename(&self.beside, &self.to)
        };
        all().map_err(|e| {
            let _ = fs::remove_file(&self.beside);
            Error::File(format!("cannot write {}: {e}", self.to.display()))
        })
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(&self.beside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_unpacks_beyond_the_limit_is_refused() {
        let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        to.write_all(&[7; 5000]).unwrap();
        let packed = to.finish().unwrap();
        assert_eq!(unpacked(&packed, "x").unwrap(), [7; 5000]);
        assert!(bounded(MultiGzDecoder::new(&packed[..]), 4999).unwrap().is_none());
        assert!(unpacked(&packed[..packed.len() - 9], "x.gz").unwrap_err().to_string().starts_with("x.gz: a damaged gzip file"));
        assert_eq!((unpacked_limit(1000), unpacked_limit(1 << 30), unpacked_limit(u64::MAX)), (MOST, 100 << 30, u64::MAX));
        assert!(too_large("x", MOST).to_string().contains("1073741824"));
    }

    #[test]
    fn a_file_is_written_whole_or_not_at_all() {
        let folder = std::env::temp_dir().join(format!("trishade-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let to = folder.join("x");
        fs::write(&to, "before").unwrap();
        let place = Place::new(&to).unwrap();
        let failed = place.write(|to| to.write_all(b"half").and(Err(io::Error::other("full")))).unwrap_err();
        assert!(failed.to_string().contains("full") && fs::read(&to).unwrap() == b"before");
        place.write(|to| to.write_all(b"after")).unwrap();
        assert_eq!((fs::read(&to).unwrap(), fs::read_dir(&folder).unwrap().count()), (b"after".to_vec(), 1), "nothing lies beside");
        assert!(Place::new(&folder).is_err() && Place::new(&folder.join("no/x")).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
