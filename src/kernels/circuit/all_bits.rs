//! All bits of a sum (A2B).

use super::{
    formula::{Bit, Block, Formula, generate_terms, propagate_term},
    formulas::Formulas,
    program::Circuit,
};

/// The masked bits that hold generate and propagate of a span; the lowest has no propagate, and an empty span neither.
type Span = (Option<Bit>, Option<Bit>);

/// All 64 bits of `x`, lowest first: 16 blocks of 4; prefixes inside blocks; inside groups of four; carries into groups; bits.
pub fn all_bits() -> Circuit {
    let mut f = Formulas { sums: true, ..Formulas::default() };
    let prefix = blocks(&mut f);
    let group = groups(&mut f, &prefix);
    let into = carries(&mut f, &group);
    sums(&mut f, &prefix, &group, into);
    f.compile()
}

/// `prefix[k][t]`: the lowest `t` bits of block `k`.
fn blocks(f: &mut Formulas) -> [[Span; 5]; 16] {
    let mut prefix = [[(None, None); 5]; 16];
    for k in 0..16 {
        let mut prefixes = Vec::new();
        for t in 1..=(if k == 15 { 3 } else { 4 }) {
            let bits = (Some(f.bit()), (k > 0).then(|| f.bit()));
            prefix[k][t] = bits;
            prefixes.push((t, bits.0, bits.1));
        }
        f.blocks.push(Block { low: 4 * k, width: 4, prefixes });
    }
    prefix
}

/// `group[q][j]`: blocks `4q .. 4q + j`.
fn groups(f: &mut Formulas, prefix: &[[Span; 5]; 16]) -> [[Span; 5]; 4] {
    let mut group = [[(None, None); 5]; 4];
    let mut inside = Vec::new();
    for q in 0..4 {
        group[q][1] = prefix[4 * q][4];
        for j in 2..=(if q == 3 { 3 } else { 4 }) {
            let node = node((0..j).map(|i| prefix[4 * q + i][4]));
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
    group
}

/// The carry into each group.
fn carries(f: &mut Formulas, group: &[[Span; 5]; 4]) -> [Option<Bit>; 4] {
    let mut into = [None, group[0][4].0, None, None];
    let mut carries = Vec::new();
    for q in 2..4 {
        let out = f.bit();
        carries.push(Formula { out, terms: generate_terms(&node((0..q).map(|i| group[i][4]))), half: None });
        into[q] = Some(out);
    }
    f.levels.push(carries);
    into
}

/// The bits of the sum: those of `A ^ B` and the carries into them.
fn sums(f: &mut Formulas, prefix: &[[Span; 5]; 16], group: &[[Span; 5]; 4], into: [Option<Bit>; 4]) {
    let mut sums = Vec::new();
    for k in 0..16 {
        let (q, j) = (k / 4, k % 4);
        // the carry into block k as products
        let carry: Vec<Vec<Bit>> = match j {
            0 => into[q].into_iter().map(|c| vec![c]).collect(),
            _ => {
                let (generate, propagate) = group[q][j];
                let through = propagate.zip(into[q]).map(|(p, c)| vec![p, c]);
                generate.map(|g| vec![g]).into_iter().chain(through).collect()
            }
        };
        for t in 0..4 {
            let (generate, propagate) = prefix[k][t];
            let mut terms: Vec<Vec<Bit>> = generate.map(|g| vec![g]).into_iter().collect();
            if t == 0 || propagate.is_some() {
                terms.extend(carry.iter().map(|product| propagate.into_iter().chain(product.iter().copied()).collect()));
            }
            let out = f.bit();
            f.results.push(out);
            sums.push(Formula { out, terms, half: Some(4 * k + t) });
        }
    }
    f.levels.push(sums);
}

/// Spans that a node joins, none of them empty.
fn node(spans: impl Iterator<Item = Span>) -> Vec<(Bit, Option<Bit>)> {
    spans.map(|(generate, propagate)| (generate.expect("a span of some blocks generates a carry"), propagate)).collect()
}
