//! Freed buffers that are kept for the next of their size, and the bound on what is kept. The native device and its
//! shape-only counterpart share it, so that `plan` foresees what a process will hold.

use std::collections::BTreeMap;

/// Freed buffers by size class, and the bytes of all buffers, in use or kept.
#[derive(Debug)]
pub(super) struct Pool<T> {
    kept: BTreeMap<usize, Vec<T>>,
    held: u64,
    most_held: u64,
    limit: u64,
}

/// Lines of 64 bytes of the pooled buffer that holds `len` words: at most an eighth more than asked.
pub(super) fn size_class(len: usize) -> usize {
    let lines = len.div_ceil(8).max(1);
    let step = (lines.next_power_of_two() / 16).max(1);
    lines.next_multiple_of(step)
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { kept: BTreeMap::new(), held: 0, most_held: 0, limit: u64::MAX }
    }
}

impl<T> Pool<T> {
    /// Above so many bytes kept buffers are let go for fresh ones.
    pub(super) fn set_limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    /// The most bytes of buffers at one time, in use or kept.
    pub(super) fn most_held(&self) -> u64 {
        self.most_held
    }

    /// A kept buffer of the class; else room for a fresh one, with the buffers that make it: the caller drops them.
    pub(super) fn take(&mut self, class: usize) -> Result<T, Vec<T>> {
        if let Some(buffer) = self.kept.get_mut(&class).and_then(Vec::pop) {
            return Ok(buffer);
        }
        let mut gone = Vec::new();
        while self.held + bytes(class) > self.limit {
            let largest = self.kept.iter_mut().rev().find_map(|(&class, buffers)| buffers.pop().map(|buffer| (class, buffer)));
            let Some((class, buffer)) = largest else { break };
            self.held -= bytes(class);
            gone.push(buffer);
        }
        self.held += bytes(class);
        self.most_held = self.most_held.max(self.held);
        Err(gone)
    }

    /// A buffer is free.
    pub(super) fn give(&mut self, class: usize, buffer: T) {
        self.kept.entry(class).or_default().push(buffer);
    }

    /// Everything that is kept.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = T> + use<T> {
        let kept = std::mem::take(&mut self.kept);
        self.held -= kept.iter().map(|(&class, buffers)| bytes(class) * buffers.len() as u64).sum::<u64>();
        self.most_held = self.held;
        kept.into_values().flatten()
    }
}

fn bytes(class: usize) -> u64 {
    class as u64 * 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_waste_an_eighth_at_most() {
        for len in [1, 8, 9, 127, 128, 129, 1000, 12_345, 1 << 20, (1 << 20) + 1] {
            let words = size_class(len) * 8;
            assert!(words >= len && words <= len + len / 8 + 8, "{len}: {words}");
        }
    }

    #[test]
    fn a_pool_lets_the_largest_go_first() {
        let mut pool = Pool::default();
        pool.set_limit(64 * 100);
        for (class, name) in [(60, 'a'), (30, 'b')] {
            assert_eq!(pool.take(class), Err(vec![]));
            pool.give(class, name);
        }
        assert_eq!(pool.take(30), Ok('b'));
        assert_eq!(pool.take(50), Err(vec!['a']));
        assert_eq!(pool.most_held(), 64 * 90);
        // more than the limit if it must be
        assert_eq!(pool.take(50), Err(vec![]));
        assert_eq!(pool.most_held(), 64 * 130);
        pool.give(30, 'b');
        assert_eq!(pool.clear().collect::<String>(), "b");
        assert_eq!(pool.most_held(), 64 * 100);
    }
}
