//! Boolean circuits as a party's role runs them, compiled once a device.

use crate::{
    kernels::{
        bits::Compiled,
        circuit::{self, Tree},
    },
    party::{Party, Role},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Circuits that the protocols run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum CircuitKind {
    /// `[x >= 0]` of values of so many bits.
    Nonnegative(Tree, u32),
    /// All 64 bits.
    AllBits,
    /// The top bit under a mask: the pair's end of a short sign.
    Direction,
}

/// A circuit of one role on its party's device.
#[derive(Debug)]
pub(super) struct CompiledCircuit {
    /// One step a level; outputs are dealt or swapped.
    pub levels: Vec<Compiled>,
    /// After the last swap.
    pub finish: Compiled,
}

/// Compiled circuits by kind, and whether the role is the lead's; kept with a party and shared with those beside it.
#[derive(Default)]
struct Circuits(Mutex<HashMap<(CircuitKind, bool), Arc<CompiledCircuit>>>);

/// A circuit as this party's role runs it.
pub(super) fn circuit(p: &Party, kind: CircuitKind) -> Arc<CompiledCircuit> {
    let lead = p.role() == Role::Lead;
    let kept = p.shared::<Circuits>();
    let mut circuits = kept.0.lock().unwrap_or_else(PoisonError::into_inner);
    let compiled = circuits.entry((kind, lead)).or_insert_with(|| Arc::new(compile(p, kind, lead)));
    compiled.clone()
}

fn compile(p: &Party, kind: CircuitKind, lead: bool) -> CompiledCircuit {
    let circuit = match kind {
        CircuitKind::Nonnegative(tree, bits) => circuit::nonnegative(tree, bits),
        CircuitKind::AllBits => circuit::all_bits(),
        CircuitKind::Direction => circuit::masked_top(),
    };
    let side = |level: circuit::Level| Compiled::new(p.device(), if lead { level.lead } else { level.pair });
    CompiledCircuit { levels: circuit.levels.into_iter().map(side).collect(), finish: side(circuit.finish) }
}
