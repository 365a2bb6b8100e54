//! Bit times word, and bit to word.

use super::reshare::{Purposes, deal_and_swap, split_of_share};
use crate::{
    kernels::{
        inject::{inject_deal, inject_pair, lift_deal, lift_pair},
        linear,
    },
    party::{Label, Party, Role},
    share::{Arith, Split, SplitBit},
};

const PRODUCT: u8 = 0;
const BIT: u8 = 1;
const SWAP: u8 = 2;

/// `[x bit]`: 1 round after the bit's (2 alone), 256 bits. The lead deals `Au` and `u`, the pair swaps halves.
pub async fn inject(p: &Party, x: &Arith, bit: &SplitBit) -> Arith {
    inject_split(p, x, &split_of_share(p, x), bit).await
}

/// `[x bit]` of a value whose split is at hand.
pub(super) async fn inject_split(p: &Party, x: &Arith, split: &Split, bit: &SplitBit) -> Arith {
    let op = p.op(Label::INJECTION);
    op.led_by(bit.lead);
    let (device, n) = (p.device(), x.own.len());
    // of the pair's components of x one is its half of A, the other is B
    let [half, word] = if op.role() == Role::First { [&x.own, &x.next] } else { [&x.next, &x.own] };
    let (own, next) = deal_and_swap(
        &op,
        n,
        Purposes { streams: [PRODUCT, BIT], messages: [(PRODUCT, n), (BIT, n)], swap: SWAP },
        ([&split.part, &bit.plane], |[a, u], pads, _| (inject_deal(device, a, u, pads), None)),
        ([half, word, &bit.plane], |is_first, [half, word, b], dealt, out| inject_pair(device, is_first, [half, word], b, &dealt, out)),
        |sent, received| linear::add(device, sent, received),
    )
    .await;
    Arith { shape: x.shape.clone(), own, next }
}

/// A bit as the word 0 or 1 (B2A): 1 round after the bit's (2 alone), 192 bits.
pub async fn lift(p: &Party, bit: &SplitBit) -> Arith {
    let op = p.op(Label::INJECTION);
    op.led_by(bit.lead);
    let (device, n) = (p.device(), bit.shape.elements());
    let (own, next) = deal_and_swap(
        &op,
        n,
        Purposes { streams: [BIT], messages: [(BIT, n)], swap: SWAP },
        ([&bit.plane], |[u], pads, _| (lift_deal(device, n, u, pads), None)),
        ([&bit.plane], |is_first, [b], dealt, out| lift_pair(device, n, is_first, b, &dealt, out)),
        |sent, received| linear::add(device, sent, received),
    )
    .await;
    Arith { shape: bit.shape.clone(), own, next }
}
