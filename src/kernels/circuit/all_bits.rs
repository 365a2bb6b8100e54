//! All bits of a sum (A2B).

use super::{
    Circuit,
    formulas::{Block, Formula, Formulas, generate_terms, propagate_term},
};

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
