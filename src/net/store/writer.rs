//! Writer of a store: an upload on its way to the disk.

use super::{FORMAT, Store, StoredHead, at, name_in};
use crate::{
    Error, Result,
    net::{
        control::Upload,
        identity::Fingerprint,
        sealed_file::{CHUNK, Encrypter},
        wire::pack,
    },
};
use ring::digest::{Context, SHA256};
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
};

/// The most by which a number may be above the least that is free: others may have lost a few, not all.
const MOST_SKIPPED: u32 = 1 << 16;

/// Upload on its way to the disk; dropping it removes what is not whole.
pub struct StoreWriter {
    store: Store,
    upload: Upload,
    id: String,
    owner: Fingerprint,
    /// The least number that the model can get.
    next: u32,
    needed: u64,
    left: u64,
    digest: Context,
    state: State,
}

/// Stage of an upload.
enum State {
    Announced,
    Writing(Box<Encrypter<BufWriter<File>>>),
    Stored { version: u32 },
}

impl Store {
    /// Begins to store an upload. The first who uploads a model of a name is the only one who may do so again, one at a time.
    pub(in crate::net) fn begin(&self, upload: &Upload, owner: Fingerprint) -> Result<StoreWriter> {
        let (id, name) = (upload.id(), &upload.name);
        let mut uploads = self.uploads();
        let next = self.next_version(name, owner)?;
        if self.has(&id) {
            return Err(Error::Input(format!("model {id} is here already")));
        }
        if uploads.names.contains(name) {
            return Err(Error::Input(format!("another upload of a model '{name}' is under way; try again when it has ended")));
        }
        let used = self.used()?;
        let needed = upload.bytes.saturating_add(upload.architecture.len() as u64);
        if needed > self.limit.saturating_sub(used).saturating_sub(uploads.reserved) {
            let (limit, reserved) = (self.limit, uploads.reserved);
            let full = format!("the store is full: {needed} bytes for {id}, {used} of {limit} are in use, {reserved} promised");
            return Err(Error::Input(full));
        }
        uploads.reserved += needed;
        uploads.names.insert(name.clone());
        drop(uploads);
        let (digest, left) = (Context::new(&SHA256), upload.bytes);
        Ok(StoreWriter { store: self.clone(), upload: upload.clone(), id, owner, next, needed, left, digest, state: State::Announced })
    }
}

impl StoreWriter {
    /// The least number that the model can get among those of its name.
    pub fn next_version(&self) -> u32 {
        self.next
    }

    /// Numbers the model; pieces follow.
    pub fn number(&mut self, version: u32) -> Result<()> {
        let State::Announced = self.state else { return Err(Error::Peer("numbered a model twice".into())) };
        if !(self.next..self.next.saturating_add(MOST_SKIPPED)).contains(&version) {
            let (name, next) = (&self.upload.name, self.next);
            let far = format!("version {version} of '{name}' is far from {next}, the next one here: the parties' stores differ");
            return Err(Error::Input(far));
        }
        let path = self.store.path(&self.id, "part");
        let failed = |e: io::Error| at(&path, &e);
        let file = File::create_new(&path).map_err(failed)?;
        let mut to = Encrypter::new(BufWriter::with_capacity(CHUNK, file), FORMAT, &self.store.key, self.store.party)?;
        let head = pack(&StoredHead { version, upload: self.upload.clone(), owner: self.owner })?;
        to.write_all(&(head.len() as u32).to_le_bytes()).and_then(|()| to.write_all(&head)).map_err(failed)?;
        // of the file only its writer knows from here on
        self.next = version;
        self.state = State::Writing(Box::new(to));
        Ok(())
    }

    /// Writes the next bytes.
    pub fn piece(&mut self, bytes: &[u8]) -> Result<()> {
        self.left =
            self.left.checked_sub(bytes.len() as u64).ok_or_else(|| Error::Peer("sent more of a model than it announced".into()))?;
        self.digest.update(bytes);
        let State::Writing(to) = &mut self.state else {
            return Err(Error::Peer("sent part of a model before its number or after its end".into()));
        };
        to.write_all(bytes).map_err(|e| at(&self.store.path(&self.id, "part"), &e))
    }

    /// Checks that the upload is whole; it is kept from now on, whatever becomes of its client or of this party.
    pub fn finish(&mut self, digest: &[u8; 32]) -> Result<()> {
        if self.left > 0 || self.digest.clone().finish().as_ref() != digest {
            return Err(Error::Peer("sent shares of a model that are not what it says they are".into()));
        }
        let State::Writing(to) = std::mem::replace(&mut self.state, State::Announced) else {
            return Err(Error::Peer("ended a model that it had not begun".into()));
        };
        let (part, stored) = (self.store.path(&self.id, "part"), self.store.path(&self.id, "stored"));
        let failed = |e: io::Error| at(&part, &e);
        let file = to.finish().map_err(failed)?.into_inner().map_err(|e| failed(e.into_error()))?;
        file.sync_all().and_then(|()| fs::rename(&part, &stored)).map_err(failed)?;
        self.store.sync()?;
        self.state = State::Stored { version: self.next };
        Ok(())
    }

    /// Notes that all three parties have stored theirs; what of earlier uploads of the name was never committed is removed.
    pub fn commit(self) -> Result<(String, u32)> {
        let State::Stored { version } = self.state else { return Err(Error::Peer("wants to keep a model before its end".into())) };
        let (stored, share) = (self.store.path(&self.id, "stored"), self.store.path(&self.id, "share"));
        fs::rename(&stored, &share).map_err(|e| at(&share, &e))?;
        self.store.sync()?;
        for left in self.store.kept()?.iter().filter(|kept| !kept.facts.committed && kept.facts.version < version) {
            if left.facts.name() == name_in(&self.id) {
                // it takes space and nothing else if it stays
                let _ = fs::remove_file(self.store.path(&left.facts.id, "stored"));
            }
        }
        Ok((self.id.clone(), version))
    }

    /// Removes what has been stored: another party has failed to store its shares.
    pub fn abandon(self) {
        if let State::Stored { .. } = self.state {
            // it takes space and nothing else if it stays
            let _ = fs::remove_file(self.store.path(&self.id, "stored"));
        }
    }
}

impl Drop for StoreWriter {
    fn drop(&mut self) {
        let mut uploads = self.store.uploads();
        uploads.reserved = uploads.reserved.saturating_sub(self.needed);
        uploads.names.remove(&self.upload.name);
        // gone if it is whole
        if !matches!(self.state, State::Stored { .. }) {
            let _ = fs::remove_file(self.store.path(&self.id, "part"));
        }
    }
}
