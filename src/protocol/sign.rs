//! Sign and bits of a split value, by a tree of masked bits: everything dealt in round 1, one swap a level. Or the short sign.

use super::{
    choice,
    circuits::{CircuitKind, CompiledCircuit, circuit},
    reshare::{deal, swap},
    short,
};
use crate::{
    device::Buffer,
    kernels::{
        Dealt,
        bits::{Sources, bits, select_plane},
        linear, planes,
    },
    party::{Label, Op, Party, Role},
    share::{Split, SplitBit, SplitBits},
    stream::Stream,
};

/// `[x >= 0]` as a split bit. Five: 4 rounds, 398 bits; Six: 5, 334 (the deals ride in round 1); the short sign: 2, 864.
/// Which one: [`Party::set_sign`]. Where a tag says that the value fits fewer bits ([`Tag`](crate::party::Tag)) a tree looks at
/// those only, and costs less.
pub async fn nonnegative(p: &Party, x: &Split) -> SplitBit {
    let tree = choice::tree(p, x.part.len());
    let plane = match tree {
        Some(tree) => run(p, Label::SIGN, CircuitKind::Nonnegative(tree, p.range_bits()), x).await,
        None => short::nonnegative(p, x).await,
    };
    SplitBit { shape: x.shape.clone(), lead: x.lead, plane }
}

/// `[x < 0]` as a split bit, at the cost of [`nonnegative`].
pub async fn sign(p: &Party, x: &Split) -> SplitBit {
    not(p, &nonnegative(p, x).await)
}

/// The complement, for free.
pub fn not(p: &Party, x: &SplitBit) -> SplitBit {
    let plane = if p.number() == x.lead { linear::not(p.device(), &x.plane) } else { x.plane.clone() };
    SplitBit { shape: x.shape.clone(), lead: x.lead, plane }
}

/// All 64 bits as split bits (A2B): 5 rounds, 861 bits (917 if each formula had its own products dealt).
pub async fn all_bits(p: &Party, x: &Split) -> SplitBits {
    let planes = run(p, Label::BITS, CircuitKind::AllBits, x).await;
    SplitBits { shape: x.shape.clone(), lead: x.lead, planes }
}

/// One bit of all, 0 the lowest; for free.
pub fn bit(p: &Party, x: &SplitBits, index: usize) -> SplitBit {
    SplitBit { shape: x.shape.clone(), lead: x.lead, plane: select_plane(p.device(), &x.planes, x.shape.elements(), 64, index) }
}

/// Purposes: level `l` deals under `2l`; its swap and the masks of its bits are `2l + 1`.
fn purposes(level: usize) -> (u8, u8) {
    (2 * level as u8, 2 * level as u8 + 1)
}

async fn run(p: &Party, label: Label, kind: CircuitKind, x: &Split) -> Buffer {
    let op = p.op(label);
    op.led_by(x.lead);
    let steps = circuit(p, kind);
    match op.role() {
        Role::Lead => lead(&op, &steps, &x.part).await,
        _ => pair(&op, &steps, &x.part).await,
    }
}

async fn lead(op: &Op<'_>, steps: &CompiledCircuit, a: &Buffer) -> Buffer {
    let (device, n) = (op.device(), a.len());
    let mut saved = None;
    for (level, step) in steps.levels.iter().enumerate() {
        let (dealing, _) = purposes(level);
        let pad = op.pad(1, dealing);
        let sources =
            Sources { words: (level == 0).then_some(a), saved: saved.as_ref(), masks: both_masks(op, level), ..Sources::default() };
        let mut kept = None;
        deal(op, planes::words(n, step.program().outputs.len()), || {
            let (message, planes) = bits(device, step, n, &sources, Some(pad));
            kept = Some(planes);
            message.into_iter().map(|message| (dealing, message)).collect()
        })
        .await;
        saved = kept;
    }
    let sources = Sources { saved: saved.as_ref(), masks: both_masks(op, steps.levels.len()), ..Sources::default() };
    bits(device, &steps.finish, n, &sources, None).1
}

/// The masks of the bits that the level before has made: the lead knows both components.
fn both_masks(op: &Op<'_>, level: usize) -> Vec<Stream> {
    match level {
        0 => Vec::new(),
        _ => vec![op.known(0, purposes(level - 1).1), op.known(1, purposes(level - 1).1)],
    }
}

async fn pair(op: &Op<'_>, steps: &CompiledCircuit, b: &Buffer) -> Buffer {
    let (device, n) = (op.device(), b.len());
    let first = op.role() == Role::First;
    // the component whose key masks this party's half: the other of the pair lacks it
    let component = if first { 1 } else { 0 };
    let mut saved: Option<Buffer> = None;
    let mut swapped: Option<(Buffer, Buffer)> = None;
    for (level, step) in steps.levels.iter().enumerate() {
        let (dealing, swapping) = purposes(level);
        let program = step.program();
        let dealt = match first {
            true => Dealt::Drawn([op.known(1, dealing)]),
            false => Dealt::Received([op.receive_dealt(dealing, planes::words(n, program.dealt)).await]),
        };
        let sources = Sources {
            words: (level == 0).then_some(b),
            swapped: swapped.as_ref().map(|(sent, received)| (sent, received)),
            saved: saved.as_ref(),
            masks: if level == 0 { Vec::new() } else { vec![op.known(component, purposes(level - 1).1)] },
            dealt: Some(dealt),
            unit: first,
        };
        let (message, kept) = bits(device, step, n, &sources, Some(op.pad(component, swapping)));
        if let Some(message) = message {
            let received = swap(op, swapping, &message).await;
            swapped = Some((message.words().clone(), received));
        }
        saved = Some(kept);
    }
    let last = purposes(steps.levels.len() - 1).1;
    let sources = Sources {
        swapped: swapped.as_ref().map(|(sent, received)| (sent, received)),
        saved: saved.as_ref(),
        masks: vec![op.known(component, last)],
        ..Sources::default()
    };
    bits(device, &steps.finish, n, &sources, None).1
}
