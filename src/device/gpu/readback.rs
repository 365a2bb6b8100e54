//! Downloads: copies at the end of the recording, one submission, one wait.

use super::{
    context::{Gpu, Words, lock},
    pool::size_class,
    staging::Mapping,
};
use crate::{Error, Result};
use std::ops::Range;

/// Words of one staging buffer, unless one piece needs more: drivers cap host-visible buffers.
const STAGE: usize = 16 << 20;

/// Looks for a callback, a tenth of a millisecond apart: another thread may need its time to call it.
const CALLED: u32 = 50_000;

/// A part of a buffer and where it lies in which staging buffer, in words.
#[derive(Debug, Clone, PartialEq)]
struct Piece {
    buffer: usize,
    words: Range<usize>,
    stage: usize,
    at: usize,
}

impl Gpu {
    /// Hands out the words of each buffer, in order: its index, the first word's, and bytes.
    pub(in crate::device) async fn download(
        &self,
        buffers: &[(&Words, usize)],
        take: &mut (dyn FnMut(usize, usize, &[u8]) + Send),
    ) -> Result<()> {
        self.fault.peek()?;
        let pieces = layout(buffers.iter().map(|(_, len)| *len));
        let read = self.guarded(|| Some(self.read_back(buffers, &pieces)));
        self.fault.peek()?;
        let lost = || Error::Device(format!("{}: the words could not be read back; the device was lost", self.facts));
        let (stages, index) = read.ok_or_else(lost)?;
        self.wait(Some(index));
        for (s, (stage, mapping)) in stages.into_iter().enumerate() {
            // on native the wait has called every callback there will ever be, unless another thread is at it
            let mapped = if cfg!(target_arch = "wasm32") || self.is_called(&mapping) { mapping.await } else { false };
            let Some(view) = mapped.then(|| stage.get_mapped_range(..).ok()).flatten() else {
                return Err(self.fault.peek().err().unwrap_or_else(lost));
            };
            for piece in pieces.iter().filter(|piece| piece.stage == s) {
                take(piece.buffer, piece.words.start, &view[piece.at * 8..][..piece.words.len() * 8]);
            }
            drop(view);
            stage.unmap();
            lock(&self.reads).push(stage);
        }
        self.fault.peek()
    }

    /// Whether the callback of a mapping whose submission has ended was called. A thread that waits for the device at the same time
    /// may have taken it over and not come to it yet.
    fn is_called(&self, mapping: &Mapping) -> bool {
        (0..CALLED).any(|turn| {
            if turn > 0 {
                std::thread::sleep(std::time::Duration::from_micros(100));
                self.wait(None);
            }
            mapping.is_done() || self.fault.is_lost()
        }) && mapping.is_done()
    }

    /// Records the copies, submits and asks for the mappings.
    fn read_back(&self, buffers: &[(&Words, usize)], pieces: &[Piece]) -> (Vec<(wgpu::Buffer, Mapping)>, wgpu::SubmissionIndex) {
        let mut recording = lock(&self.recording);
        let mut sizes = vec![1; pieces.last().map_or(0, |piece| piece.stage + 1)];
        for piece in pieces {
            sizes[piece.stage] = piece.at + piece.words.len();
        }
        let stages: Vec<wgpu::Buffer> = sizes.iter().map(|&words| self.stage(words as u64 * 8)).collect();
        let encoder = recording.after_pass();
        for piece in pieces {
            match &buffers[piece.buffer].0.buffer {
                Some(from) => {
                    let (at, size) = (piece.at as u64 * 8, piece.words.len() as u64 * 8);
                    encoder.copy_buffer_to_buffer(from, piece.words.start as u64 * 8, &stages[piece.stage], at, size);
                }
                None => self.fault.note("a buffer of a device that had failed"),
            }
        }
        let index = self.submit(&mut recording);
        let mapped = stages.into_iter().map(|stage| (stage.clone(), Mapping::of(&stage))).collect();
        (mapped, index)
    }

    /// A free buffer to read back into, or a new one.
    fn stage(&self, bytes: u64) -> wgpu::Buffer {
        let mut free = lock(&self.reads);
        let good = bytes..=bytes.max(1 << 16) * 4;
        match (0..free.len()).filter(|&i| good.contains(&free[i].size())).min_by_key(|&i| free[i].size()) {
            Some(i) => free.swap_remove(i),
            None => self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("download"),
                size: size_class(bytes),
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
        }
    }
}

/// Packs the buffers into staging buffers, large ones in pieces.
fn layout(lens: impl Iterator<Item = usize>) -> Vec<Piece> {
    let (mut pieces, mut stage, mut at) = (Vec::new(), 0, 0);
    for (buffer, len) in lens.enumerate() {
        for start in (0..len).step_by(STAGE) {
            let words = start..len.min(start + STAGE);
            if at + words.len() > STAGE {
                (stage, at) = (stage + 1, 0);
            }
            at += words.len();
            pieces.push(Piece { buffer, stage, at: at - words.len(), words });
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_every_buffer_once() {
        let lens = [1, STAGE - 1, 5, 3 * STAGE + 7, 9];
        let pieces = layout(lens.into_iter());
        for (buffer, len) in lens.into_iter().enumerate() {
            let mut next = 0;
            for piece in pieces.iter().filter(|piece| piece.buffer == buffer) {
                assert_eq!(piece.words.start, next);
                next = piece.words.end;
            }
            assert_eq!(next, len);
        }
        for pair in pieces.windows(2) {
            let end = pair[0].at + pair[0].words.len();
            assert!(pair[1].stage == pair[0].stage && pair[1].at == end || pair[1].stage == pair[0].stage + 1 && pair[1].at == 0);
            assert!(end <= STAGE);
        }
    }
}
