//! Bit planes: how bits of many elements lie in words, in memory, on the wire and in streams.
//!
//! Elements are cut into tiles of 512. A tile has 16 *lanes* of 32 bits, the last one only as many as it needs
//! (`L = ceil(rest / 32)`). Element `r` of a tile is bit `r / L` of lane `r mod L`: neighbours lie in neighbouring lanes,
//! so that a CPU vector or a GPU subgroup holds one plane of a tile and turns words into planes by vertical shifts alone.
//! A buffer of `P` planes holds, tile by tile, plane by plane, the tile's lanes as `u32`.
//!
//! *In a stream* plane `j` of lane `l` (counted over all tiles) is 32-bit word `j mod 16` of block
//! `l ceil(P / 16) + j / 16`: a lane draws its own blocks, on a CPU sixteen lanes at a time without a transpose.

use crate::ring::Word;

/// Elements of a full tile.
pub const TILE: usize = 512;
/// Lanes of a full tile.
pub const LANES: usize = 16;

/// One plane of a tile: a 32-bit word a lane.
pub type Plane = [u32; LANES];

/// Number of tiles that `n` elements take.
pub fn tiles(n: usize) -> usize {
    n.div_ceil(TILE)
}

/// Lanes of one tile.
#[inline]
pub fn lanes_of_tile(n: usize, tile: usize) -> usize {
    ((n - tile * TILE).min(TILE)).div_ceil(32)
}

/// Lanes of all tiles.
pub fn lanes(n: usize) -> usize {
    n / TILE * LANES + (n % TILE).div_ceil(32)
}

/// 64-bit words of a buffer of `planes` planes of `n` elements.
pub fn words(n: usize, planes: usize) -> usize {
    (lanes(n) * planes).div_ceil(2).max(1)
}

/// Reads plane `plane` of a tile whose lanes start at `tile_words[0]`.
#[inline(always)]
pub fn load(tile_words: &[u32], lanes: usize, plane: usize) -> Plane {
    let from = &tile_words[plane * lanes..][..lanes];
    // a copy of a length that is known is one move
    <&Plane>::try_from(from).copied().unwrap_or_else(|_| std::array::from_fn(|lane| from.get(lane).copied().unwrap_or(0)))
}

/// Writes plane `plane` of a tile.
#[inline(always)]
pub fn store(tile_words: &mut [u32], lanes: usize, plane: usize, value: &Plane) {
    let to = &mut tile_words[plane * lanes..][..lanes];
    match <&mut Plane>::try_from(&mut *to) {
        Ok(to) => *to = *value,
        Err(_) => to.iter_mut().zip(value).for_each(|(to, value)| *to = *value),
    }
}

/// The 64 planes of one tile's words: plane `j` holds bit `j` of every element; missing elements count as 0.
#[inline(always)]
pub fn transpose(words: &[Word], lanes: usize, planes: &mut [Plane]) {
    let (low, high) = planes.split_at_mut(32);
    if words.len() == TILE {
        for bit in 0..32 {
            for lane in 0..LANES {
                let word = words[bit * LANES + lane];
                low[bit][lane] = word as u32;
                high[bit][lane] = (word >> 32) as u32;
            }
        }
    } else {
        low.fill([0; LANES]);
        high.fill([0; LANES]);
        for (r, &word) in words.iter().enumerate() {
            low[r / lanes][r % lanes] = word as u32;
            high[r / lanes][r % lanes] = (word >> 32) as u32;
        }
    }
    turn(low);
    turn(high);
}

/// Transposes the 32x32 bit matrix that each lane of 32 planes holds.
#[inline(always)]
fn turn(planes: &mut [Plane]) {
    let planes = &mut planes[..32];
    let mut mask = 0x0000_ffffu32;
    let mut half = 16;
    while half > 0 {
        let mut k = 0;
        while k < 32 {
            for lane in 0..LANES {
                let swap = ((planes[k][lane] >> half) ^ planes[k + half][lane]) & mask;
                planes[k][lane] ^= swap << half;
                planes[k + half][lane] ^= swap;
            }
            k = (k + half + 1) & !half;
        }
        half >>= 1;
        mask ^= mask << half;
    }
}

/// The bits of one plane of a tile as words of all zeros or all ones, in the order of the elements.
#[inline(always)]
pub fn masks(plane: &[u32], lanes: usize, out: &mut [Word]) {
    if out.len() == TILE {
        let plane = &plane[..LANES];
        for bit in 0..32 {
            for lane in 0..LANES {
                out[bit * LANES + lane] = u64::from((plane[lane] >> bit) & 1).wrapping_neg();
            }
        }
    } else {
        for (r, word) in out.iter_mut().enumerate() {
            *word = u64::from((plane[r % lanes] >> (r / lanes)) & 1).wrapping_neg();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn planes_hold_the_bits(seed in any::<u64>(), n in 1usize..=512) {
            let words: Vec<u64> = (0..n as u64).map(|i| (seed ^ i).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)).collect();
            let lanes = lanes_of_tile(n, 0);
            let mut planes = [[0; LANES]; 64];
            transpose(&words, lanes, &mut planes);
            let mut bits = vec![0; n];
            for j in 0..64 {
                masks(&planes[j], lanes, &mut bits);
                for (word, bit) in words.iter().zip(&bits) {
                    prop_assert_eq!(word >> j & 1, bit & 1);
                }
            }
        }
    }
}
