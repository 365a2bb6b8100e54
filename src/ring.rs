//! The ring Z_2^64 in two's complement. All arithmetic wraps.

/// A ring element. Signed values are read in two's complement.
pub type Word = u64;

/// The values that every property test includes: where carries and signs turn.
pub const EDGES: [Word; 8] = [0, 1, u64::MAX, 1 << 63, (1 << 63) - 1, (1 << 62) - 1, 1 << 62, 0x5555_5555_5555_5555];

/// The signed reading of a ring element.
#[inline]
pub fn signed(x: Word) -> i64 {
    x as i64
}

/// `x >> bits` rounded towards minus infinity, the definition that truncation is tested against.
#[inline]
pub fn floor_shift(x: Word, bits: u32) -> Word {
    ((x as i64) >> bits) as u64
}
