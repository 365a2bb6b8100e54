//! Store: the shares that a party keeps of models, encrypted under a key of its own.
//!
//! A file is encrypted (`sealed_file`); it holds the head of the upload and the shares. It is written beside, and moved to its name
//! once it is on the disk and its owner says that all three parties have theirs.

use super::{
    control::{ModelFacts, Upload},
    identity::Fingerprint,
    model_id::{check_id, name_in},
    sealed_file::{CHUNK, Decrypter, Encrypter},
    wire::{MAX_CONTROL, pack, unpack},
};
use crate::{Error, Result};
use ring::digest::{Context, SHA256};
use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use zeroize::Zeroizing;

/// Head of a file: what stands before the shares.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct StoredHead {
    pub(super) upload: Upload,
    /// Certificate of the client that has uploaded it.
    owner: Fingerprint,
}

/// A folder of shares; copies are the same folder.
#[derive(Clone)]
pub struct Store {
    folder: PathBuf,
    party: u8,
    key: Zeroizing<Vec<u8>>,
    limit: u64,
    /// Uploads reserve their bytes one at a time.
    reserved: Arc<Mutex<u64>>,
}

impl Store {
    /// Opens or makes the folder; what an upload left unfinished is removed. `limit` bounds its bytes.
    pub fn open(folder: &Path, party: usize, key: Zeroizing<Vec<u8>>, limit: u64) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| at(folder, &e))?;
        for entry in fs::read_dir(folder).map_err(|e| at(folder, &e))?.flatten() {
            if entry.path().extension().is_some_and(|end| end == "part") {
                fs::remove_file(entry.path()).map_err(|e| at(&entry.path(), &e))?;
            }
        }
        Ok(Self { folder: folder.into(), party: party as u8, key, limit, reserved: Arc::default() })
    }

    /// Models that are kept here.
    pub fn list(&self) -> Result<Vec<ModelFacts>> {
        let mut models = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(|e| at(&self.folder, &e))?.flatten() {
            let path = entry.path();
            if let Some(id) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".share")) {
                match self.read(id) {
                    Ok((StoredHead { upload, .. }, _)) => {
                        models.push(ModelFacts { id: id.into(), uploaded: upload.uploaded, bytes: upload.bytes })
                    }
                    // the others are as good as ever
                    Err(error) => tracing::warn!(model = id, %error, "a model cannot be read"),
                }
            }
        }
        models.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(models)
    }

    /// Whether a model is kept here.
    pub fn has(&self, id: &str) -> bool {
        check_id(id).is_ok() && self.path(id, "share").is_file()
    }

    /// Head of a stored model, and a reader of the shares after it. A file that was changed or cut short is an error, at the latest when
    /// its last byte is read.
    pub(super) fn read(&self, id: &str) -> Result<(StoredHead, impl Read + use<>)> {
        check_id(id)?;
        let path = self.path(id, "share");
        let file = File::open(&path).map_err(|e| at(&path, &e))?;
        let mut reader = Decrypter::new(BufReader::with_capacity(CHUNK, file), &self.key, self.party).map_err(|e| at(&path, &e))?;
        let mut length = [0; 4];
        reader.read_exact(&mut length).map_err(|e| at(&path, &e))?;
        let length = u32::from_le_bytes(length) as u64;
        if length > MAX_CONTROL {
            return Err(at(&path, &"its head is too long"));
        }
        let mut bytes = vec![0; length as usize];
        reader.read_exact(&mut bytes).map_err(|e| at(&path, &e))?;
        let head: StoredHead = unpack(&bytes).map_err(|e| at(&path, &e))?;
        if head.upload.id() != id {
            return Err(at(&path, &format!("it is model {}", head.upload.id())));
        }
        Ok((head, reader))
    }

    /// Begins to store an upload. The first who uploads a model of a name is the only one who may do so again.
    pub(super) fn begin(&self, upload: &Upload, owner: Fingerprint) -> Result<StoreWriter> {
        let id = upload.id();
        self.check_owner(&upload.name, owner)?;
        if self.has(&id) {
            return Err(Error::Input(format!("model {id} is here already")));
        }
        let mut reserved = self.reserved.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let used = self.used()?;
        let needed = upload.bytes.saturating_add(upload.architecture.len() as u64);
        if needed > self.limit.saturating_sub(used).saturating_sub(*reserved) {
            let limit = self.limit;
            return Err(Error::Input(format!(
                "the store is full: {needed} bytes for {id}, {used} of {limit} are in use, {reserved} promised"
            )));
        }
        let path = self.path(&id, "part");
        let failed = |e: io::Error| at(&self.folder, &e);
        // where another upload of this model is under way, this fails and leaves it alone
        let file = File::create_new(&path).map_err(failed)?;
        *reserved += needed;
        drop(reserved);
        let (digest, left) = (Context::new(&SHA256), upload.bytes);
        let mut writing = StoreWriter { store: self.clone(), id, owner, path, needed, left, digest, to: None };
        let mut to = Encrypter::new(BufWriter::with_capacity(CHUNK, file), &self.key, self.party)?;
        let head = pack(&StoredHead { upload: upload.clone(), owner })?;
        to.write_all(&(head.len() as u32).to_le_bytes()).and_then(|()| to.write_all(&head)).map_err(failed)?;
        writing.to = Some(to);
        Ok(writing)
    }

    /// Bytes of the files that are kept.
    fn used(&self) -> Result<u64> {
        let entries = fs::read_dir(&self.folder).map_err(|e| at(&self.folder, &e))?.flatten();
        let kept = entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "share"));
        Ok(kept.filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).sum())
    }

    fn check_owner(&self, name: &str, owner: Fingerprint) -> Result<()> {
        let named = |model: &ModelFacts| name_in(&model.id) == name;
        for model in self.list()?.iter().filter(|model| named(model)) {
            if self.read(&model.id)?.0.owner != owner {
                return Err(Error::Input(format!("the name '{name}' belongs to another client; choose another")));
            }
        }
        Ok(())
    }

    fn path(&self, id: &str, end: &str) -> PathBuf {
        self.folder.join(format!("{id}.{end}"))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.folder.display())
    }
}

fn at(path: &Path, e: &dyn std::fmt::Display) -> Error {
    Error::File(format!("{}: {e}", path.display()))
}

/// Upload on its way to the disk; dropping it removes what was written.
pub(super) struct StoreWriter {
    store: Store,
    id: String,
    owner: Fingerprint,
    path: PathBuf,
    needed: u64,
    left: u64,
    digest: Context,
    to: Option<Encrypter<BufWriter<File>>>,
}

impl StoreWriter {
    /// Writes the next bytes.
    pub(super) fn piece(&mut self, bytes: &[u8]) -> Result<()> {
        self.left =
            self.left.checked_sub(bytes.len() as u64).ok_or_else(|| Error::Peer("sent more of a model than it announced".into()))?;
        self.digest.update(bytes);
        let Some(to) = &mut self.to else { return Err(Error::Peer("sent more of a model after its end".into())) };
        to.write_all(bytes).map_err(|e| at(&self.path, &e))
    }

    /// Checks that the upload is whole; its bytes are on the disk when this returns.
    pub(super) fn finish(&mut self, digest: &[u8; 32]) -> Result<()> {
        if self.left > 0 || self.digest.clone().finish().as_ref() != digest {
            return Err(Error::Peer("sent shares of a model that are not what it says they are".into()));
        }
        let Some(to) = self.to.take() else { return Err(Error::Peer("sealed a model twice".into())) };
        let failed = |e: io::Error| at(&self.path, &e);
        let file = to.finish().map_err(failed)?.into_inner().map_err(|e| failed(e.into_error()))?;
        file.sync_all().map_err(failed)
    }

    /// Gives the file its name: from now on the model is kept here.
    pub(super) fn commit(self) -> Result<String> {
        if self.to.is_some() {
            return Err(Error::Peer("wants to keep a model before its end".into()));
        }
        // another may have been quicker
        let one = self.store.reserved.clone();
        let _one = one.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.store.check_owner(name_in(&self.id), self.owner)?;
        let to = self.store.path(&self.id, "share");
        fs::rename(&self.path, &to).map_err(|e| at(&to, &e))?;
        // the name as well
        File::open(&self.store.folder).and_then(|folder| folder.sync_all()).map_err(|e| at(&self.store.folder, &e))?;
        Ok(self.id.clone())
    }
}

impl Drop for StoreWriter {
    fn drop(&mut self) {
        let mut reserved = self.store.reserved.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *reserved = reserved.saturating_sub(self.needed);
        // gone if it has been committed
        let _ = fs::remove_file(&self.path);
    }
}
