//! The sign: the carry into a word's top bit, by blocks of bits and a tree of nodes.

use super::{
    build::Build,
    formula::{Block, Formula, generate_terms, propagate_term},
    formulas::Formulas,
    program::{Circuit, Level, ONES, Program},
};

/// The two shapes of the carry tree (docs/architecture.md, "The journey of one ReLU").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tree {
    /// 21 blocks of 3 bits, radices (3^7)(3,2,2)(3): one round more, a tenth fewer bits.
    Six,
    /// 15 blocks of 4 bits and one of 3, radices (4,3,3,3,3)(5).
    Five,
}

/// `[x >= 0]` of a value that fits `bits` bits of two's complement, as a split bit, from the low `bits` bits of its shares.
/// With 64 it is the whole word's.
pub fn nonnegative(tree: Tree, bits: u32) -> Circuit {
    match (tree, bits) {
        (Tree::Six, 64) => carry(&[3; 21], &[&[3; 7], &[3, 2, 2], &[3]]),
        (Tree::Five, 64) => {
            let mut widths = [4; 16];
            widths[15] = 3;
            carry(&widths, &[&[4, 3, 3, 3, 3], &[5]])
        }
        (Tree::Six, _) => narrow(bits, 3, 3),
        (Tree::Five, _) => narrow(bits, 4, 2),
    }
}

/// The tree of the fewest bits with blocks of `width` and at most so many levels above them, and fewer where that is cheap.
fn narrow(bits: u32, width: usize, levels: usize) -> Circuit {
    let low = (bits.clamp(2, 64) - 1) as usize;
    let widths: Vec<usize> = (0..low).step_by(width).map(|first| width.min(low - first)).collect();
    let circuits = trees(widths.len(), levels).into_iter().map(|tree| carry(&widths, &tree.iter().map(Vec::as_slice).collect::<Vec<_>>()));
    circuits.min_by_key(Circuit::bits).expect("some tree joins the blocks")
}

/// Trees that join so many spans: up to `WIDEST` at once, else in nodes of almost equal radices, the larger ones lowest, where
/// they are cheapest.
fn trees(spans: usize, levels: usize) -> Vec<Vec<Vec<usize>>> {
    const WIDEST: usize = 5;
    if spans == 1 {
        return vec![Vec::new()];
    }
    if levels == 1 || spans <= WIDEST {
        return vec![vec![vec![spans]]];
    }
    let with = |nodes: usize| {
        let radices: Vec<usize> = (0..nodes).map(|i| spans / nodes + usize::from(i < spans % nodes)).collect();
        trees(nodes, levels - 1).into_iter().map(move |rest| [vec![radices.clone()], rest].concat())
    };
    (2..=spans.div_ceil(2)).filter(|nodes| spans.div_ceil(*nodes) <= WIDEST).flat_map(with).collect()
}

/// `[x >= 0]` in a ring of `1 + sum(widths)` bits: the complement of the sum's top bit, `A_top ^ B_top ^ carry`, with the
/// carry from blocks of these widths and a tree of nodes of these radices.
pub fn carry(widths: &[usize], tree: &[&[usize]]) -> Circuit {
    let mut formulas = Formulas::default();
    let mut low = 0;
    let mut spans = Vec::new();
    for (k, &width) in widths.iter().enumerate() {
        let generate = formulas.bit();
        let propagate = (k > 0).then(|| formulas.bit());
        formulas.blocks.push(Block { low, prefixes: vec![(width, Some(generate), propagate)], width });
        spans.push((generate, propagate));
        low += width;
    }
    for &radices in tree {
        let mut level = Vec::new();
        let mut joined = Vec::new();
        let mut at = 0;
        for &radix in radices {
            let node = &spans[at..at + radix];
            let generate = formulas.bit();
            level.push(Formula { out: generate, terms: generate_terms(node), half: None });
            let propagate = propagate_term(node).map(|term| {
                let out = formulas.bit();
                level.push(Formula { out, terms: vec![term], half: None });
                out
            });
            joined.push((generate, propagate));
            at += radix;
        }
        assert_eq!(at, spans.len(), "the radices of a level cover its nodes");
        formulas.levels.push(level);
        spans = joined;
    }
    formulas.top = Some(low);
    formulas.results = vec![spans[0].0];
    formulas.compile()
}

/// The top bit of a word XOR one mask: a step without messages, alike at lead and pair.
pub fn masked_top() -> Circuit {
    let mut build = Build::new(Program { words: true, masks: 1, ..Program::default() });
    let (top, mask) = (build.word(63), build.next - 1);
    let kept = build.xor_and(top, mask, ONES);
    build.program.kept = vec![kept];
    let program = build.done();
    Circuit { levels: Vec::new(), finish: Level { lead: program.clone(), pair: program } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_bits_cost_less() {
        for tree in [Tree::Five, Tree::Six] {
            let whole = nonnegative(tree, 64);
            let mut last = 0;
            for bits in (5..64).step_by(4) {
                let circuit = nonnegative(tree, bits);
                assert!(circuit.bits() > last && circuit.bits() < whole.bits(), "{tree:?} {bits}: {}", circuit.bits());
                assert!(circuit.levels.len() <= whole.levels.len());
                last = circuit.bits();
            }
        }
        assert_eq!(nonnegative(Tree::Five, 5).levels.len(), 1, "one block needs no tree");
        assert_eq!(nonnegative(Tree::Five, 21).levels.len(), 2, "five need one node");
    }
}
