//! Store: the shares that a party keeps of models, encrypted under a key of its own.
//!
//! A file is encrypted (`sealed_file`); it holds the head of the upload and the shares. It is written as `ID.part`, becomes
//! `ID.stored` once it is whole and on the disk, and `ID.share` once its owner says that all three parties have stored theirs. A party
//! that ends between the two keeps what it has stored: the others may have heard already.

use super::{
    control::{ModelFacts, Upload},
    identity::Fingerprint,
    model_id::{check_id, name_in},
    sealed_file::{CHUNK, Decrypter},
    wire::{MAX_CONTROL, unpack},
};
use crate::{Error, Result};
use std::{
    collections::HashSet,
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use zeroize::Zeroizing;

mod earlier;
mod writer;

pub(super) use writer::StoreWriter;

/// Format of a file's content: raised with every change of a head.
const FORMAT: u8 = b'2';

/// Head of a file: what stands before the shares.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct StoredHead {
    /// Number of the model among those of its name.
    pub(super) version: u32,
    pub(super) upload: Upload,
    /// Certificate of the client that has uploaded it.
    owner: Fingerprint,
}

/// Model that is kept, as far as its head says.
struct Kept {
    facts: ModelFacts,
    owner: Fingerprint,
}

/// A folder of shares; copies are the same folder.
#[derive(Clone)]
pub struct Store {
    folder: PathBuf,
    party: u8,
    key: Zeroizing<Vec<u8>>,
    limit: u64,
    /// Uploads under way; they change the folder one at a time.
    uploads: Arc<Mutex<Uploads>>,
}

/// Uploads under way.
#[derive(Default)]
struct Uploads {
    /// Bytes that are reserved for them.
    reserved: u64,
    /// Names that they are for: two of one name would get one number.
    names: HashSet<String>,
}

impl Store {
    /// Opens or makes the folder; what an upload left unfinished is removed. `limit` bounds its bytes.
    pub fn open(folder: &Path, party: usize, key: Zeroizing<Vec<u8>>, limit: u64) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| at(folder, &e))?;
        let store = Self { folder: folder.into(), party: party as u8, key, limit, uploads: Arc::default() };
        for (path, _) in store.files("part")? {
            fs::remove_file(&path).map_err(|e| at(&path, &e))?;
        }
        Ok(store)
    }

    /// Models that are kept here.
    pub fn list(&self) -> Result<Vec<ModelFacts>> {
        let mut models: Vec<_> = self.kept()?.into_iter().map(|kept| kept.facts).collect();
        models.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(models)
    }

    /// Whether a model is kept here.
    pub fn has(&self, id: &str) -> bool {
        check_id(id).is_ok() && self.kept_as(id).is_some()
    }

    /// Head of a stored model, and a reader of the shares after it. A file that was changed or cut short is an error, at the latest when
    /// its last byte is read; [`Error::Model`] for one of an earlier version of this program.
    pub(super) fn read(&self, id: &str) -> Result<(StoredHead, impl Read + use<>)> {
        let (path, mut reader) = self.reader(id)?;
        if reader.format() != FORMAT {
            let format = char::from(reader.format());
            let text = format!("the shares of model {id} were stored by another version of trishade (format {format:?}, not 2)");
            return Err(Error::Model(format!("{text}; let its owner upload the model again")));
        }
        let head: StoredHead = unpack(&head_bytes(&mut reader).map_err(|e| at(&path, &e))?).map_err(|e| at(&path, &e))?;
        if head.upload.id() != id {
            return Err(at(&path, &format!("it is model {}", head.upload.id())));
        }
        Ok((head, reader))
    }

    fn reader(&self, id: &str) -> Result<(PathBuf, Decrypter<BufReader<File>>)> {
        check_id(id)?;
        let path = self.kept_as(id).unwrap_or_else(|| self.path(id, "share"));
        let file = File::open(&path).map_err(|e| at(&path, &e))?;
        let reader = Decrypter::new(BufReader::with_capacity(CHUNK, file), &self.key, self.party).map_err(|e| at(&path, &e))?;
        Ok((path, reader))
    }

    /// Models whose heads can be read, those of earlier formats too.
    fn kept(&self) -> Result<Vec<Kept>> {
        let mut kept = Vec::new();
        for (path, end) in self.files("share")?.into_iter().chain(self.files("stored")?) {
            let Some(id) = path.file_stem().and_then(|name| name.to_str()) else { continue };
            let committed = end == "share";
            if !committed && self.path(id, "share").is_file() {
                continue;
            }
            let read = self.read(id).map(|(StoredHead { version, upload, owner }, _)| {
                let (uploaded, bytes) = (upload.uploaded, upload.bytes);
                Kept { facts: ModelFacts { id: id.into(), version, committed, uploaded, bytes }, owner }
            });
            match read.or_else(|error| self.read_earlier(id).ok_or(error)) {
                Ok(one) => kept.push(one),
                // the others are as good as ever
                Err(error) => tracing::warn!(model = id, %error, "a model cannot be read"),
            }
        }
        Ok(kept)
    }

    /// Files with an ending, and the ending.
    fn files<'a>(&self, end: &'a str) -> Result<Vec<(PathBuf, &'a str)>> {
        let entries = fs::read_dir(&self.folder).map_err(|e| at(&self.folder, &e))?.flatten().map(|entry| entry.path());
        Ok(entries.filter(|path| path.extension().is_some_and(|own| own == end)).map(|path| (path, end)).collect())
    }

    /// File of a model that is kept.
    fn kept_as(&self, id: &str) -> Option<PathBuf> {
        ["share", "stored"].map(|end| self.path(id, end)).into_iter().find(|path| path.is_file())
    }

    /// Bytes of the files that are kept.
    fn used(&self) -> Result<u64> {
        let kept = self.files("share")?.into_iter().chain(self.files("stored")?);
        Ok(kept.filter_map(|(path, _)| path.metadata().ok()).map(|data| data.len()).sum())
    }

    /// The least number that a model of this name can get, if this owner may give it one.
    fn next_version(&self, name: &str, owner: Fingerprint) -> Result<u32> {
        let mut last = 0;
        for kept in self.kept()?.iter().filter(|kept| kept.facts.name() == name) {
            if kept.owner != owner {
                return Err(Error::Input(format!("the name '{name}' belongs to another client; choose another")));
            }
            last = last.max(kept.facts.version);
        }
        last.checked_add(1).ok_or_else(|| Error::Input(format!("the name '{name}' has no numbers left; choose another")))
    }

    fn path(&self, id: &str, end: &str) -> PathBuf {
        self.folder.join(format!("{id}.{end}"))
    }

    /// Makes names of files last.
    fn sync(&self) -> Result<()> {
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(|e| at(&self.folder, &e))
    }

    fn uploads(&self) -> MutexGuard<'_, Uploads> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.folder.display())
    }
}

/// Bytes of the head, whose length stands before it.
fn head_bytes(reader: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    reader.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as u64;
    if length > MAX_CONTROL {
        return Err(std::io::Error::other("its head is too long"));
    }
    let mut bytes = Vec::new();
    reader.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn at(path: &Path, e: &dyn std::fmt::Display) -> Error {
    Error::File(format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            meaning::Meaning,
            sealed_file::Encrypter,
            secrets::{random, sha256},
            wire::pack,
        },
        earlier::{FirstHead, FirstUpload},
        *,
    };
    use std::io::Write;

    const KEY: [u8; 32] = [5; 32];

    fn store(name: &str) -> Store {
        let folder = std::env::temp_dir().join(format!("trishade-store-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        open(&folder)
    }

    fn open(folder: &Path) -> Store {
        Store::open(folder, 1, Zeroizing::new(KEY.to_vec()), 10_000).unwrap()
    }

    fn owner(number: u8) -> Fingerprint {
        Fingerprint::of(&[number])
    }

    fn upload(name: &str) -> Upload {
        let meaning = Meaning { program_format: 1, share_format: 1, ring_bits: 64, fraction_bits: 20, range_bits: 64 };
        Upload { name: name.into(), meaning, architecture: vec![1, 2], uploaded: 7, number: *random::<16>().unwrap(), bytes: 3 }
    }

    fn stored(store: &Store, name: &str, version: u32) -> Result<StoreWriter> {
        let mut writer = store.begin(&upload(name), owner(1))?;
        writer.number(version)?;
        writer.piece(&[4, 5, 6])?;
        writer.finish(&sha256(&[&[4, 5, 6]]))?;
        Ok(writer)
    }

    #[test]
    fn models_are_numbered_and_kept_from_the_end_of_their_upload_on() {
        let store = store("numbers");
        let (id, version) = stored(&store, "a", 1).unwrap().commit().unwrap();
        assert_eq!((version, &id[..2]), (1, "a@"));
        // a client that goes between the two steps, and a party that starts again
        drop(stored(&store, "a", 2).unwrap());
        let store = open(&store.folder);
        let of = |store: &Store| store.list().unwrap().iter().map(|m| (m.version, m.committed)).collect::<Vec<_>>();
        let mut found = of(&store);
        found.sort_unstable();
        assert_eq!(found, [(1, true), (2, false)]);
        assert_eq!(store.begin(&upload("a"), owner(1)).unwrap().next_version(), 3);
        // it goes when a later one is committed; one that is abandoned at once
        stored(&store, "a", 9).unwrap().commit().unwrap();
        stored(&store, "a", 10).unwrap().abandon();
        let mut found = of(&store);
        found.sort_unstable();
        assert_eq!(found, [(1, true), (9, true)]);
        // not whole, not numbered, numbered twice
        let mut writer = store.begin(&upload("a"), owner(1)).unwrap();
        assert!(writer.piece(&[4]).is_err(), "before its number");
        drop(writer);
        let mut writer = store.begin(&upload("a"), owner(1)).unwrap();
        for bad in [0, 9, u32::MAX] {
            assert!(writer.number(bad).unwrap_err().to_string().contains("10, the next one"), "{bad}");
        }
        writer.number(10).unwrap();
        assert!(writer.number(10).is_err() && writer.finish(&[0; 32]).is_err());
        drop(writer);
        assert_eq!(store.files("part").unwrap().len() + store.files("stored").unwrap().len(), 0);
        fs::remove_dir_all(&store.folder).unwrap();
    }

    #[test]
    fn a_name_is_of_one_owner_and_one_upload_at_a_time() {
        let store = store("names");
        let first = stored(&store, "a", 1).unwrap();
        let second = store.begin(&upload("a"), owner(1)).map(drop).unwrap_err().to_string();
        assert!(second.contains("another upload of a model 'a' is under way"), "{second}");
        store.begin(&upload("b"), owner(2)).unwrap();
        first.commit().unwrap();
        let other = store.begin(&upload("a"), owner(2)).map(drop).unwrap_err().to_string();
        assert!(other.contains("belongs to another client"), "{other}");
        fs::remove_dir_all(&store.folder).unwrap();
    }

    #[test]
    fn a_file_of_the_first_format_holds_its_name_and_says_what_to_do() {
        let store = store("earlier");
        let id = "old@0123456789abcdef";
        let upload = FirstUpload { name: "old".into(), architecture: vec![9; 40], uploaded: 3, number: [1; 16], bytes: 4 };
        let head = pack(&FirstHead { upload, owner: owner(1) }).unwrap();
        let mut to = Encrypter::new(Vec::new(), b'1', &KEY, 1).unwrap();
        to.write_all(&(head.len() as u32).to_le_bytes()).and_then(|()| to.write_all(&head)).unwrap();
        fs::write(store.path(id, "share"), to.finish().unwrap()).unwrap();
        let listed = store.list().unwrap();
        assert_eq!((listed.len(), listed[0].version, listed[0].bytes), (1, 0, 4));
        let error = store.read(id).map(drop).unwrap_err();
        assert!(matches!(&error, Error::Model(text) if text.contains("another version") && text.contains("upload the model again")));
        assert!(store.begin(&self::upload("old"), owner(2)).is_err());
        assert_eq!(store.begin(&self::upload("old"), owner(1)).unwrap().next_version(), 1);
        fs::remove_dir_all(&store.folder).unwrap();
    }
}
