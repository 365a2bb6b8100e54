//! The micro kernel of ring products: a tile of 8 rows and 16 columns from packed panels.

use super::{Level, at};

/// Rows of a tile, and of a packed panel of the left operand.
pub const ROWS: usize = 8;
/// Columns of a tile, and of a packed panel of the right operand.
pub const COLUMNS: usize = 16;

/// `tile[i][j] += sum_k left[k][i] right[k][j]` for panels packed depth by depth.
#[inline]
pub fn multiply_add(left: &[u64], right: &[u64], tile: &mut [[u64; COLUMNS]; ROWS]) {
    multiply_add_at(Level::best(), left, right, tile);
}

fn multiply_add_at(level: Level, left: &[u64], right: &[u64], tile: &mut [[u64; COLUMNS]; ROWS]) {
    assert_eq!(left.len() / ROWS, right.len() / COLUMNS, "panels of one depth");
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: Level::Avx512 is only ever named after detection.
        Level::Avx512 => unsafe { avx512(left, right, tile) },
        _ => at(level, || quarters(left, right, tile)),
    }
}

/// Four tiles of 4 rows and 8 columns, whose sums the compiler keeps in registers.
#[inline(always)]
fn quarters(left: &[u64], right: &[u64], tile: &mut [[u64; COLUMNS]; ROWS]) {
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
                for b in 0..8 {
                    tile[i + a][j + b] = tile[i + a][j + b].wrapping_add(sum[a][b]);
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn avx512(left: &[u64], right: &[u64], tile: &mut [[u64; COLUMNS]; ROWS]) {
    use std::arch::x86_64::*;
    let depth = (left.len() / ROWS).min(right.len() / COLUMNS);
    let mut sum = [[_mm512_setzero_si512(); 2]; ROWS];
    // SAFETY: `depth` rows of both panels are in bounds, and a tile's row is two vectors.
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
        for i in 0..ROWS {
            for h in 0..2 {
                let to = tile[i].as_mut_ptr().add(8 * h);
                _mm512_storeu_si512(to.cast(), _mm512_add_epi64(_mm512_loadu_si512(to.cast()), sum[i][h]));
            }
        }
    }
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
            let start: [[u64; COLUMNS]; ROWS] = std::array::from_fn(|i| std::array::from_fn(|j| word(i * 31 + j)));
            let mut want = start;
            for k in 0..depth {
                for i in 0..ROWS {
                    for j in 0..COLUMNS {
                        want[i][j] = want[i][j].wrapping_add(left[k * ROWS + i].wrapping_mul(right[k * COLUMNS + j]));
                    }
                }
            }
            for level in [Level::Portable, Level::Avx2, Level::Avx512].into_iter().filter(|&level| level <= Level::best()) {
                let mut tile = start;
                multiply_add_at(level, &left, &right, &mut tile);
                assert_eq!(tile, want, "{level:?} {depth}");
            }
        }
    }
}
