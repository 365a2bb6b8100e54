//! How numbers lie in words, and the parameters of all three kernels.

use crate::{
    device::{Cpu, Params, Window},
    ring::Word,
    stream::Stream,
};

/// Elements of a group.
pub(super) const GROUP: usize = 64;
/// Blocks of 3 bits: numbers dealt for each element.
pub(super) const BLOCKS: usize = 21;
/// Numbers answered for each element.
pub(super) const ANSWERS: usize = 3;
/// Seven residues, and seven residues that are not 0.
pub(super) const RESIDUES: u32 = 23u32.pow(7);
pub(super) const FACTORS: u32 = 22u32.pow(7);

/// One number of each element of a group.
pub(super) type Row = [u32; GROUP];

/// Uniform of all three entry points.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct ShortParams {
    /// Groups of 64 elements, or tiles of 512.
    pub window: Window,
    /// Elements.
    pub n: u32,
    /// 1 for the first of the pair.
    pub is_first: u32,
    /// 1 if what is dealt is drawn, 0 if it is read.
    pub drawn: u32,
    /// To a multiple of 16 bytes.
    pub padding: [u32; 3],
    /// Masks of what is dealt.
    pub deal: Stream,
    /// Masks of the pair's answer.
    pub mask: Stream,
    /// Factors and rotation.
    pub blind: Stream,
}

impl Params for ShortParams {
    fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }
}

/// Words of the deal of `n` elements: 672 bits an element, rounded up at the end.
pub fn dealt_words(n: usize) -> usize {
    (n * BLOCKS).div_ceil(2)
}

/// Words of each answer of `n` elements: 96 bits an element, rounded up at the end.
pub fn answer_words(n: usize) -> usize {
    (n * ANSWERS).div_ceil(2)
}

/// Groups a piece.
pub(super) fn grain(cpu: &Cpu, groups: usize) -> usize {
    groups.div_ceil(4 * cpu.threads()).clamp(1, 16)
}

/// Clears the half word that is left over where numbers are odd in count.
pub(super) fn clear_end(words: &mut [Word]) {
    if let Some(last) = words.last_mut() {
        *last = 0;
    }
}
