//! ChaCha20 keystreams (RFC 8439): a key and a nonce as shaders lay them out, and the definition of a block.
//!
//! Word `e` of a stream is 64-bit little-endian word `e mod 8` of block `e / 8`; how bit planes and fields lie in a stream is said
//! in `kernels`. The block counter is state word 12.

/// One keystream: a (key, nonce) pair. It is secret, and `Debug` does not print it.
#[repr(C)]
#[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Stream {
    /// The key as eight little-endian words.
    pub key: [u32; 8],
    /// The 96-bit nonce; the fourth word is padding for the uniform's layout and always 0.
    pub nonce: [u32; 4],
}

impl Stream {
    /// The ChaCha20 block of this counter: the definition that every faster path is tested against.
    pub fn block(&self, counter: u32) -> [u32; 16] {
        let mut start = [0u32; 16];
        start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
        start[4..12].copy_from_slice(&self.key);
        start[12] = counter;
        start[13..].copy_from_slice(&self.nonce[..3]);
        let mut s = start;
        for _ in 0..10 {
            for i in 0..4 {
                quarter(&mut s, i, 4 + i, 8 + i, 12 + i);
            }
            for i in 0..4 {
                quarter(&mut s, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
            }
        }
        for (word, first) in s.iter_mut().zip(start) {
            *word = word.wrapping_add(first);
        }
        s
    }
}

fn quarter(s: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    for (x, y, z, turn) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
        s[x] = s[x].wrapping_add(s[y]);
        s[z] = (s[z] ^ s[x]).rotate_left(turn);
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream(..)")
    }
}
