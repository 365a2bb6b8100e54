//! ChaCha20 keystreams as kernels draw them.
//!
//! Words: word `e` of a stream is word `e mod 8` (little endian, 64 bits) of block `e / 8`. Bit planes: see
//! [`planes`](super::planes). The block counter is the first state word after the key, as in RFC 8439, section 2.3.

/// One keystream: a (key, nonce) pair. It is secret, and `Debug` does not print it.
#[repr(C)]
#[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Stream {
    /// The key as eight little-endian words.
    pub key: [u32; 8],
    /// The 96-bit nonce; the fourth word is padding for the uniform's layout and always 0.
    pub nonce: [u32; 4],
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream(..)")
    }
}
