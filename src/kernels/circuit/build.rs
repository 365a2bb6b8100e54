//! Programs instruction by instruction, with registers given out at the end.

use super::{
    formula::{Bit, Saved},
    program::{ONES, Program, REGISTERS, UNIT, ZERO},
};
use std::collections::HashMap;

/// A program under construction: where each source lies.
pub(super) struct Build {
    pub(super) program: Program,
    pub(super) next: u16,
    pub(super) lead: bool,
    pub(super) fresh: HashMap<Bit, usize>,
    pub(super) stored: HashMap<Saved, usize>,
}

impl Build {
    pub(super) fn new(program: Program) -> Self {
        let sources = if program.words { 64 } else { 0 } + program.received + program.saved + program.masks + program.dealt;
        Self { program, next: 3 + sources as u16, lead: false, fresh: HashMap::new(), stored: HashMap::new() }
    }

    /// The sources of a step after the first: the lead has masks `l`; the pair has `m` (received) and its own mask of each.
    pub(super) fn sources(lead: bool, fresh: &[Bit], saved: &[Saved], dealt: usize) -> Self {
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

    pub(super) fn word(&self, j: usize) -> u16 {
        3 + j as u16
    }

    pub(super) fn dealt(&self, j: usize) -> u16 {
        let p = &self.program;
        (3 + if p.words { 64 } else { 0 } + p.received + p.saved + p.masks + j) as u16
    }

    pub(super) fn saved(&self, s: &Saved) -> u16 {
        (3 + self.program.received + self.stored[s]) as u16
    }

    /// At the lead `(l, l)`; at the pair the opened part and the own mask.
    pub(super) fn masked(&self, bit: Bit) -> (u16, u16) {
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

    pub(super) fn keep(&mut self, next: &[Saved]) {
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

    pub(super) fn xor_and(&mut self, a: u16, b: u16, c: u16) -> u16 {
        let d = self.next;
        self.next += 1;
        self.program.code.push([d, a, b, c]);
        d
    }

    /// The program with each value in the lowest register that is free: a register ends with its last use.
    pub(super) fn done(mut self) -> Program {
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
    pub(super) fn fold(&mut self, d: Vec<u16>, known: u16) -> Vec<u16> {
        let half = d.len() / 2;
        (0..half).map(|s| self.xor_and(d[half + s], known, d[s])).collect()
    }
}
