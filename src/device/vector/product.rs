//! The micro kernel of ring products: a tile of 8 rows and 16 columns from packed panels.

use super::level::{Level, at};

/// Rows of a tile, and of a packed panel of the left operand.
pub const ROWS: usize = 8;
/// Columns of a tile, and of a packed panel of the right operand.
pub const COLUMNS: usize = 16;

/// Sums of one tile.
pub type Tile = [[u64; COLUMNS]; ROWS];

/// `tile[i][j] = sum_k left[k][i] right[k][j]` for panels packed depth by depth.
#[inline]
pub fn multiply(left: &[u64], right: &[u64]) -> Tile {
    multiply_at(Level::best(), left, right)
}

fn multiply_at(level: Level, left: &[u64], right: &[u64]) -> Tile {
    assert_eq!(left.len() / ROWS, right.len() / COLUMNS, "panels of one depth");
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: Level::Avx512 is only ever named after detection.
        Level::Avx512 => unsafe { avx512(left, right) },
        _ => at(level, || quarters(left, right)),
    }
}

/// Four tiles of 4 rows and 8 columns, whose sums the compiler keeps in registers.
#[inline(always)]
fn quarters(left: &[u64], right: &[u64]) -> Tile {
    let mut tile = [[0; COLUMNS]; ROWS];
    for i in [0, 4] {
        for j in [0, 8] {
            let mut sum = [[0u64; 8]; 4];
            for (left, right) in left.chunks_exact(ROWS).zip(right.chunks_exact(COLUMNS)) {
                let (left, right) = (&left[i..i + 4], &right[j..j + 8]);
                for a in 0..4 {
                    for b in 0..8 {
                        sum[a][b] = sum[a][b].wrapping_add(left[a].wrapping_mul(right[b]));
                    }
                }
            }
            for a in 0..4 {
                tile[i + a][j..j + 8].copy_from_slice(&sum[a]);
            }
        }
    }
    tile
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn avx512(left: &[u64], right: &[u64]) -> Tile {
    use std::arch::x86_64::*;
    let depth = (left.len() / ROWS).min(right.len() / COLUMNS);
    let mut sum = [[_mm512_setzero_si512(); 2]; ROWS];
    // SAFETY: `depth` rows of both panels are in bounds.
    unsafe {
        let (mut l, mut r) = (left.as_ptr(), right.as_ptr());
        for _ in 0..depth {
            let right = [_mm512_loadu_si512(r.cast()), _mm512_loadu_si512(r.add(8).cast())];
            for i in 0..ROWS {
                let left = _mm512_set1_epi64(*l.add(i) as i64);
                sum[i][0] = _mm512_add_epi64(sum[i][0], _mm512_mullo_epi64(left, right[0]));
                sum[i][1] = _mm512_add_epi64(sum[i][1], _mm512_mullo_epi64(left, right[1]));
            }
            l = l.add(ROWS);
            r = r.add(COLUMNS);
        }
    }
    // SAFETY: a tile's row is two vectors of eight words.
    unsafe { std::mem::transmute::<[[__m512i; 2]; ROWS], Tile>(sum) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_equals_the_definition() {
        for depth in [0, 1, 5, 33] {
            let word = |i: usize| (i as u64 + 3).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let left: Vec<u64> = (0..depth * ROWS).map(word).collect();
            let right: Vec<u64> = (0..depth * COLUMNS).map(|i| if i % 5 == 0 { u64::MAX } else { word(i) }).collect();
            let mut want = [[0u64; COLUMNS]; ROWS];
            for k in 0..depth {
                for i in 0..ROWS {
                    for j in 0..COLUMNS {
                        want[i][j] = want[i][j].wrapping_add(left[k * ROWS + i].wrapping_mul(right[k * COLUMNS + j]));
                    }
                }
            }
            for level in [Level::Portable, Level::Avx2, Level::Avx512].into_iter().filter(|&level| level <= Level::best()) {
                assert_eq!(multiply_at(level, &left, &right), want, "{level:?} {depth}");
            }
        }
    }
}
