//! Boolean formulas on masked bits, compiled to straight-line programs for the [`bits`](super::bits) kernel.
//!
//! A secret bit is `m ^ l`: the lead knows `l = F_0 ^ F_1` from the start, the pair knows `m` after its swap. A product of
//! masked bits expands into a sum over subsets, `prod (m_i ^ l_i) = sum_T prod_{i not in T} m_i prod_{i in T} l_i`; the lead
//! deals the products of masks, and the pair folds the variables one by one,
//! `D'[T] = D[T + i] ^ (m_i & D[T])`, starting from halves of `D[{}] = 1`, of single masks and of dealt products. The first
//! level works the same way on a block of bits of `A` (lead) and `B` (pair): `generate` and `propagate` of `A + B` are one
//! fold over the block's bits with the monomials of `A` dealt. A whole circuit costs one swap a level and everything is
//! dealt in round 1 (PROTOCOLS.md, "masked bits").
//!
//! Every step is one program of instructions `r[d] = r[a] ^ (r[b] & r[c])` over registers that hold one plane each.

mod all_bits;
mod build;
mod carry;
mod formulas;
mod levels;

pub use all_bits::all_bits;
pub use carry::{Tree, masked_top, nonnegative};

/// Registers that a program may use.
pub const REGISTERS: usize = 1024;

/// Register that holds 0.
pub const ZERO: u16 = 0;
/// Register that holds all ones.
pub const ONES: u16 = 1;
/// Register that holds this party's half of the constant 1: ones at the first of the pair, 0 at the second.
pub const UNIT: u16 = 2;

/// One instruction: destination, then `a`, `b`, `c`.
pub type Instruction = [u16; 4];

/// What one party computes between two swaps. The sources lie in consecutive registers in the order of the fields.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// Whether the 64 planes of a word tensor are loaded.
    pub words: bool,
    /// Planes of the swap just made: sent ^ received.
    pub received: usize,
    /// Planes that an earlier step kept.
    pub saved: usize,
    /// Planes of masks: the party's own component, or the sum of both at the lead.
    pub masks: usize,
    /// Planes dealt: received by the second of the pair, drawn by the first.
    pub dealt: usize,
    /// The instructions.
    pub code: Vec<Instruction>,
    /// Registers that are masked and sent.
    pub outputs: Vec<u16>,
    /// Registers that the party keeps.
    pub kept: Vec<u16>,
}

/// One level: the lead deals, the pair combines and swaps.
#[derive(Debug, Clone)]
pub struct Level {
    /// The lead's step: outputs are dealt.
    pub lead: Program,
    /// The pair's step: outputs are swapped.
    pub pair: Program,
}

/// A compiled circuit on the bits of `x = A + B`.
#[derive(Debug, Clone)]
pub struct Circuit {
    /// Level after level.
    pub levels: Vec<Level>,
    /// After the last swap, no message: what each keeps are split bits, `lead ^ pair` = the result.
    pub finish: Level,
}

impl Circuit {
    /// Bits dealt and swapped for each element, both directions counted.
    pub fn bits(&self) -> usize {
        self.levels.iter().map(|level| level.lead.outputs.len() + 2 * level.pair.outputs.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_those_of_the_protocol() {
        assert_eq!(nonnegative(Tree::Five, 64).bits() + 256, 654);
        assert_eq!(nonnegative(Tree::Six, 64).bits() + 256, 590);
        // 917 if every formula had its own products of masks dealt
        assert_eq!(all_bits().bits(), 861);
        assert_eq!((nonnegative(Tree::Five, 64).levels.len(), nonnegative(Tree::Six, 64).levels.len()), (3, 4));
    }
}
