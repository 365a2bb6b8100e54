//! The only unsafe native code: run-time dispatch and vector kernels.
#![allow(missing_docs)]
use crate::kernels::Stream;

pub fn vectorised<R>(body: impl FnOnce() -> R) -> R {
    body()
}

pub fn keystream(stream: &Stream, first_block: u32, out: &mut [u64]) {
    for (i, chunk) in out.chunks_mut(8).enumerate() {
        let block = stream.block(first_block + i as u32);
        for (e, word) in chunk.iter_mut().enumerate() {
            *word = u64::from(block[2 * e]) | u64::from(block[2 * e + 1]) << 32;
        }
    }
}

pub fn keystream_sliced(stream: &Stream, counters: &[u32; 16], out: &mut [[u32; 16]; 16]) {
    for (lane, &counter) in counters.iter().enumerate() {
        let block = stream.block(counter);
        for i in 0..16 {
            out[i][lane] = block[i];
        }
    }
}
