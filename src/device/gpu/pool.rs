//! Buffers kept by size class.
//!
//! A buffer comes back when its last handle is dropped, while dispatches that use it may still be only recorded: the queue
//! is ordered, so that whatever is recorded later may overwrite it. Uploads alone go *before* the recorded dispatches
//! (see [`recorder`](super::recorder)); they take buffers that came back in an earlier recording.

use std::collections::{BTreeMap, VecDeque};

/// Free buffers and the recording in which each came back.
#[derive(Default)]
pub(super) struct Pool {
    free: BTreeMap<u64, VecDeque<(u64, wgpu::Buffer)>>,
}

impl Pool {
    /// A free buffer of this class for an output.
    pub(super) fn any(&mut self, class: u64) -> Option<wgpu::Buffer> {
        self.free.get_mut(&class)?.pop_back().map(|(_, buffer)| buffer)
    }

    /// A free buffer of this class that nothing recorded since `recording` uses.
    pub(super) fn settled(&mut self, class: u64, recording: u64) -> Option<wgpu::Buffer> {
        let queue = self.free.get_mut(&class)?;
        (queue.front()?.0 < recording).then(|| queue.pop_front().map(|(_, buffer)| buffer))?
    }

    pub(super) fn put(&mut self, recording: u64, buffer: wgpu::Buffer) {
        self.free.entry(buffer.size()).or_default().push_back((recording, buffer));
    }

    pub(super) fn drain(&mut self) -> Vec<wgpu::Buffer> {
        std::mem::take(&mut self.free).into_values().flatten().map(|(_, buffer)| buffer).collect()
    }
}

/// Bytes of the pooled buffer that holds `bytes`: a multiple of 256, at most an eighth larger than asked.
pub(super) fn size_class(bytes: u64) -> u64 {
    let units = bytes.div_ceil(256).max(1);
    let step = (units.next_power_of_two() / 16).max(1);
    units.next_multiple_of(step) * 256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_what_is_asked() {
        for bytes in (1..1 << 20).step_by(777) {
            let class = size_class(bytes);
            assert!(class >= bytes && class.is_multiple_of(256) && class <= bytes + bytes / 8 + 256, "{bytes} {class}");
        }
    }
}
