//! Fields of `f` bits packed into words: `K = floor(64 / f)` to a word, the rest of the word zero.
//!
//! A *block* is eight words, one ChaCha block: `8 K` elements, the item of every kernel that packs fields. In a block of `W`
//! words (eight, in the last block as many as are needed) field `i` of word `w` is element `i W + w`, so that neighbouring
//! elements lie in neighbouring words. In a stream the fields of a block are taken from its first words in the same places.

/// Bits that a field may have: a truncation by more leaves nothing of a value below 2^62, and every shift stays below 64.
pub const WIDTHS: std::ops::RangeInclusive<u32> = 1..=62;

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

/// Spreads fields over words, one each, block by block.
#[inline(always)]
pub fn unpack(packed: &[u64], bits: u32, out: &mut [u64]) {
    let block = per_block(bits);
    let mask = (1u64 << bits) - 1;
    for (out, packed) in out.chunks_mut(block).zip(packed.chunks(8)) {
        if let (Ok(packed), true) = (<&[u64; 8]>::try_from(packed), out.len() == block) {
            for (i, out) in out.chunks_exact_mut(8).enumerate() {
                out.iter_mut().zip(packed).for_each(|(out, word)| *out = (word >> (i as u32 * bits)) & mask);
            }
        } else {
            let wide = words(out.len(), bits);
            out.iter_mut().enumerate().for_each(|(e, out)| *out = field(packed[e % wide], e / wide, bits));
        }
    }
}

/// Packs the low `bits` of each value, block by block; what is left of each word stays zero.
#[inline(always)]
pub fn pack(values: &[u64], bits: u32, packed: &mut [u64]) {
    let block = per_block(bits);
    let mask = (1u64 << bits) - 1;
    for (values, packed) in values.chunks(block).zip(packed.chunks_mut(8)) {
        let wide = words(values.len(), bits);
        let mut all = [0; 8];
        if values.len() == block {
            for (i, values) in values.chunks_exact(8).enumerate() {
                all.iter_mut().zip(values).for_each(|(word, value)| *word |= (value & mask) << (i as u32 * bits));
            }
        } else {
            values.iter().enumerate().for_each(|(e, value)| all[e % wide] |= (value & mask) << ((e / wide) as u32 * bits));
        }
        packed[..wide].copy_from_slice(&all[..wide]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpack_undoes_pack() {
        for bits in WIDTHS {
            let values: Vec<u64> = (0..1001u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 3).collect();
            let mut packed = vec![u64::MAX; words(values.len(), bits)];
            pack(&values, bits, &mut packed);
            let mut back = vec![0; values.len()];
            unpack(&packed, bits, &mut back);
            assert!(values.iter().zip(&back).all(|(v, b)| v & ((1 << bits) - 1) == *b));
        }
    }
}
