//! The native device: pooled, cache-line aligned words, threads over pieces of a kernel's items.

use super::pool::{Pool, size_class};
use crate::{Error, Result, ring::Word};
use std::{
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// The native device. Fresh pages cost more than a whole protocol (a page fault is slower than the arithmetic on the
/// page), so buffers are kept and used again.
pub struct Cpu {
    threads: Option<rayon::ThreadPool>,
    pool: Mutex<Pool<Vec<Line>>>,
    chacha_blocks: AtomicU64,
    multiply_adds: AtomicU64,
}

#[repr(C, align(64))]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Line([Word; 8]);

/// Words of one buffer; they return to the device's pool.
pub(super) struct Words {
    lines: Vec<Line>,
    len: usize,
    device: Arc<Cpu>,
}

/// Work that a device has done since it was made: for tests and benchmarks that ask who did the work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// ChaCha20 blocks of 64 bytes.
    pub chacha_blocks: u64,
    /// Ring multiply-adds of matrix products and convolutions.
    pub multiply_adds: u64,
}

/// An output that is cut into pieces, so many words an item.
pub struct Output<'a> {
    /// The words.
    pub words: &'a mut [Word],
    /// Words an item; the last piece takes what is left.
    pub per_item: usize,
}

impl Cpu {
    pub(super) fn new(threads: usize) -> Result<Arc<Self>> {
        let count = match threads {
            0 => std::thread::available_parallelism().map_or(1, |n| n.get()),
            n => n,
        };
        let pool = match count {
            1 => None,
            n => Some(
                rayon::ThreadPoolBuilder::new()
                    // the caller is one of them
                    .num_threads(n - 1)
                    .thread_name(|i| format!("trishade-cpu-{i}"))
                    .build()
                    .map_err(|e| Error::Device(format!("cpu: cannot start {n} threads: {e}")))?,
            ),
        };
        Ok(Arc::new(Self { threads: pool, pool: Mutex::default(), chacha_blocks: AtomicU64::new(0), multiply_adds: AtomicU64::new(0) }))
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.threads.as_ref().map_or(1, |pool| pool.current_num_threads() + 1)
    }

    /// Counts what a kernel has computed.
    pub fn count(&self, chacha_blocks: usize, multiply_adds: u64) {
        self.chacha_blocks.fetch_add(chacha_blocks as u64, Relaxed);
        self.multiply_adds.fetch_add(multiply_adds, Relaxed);
    }

    /// Cuts `items` into pieces of `grain` and runs `body` on each: the items, and each output's words of those items.
    pub fn pieces(&self, items: usize, grain: usize, outputs: Vec<Output<'_>>, body: impl Fn(Range<usize>, &mut [&mut [Word]]) + Sync) {
        let grain = grain.max(1);
        let Some(pool) = self.threads.as_ref().filter(|_| items > grain) else {
            let mut rest = outputs;
            let mut start = 0;
            while start < items {
                let end = (start + grain).min(items);
                body(start..end, &mut cut(&mut rest, end - start, end == items));
                start = end;
            }
            return;
        };
        let mut work = Vec::with_capacity(items.div_ceil(grain));
        let mut rest = outputs;
        let mut start = 0;
        while start < items {
            let end = (start + grain).min(items);
            work.push((start..end, cut(&mut rest, end - start, end == items)));
            start = end;
        }
        in_order(pool, work, |(range, mut outs)| body(range, &mut outs));
    }

    /// Runs `body` on each piece of work, on all threads.
    pub fn each<T: Send>(&self, work: Vec<T>, body: impl Fn(T) + Sync) {
        match self.threads.as_ref().filter(|_| work.len() > 1) {
            None => work.into_iter().for_each(body),
            Some(pool) => in_order(pool, work, body),
        }
    }

    pub(super) fn allocate(self: &Arc<Self>, len: usize) -> Words {
        let class = size_class(len);
        let taken = self.pool().take(class);
        let lines = taken.unwrap_or_else(|gone| {
            gone.into_iter().for_each(wipe);
            vec![Line([0; 8]); class]
        });
        Words { lines, len, device: self.clone() }
    }

    /// Kept buffers are let go rather than to hold more bytes than this.
    pub(super) fn limit_memory(&self, bytes: u64) {
        self.pool().set_limit(bytes);
    }

    pub(super) fn clear(&self) {
        let kept = self.pool().clear();
        kept.for_each(wipe);
    }

    pub(super) fn work(&self) -> Work {
        Work { chacha_blocks: self.chacha_blocks.load(Relaxed), multiply_adds: self.multiply_adds.load(Relaxed) }
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Pool<Vec<Line>>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Overwrites words that nobody will read again.
fn wipe(mut lines: Vec<Line>) {
    zeroize::Zeroize::zeroize(bytemuck::cast_slice_mut::<Line, Word>(&mut lines));
}

impl Drop for Cpu {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Words {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn as_slice(&self) -> &[Word] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [Word] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        self.device.pool().give(lines.len(), lines);
    }
}

/// Takes the next `items` of every output; the last piece takes all that is left.
fn cut<'a>(outputs: &mut [Output<'a>], items: usize, last: bool) -> Vec<&'a mut [Word]> {
    outputs
        .iter_mut()
        .map(|out| {
            let words = std::mem::take(&mut out.words);
            let at = if last { words.len() } else { (items * out.per_item).min(words.len()) };
            let (piece, rest) = words.split_at_mut(at);
            out.words = rest;
            piece
        })
        .collect()
}

/// Runs the body on each piece, on the pool's threads and this one. A thread takes the same pieces of every kernel, whose
/// words its cache then still has, and goes on with the others' where they are late.
fn in_order<T: Send>(pool: &rayon::ThreadPool, work: Vec<T>, body: impl Fn(T) + Sync) {
    let work: Vec<Mutex<Option<T>>> = work.into_iter().map(|piece| Mutex::new(Some(piece))).collect();
    let threads = pool.current_num_threads() + 1;
    let take = |thread: usize| {
        for i in 0..work.len() {
            let at = (thread * work.len() / threads + i) % work.len();
            let piece = work[at].lock().unwrap_or_else(PoisonError::into_inner).take();
            piece.into_iter().for_each(&body);
        }
    };
    let take = &take;
    pool.in_place_scope(|scope| {
        (1..threads).for_each(|thread| scope.spawn(move |_| take(thread)));
        take(0);
    });
}
