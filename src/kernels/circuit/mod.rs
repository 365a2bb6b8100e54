//! Boolean formulas on masked bits, compiled to straight-line programs for the [`bits`](super::bits) kernel.
//!
//! A secret bit is `m ^ l`: the lead knows `l = F_0 ^ F_1` from the start, the pair knows `m` after its swap. A product of
//! masked bits expands into a sum over subsets, `prod (m_i ^ l_i) = sum_T prod_{i not in T} m_i prod_{i in T} l_i`; the lead
//! deals the products of masks, and the pair folds the variables one by one,
//! `D'[T] = D[T + i] ^ (m_i & D[T])`, starting from halves of `D[{}] = 1`, of single masks and of dealt products. The first
//! level works the same way on a block of bits of `A` (lead) and `B` (pair): `generate` and `propagate` of `A + B` are one
//! fold over the block's bits with the monomials of `A` dealt. A whole circuit costs one swap a level and everything is
//! dealt in round 1 (docs/architecture.md, "The journey of one ReLU").
//!
//! Every step is one program of instructions `r[d] = r[a] ^ (r[b] & r[c])` over registers that hold one plane each.

mod all_bits;
mod build;
mod carry;
mod formula;
mod formulas;
mod levels;
mod program;

pub use all_bits::all_bits;
pub use carry::{Tree, carry, masked_top, nonnegative};
pub use program::{Circuit, Instruction, Level, ONES, Program, REGISTERS, UNIT, ZERO};

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
