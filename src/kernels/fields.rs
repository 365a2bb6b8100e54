//! Fields of `f` bits packed into words: `K = floor(64 / f)` to a word, the rest of the word zero.
//!
//! Field `i` of word `w` is element `w K + i`. In a stream the fields of element `e` are taken from word `e / K` in the
//! same places. A *block* is eight words, one ChaCha block: `8 K` elements, the item of every kernel that packs fields.

/// Fields to a word.
#[inline]
pub fn per_word(bits: u32) -> usize {
    (64 / bits) as usize
}

/// Words that `n` fields take.
pub fn words(n: usize, bits: u32) -> usize {
    n.div_ceil(per_word(bits))
}

/// Elements of a block of eight words.
pub fn per_block(bits: u32) -> usize {
    8 * per_word(bits)
}

/// Field `i` of a word.
#[inline(always)]
pub fn field(word: u64, i: usize, bits: u32) -> u64 {
    (word >> (i as u32 * bits)) & ((1 << bits) - 1)
}

/// Spreads fields over words, one each: `out[e]` is field `e` of the packed words.
#[inline(always)]
pub fn unpack(packed: &[u64], bits: u32, out: &mut [u64]) {
    let k = per_word(bits);
    let mask = (1u64 << bits) - 1;
    for (group, &word) in out.chunks_mut(k).zip(packed) {
        let mut rest = word;
        for value in group {
            *value = rest & mask;
            rest >>= bits;
        }
    }
}

/// Packs the low `bits` of each value; what is left of the last word stays zero.
#[inline(always)]
pub fn pack(values: &[u64], bits: u32, packed: &mut [u64]) {
    let k = per_word(bits);
    let mask = (1u64 << bits) - 1;
    for (group, word) in values.chunks(k).zip(packed) {
        *word = group.iter().enumerate().fold(0, |all, (i, value)| all | ((value & mask) << (i as u32 * bits)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpack_undoes_pack() {
        for bits in 8..=26 {
            let values: Vec<u64> = (0..1001u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 3).collect();
            let mut packed = vec![u64::MAX; words(values.len(), bits)];
            pack(&values, bits, &mut packed);
            let mut back = vec![0; values.len()];
            unpack(&packed, bits, &mut back);
            assert!(values.iter().zip(&back).all(|(v, b)| v & ((1 << bits) - 1) == *b));
        }
    }
}
