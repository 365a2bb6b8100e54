//! A circuit in formulas, compiled to the steps of lead and pair.

use super::{
    build::Build,
    formula::{Bit, Block, Formula, Saved},
    levels::{lead_level, pair_level},
    program::{Circuit, Level, ONES, Program, UNIT, ZERO},
};
use std::collections::HashMap;

/// A circuit in formulas, level by level.
#[derive(Default)]
pub(super) struct Formulas {
    pub(super) bits: usize,
    pub(super) blocks: Vec<Block>,
    pub(super) levels: Vec<Vec<Formula>>,
    pub(super) results: Vec<Bit>,
    /// Position of the top bit that is added to the complement of the one result.
    pub(super) top: Option<usize>,
    /// Whether formulas use single bits of `A ^ B`.
    pub(super) sums: bool,
}

impl Formulas {
    pub(super) fn bit(&mut self) -> Bit {
        self.bits += 1;
        self.bits - 1
    }

    pub(super) fn compile(&self) -> Circuit {
        let mut fresh: Vec<Bit> = self.blocks.iter().flat_map(|b| b.prefixes.iter().flat_map(|p| [p.1, p.2])).flatten().collect();
        let mut saved = self.carried(&[], &fresh, 0, true);
        let mut levels = vec![Level { lead: self.lead_blocks(&saved), pair: self.pair_blocks(&saved) }];
        for (l, formulas) in self.levels.iter().enumerate() {
            let next = self.carried(&saved, &fresh, l + 1, false);
            levels.push(Level { lead: lead_level(formulas, &fresh, &saved, &next), pair: pair_level(formulas, &fresh, &saved, &next) });
            fresh = formulas.iter().map(|formula| formula.out).collect();
            saved = next;
        }
        let finish = Level { lead: self.finish(true, &fresh, &saved), pair: self.finish(false, &fresh, &saved) };
        Circuit { levels, finish }
    }

    /// Planes that steps after level `l` need and level `l` does not make.
    fn carried(&self, saved: &[Saved], fresh: &[Bit], l: usize, first: bool) -> Vec<Saved> {
        let known: Vec<Saved> = match first {
            true => (0..64).map(Saved::Half).filter(|_| self.sums).chain(self.top.map(|_| Saved::Top)).collect(),
            false => fresh.iter().map(|&bit| Saved::Masked(bit)).chain(saved.iter().copied()).collect(),
        };
        let later = self.levels.iter().skip(l).flatten();
        let mut needed: Vec<Saved> =
            later.flat_map(|f| f.terms.iter().flatten().map(|&b| Saved::Masked(b)).chain(f.half.map(Saved::Half))).collect();
        needed.extend(self.results.iter().map(|&b| Saved::Masked(b)));
        needed.extend(self.top.map(|_| Saved::Top));
        known.into_iter().filter(|k| needed.contains(k)).collect()
    }

    fn lead_blocks(&self, saved: &[Saved]) -> Program {
        let mut b = Build::new(Program { words: true, ..Program::default() });
        for block in &self.blocks {
            let mut monomials = vec![ZERO];
            for s in 1..1usize << block.width {
                let lowest = b.word(block.low + s.trailing_zeros() as usize);
                let rest = s & (s - 1);
                let monomial = if rest == 0 { lowest } else { b.xor_and(ZERO, monomials[rest], lowest) };
                monomials.push(monomial);
                b.program.outputs.push(monomial);
            }
        }
        b.program.kept =
            saved.iter().filter(|s| **s == Saved::Top).map(|_| b.word(self.top.expect("a top bit that is kept has a position"))).collect();
        b.done()
    }

    fn pair_blocks(&self, saved: &[Saved]) -> Program {
        let dealt: usize = self.blocks.iter().map(|block| (1 << block.width) - 1).sum();
        let mut b = Build::new(Program { words: true, dealt, ..Program::default() });
        let mut base = 0;
        let mut halves = HashMap::new();
        for block in &self.blocks {
            for i in 0..block.width {
                if self.sums {
                    let (dealt, known) = (b.dealt(base + (1 << i) - 1), b.word(block.low + i));
                    halves.insert(Saved::Half(block.low + i), b.xor_and(dealt, known, UNIT));
                }
            }
            for &(t, generate, propagate) in &block.prefixes {
                let mut d: Vec<u16> = std::iter::once(UNIT).chain((0..(1 << t) - 1).map(|s| b.dealt(base + s))).collect();
                let mut carry = ZERO;
                for i in (0..t).rev() {
                    let (half, known) = (1 << i, b.word(block.low + i));
                    carry = b.xor_and(carry, known, d[half]);
                    d = b.fold(d, known);
                }
                b.program.outputs.extend(generate.map(|_| carry));
                b.program.outputs.extend(propagate.map(|_| d[0]));
            }
            base += (1 << block.width) - 1;
        }
        b.program.kept = saved
            .iter()
            .map(|s| match s {
                Saved::Top => b.word(self.top.expect("a top bit that is kept has a position")),
                half => *halves.get(half).expect("every bit lies in a block"),
            })
            .collect();
        b.done()
    }

    /// The split bits: the lead adds its masks to what it knows, the pair what it has opened to what it knows.
    fn finish(&self, lead: bool, fresh: &[Bit], saved: &[Saved]) -> Program {
        let mut b = Build::sources(lead, fresh, saved, 0);
        let mut kept = Vec::new();
        for &bit in &self.results {
            let mut value = b.masked(bit).0;
            if self.top.is_some() {
                value = b.xor_and(value, b.saved(&Saved::Top), ONES);
                if lead {
                    value = b.xor_and(value, ONES, ONES);
                }
            }
            kept.push(value);
        }
        b.program.kept = kept;
        b.done()
    }
}
