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

use std::collections::HashMap;

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

/// The two shapes of the carry tree (PROTOCOLS.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tree {
    /// 21 blocks of 3 bits, radices (3^7)(3,2,2)(3): one round more, a tenth fewer bits.
    Six,
    /// 15 blocks of 4 bits and one of 3, radices (4,3,3,3,3)(5).
    Five,
}

/// `[x >= 0]` of a word of `64` bits as a split bit.
pub fn nonnegative(tree: Tree) -> Circuit {
    match tree {
        Tree::Six => carry(&[3; 21], &[&[3; 7], &[3, 2, 2], &[3]]),
        Tree::Five => {
            let mut widths = [4; 16];
            widths[15] = 3;
            carry(&widths, &[&[4, 3, 3, 3, 3], &[5]])
        }
    }
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

/// All 64 bits of `x`, lowest first: 16 blocks of 4; prefixes inside blocks; inside groups of four; carries into groups; bits.
pub fn all_bits() -> Circuit {
    let mut f = Formulas { sums: true, ..Formulas::default() };
    let mut prefix = vec![[(None, None); 5]; 16];
    for k in 0..16 {
        let mut prefixes = Vec::new();
        for t in 1..=(if k == 15 { 3 } else { 4 }) {
            let bits = (Some(f.bit()), (k > 0).then(|| f.bit()));
            prefix[k][t] = bits;
            prefixes.push((t, bits.0, bits.1));
        }
        f.blocks.push(Block { low: 4 * k, width: 4, prefixes });
    }
    // group[q][j]: generate and propagate of blocks 4q .. 4q + j
    let mut group = vec![[(None, None); 5]; 4];
    let mut inside = Vec::new();
    for q in 0..4 {
        for j in 1..=(if q == 3 { 3 } else { 4 }) {
            if j == 1 {
                group[q][1] = prefix[4 * q][4];
                continue;
            }
            let node: Vec<_> = (0..j).map(|i| prefix[4 * q + i][4]).map(|(g, p)| (g.unwrap_or(0), p)).collect();
            let generate = f.bit();
            inside.push(Formula { out: generate, terms: generate_terms(&node), half: None });
            let propagate = propagate_term(&node).map(|term| {
                let out = f.bit();
                inside.push(Formula { out, terms: vec![term], half: None });
                out
            });
            group[q][j] = (Some(generate), propagate);
        }
    }
    f.levels.push(inside);
    let mut into = [None, group[0][4].0, None, None];
    let mut carries = Vec::new();
    for q in 2..4 {
        let node: Vec<_> = (0..q).map(|i| group[i][4]).map(|(g, p)| (g.unwrap_or(0), p)).collect();
        let out = f.bit();
        carries.push(Formula { out, terms: generate_terms(&node), half: None });
        into[q] = Some(out);
    }
    f.levels.push(carries);
    let mut sums = Vec::new();
    for k in 0..16 {
        let (q, j) = (k / 4, k % 4);
        // the carry into block k as products
        let carry: Vec<Vec<usize>> = match j {
            0 => into[q].into_iter().map(|c| vec![c]).collect(),
            _ => {
                let (generate, propagate) = group[q][j];
                let through = propagate.zip(into[q]).map(|(p, c)| vec![p, c]);
                generate.map(|g| vec![g]).into_iter().chain(through).collect()
            }
        };
        for t in 0..4 {
            let (generate, propagate) = prefix[k][t];
            let mut terms: Vec<Vec<usize>> = generate.map(|g| vec![g]).into_iter().collect();
            if t == 0 || propagate.is_some() {
                terms.extend(carry.iter().map(|product| propagate.into_iter().chain(product.iter().copied()).collect()));
            }
            let out = f.bit();
            f.results.push(out);
            sums.push(Formula { out, terms, half: Some(4 * k + t) });
        }
    }
    f.levels.push(sums);
    f.compile()
}

type Bit = usize;

/// `G_{r-1} ^ G_{r-2} P_{r-1} ^ ...`, lowest span first.
fn generate_terms(node: &[(Bit, Option<Bit>)]) -> Vec<Vec<Bit>> {
    (0..node.len()).map(|j| std::iter::once(node[j].0).chain(node[j + 1..].iter().filter_map(|span| span.1)).collect()).collect()
}

/// The product of all propagates; the lowest span has none.
fn propagate_term(node: &[(Bit, Option<Bit>)]) -> Option<Vec<Bit>> {
    node.iter().map(|span| span.1).collect()
}

/// Bits `low .. low + width` of the sum; for each prefix of `t` bits, the masked bits that hold generate and propagate.
struct Block {
    low: usize,
    width: usize,
    prefixes: Vec<(usize, Option<Bit>, Option<Bit>)>,
}

/// A masked bit as a sum of products of masked bits, plus bit `half` of `A ^ B` if there is one.
struct Formula {
    out: Bit,
    terms: Vec<Vec<Bit>>,
    half: Option<usize>,
}

#[derive(Default)]
struct Formulas {
    bits: usize,
    blocks: Vec<Block>,
    levels: Vec<Vec<Formula>>,
    results: Vec<Bit>,
    /// Position of the top bit that is added to the complement of the one result.
    top: Option<usize>,
    /// Whether formulas use single bits of `A ^ B`.
    sums: bool,
}

/// What is carried from step to step: a masked bit, or a plane of the word itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Saved {
    Masked(Bit),
    Half(usize),
    Top,
}

impl Formulas {
    fn bit(&mut self) -> Bit {
        self.bits += 1;
        self.bits - 1
    }

    fn compile(&self) -> Circuit {
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

    /// What steps after level `l` need and level `l` does not make.
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
        b.program.kept = saved.iter().filter(|s| **s == Saved::Top).map(|_| b.word(self.top.unwrap_or(0))).collect();
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
                Saved::Top => b.word(self.top.unwrap_or(0)),
                half => halves.get(half).copied().unwrap_or(ZERO),
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

/// The products of masks that a formula expands to, each once, in an order that both sides follow.
fn products(formulas: &[Formula]) -> Vec<Vec<Bit>> {
    let mut seen = Vec::new();
    let mut known = HashMap::new();
    for term in formulas.iter().flat_map(|f| &f.terms) {
        for s in 1usize..1 << term.len() {
            let subset = subset(term, s);
            if subset.len() > 1 && known.insert(subset.clone(), ()).is_none() {
                seen.push(subset);
            }
        }
    }
    seen
}

fn subset(term: &[Bit], s: usize) -> Vec<Bit> {
    let mut bits: Vec<Bit> = term.iter().enumerate().filter(|(i, _)| s >> i & 1 == 1).map(|(_, &bit)| bit).collect();
    bits.sort_unstable();
    bits
}

fn lead_level(formulas: &[Formula], fresh: &[Bit], saved: &[Saved], next: &[Saved]) -> Program {
    let mut b = Build::sources(true, fresh, saved, 0);
    for product in products(formulas) {
        let mut value = b.masked(product[0]).0;
        for &bit in &product[1..] {
            let mask = b.masked(bit).0;
            value = b.xor_and(ZERO, value, mask);
        }
        b.program.outputs.push(value);
    }
    b.keep(next);
    b.done()
}

fn pair_level(formulas: &[Formula], fresh: &[Bit], saved: &[Saved], next: &[Saved]) -> Program {
    let products = products(formulas);
    let mut b = Build::sources(false, fresh, saved, products.len());
    let place: HashMap<Vec<Bit>, usize> = products.into_iter().enumerate().map(|(i, product)| (product, i)).collect();
    for formula in formulas {
        let mut sum = formula.half.map_or(ZERO, |half| b.saved(&Saved::Half(half)));
        for term in &formula.terms {
            let mut d: Vec<u16> = (0..1usize << term.len())
                .map(|s| match subset(term, s).as_slice() {
                    [] => UNIT,
                    [bit] => b.masked(*bit).1,
                    product => b.dealt(place[product]),
                })
                .collect();
            for &bit in term.iter().rev() {
                let known = b.masked(bit).0;
                d = b.fold(d, known);
            }
            sum = b.xor_and(sum, d[0], ONES);
        }
        b.program.outputs.push(sum);
    }
    b.keep(next);
    b.done()
}

/// A program under construction: where each source lies.
struct Build {
    program: Program,
    next: u16,
    lead: bool,
    fresh: HashMap<Bit, usize>,
    stored: HashMap<Saved, usize>,
}

impl Build {
    fn new(program: Program) -> Self {
        let sources = if program.words { 64 } else { 0 } + program.received + program.saved + program.masks + program.dealt;
        Self { program, next: 3 + sources as u16, lead: false, fresh: HashMap::new(), stored: HashMap::new() }
    }

    /// The sources of a step after the first: the lead has masks `l`; the pair has `m` (received) and its own mask of each.
    fn sources(lead: bool, fresh: &[Bit], saved: &[Saved], dealt: usize) -> Self {
        let mut stored = HashMap::new();
        let mut planes = 0;
        for &s in saved {
            let (width, present) = match s {
                Saved::Masked(_) => (if lead { 1 } else { 2 }, true),
                Saved::Half(_) => (1, !lead),
                Saved::Top => (1, true),
            };
            if present {
                stored.insert(s, planes);
                planes += width;
            }
        }
        let received = if lead { 0 } else { fresh.len() };
        let program = Program { words: false, received, saved: planes, masks: fresh.len(), dealt, ..Program::default() };
        Self { lead, fresh: fresh.iter().enumerate().map(|(i, &bit)| (bit, i)).collect(), stored, ..Self::new(program) }
    }

    fn word(&self, j: usize) -> u16 {
        3 + j as u16
    }

    fn dealt(&self, j: usize) -> u16 {
        let p = &self.program;
        (3 + if p.words { 64 } else { 0 } + p.received + p.saved + p.masks + j) as u16
    }

    fn saved(&self, s: &Saved) -> u16 {
        (3 + self.program.received + self.stored[s]) as u16
    }

    /// At the lead `(l, l)`; at the pair the opened part and the own mask.
    fn masked(&self, bit: Bit) -> (u16, u16) {
        let p = &self.program;
        match self.fresh.get(&bit) {
            Some(&i) => {
                let mask = (3 + p.received + p.saved + i) as u16;
                (if self.lead { mask } else { (3 + i) as u16 }, mask)
            }
            None => {
                let at = self.saved(&Saved::Masked(bit));
                (at, if self.lead { at } else { at + 1 })
            }
        }
    }

    fn keep(&mut self, next: &[Saved]) {
        for s in next {
            match s {
                Saved::Masked(bit) => {
                    let (value, mask) = self.masked(*bit);
                    self.program.kept.push(value);
                    self.program.kept.extend((!self.lead).then_some(mask));
                }
                Saved::Half(_) if self.lead => {}
                other => self.program.kept.push(self.saved(other)),
            }
        }
    }

    fn xor_and(&mut self, a: u16, b: u16, c: u16) -> u16 {
        let d = self.next;
        self.next += 1;
        self.program.code.push([d, a, b, c]);
        d
    }

    /// The program with each value in the lowest register that is free: a register ends with its last use.
    fn done(mut self) -> Program {
        let program = &mut self.program;
        let mut last = vec![0; self.next as usize];
        for (i, [_, sources @ ..]) in program.code.iter().enumerate() {
            sources.iter().for_each(|&r| last[r as usize] = i);
        }
        program.outputs.iter().chain(&program.kept).chain(&[ZERO, ONES, UNIT]).for_each(|&r| last[r as usize] = usize::MAX);
        let mut place: Vec<u16> = (0..self.next).collect();
        let mut end = self.next - program.code.len() as u16;
        let mut free = Vec::new();
        for (i, [d, sources @ ..]) in program.code.iter_mut().enumerate() {
            let mut ended: Vec<u16> = sources.iter().copied().filter(|&r| last[r as usize] == i).collect();
            ended.sort_unstable();
            ended.dedup();
            sources.iter_mut().for_each(|r| *r = place[*r as usize]);
            free.extend(ended.into_iter().map(|r| place[r as usize]));
            let at = free.pop().unwrap_or_else(|| {
                end += 1;
                end - 1
            });
            place[*d as usize] = at;
            *d = at;
        }
        program.outputs.iter_mut().chain(&mut program.kept).for_each(|r| *r = place[*r as usize]);
        assert!((end as usize) <= REGISTERS, "a circuit fits the register file");
        self.program
    }

    /// Folds the last variable of `d`: `d'[T] = d[T + i] ^ (known & d[T])`.
    fn fold(&mut self, d: Vec<u16>, known: u16) -> Vec<u16> {
        let half = d.len() / 2;
        (0..half).map(|s| self.xor_and(d[half + s], known, d[s])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_those_of_the_protocol() {
        assert_eq!(nonnegative(Tree::Five).bits() + 256, 654);
        assert_eq!(nonnegative(Tree::Six).bits() + 256, 590);
        // 917 if every formula had its own products of masks dealt
        assert_eq!(all_bits().bits(), 861);
        assert_eq!((nonnegative(Tree::Five).levels.len(), nonnegative(Tree::Six).levels.len()), (3, 4));
    }
}
