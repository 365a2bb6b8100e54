//! A device whose buffers have a size and no words: what `plan` runs the very same protocol code on.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Counts the bytes that live.
#[derive(Default)]
pub struct Dry {
    live: AtomicU64,
    peak: AtomicU64,
}

/// The size of one buffer.
pub(super) struct Size {
    bytes: u64,
    device: Arc<Dry>,
}

impl Dry {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(super) fn allocate(self: &Arc<Self>, words: usize) -> Size {
        let bytes = words as u64 * 8;
        let live = self.live.fetch_add(bytes, Relaxed) + bytes;
        self.peak.fetch_max(live, Relaxed);
        Size { bytes, device: self.clone() }
    }

    pub(super) fn peak_bytes(&self) -> u64 {
        self.peak.load(Relaxed)
    }
}

impl Drop for Size {
    fn drop(&mut self) {
        self.device.live.fetch_sub(self.bytes, Relaxed);
    }
}
