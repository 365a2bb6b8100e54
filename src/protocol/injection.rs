//! Bit times word, and bit to word.

use super::reshare::{deal, split_of_share, swap};
use crate::{
    device::Buffer,
    kernels::{
        bits::Dealt,
        draw::draw,
        inject::{inject_deal, inject_pair},
        linear,
    },
    party::{Label, Op, Party, Role},
    share::{Arith, Split, SplitBit},
};

const PRODUCT: u8 = 0;
const BIT: u8 = 1;
const SWAP: u8 = 2;

/// `[x bit]`: 1 round after the bit's (2 alone), 256 bits. The lead deals `Au` and `u`, the pair swaps halves.
pub async fn inject(p: &Party, x: &Arith, bit: &SplitBit) -> Arith {
    inject_split(p, x, &split_of_share(p, x), bit).await
}

/// The same for a value whose split is at hand.
pub(super) async fn inject_split(p: &Party, x: &Arith, split: &Split, bit: &SplitBit) -> Arith {
    let op = p.op(Label::Injection);
    op.led_by(bit.lead);
    let (device, n) = (p.device(), x.own.len());
    let (own, next) = match op.role() {
        Role::Lead => lead(&op, Some(&split.part), bit, n).await,
        Role::First => {
            let dealt = [Dealt::Drawn(op.known(1, PRODUCT)), Dealt::Drawn(op.known(1, BIT))];
            let (message, own) = inject_pair(device, n, true, Some((&x.own, &x.next)), &bit.plane, &dealt[0], &dealt[1], op.pad(1, SWAP));
            let received = swap(&op, SWAP, &message).await;
            (own, linear::add(device, message.words(), &received))
        }
        Role::Second => {
            let (product, word) = (op.receive_dealt(PRODUCT, n).await, op.receive_dealt(BIT, n).await);
            let dealt = [Dealt::Received(&product), Dealt::Received(&word)];
            let (message, next) = inject_pair(device, n, false, Some((&x.next, &x.own)), &bit.plane, &dealt[0], &dealt[1], op.pad(0, SWAP));
            let received = swap(&op, SWAP, &message).await;
            (linear::add(device, message.words(), &received), next)
        }
    };
    Arith { shape: x.shape.clone(), own, next }
}

/// A bit as the word 0 or 1 (B2A): 1 round after the bit's (2 alone), 192 bits.
pub async fn lift(p: &Party, bit: &SplitBit) -> Arith {
    let op = p.op(Label::Injection);
    op.led_by(bit.lead);
    let (device, n) = (p.device(), bit.shape.elements());
    let (own, next) = match op.role() {
        Role::Lead => lead(&op, None, bit, n).await,
        Role::First => {
            let dealt = Dealt::Drawn(op.known(1, BIT));
            let (message, own) = inject_pair(device, n, true, None, &bit.plane, &Dealt::None, &dealt, op.pad(1, SWAP));
            let received = swap(&op, SWAP, &message).await;
            (own, linear::add(device, message.words(), &received))
        }
        Role::Second => {
            let word = op.receive_dealt(BIT, n).await;
            let (message, next) = inject_pair(device, n, false, None, &bit.plane, &Dealt::None, &Dealt::Received(&word), op.pad(0, SWAP));
            let received = swap(&op, SWAP, &message).await;
            (linear::add(device, message.words(), &received), next)
        }
    };
    Arith { shape: bit.shape.clone(), own, next }
}

/// The lead deals, and its components of the result are streams.
async fn lead(op: &Op<'_>, a: Option<&Buffer>, bit: &SplitBit, n: usize) -> (Buffer, Buffer) {
    let device = op.device();
    let pads = (a.is_some().then(|| op.pad(1, PRODUCT)), op.pad(1, BIT));
    let words = if a.is_some() { 2 * n } else { n };
    deal(op, words, || {
        let (product, word) = inject_deal(device, n, a, &bit.plane, pads.0, pads.1);
        product.map(|product| (PRODUCT, product)).into_iter().chain([(BIT, word)]).collect()
    })
    .await;
    (draw(device, n, op.known(0, SWAP)), draw(device, n, op.known(1, SWAP)))
}
