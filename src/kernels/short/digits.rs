//! Rows of numbers: the words of a group, what is drawn for it, and division by multiplication.

use super::layout::{GROUP, Row};
use crate::{device::vector, kernels::planes::LANES, ring::Word, stream::Stream};

/// The words of a group, zeros behind them, and how many there are.
#[inline(always)]
pub(super) fn words_of(words: &[Word], group: usize, n: usize) -> ([Word; GROUP], usize) {
    let len = GROUP.min(n - group * GROUP);
    let mut all = [0; GROUP];
    all[..len].copy_from_slice(&words[group * GROUP..][..len]);
    (all, len)
}

/// The blocks of a group's elements: row `j` holds 32-bit word `j` of each.
#[inline(always)]
pub(super) fn keystream(stream: &Stream, group: usize, len: usize, out: &mut [Row]) {
    let blocks = out.len() / 16;
    let mut drawn = [[0; LANES]; 16];
    for at in (0..len).step_by(LANES) {
        for (q, rows) in out.chunks_exact_mut(16).enumerate() {
            let counters = std::array::from_fn(|lane| ((group * GROUP + at + lane) * blocks + q) as u32);
            vector::keystream_sliced(stream, &counters, &mut drawn);
            for (row, drawn) in rows.iter_mut().zip(&drawn) {
                row[at..at + LANES].copy_from_slice(drawn);
            }
        }
    }
}

/// `floor(n bound / 2^96)` of the 96 bits that three rows hold.
#[inline(always)]
pub(super) fn draw(random: &[Row], bound: u32, out: &mut Row) {
    let [low, middle, high, ..] = random else { unreachable!("three rows a number") };
    let bound = u64::from(bound);
    for e in 0..GROUP {
        let carried = (u64::from(low[e]) * bound) >> 32;
        let carried = (u64::from(middle[e]) * bound + carried) >> 32;
        out[e] = ((u64::from(high[e]) * bound + carried) >> 32) as u32;
    }
}

/// Quotient and remainder of a number below 2^32 by 23, in 64 bits as vectors multiply.
#[inline(always)]
pub(super) fn by_23(x: u64) -> (u64, u64) {
    let quotient = (x * 0xb216_42c9) >> 36;
    (quotient, x - 23 * quotient)
}

/// The same by 22.
#[inline(always)]
pub(super) fn by_22(x: u64) -> (u64, u64) {
    let quotient = (x * 0xba2e_8ba3) >> 36;
    (quotient, x - 22 * quotient)
}

#[cfg(test)]
mod tests {
    use super::{
        super::layout::{FACTORS, RESIDUES},
        *,
    };

    #[test]
    fn division_by_products_is_exact() {
        let near = |x: u64| [x.wrapping_sub(1), x, x + 1];
        let samples = (0..100_000u64).flat_map(|i| near(i * 42_949 / 23 * 23)).chain(near(u32::MAX.into())).chain(0..1000);
        for x in samples.map(|x| x & 0xffff_ffff) {
            assert_eq!((by_23(x), by_22(x)), ((x / 23, x % 23), (x / 22, x % 22)), "{x}");
        }
    }

    #[test]
    fn draws_are_scaled_down() {
        for bound in [21, FACTORS, RESIDUES] {
            for words in [[0, 0, 0], [u32::MAX; 3], [7, 1 << 31, 0x1234_5678], [u32::MAX, u32::MAX, 0x8000_0000]] {
                let number = words.iter().rev().fold(0u128, |n, &w| n << 32 | u128::from(w));
                let mut out = [0; GROUP];
                draw(&words.map(|word| [word; GROUP]), bound, &mut out);
                // 96 bits times 32 bits fit
                assert_eq!(u128::from(out[5]), (number * u128::from(bound)) >> 96);
            }
        }
    }
}
