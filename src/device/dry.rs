//! A device whose buffers have a size and no words: what `plan` runs the very same protocol code on.

use super::pool::{Pool, size_class};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Counts the bytes that live, and what a native device would hold that serves all the dry devices of a process.
#[derive(Default)]
pub struct Dry {
    live: AtomicU64,
    most_live: AtomicU64,
    process: Arc<Mutex<Pool<()>>>,
}

/// The size of one buffer.
pub(super) struct Size {
    words: usize,
    device: Arc<Dry>,
}

impl Dry {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Another party's device in the same process.
    pub(super) fn beside(&self) -> Arc<Self> {
        Arc::new(Self { process: self.process.clone(), ..Self::default() })
    }

    pub(super) fn allocate(self: &Arc<Self>, words: usize) -> Size {
        let bytes = words as u64 * 8;
        let live = self.live.fetch_add(bytes, Relaxed) + bytes;
        self.most_live.fetch_max(live, Relaxed);
        // what is let go has no words to wipe
        let _ = self.pool().take(size_class(words));
        Size { words, device: self.clone() }
    }

    /// As [`Cpu::limit_memory`](super::Cpu::limit_memory).
    pub(super) fn limit_memory(&self, bytes: u64) {
        self.pool().set_limit(bytes);
    }

    /// The most bytes of tensors at one time.
    pub(super) fn most_live(&self) -> u64 {
        self.most_live.load(Relaxed)
    }

    /// The most bytes that a native device of the process would hold.
    pub(super) fn most_held(&self) -> u64 {
        self.pool().most_held()
    }

    fn pool(&self) -> MutexGuard<'_, Pool<()>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Size {
    fn drop(&mut self) {
        self.device.live.fetch_sub(self.words as u64 * 8, Relaxed);
        self.device.pool().give(size_class(self.words), ());
    }
}
