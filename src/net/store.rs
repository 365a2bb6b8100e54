//! The shares that a party keeps of models, encrypted under a key of its own.
//!
//! A file is a head (magic, party, salt) and chunks of at most a mebibyte, each under ChaCha20-Poly1305 with its number as
//! nonce and a mark on the last, so that a file cut short is noticed. It is written beside, and moved to its name once it is
//! on the disk and its owner says that all three parties have theirs.

use super::{
    control::{ModelFacts, Upload},
    identity::Fingerprint,
    secrets::{derive, random},
    wire::{self, check_id, pack, unpack},
};
use crate::{Error, Result};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    digest::{Context, SHA256},
};
use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"TSSHARE1";
const HEAD: usize = 8 + 1 + 32;
const CHUNK: usize = 1 << 20;
const TAG: usize = 16;

/// What stands before the shares.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Kept {
    pub(super) upload: Upload,
    /// Who has uploaded it.
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

    /// The models that are here.
    pub fn list(&self) -> Result<Vec<ModelFacts>> {
        let mut models = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(|e| at(&self.folder, &e))?.flatten() {
            let path = entry.path();
            if let Some(id) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".share")) {
                match self.read(id) {
                    Ok((Kept { upload, .. }, _)) => {
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

    /// Whether a model is here.
    pub fn has(&self, id: &str) -> bool {
        check_id(id).is_ok() && self.path(id, "share").is_file()
    }

    /// The head of an upload, and the shares after it. A file that was changed or cut short is an error, at the latest when
    /// its last byte is read.
    pub(super) fn read(&self, id: &str) -> Result<(Kept, impl Read + use<>)> {
        check_id(id)?;
        let path = self.path(id, "share");
        let file = File::open(&path).map_err(|e| at(&path, &e))?;
        let mut reader = Opened::new(BufReader::with_capacity(CHUNK, file), &self.key, self.party).map_err(|e| at(&path, &e))?;
        let mut length = [0; 4];
        reader.read_exact(&mut length).map_err(|e| at(&path, &e))?;
        let length = u32::from_le_bytes(length) as u64;
        if length > wire::MOST_CONTROL {
            return Err(at(&path, &"its head is too long"));
        }
        let mut head = vec![0; length as usize];
        reader.read_exact(&mut head).map_err(|e| at(&path, &e))?;
        let kept: Kept = unpack(&head).map_err(|e| at(&path, &e))?;
        if kept.upload.id() != id {
            return Err(at(&path, &format!("it is model {}", kept.upload.id())));
        }
        Ok((kept, reader))
    }

    /// Begins to keep an upload. The first who uploads a model of a name is the only one who may do so again.
    pub(super) fn begin(&self, upload: &Upload, owner: Fingerprint) -> Result<Writing> {
        let id = upload.id();
        self.check_owner(&upload.name, owner)?;
        if self.has(&id) {
            return Err(Error::Input(format!("model {id} is here already")));
        }
        let mut reserved = self.reserved.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let used: u64 = fs::read_dir(&self.folder)
            .map_err(|e| at(&self.folder, &e))?
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|end| end == "share"))
            .filter_map(|entry| entry.metadata().ok())
            .map(|data| data.len())
            .sum();
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
        let mut writing = Writing { store: self.clone(), id, owner, path, needed, left, digest, to: None };
        let mut to = Closing::new(BufWriter::with_capacity(CHUNK, file), &self.key, self.party)?;
        let head = pack(&Kept { upload: upload.clone(), owner })?;
        to.write_all(&(head.len() as u32).to_le_bytes()).and_then(|()| to.write_all(&head)).map_err(failed)?;
        writing.to = Some(to);
        Ok(writing)
    }

    fn check_owner(&self, name: &str, owner: Fingerprint) -> Result<()> {
        let named = |model: &ModelFacts| wire::name(&model.id) == name;
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

/// An upload on its way to the disk; dropping it removes what was written.
pub(super) struct Writing {
    store: Store,
    id: String,
    owner: Fingerprint,
    path: PathBuf,
    needed: u64,
    left: u64,
    digest: Context,
    to: Option<Closing<BufWriter<File>>>,
}

impl Writing {
    /// The next bytes.
    pub(super) fn piece(&mut self, bytes: &[u8]) -> Result<()> {
        self.left =
            self.left.checked_sub(bytes.len() as u64).ok_or_else(|| Error::Peer("sent more of a model than it announced".into()))?;
        self.digest.update(bytes);
        let Some(to) = &mut self.to else { return Err(Error::Peer("sent more of a model after its end".into())) };
        to.write_all(bytes).map_err(|e| at(&self.path, &e))
    }

    /// Nothing more comes: all is on the disk when this returns.
    pub(super) fn seal(&mut self, digest: &[u8; 32]) -> Result<()> {
        if self.left > 0 || self.digest.clone().finish().as_ref() != digest {
            return Err(Error::Peer("sent shares of a model that are not what it says they are".into()));
        }
        let Some(to) = self.to.take() else { return Err(Error::Peer("sealed a model twice".into())) };
        let failed = |e: io::Error| at(&self.path, &e);
        let file = to.finish().map_err(failed)?.into_inner().map_err(|e| failed(e.into_error()))?;
        file.sync_all().map_err(failed)
    }

    /// From now on the model is here.
    pub(super) fn commit(self) -> Result<String> {
        if self.to.is_some() {
            return Err(Error::Peer("wants to keep a model before its end".into()));
        }
        // another may have been quicker
        let one = self.store.reserved.clone();
        let _one = one.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.store.check_owner(wire::name(&self.id), self.owner)?;
        let to = self.store.path(&self.id, "share");
        fs::rename(&self.path, &to).map_err(|e| at(&to, &e))?;
        // the name as well
        File::open(&self.store.folder).and_then(|folder| folder.sync_all()).map_err(|e| at(&self.store.folder, &e))?;
        Ok(self.id.clone())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut reserved = self.store.reserved.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *reserved = reserved.saturating_sub(self.needed);
        // gone if it has been committed
        let _ = fs::remove_file(&self.path);
    }
}

fn cipher(key: &[u8], salt: &[u8]) -> LessSafeKey {
    let key = derive(salt, key, b"trishade 1 store");
    // 32 bytes are the key length of the cipher
    UnboundKey::new(&CHACHA20_POLY1305, &*key).map_or_else(|_| unreachable!("a key of 32 bytes"), LessSafeKey::new)
}

fn nonce(chunk: u64, last: bool) -> Nonce {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&chunk.to_le_bytes());
    bytes[8] = last.into();
    Nonce::assume_unique_for_key(bytes)
}

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it was changed, cut short, or encrypted under another key")
}

/// Encrypts what is written.
struct Closing<W: Write> {
    to: W,
    cipher: LessSafeKey,
    head: [u8; HEAD],
    plain: Zeroizing<Vec<u8>>,
    chunk: u64,
}

impl<W: Write> Closing<W> {
    fn new(mut to: W, key: &[u8], party: u8) -> Result<Self> {
        let salt = random::<32>()?;
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(MAGIC);
        head[8] = party;
        head[9..].copy_from_slice(&*salt);
        to.write_all(&head).map_err(|e| Error::File(e.to_string()))?;
        Ok(Self { to, cipher: cipher(key, &*salt), head, plain: Zeroizing::new(Vec::with_capacity(CHUNK + TAG)), chunk: 0 })
    }

    fn end_chunk(&mut self, last: bool) -> io::Result<()> {
        let tag =
            self.cipher.seal_in_place_separate_tag(nonce(self.chunk, last), Aad::from(&self.head), &mut self.plain).map_err(|_| lost())?;
        self.to.write_all(&self.plain)?;
        self.to.write_all(tag.as_ref())?;
        self.plain.clear();
        self.chunk += 1;
        Ok(())
    }

    fn finish(mut self) -> io::Result<W> {
        self.end_chunk(true)?;
        self.to.flush()?;
        Ok(self.to)
    }
}

impl<W: Write> Write for Closing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // the last chunk is known only at the end
        if self.plain.len() == CHUNK {
            self.end_chunk(false)?;
        }
        let n = bytes.len().min(CHUNK - self.plain.len());
        self.plain.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decrypts what is read.
struct Opened<R: Read> {
    from: R,
    cipher: LessSafeKey,
    head: [u8; HEAD],
    plain: Zeroizing<Vec<u8>>,
    at: usize,
    chunk: u64,
    /// The first bytes of the next chunk: whether there is one.
    ahead: Vec<u8>,
    ended: bool,
}

impl<R: Read> Opened<R> {
    fn new(mut from: R, key: &[u8], party: u8) -> io::Result<Self> {
        let mut head = [0; HEAD];
        from.read_exact(&mut head)?;
        if head[..8] != *MAGIC || head[8] != party {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("no shares of party {party} that this version can read")));
        }
        let cipher = cipher(key, &head[9..]);
        Ok(Self { from, cipher, head, plain: Zeroizing::new(Vec::new()), at: 0, chunk: 0, ahead: Vec::new(), ended: false })
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let mut plain = Zeroizing::new(std::mem::take(&mut self.ahead));
        let missing = (CHUNK + TAG + 1 - plain.len()) as u64;
        (&mut self.from).take(missing).read_to_end(&mut plain)?;
        let last = plain.len() <= CHUNK + TAG;
        let end = plain.len().min(CHUNK + TAG);
        self.ahead = plain.split_off(end);
        let length = self.cipher.open_in_place(nonce(self.chunk, last), Aad::from(&self.head), &mut plain).map_err(|_| lost())?.len();
        plain.truncate(length);
        (self.plain, self.at, self.ended) = (plain, 0, last);
        self.chunk += 1;
        Ok(())
    }
}

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.at == self.plain.len() {
            if self.ended {
                return Ok(0);
            }
            self.next_chunk()?;
        }
        let n = to.len().min(self.plain.len() - self.at);
        to[..n].copy_from_slice(&self.plain[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(bytes: &[u8]) -> Vec<u8> {
        let mut to = Closing::new(Vec::new(), &[7; 32], 1).unwrap();
        to.write_all(bytes).unwrap();
        to.finish().unwrap()
    }

    fn opened(file: &[u8], key: u8, party: u8) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        Opened::new(file, &[key; 32], party)?.read_to_end(&mut all)?;
        Ok(all)
    }

    #[test]
    fn what_was_closed_opens_whole_or_not_at_all() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5] {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 7) as u8).collect();
            let file = closed(&bytes);
            assert!(opened(&file, 7, 1).unwrap() == bytes, "{length}");
            assert!(opened(&file, 8, 1).is_err(), "another key");
            assert!(opened(&file, 7, 2).is_err(), "another party");
            for cut in [file.len() - 1, HEAD + TAG, HEAD + CHUNK + TAG] {
                assert!(cut >= file.len() || opened(&file[..cut], 7, 1).is_err(), "{length} cut to {cut}");
            }
            let mut changed = file.clone();
            changed[HEAD] ^= 1;
            assert!(opened(&changed, 7, 1).is_err());
        }
    }
}
