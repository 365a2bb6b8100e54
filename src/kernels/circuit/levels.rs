//! A level of formulas as programs: the lead deals products of masks, the pair folds what it knows.

use super::{
    build::Build,
    formula::{Bit, Formula, Saved},
    program::{ONES, Program, UNIT, ZERO},
};
use std::collections::HashMap;

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

pub(super) fn lead_level(formulas: &[Formula], fresh: &[Bit], saved: &[Saved], next: &[Saved]) -> Program {
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

pub(super) fn pair_level(formulas: &[Formula], fresh: &[Bit], saved: &[Saved], next: &[Saved]) -> Program {
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
