//! A buffer whose words come one part after another, as a network brings them: each goes to the device while the next is on its way.

#[cfg(feature = "gpu")]
use super::gpu::{self, Gpu};
use super::{
    buffer::{Buffer, Store},
    cpu,
    device::Device,
    shape_only,
};
use crate::ring::Word;
#[cfg(feature = "gpu")]
use std::sync::Arc;

/// Filled from its beginning to its end; then it is a buffer.
pub(crate) struct Growing {
    place: Place,
    len: usize,
    filled: usize,
}

enum Place {
    Cpu(cpu::Words),
    ShapeOnly(shape_only::Size),
    #[cfg(feature = "gpu")]
    Gpu(Arc<Gpu>, gpu::Words),
}

impl Device {
    /// Memory for so many words that are to come.
    pub(crate) fn grow(&self, len: usize) -> Growing {
        let place = match self {
            Self::Cpu(cpu) => Place::Cpu(cpu.allocate(len)),
            Self::ShapeOnly(device) => Place::ShapeOnly(device.allocate(len)),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => Place::Gpu(gpu.clone(), gpu.settled(len)),
        };
        Growing { place, len, filled: 0 }
    }
}

impl Growing {
    /// Words that it will have.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Words that have come.
    pub(crate) fn filled(&self) -> usize {
        self.filled
    }

    /// The next words. No more than are missing.
    pub(crate) fn put(&mut self, words: &[Word]) {
        let end = self.filled + words.len();
        match &mut self.place {
            Place::Cpu(to) => to.as_mut_slice()[self.filled..end].copy_from_slice(words),
            Place::ShapeOnly(_) => {}
            #[cfg(feature = "gpu")]
            Place::Gpu(gpu, to) => gpu.put(to, self.filled, words),
        }
        self.filled = end;
    }

    /// The buffer, when all words have come.
    pub(crate) fn finish(self) -> Buffer {
        debug_assert_eq!(self.filled, self.len, "a buffer that is not full");
        let store = match self.place {
            Place::Cpu(words) => Store::Cpu(words),
            Place::ShapeOnly(size) => Store::ShapeOnly(size),
            #[cfg(feature = "gpu")]
            Place::Gpu(_, words) => Store::Gpu(words),
        };
        Buffer::new(self.len, store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_buffer_that_an_upload_makes() {
        let device = Device::cpu(1).unwrap();
        let words: Vec<Word> = (0..1000).map(|i| i * i).collect();
        let mut growing = device.grow(words.len());
        for part in words.chunks(37) {
            growing.put(part);
        }
        assert_eq!((growing.len(), growing.filled()), (1000, 1000));
        let buffers = [growing.finish(), device.upload(&words)];
        let read = pollster::block_on(device.download(&[&buffers[0], &buffers[1]])).unwrap();
        assert_eq!(read, [words.clone(), words]);
    }
}
