//! Archives of arrays, as `numpy.savez` and `numpy.savez_compressed` write them: zip files of .npy files.

use crate::{files, npy};
use std::{
    collections::HashSet,
    io::{self, Cursor, Seek, Write},
};
use trishade::{Error, Result, data::Numbers};
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

/// The first bytes of a file: of one with members, or without.
pub const MAGICS: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];

/// The ending of a member that is an array.
const ENDING: &str = ".npy";

/// Members that a list names.
const LISTED: usize = 20;

/// An archive in memory.
pub struct Archive {
    zip: ZipArchive<Cursor<Vec<u8>>>,
    /// Name of the file, for errors.
    at: String,
    /// Names of the arrays, in the order of the file.
    names: Vec<String>,
}

impl Archive {
    /// [`Error::File`] if it has no arrays.
    pub fn new(bytes: Vec<u8>, at: &str) -> Result<Self> {
        let bad = |what: &str| Error::File(format!("{at}: {what}"));
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| bad(&format!("a damaged zip archive: {e}")))?;
        let members = zip.file_names().filter_map(|name| name.ok()?.strip_suffix(ENDING).map(str::to_owned));
        let names: Vec<String> = members.collect();
        match names.is_empty() {
            true => Err(bad("a zip archive without arrays of numpy; .npz files, as numpy.savez writes them, are read")),
            false => Ok(Self { zip, at: at.into(), names }),
        }
    }

    /// Names of the arrays.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// An array by its name.
    pub fn array(&mut self, name: &str) -> Result<Numbers> {
        if !self.names.iter().any(|known| known == name) {
            let list = self.list();
            return Err(Error::Input(format!("{}: no array '{name}'; it holds {list}", self.at)));
        }
        let at = format!("{}:{name}", self.at);
        let failed = |e: &dyn std::fmt::Display| Error::File(format!("{at}: a damaged member of the archive: {e}"));
        let member = self.zip.by_name(&format!("{name}{ENDING}")).map_err(|e| failed(&e))?;
        let limit = files::unpacked_limit(member.compressed_size());
        let bytes = files::bounded(member, limit).map_err(|e| failed(&e))?.ok_or_else(|| files::too_large(&at, limit))?;
        npy::numbers(&bytes, &at)
    }

    /// The only array, or the one of this name.
    pub fn only(&mut self, preferred: Option<&str>) -> Result<Numbers> {
        let found = match (&self.names[..], preferred) {
            ([one], _) => Some(one),
            (names, Some(preferred)) => names.iter().find(|name| *name == preferred),
            _ => None,
        };
        match found.cloned() {
            Some(name) => self.array(&name),
            None => {
                let (list, at) = (self.list(), &self.at);
                Err(Error::Input(format!("{at}: several arrays: {list}; name one, as {at}:{}", self.names[0])))
            }
        }
    }

    /// The arrays for people: name, shape, type.
    fn list(&mut self) -> String {
        let mut list = Vec::new();
        for name in self.names.iter().take(LISTED) {
            let member = self.zip.by_name(&format!("{name}{ENDING}")).ok();
            let outline = member.and_then(|member| npy::outline(member, name).ok()).unwrap_or_else(|| "(damaged)".into());
            list.push(format!("{name} {outline}"));
        }
        if self.names.len() > LISTED {
            list.push(format!("{} more", self.names.len() - LISTED));
        }
        list.join(", ")
    }
}

/// An array of a file to be.
pub struct Member<'a> {
    /// Name.
    pub name: &'a str,
    /// Extents.
    pub extents: &'a [usize],
    /// Elements.
    pub values: &'a [f32],
    /// Integers.
    pub whole: bool,
}

/// A file with these arrays, not compressed.
pub fn write(to: &mut (impl Write + Seek), members: &[Member<'_>]) -> io::Result<()> {
    let (mut zip, mut names) = (ZipWriter::new(to), HashSet::new());
    for member in members {
        let mut name = safe(member.name);
        while !names.insert(name.clone()) {
            name.push('_');
        }
        let large = member.values.len() as u64 * 8 >= u64::from(u32::MAX) / 2;
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(large);
        zip.start_file(format!("{name}{ENDING}"), options).map_err(io::Error::other)?;
        npy::write(&mut zip, member.extents, member.values, member.whole)?;
    }
    zip.finish().map_err(io::Error::other)?;
    Ok(())
}

/// A name that leads nowhere else where somebody unpacks the file.
fn safe(name: &str) -> String {
    let parts = name.split(['/', '\\']).map(|part| if matches!(part, "" | "." | "..") { "_" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(members: &[(&str, &[usize], &[f32])]) -> Vec<u8> {
        let members: Vec<Member<'_>> =
            members.iter().map(|&(name, extents, values)| Member { name, extents, values, whole: false }).collect();
        let mut to = Cursor::new(Vec::new());
        write(&mut to, &members).unwrap();
        to.into_inner()
    }

    #[test]
    fn arrays_are_taken_by_name() {
        let bytes = file(&[("x", &[2], &[1.0, 2.0]), ("scope/y:0", &[1, 1], &[3.0])]);
        let mut archive = Archive::new(bytes.clone(), "a.npz").unwrap();
        assert_eq!(archive.names(), ["x", "scope/y:0"]);
        assert_eq!(archive.array("scope/y:0").unwrap().values, [3.0]);
        assert_eq!(archive.only(Some("x")).unwrap().values, [1.0, 2.0]);
        let error = archive.only(Some("input")).err().unwrap().to_string();
        assert_eq!(error, "a.npz: several arrays: x (2) float32, scope/y:0 (1, 1) float32; name one, as a.npz:x");
        assert!(archive.array("z").err().unwrap().to_string().contains("no array 'z'; it holds x (2) float32"));
        let mut one = Archive::new(file(&[("x", &[1], &[4.0])]), "a").unwrap();
        assert_eq!(one.only(Some("input")).unwrap().values, [4.0]);
        for end in [4, 30, bytes.len() / 2, bytes.len() - 1] {
            assert!(Archive::new(bytes[..end].to_vec(), "a").is_err());
        }
    }

    #[test]
    fn a_member_that_is_packed_is_unpacked_within_bounds() {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let mut array = Vec::new();
        npy::write(&mut array, &[3000], &[0.0; 3000], false).unwrap();
        zip.start_file("zeros.npy", SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)).unwrap();
        zip.write_all(&array).unwrap();
        zip.start_file("notes.txt", SimpleFileOptions::default()).unwrap();
        let mut archive = Archive::new(zip.finish().unwrap().into_inner(), "a").unwrap();
        assert_eq!(archive.only(None).unwrap().values, [0.0; 3000]);
        let member = archive.zip.by_name("zeros.npy").unwrap();
        assert!(files::bounded(member, array.len() as u64 - 1).unwrap().is_none());
    }

    #[test]
    fn names_lead_nowhere_else() {
        let names = ["../../x", "/x", "a//b", "model/y:0", "..\\x", "x"].map(safe);
        assert_eq!(names, ["_/_/x", "_/x", "a/_/b", "model/y:0", "_/x", "x"]);
        let twice = file(&[("a/../x", &[1], &[1.0]), ("a/_/x", &[1], &[2.0])]);
        assert_eq!(Archive::new(twice, "a").unwrap().names(), ["a/_/x", "a/_/x_"]);
    }
}
