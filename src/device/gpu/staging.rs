//! Memory that the host writes or reads: chunks for uploads and parameters, buffers for downloads.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Bytes of a chunk, unless more is needed at once.
const CHUNK: u64 = 1 << 20;

/// Bytes of free chunks that are kept.
const KEEP: u64 = 256 << 20;

/// Chunks that are mapped and free; map callbacks put them back.
#[derive(Default, Clone)]
pub(super) struct Chunks(Arc<Mutex<Vec<wgpu::Buffer>>>);

/// A mapped chunk being filled.
pub(super) struct Chunk {
    pub(super) buffer: wgpu::Buffer,
    used: u64,
}

impl Chunks {
    /// A mapped chunk with room for `bytes`: the smallest free one that fits, or a new one.
    pub(super) fn take(&self, device: &wgpu::Device, bytes: u64) -> Chunk {
        let mut free = self.lock();
        let fits = (0..free.len()).filter(|&i| free[i].size() >= bytes).min_by_key(|&i| free[i].size());
        let buffer = match fits {
            Some(i) => free.swap_remove(i),
            None => device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("upload"),
                size: bytes.max(CHUNK).next_multiple_of(CHUNK),
                usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: true,
            }),
        };
        Chunk { buffer, used: 0 }
    }

    /// Asks for a submitted chunk to be mapped again; it is free once it is.
    pub(super) fn give_back(&self, chunk: wgpu::Buffer) {
        let free = self.clone();
        let buffer = chunk.clone();
        chunk.map_async(wgpu::MapMode::Write, .., move |mapped| {
            if mapped.is_ok() {
                free.lock().push(buffer);
            }
        });
    }

    /// Overwrites free chunks with zeros and drops them: all, or what is more than is worth keeping.
    pub(super) fn clear(&self, all: bool) {
        let dropped = {
            let mut free = self.lock();
            let mut kept = 0;
            let keep = free.iter().take_while(|chunk| {
                kept += chunk.size();
                !all && kept <= KEEP
            });
            let keep = keep.count();
            free.split_off(keep)
        };
        for chunk in dropped {
            if let Ok(mut view) = chunk.get_mapped_range_mut(..) {
                let zeros = [0u8; 4096];
                for start in (0..view.len()).step_by(zeros.len()) {
                    let end = view.len().min(start + zeros.len());
                    view.slice(start..end).copy_from_slice(&zeros[..end - start]);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<wgpu::Buffer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chunk {
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.used + bytes <= self.buffer.size()
    }

    /// Copies the bytes in and says where they lie; the reason if the memory is gone.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<u64, String> {
        let at = self.used;
        let mut view = self.buffer.get_mapped_range_mut(at..at + bytes.len() as u64).map_err(|e| e.to_string())?;
        view.copy_from_slice(bytes);
        self.used = (at + bytes.len() as u64).next_multiple_of(8);
        Ok(at)
    }
}

/// Becomes ready when a buffer is mapped: true, or false if that failed.
#[derive(Default, Clone)]
pub(super) struct Mapping(Arc<Mutex<(Option<bool>, Option<Waker>)>>);

impl Mapping {
    pub(super) fn of(buffer: &wgpu::Buffer) -> Self {
        let mapping = Self::default();
        let done = mapping.clone();
        buffer.map_async(wgpu::MapMode::Read, .., move |mapped| {
            let mut state = done.lock();
            state.0 = Some(mapped.is_ok());
            if let Some(waker) = state.1.take() {
                waker.wake();
            }
        });
        mapping
    }

    /// Whether the callback has been called.
    pub(super) fn is_done(&self) -> bool {
        self.lock().0.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, (Option<bool>, Option<Waker>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Future for Mapping {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.lock();
        match state.0 {
            Some(mapped) => Poll::Ready(mapped),
            None => {
                state.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
