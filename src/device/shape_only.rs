//! The shape-only device: its buffers have a size and no words, and `plan` runs the very same protocol code on it.

use super::pool::{Pool, size_class};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Counts the bytes that live, and those that one native device would hold in place of the shape-only devices of a process.
#[derive(Default)]
pub struct ShapeOnly {
    live: AtomicU64,
    most_live: AtomicU64,
    process: Arc<Mutex<Pool<()>>>,
}

/// Memory that tensors take, foreseen by a shape-only device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// The most bytes of one party's tensors at one time.
    pub live: u64,
    /// The most bytes that one native device holds for all parties of the process, kept buffers included.
    pub held: u64,
}

/// The size of one buffer.
pub(super) struct Size {
    words: usize,
    device: Arc<ShapeOnly>,
}

impl ShapeOnly {
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
        // buffers that are let go have no words to wipe
        let _ = self.pool().take(size_class(words));
        Size { words, device: self.clone() }
    }

    /// As [`Cpu::limit_memory`](super::cpu::Cpu::limit_memory).
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
