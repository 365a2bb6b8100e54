//! Preludes: how shaders hold a ring word, and the text before every kernel's.

/// How shaders hold a ring word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prelude {
    /// Two 32-bit halves: WebGPU has no 64-bit integers.
    Limbs,
    /// `u64`, where the adapter has it.
    Native,
}

impl Prelude {
    /// The text before every kernel's.
    pub fn wgsl(self) -> String {
        let ring = match self {
            Self::Limbs => include_str!("../../../shaders/ring64.wgsl"),
            Self::Native => include_str!("../../../shaders/ring64_native.wgsl"),
        };
        let shared = [include_str!("../../../shaders/chacha.wgsl"), include_str!("../../../shaders/planes.wgsl")];
        [ring, &shared.concat()].concat()
    }
}
