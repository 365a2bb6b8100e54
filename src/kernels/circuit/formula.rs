//! Formulas on masked bits: blocks of a sum, products, and the bits carried from level to level.

/// Number of a masked bit.
pub(super) type Bit = usize;

/// `G_{r-1} ^ G_{r-2} P_{r-1} ^ ...`, lowest span first.
pub(super) fn generate_terms(node: &[(Bit, Option<Bit>)]) -> Vec<Vec<Bit>> {
    (0..node.len()).map(|j| std::iter::once(node[j].0).chain(node[j + 1..].iter().filter_map(|span| span.1)).collect()).collect()
}

/// The product of all propagates; the lowest span has none.
pub(super) fn propagate_term(node: &[(Bit, Option<Bit>)]) -> Option<Vec<Bit>> {
    node.iter().map(|span| span.1).collect()
}

/// Bits `low .. low + width` of the sum; for each prefix of `t` bits, the masked bits that hold generate and propagate.
pub(super) struct Block {
    pub(super) low: usize,
    pub(super) width: usize,
    pub(super) prefixes: Vec<(usize, Option<Bit>, Option<Bit>)>,
}

/// A masked bit as a sum of products of masked bits, plus bit `half` of `A ^ B` if there is one.
pub(super) struct Formula {
    pub(super) out: Bit,
    pub(super) terms: Vec<Vec<Bit>>,
    pub(super) half: Option<usize>,
}

/// A plane carried from step to step: a masked bit, or a plane of the word itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Saved {
    Masked(Bit),
    Half(usize),
    Top,
}
