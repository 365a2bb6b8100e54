//! The keys of a session: `k_j` is known to exactly the two parties that hold component `j`.

use crate::{Error, Result, stream::Stream};
use zeroize::{Zeroize, Zeroizing};

/// A party's two keys, of components `i` and `i + 1`, and the session's public number. Cleared on drop.
pub struct Keys {
    own: [u32; 8],
    next: [u32; 8],
    session: [u32; 4],
}

impl Keys {
    /// The keys of all three parties, fresh from the operating system.
    pub fn generate() -> Result<[Self; 3]> {
        let mut random = Zeroizing::new([0u8; 3 * 32 + 16]);
        getrandom::fill(&mut *random).map_err(|e| Error::Device(format!("the operating system gives no randomness: {e}")))?;
        let word = |i: usize| u32::from_le_bytes(std::array::from_fn(|j| random[4 * i + j]));
        let keys = Zeroizing::new([0, 8, 16].map(|at| std::array::from_fn(|i| word(at + i))));
        Ok(Self::deal(&keys, std::array::from_fn(|i| word(24 + i))))
    }

    /// Keys that were agreed on elsewhere: of the components that the party holds, its own and the next one's, and the session's
    /// public number. Two runs with the same keys must differ in that number.
    pub fn agreed(own: &[u8; 32], next: &[u8; 32], session: [u8; 16]) -> Self {
        let word = |bytes: &[u8], i: usize| u32::from_le_bytes(std::array::from_fn(|j| bytes[4 * i + j]));
        let key = |bytes: &[u8; 32]| std::array::from_fn(|i| word(bytes, i));
        Self { own: key(own), next: key(next), session: std::array::from_fn(|i| word(&session, i)) }
    }

    /// Keys that follow from numbers: tests only.
    #[cfg(feature = "seeded")]
    pub fn seeded(seeds: [u64; 3]) -> [Self; 3] {
        let key = |j: usize| Stream { key: [seeds[j] as u32, (seeds[j] >> 32) as u32, j as u32, 0, 0, 0, 0, 0], nonce: [0; 4] }.block(0);
        let first = |j: usize| -> [u32; 8] { std::array::from_fn(|i| key(j)[i]) };
        Self::deal(&[first(0), first(1), first(2)], [7; 4])
    }

    fn deal(keys: &[[u32; 8]; 3], session: [u32; 4]) -> [Self; 3] {
        std::array::from_fn(|i| Self { own: keys[i], next: keys[(i + 1) % 3], session })
    }

    /// The session's public number.
    pub(super) fn session(&self) -> [u32; 4] {
        self.session
    }

    /// The keys of a scope, by the path, so that (key, nonce) never repeats: one ChaCha20 block under each key with the
    /// path as counter and nonce.
    pub(super) fn of_scope(&self, path: u128) -> Zeroizing<[[u32; 8]; 2]> {
        let part = |i: u32| (path >> (32 * i)) as u32;
        Zeroizing::new([self.own, self.next].map(|key| {
            let block = Zeroizing::new(Stream { key, nonce: [part(1), part(2), part(3), 0] }.block(part(0)));
            std::array::from_fn(|i| block[i])
        }))
    }

    /// A public hash of a path and an index, keyed by the session: equal paths would be equal masks.
    pub(super) fn path(&self, parent: u128, index: u64) -> u128 {
        let mut key = [0; 8];
        for i in 0..4 {
            key[i] = (parent >> (32 * i)) as u32;
            key[4 + i] = self.session[i];
        }
        let block = Stream { key, nonce: [index as u32, (index >> 32) as u32, 0x7061_7468, 0] }.block(0);
        (0..4).fold(0, |path, i| path | u128::from(block[i]) << (32 * i))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.own.zeroize();
        self.next.zeroize();
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}
