//! ChaCha20 (RFC 8439), many blocks at a time: one vector holds the same state word of all blocks.

use super::level::{Level, at};
use crate::stream::Stream;

/// Blocks of a batch.
const BATCH: usize = 16;
/// 64-bit words of a block.
const WORDS: usize = 8;

/// The stream's words from the beginning of `first_block`; the output may end inside a block.
pub fn keystream(stream: &Stream, first_block: u32, out: &mut [u64]) {
    keystream_at(Level::best(), stream, first_block, out);
}

/// The stream's words from any word on.
pub fn keystream_from_word(stream: &Stream, first_word: u64, out: &mut [u64]) {
    let inside = (first_word % WORDS as u64) as usize;
    let mut block = (first_word / WORDS as u64) as u32;
    let mut rest = out;
    if inside > 0 {
        let mut head = [0; WORDS];
        keystream(stream, block, &mut head);
        let take = rest.len().min(WORDS - inside);
        rest[..take].copy_from_slice(&head[inside..][..take]);
        rest = &mut rest[take..];
        block += 1;
    }
    if !rest.is_empty() {
        keystream(stream, block, rest);
    }
}

/// Sixteen blocks of the given counters, word by word: `out[i][lane]` is state word `i` of block `counters[lane]`.
#[inline]
pub fn keystream_sliced(stream: &Stream, counters: &[u32; BATCH], out: &mut [[u32; BATCH]; 16]) {
    sliced_at(Level::best(), stream, counters, out);
}

fn sliced_at(level: Level, stream: &Stream, counters: &[u32; BATCH], out: &mut [[u32; BATCH]; 16]) {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: Level::Avx512 is only ever named after detection.
        Level::Avx512 => unsafe { avx512::sliced(stream, counters, out) },
        _ => at(level, || sliced_by_halves(stream, counters, out)),
    }
}

fn keystream_at(level: Level, stream: &Stream, first_block: u32, out: &mut [u64]) {
    let mut block = first_block;
    let mut batches = out.chunks_exact_mut(BATCH * WORDS);
    for batch in &mut batches {
        full_batch(level, stream, block, batch);
        block = block.wrapping_add(BATCH as u32);
    }
    let rest = batches.into_remainder();
    if rest.len() <= 2 * WORDS {
        for chunk in rest.chunks_mut(WORDS) {
            one_block(stream, block, chunk);
            block = block.wrapping_add(1);
        }
    } else {
        let mut batch = [0; BATCH * WORDS];
        full_batch(level, stream, block, &mut batch);
        rest.copy_from_slice(&batch[..rest.len()]);
    }
}

fn one_block(stream: &Stream, block: u32, out: &mut [u64]) {
    let words = stream.block(block);
    for (e, word) in out.iter_mut().enumerate() {
        *word = u64::from(words[2 * e]) | u64::from(words[2 * e + 1]) << 32;
    }
}

fn full_batch(level: Level, stream: &Stream, block: u32, out: &mut [u64]) {
    let counters = std::array::from_fn(|lane| block.wrapping_add(lane as u32));
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: Level::Avx512 is only ever named after detection.
        Level::Avx512 => unsafe { avx512::in_order(stream, &counters, out) },
        _ => at(level, || {
            let mut state = [[0; BATCH]; 16];
            sliced_by_halves(stream, &counters, &mut state);
            for (lane, words) in out.chunks_exact_mut(WORDS).enumerate() {
                for (e, word) in words.iter_mut().enumerate() {
                    *word = u64::from(state[2 * e][lane]) | u64::from(state[2 * e + 1][lane]) << 32;
                }
            }
        }),
    }
}

/// The portable path: eight blocks at a time in arrays that the compiler vectorises.
#[inline(always)]
fn sliced_by_halves(stream: &Stream, counters: &[u32; BATCH], out: &mut [[u32; BATCH]; 16]) {
    for half in [0, 8] {
        let mut state = [[0u32; 8]; 16];
        let constants = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
        for i in 0..4 {
            state[i] = [constants[i]; 8];
        }
        for i in 0..8 {
            state[4 + i] = [stream.key[i]; 8];
        }
        state[12] = std::array::from_fn(|lane| counters[half + lane]);
        for i in 0..3 {
            state[13 + i] = [stream.nonce[i]; 8];
        }
        let start = state;
        for _ in 0..10 {
            for i in 0..4 {
                quarter(&mut state, i, 4 + i, 8 + i, 12 + i);
            }
            for i in 0..4 {
                quarter(&mut state, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
            }
        }
        for i in 0..16 {
            for lane in 0..8 {
                out[i][half + lane] = state[i][lane].wrapping_add(start[i][lane]);
            }
        }
    }
}

#[inline(always)]
fn quarter(s: &mut [[u32; 8]; 16], a: usize, b: usize, c: usize, d: usize) {
    step(s, a, b, d, 16);
    step(s, c, d, b, 12);
    step(s, a, b, d, 8);
    step(s, c, d, b, 7);
}

#[inline(always)]
fn step(s: &mut [[u32; 8]; 16], x: usize, y: usize, z: usize, turn: u32) {
    for lane in 0..8 {
        s[x][lane] = s[x][lane].wrapping_add(s[y][lane]);
        s[z][lane] = (s[z][lane] ^ s[x][lane]).rotate_left(turn);
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::{BATCH, Stream};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f")]
    fn state(stream: &Stream, counters: &[u32; BATCH]) -> [__m512i; 16] {
        let word = |w: u32| _mm512_set1_epi32(w as i32);
        let k = &stream.key;
        // SAFETY: sixteen 32-bit words are 64 readable bytes.
        let counter = unsafe { _mm512_loadu_si512(counters.as_ptr().cast()) };
        let mut s = [
            word(0x6170_7865),
            word(0x3320_646e),
            word(0x7962_2d32),
            word(0x6b20_6574),
            word(k[0]),
            word(k[1]),
            word(k[2]),
            word(k[3]),
            word(k[4]),
            word(k[5]),
            word(k[6]),
            word(k[7]),
            counter,
            word(stream.nonce[0]),
            word(stream.nonce[1]),
            word(stream.nonce[2]),
        ];
        let start = s;
        // one step of four quarter rounds side by side: each alone would wait for itself
        macro_rules! step {
            ($turn:literal: $($x:literal $y:literal $z:literal),*) => {
                $(s[$x] = _mm512_add_epi32(s[$x], s[$y]);)*
                $(s[$z] = _mm512_xor_si512(s[$z], s[$x]);)*
                $(s[$z] = _mm512_rol_epi32::<$turn>(s[$z]);)*
            };
        }
        for _ in 0..10 {
            step!(16: 0 4 12, 1 5 13, 2 6 14, 3 7 15);
            step!(12: 8 12 4, 9 13 5, 10 14 6, 11 15 7);
            step!(8: 0 4 12, 1 5 13, 2 6 14, 3 7 15);
            step!(7: 8 12 4, 9 13 5, 10 14 6, 11 15 7);
            step!(16: 0 5 15, 1 6 12, 2 7 13, 3 4 14);
            step!(12: 10 15 5, 11 12 6, 8 13 7, 9 14 4);
            step!(8: 0 5 15, 1 6 12, 2 7 13, 3 4 14);
            step!(7: 10 15 5, 11 12 6, 8 13 7, 9 14 4);
        }
        for i in 0..16 {
            s[i] = _mm512_add_epi32(s[i], start[i]);
        }
        s
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn sliced(stream: &Stream, counters: &[u32; BATCH], out: &mut [[u32; BATCH]; 16]) {
        for (row, words) in state(stream, counters).into_iter().zip(out) {
            // SAFETY: a row is 64 writable bytes.
            unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), row) };
        }
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn in_order(stream: &Stream, counters: &[u32; BATCH], out: &mut [u64]) {
        let rows = transpose(state(stream, counters));
        for (row, words) in rows.into_iter().zip(out.chunks_exact_mut(8)) {
            // SAFETY: eight 64-bit words are 64 writable bytes.
            unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), row) };
        }
    }

    /// Rows of words to rows of blocks: 16 x 16 words of 32 bits in four stages.
    #[target_feature(enable = "avx512f")]
    fn transpose(s: [__m512i; 16]) -> [__m512i; 16] {
        let mut t = s;
        for i in (0..16).step_by(2) {
            t[i] = _mm512_unpacklo_epi32(s[i], s[i + 1]);
            t[i + 1] = _mm512_unpackhi_epi32(s[i], s[i + 1]);
        }
        let mut u = t;
        for i in (0..16).step_by(4) {
            u[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
            u[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
            u[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
            u[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
        }
        // u[4 q + r], 128-bit part p: words 4 q .. 4 q + 4 of block 4 p + r
        let mut out = u;
        for r in 0..4 {
            let a = _mm512_shuffle_i32x4::<0x44>(u[r], u[4 + r]);
            let b = _mm512_shuffle_i32x4::<0xee>(u[r], u[4 + r]);
            let c = _mm512_shuffle_i32x4::<0x44>(u[8 + r], u[12 + r]);
            let d = _mm512_shuffle_i32x4::<0xee>(u[8 + r], u[12 + r]);
            out[r] = _mm512_shuffle_i32x4::<0x88>(a, c);
            out[4 + r] = _mm512_shuffle_i32x4::<0xdd>(a, c);
            out[8 + r] = _mm512_shuffle_i32x4::<0x88>(b, d);
            out[12 + r] = _mm512_shuffle_i32x4::<0xdd>(b, d);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels() -> impl Iterator<Item = Level> {
        [Level::Portable, Level::Avx2, Level::Avx512].into_iter().filter(|&level| level <= Level::best())
    }

    fn rfc_stream() -> Stream {
        let key = std::array::from_fn(|i| u32::from_le_bytes(std::array::from_fn(|j| (4 * i + j) as u8)));
        Stream { key, nonce: [0x0900_0000, 0x4a00_0000, 0, 0] }
    }

    #[test]
    fn rfc_8439_section_2_3_2() {
        let want: [u32; 16] = [
            0xe4e7_f110,
            0x1559_3bd1,
            0x1fdd_0f50,
            0xc471_20a3,
            0xc7f4_d1c7,
            0x0368_c033,
            0x9aaa_2204,
            0x4e6c_d4c3,
            0x4664_82d2,
            0x09aa_9f07,
            0x05d7_c214,
            0xa202_8bd9,
            0xd19c_12b5,
            0xb94e_16de,
            0xe883_d0cb,
            0x4e3c_50a2,
        ];
        assert_eq!(rfc_stream().block(1), want);
        for level in levels() {
            let mut out = [0; 8];
            keystream_at(level, &rfc_stream(), 1, &mut out);
            let words: Vec<u32> = out.iter().flat_map(|w| [*w as u32, (*w >> 32) as u32]).collect();
            assert_eq!(words, want, "{level:?}");
        }
    }

    #[test]
    fn every_level_equals_the_definition() {
        let stream = Stream { key: [1, 2, 3, 4, 5, 6, 7, 8], nonce: [9, 10, 11, 0] };
        for level in levels() {
            for first in [0, 5, u32::MAX - 40] {
                for len in [1, 7, 8, 9, 16, 17, 127, 128, 129, 300] {
                    let mut out = vec![0; len];
                    keystream_at(level, &stream, first, &mut out);
                    for (e, word) in out.iter().enumerate() {
                        let block = stream.block(first.wrapping_add(e as u32 / 8));
                        let at = e % 8;
                        assert_eq!(*word, u64::from(block[2 * at]) | u64::from(block[2 * at + 1]) << 32, "{level:?} {first} {len} {e}");
                    }
                }
            }
            let counters = std::array::from_fn(|lane| u32::MAX - 7 * lane as u32);
            let mut sliced = [[0; 16]; 16];
            sliced_at(level, &stream, &counters, &mut sliced);
            for lane in 0..16 {
                let block = stream.block(counters[lane]);
                assert!((0..16).all(|i| sliced[i][lane] == block[i]), "{level:?} lane {lane}");
            }
        }
    }

    #[test]
    fn a_stream_can_begin_at_any_word() {
        let stream = rfc_stream();
        let mut all = vec![0; 200];
        keystream(&stream, 0, &mut all);
        for first in [0, 1, 7, 8, 9, 63] {
            for len in [0, 1, 3, 8, 100] {
                let mut out = vec![0; len];
                keystream_from_word(&stream, first as u64, &mut out);
                assert_eq!(out, all[first..first + len]);
            }
        }
    }
}
