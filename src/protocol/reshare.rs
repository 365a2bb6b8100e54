//! Deal, swap, answer, reshare: with `io`, the only protocols that send.

use crate::{
    device::Buffer,
    kernels::{
        Masked,
        draw::{draw, mask},
        linear,
    },
    party::{Deal, Label, Op, Party, Receive, Role},
    share::{Arith, Local, Split},
};

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

/// What the lead waits for: the answers of first and second, of equal length.
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
    let op = p.op(Label::Reshare);
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
            let Some((own, next)) = components else { unreachable!("the deal was made") };
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
    let op = p.op(Label::Split);
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
