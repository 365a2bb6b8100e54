//! Buffers: words on a device, written once, and how a kernel reads them.

#[cfg(feature = "gpu")]
use super::gpu;
use super::{cpu, shape_only};
use crate::ring::Word;
use std::sync::Arc;

/// Where a buffer lies.
pub(super) enum Store {
    Cpu(cpu::Words),
    ShapeOnly(#[expect(dead_code, reason = "counted while it lives")] shape_only::Size),
    #[cfg(feature = "gpu")]
    Gpu(gpu::Words),
}

/// Words on a device, written once.
#[derive(Clone)]
pub struct Buffer {
    pub(super) len: usize,
    pub(super) store: Arc<Store>,
}

/// An input binding.
#[derive(Clone, Copy)]
pub struct Arg<'a> {
    /// The words.
    pub buffer: &'a Buffer,
    /// Words an item, or 0 if every window needs the whole buffer.
    pub per_item: usize,
}

impl Buffer {
    /// A buffer of words that a device has made.
    pub(super) fn new(len: usize, store: Store) -> Self {
        Self { len, store: Arc::new(store) }
    }

    /// Number of words.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: a tensor has at least one element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// This buffer as an input of which each item reads `per_item` words.
    pub fn each(&self, per_item: usize) -> Arg<'_> {
        Arg { buffer: self, per_item }
    }

    /// This buffer as an input that every item may read.
    pub fn whole(&self) -> Arg<'_> {
        Arg { buffer: self, per_item: 0 }
    }

    pub(super) fn cpu_words(&self) -> &[Word] {
        match &*self.store {
            Store::Cpu(words) => words.as_slice(),
            _ => unreachable!("a buffer of another device reached the CPU: the links convert"),
        }
    }

    #[cfg(feature = "gpu")]
    pub(super) fn gpu_words(&self) -> &gpu::Words {
        match &*self.store {
            Store::Gpu(words) => words,
            _ => unreachable!("a buffer of another device reached a GPU: the links convert"),
        }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} words)", self.len)
    }
}
