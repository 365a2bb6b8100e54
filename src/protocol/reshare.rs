//! Deal, swap, answer, reshare: with `io`, the only protocols that send.
//!
//! Every protocol on the split view is made of these moves (docs/architecture.md, "The split view"); most are one deal and one
//! swap, [`deal_and_swap`]. Since that function alone hands a formula its operands, streams and received messages, it is also where
//! a verification against parties that deviate can record and check what each message was made of: purposes from
//! `party::VERIFICATION` on are kept for it.

use crate::{
    device::Buffer,
    kernels::{
        Dealt, Masked, Pad,
        draw::{draw, mask},
        linear,
    },
    party::{Deal, Label, Op, Party, Receive, Role},
    share::{Arith, Local, Split},
    stream::Stream,
};

/// Purposes of one deal and one swap, and the words of their messages.
pub(super) struct Purposes<const MESSAGES: usize, const STREAMS: usize> {
    /// Streams of component 1 that mask what is dealt.
    pub streams: [u8; STREAMS],
    /// Each message dealt, and its words.
    pub messages: [(u8, usize); MESSAGES],
    /// The swap, whose masks are components 0 and 1 of the result.
    pub swap: u8,
}

/// Messages that the lead deals, and its two components of the result where they are not the swap's masks alone.
pub(super) type Dealing<const MESSAGES: usize> = ([Masked; MESSAGES], Option<[Buffer; 2]>);

/// The figure that injection, lift, truncation and activation share: own and next component of a result of `n` words, in 1 round
/// after that of the operands (2 alone).
///
/// The lead deals `MESSAGES` messages under `STREAMS` streams of component 1: `deal` makes them of its operands, and knows the masks
/// of both components of the swap. Each of the pair has halves of them, drawn by the first and received by the second; `combine` makes
/// of its operands and its halves the message of the swap and the component that masks it (1 at the first, 0 at the second), and
/// `finish` makes component 2 of what was sent and received. A message depends on the operands named here, on the streams of
/// `purposes`, and at the second on what was dealt; on nothing else.
pub(super) async fn deal_and_swap<const A: usize, const B: usize, const MESSAGES: usize, const STREAMS: usize>(
    op: &Op<'_>,
    n: usize,
    purposes: Purposes<MESSAGES, STREAMS>,
    (of_lead, deal_of): ([&Buffer; A], impl FnOnce([&Buffer; A], [Pad; STREAMS], [Stream; 2]) -> Dealing<MESSAGES> + Send),
    (of_pair, combine): ([&Buffer; B], impl FnOnce(bool, [&Buffer; B], Dealt<MESSAGES, STREAMS>, Pad) -> (Masked, Buffer) + Send),
    finish: impl FnOnce(&Buffer, &Buffer) -> Buffer + Send,
) -> (Buffer, Buffer) {
    let Purposes { streams, messages, swap: swapping } = purposes;
    match op.role() {
        Role::Lead => {
            let (pads, masks) = (streams.map(|purpose| op.pad(1, purpose)), [0, 1].map(|component| op.known(component, swapping)));
            let mut components = None;
            deal(op, messages.iter().map(|(_, words)| words).sum(), || {
                let (dealt, made) = deal_of(of_lead, pads, masks);
                components = made;
                messages.iter().map(|(purpose, _)| *purpose).zip(dealt).collect()
            })
            .await;
            components.unwrap_or_else(|| masks.map(|mask| draw(op.device(), n, mask))).into()
        }
        Role::First => {
            let dealt = Dealt::Drawn(streams.map(|purpose| op.known(1, purpose)));
            let (message, own) = combine(true, of_pair, dealt, op.pad(1, swapping));
            let received = swap(op, swapping, &message).await;
            (own, finish(message.words(), &received))
        }
        Role::Second => {
            let mut dealt = Vec::with_capacity(MESSAGES);
            for (purpose, words) in messages {
                dealt.push(op.receive_dealt(purpose, words).await);
            }
            let dealt = Dealt::Received(dealt.try_into().expect("a message for each purpose"));
            let (message, next) = combine(false, of_pair, dealt, op.pad(0, swapping));
            let received = swap(op, swapping, &message).await;
            (finish(message.words(), &received), next)
        }
    }
}

/// The pair sends each other one masked message of equal length; sent at the call. One round.
pub(super) fn swap<'p>(op: &Op<'p>, purpose: u8, masked: &Masked) -> Receive<'p> {
    let peer = match op.role() {
        Role::First => Role::Second,
        _ => Role::First,
    };
    op.send(peer, purpose, masked);
    op.receive(peer, purpose, masked.words().len())
}

/// The lead deals messages of `words` words in all to the second of the pair; the first draws them from the key of
/// component 1, which the second lacks. Computed when there is room.
pub(super) fn deal<'a, 'p: 'a>(op: &Op<'p>, words: usize, make: impl FnOnce() -> Vec<(u8, Masked)> + Send + 'a) -> Deal<'a> {
    op.deal(words, make)
}

/// One of the pair answers the lead, which waits for both; sent at the call. One round.
pub(super) fn answer(op: &Op<'_>, purpose: u8, masked: &Masked) {
    op.send(Role::Lead, purpose, masked);
}

/// Answers of first and second, of equal length, for which the lead waits.
pub(super) fn answers<'p>(op: &Op<'p>, purpose: u8, words: usize) -> [Receive<'p>; 2] {
    [Role::First, Role::Second].map(|from| op.receive(from, purpose, words))
}

const DEAL: u8 = 0;
const SWAP: u8 = 1;

/// Each party sends its masked local value to the party before it, which lacks it: one round, one word each.
pub(super) fn rotate<'p>(op: &Op<'p>, z: &Buffer) -> Receive<'p> {
    let roles = [Role::Lead, Role::First, Role::Second];
    let role = op.role() as usize;
    op.send(roles[(role + 2) % 3], SWAP, &Masked::local_product(z.clone()));
    op.receive(roles[(role + 1) % 3], SWAP, z.len())
}

/// A local product as a share, in 1 round and 192 bits: the lead deals `z_0`, the pair swaps `z_1, z_2`.
pub async fn reshare(p: &Party, z: Local) -> Arith {
    let op = p.op(Label::RESHARE);
    let (device, n) = (p.device(), z.z.len());
    match op.role() {
        Role::Lead => {
            let (pad, mut components) = (op.pad(1, DEAL), None);
            deal(&op, n, || {
                let (message, next) = mask(device, &z.z, pad);
                components = Some((message.words().clone(), next));
                vec![(DEAL, message)]
            })
            .await;
            let (own, next) = components.expect("the deal was made");
            Arith { shape: z.shape, own, next }
        }
        Role::First => {
            let swapped = swap(&op, SWAP, &Masked::local_product(z.z.clone()));
            let own = draw(device, n, op.known(1, DEAL));
            Arith { shape: z.shape, own, next: linear::add(device, &z.z, &swapped.await) }
        }
        Role::Second => {
            let swapped = swap(&op, SWAP, &Masked::local_product(z.z.clone()));
            let next = op.receive_dealt(DEAL, n).await;
            Arith { shape: z.shape, own: linear::add(device, &z.z, &swapped.await), next }
        }
    }
}

/// A local product split between lead and pair, in 1 round and 128 bits: `A = z_0`, `B = z_1 + z_2` after the pair's swap.
pub async fn split(p: &Party, z: Local) -> Split {
    let op = p.op(Label::SPLIT);
    let part = match op.role() {
        Role::Lead => z.z,
        _ => {
            let received = swap(&op, SWAP, &Masked::local_product(z.z.clone())).await;
            linear::add(p.device(), &z.z, &received)
        }
    };
    Split { shape: z.shape, lead: p.lead(), part }
}

/// A share as a split value, for free: `A = x_0 + x_1`, `B = x_2`.
pub fn split_of_share(p: &Party, x: &Arith) -> Split {
    let part: Buffer = match p.role() {
        Role::Lead => linear::add(p.device(), &x.own, &x.next),
        Role::First => x.next.clone(),
        Role::Second => x.own.clone(),
    };
    Split { shape: x.shape.clone(), lead: p.lead(), part }
}
