//! Peak rates of this processor's cores, measured without the engine: a bare blocked product of 64-bit words.
//!
//! `cargo bench --bench peak`; `trishade bench peak` prints the same beside the engine's own rates.
#![allow(unsafe_code, missing_docs, reason = "a benchmark that shares no code with the library")]

use std::time::Instant;

const ROWS: usize = 8;
const COLUMNS: usize = 16;
const DEPTH: usize = 256;

/// Multiply-adds a second of `n x n` words by as many, on one thread: the best of so many runs.
pub fn product_rate(n: usize, runs: usize) -> f64 {
    let word = |i: usize| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (a, b): (Vec<u64>, Vec<u64>) = (0..n * n).map(|i| (word(i), word(i + n * n))).unzip();
    let mut best = f64::INFINITY;
    let mut c = vec![1; n * n];
    for _ in 0..runs {
        c.fill(0);
        let began = Instant::now();
        product(n, &a, &b, &mut c);
        best = best.min(began.elapsed().as_secs_f64());
        let want = (0..n).fold(0u64, |sum, k| sum.wrapping_add(a[k].wrapping_mul(b[k * n])));
        assert_eq!(c[0], want, "the bare product is wrong");
    }
    (n * n * n) as f64 / best
}

/// Words of 1 GiB copied from one place to another, bytes a second.
pub fn copy_rate() -> f64 {
    let from = vec![1u64; 1 << 24];
    let mut to = vec![0u64; 1 << 24];
    let mut best = f64::INFINITY;
    for _ in 0..8 {
        let began = Instant::now();
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&mut to);
        best = best.min(began.elapsed().as_secs_f64());
    }
    (from.len() * 8) as f64 / best
}

/// `n` is a multiple of 16.
fn product(n: usize, a: &[u64], b: &[u64], c: &mut [u64]) {
    let mut left = vec![0u64; ROWS * DEPTH];
    let mut right = vec![0u64; DEPTH * n];
    for first in (0..n).step_by(DEPTH) {
        let deep = DEPTH.min(n - first);
        for q in 0..n / COLUMNS {
            for k in 0..deep {
                let from = (first + k) * n + q * COLUMNS;
                right[(q * deep + k) * COLUMNS..][..COLUMNS].copy_from_slice(&b[from..from + COLUMNS]);
            }
        }
        for row in (0..n).step_by(ROWS) {
            for k in 0..deep {
                for i in 0..ROWS {
                    left[k * ROWS + i] = a[(row + i) * n + first + k];
                }
            }
            for q in 0..n / COLUMNS {
                tile(&left[..deep * ROWS], &right[q * deep * COLUMNS..][..deep * COLUMNS], &mut c[row * n + q * COLUMNS..], n);
            }
        }
    }
}

fn tile(left: &[u64], right: &[u64], c: &mut [u64], stride: usize) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512dq") && std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the features were found.
        unsafe { tile_avx512(left, right, c, stride) };
        return;
    }
    for (left, right) in left.chunks_exact(ROWS).zip(right.chunks_exact(COLUMNS)) {
        for (i, a) in left.iter().enumerate() {
            for (c, b) in c[i * stride..][..COLUMNS].iter_mut().zip(right) {
                *c = c.wrapping_add(a.wrapping_mul(*b));
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn tile_avx512(left: &[u64], right: &[u64], c: &mut [u64], stride: usize) {
    use std::arch::x86_64::*;
    assert!(c.len() >= (ROWS - 1) * stride + COLUMNS && left.len() / ROWS == right.len() / COLUMNS);
    let mut sums = [[_mm512_setzero_si512(); 2]; ROWS];
    // SAFETY: the assertion bounds every row of the tile, the loop both panels.
    unsafe {
        for k in 0..left.len() / ROWS {
            let r = right.as_ptr().add(k * COLUMNS);
            let halves = [_mm512_loadu_si512(r.cast()), _mm512_loadu_si512(r.add(8).cast())];
            for (i, sum) in sums.iter_mut().enumerate() {
                let a = _mm512_set1_epi64(*left.as_ptr().add(k * ROWS + i) as i64);
                sum[0] = _mm512_add_epi64(sum[0], _mm512_mullo_epi64(a, halves[0]));
                sum[1] = _mm512_add_epi64(sum[1], _mm512_mullo_epi64(a, halves[1]));
            }
        }
        for (i, sum) in sums.iter().enumerate() {
            for (h, &sum) in sum.iter().enumerate() {
                let to = c.as_mut_ptr().add(i * stride + 8 * h);
                _mm512_storeu_si512(to.cast(), _mm512_add_epi64(_mm512_loadu_si512(to.cast()), sum));
            }
        }
    }
}

#[allow(dead_code, reason = "included as a module by the command line")]
fn main() {
    for n in [256, 512, 1024] {
        println!("product {n}: {:.1} G multiply-adds/s", product_rate(n, 5) / 1e9);
    }
    println!("copy: {:.1} GB/s", copy_rate() / 1e9);
}
