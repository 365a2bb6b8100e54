//! ReLU, and truncation with ReLU in one.

use super::{
    injection::inject_split,
    linear::{add_public, add_public_split, sub},
    reshare::{deal, split_of_share, swap},
    sign::nonnegative,
    truncation::truncate,
};
use crate::{
    kernels::{
        activate::{ActivateDealt, activate_deal, activate_pair, field_words},
        draw::draw,
        linear,
    },
    party::{Label, Party, Role, join},
    ring::Word,
    share::{Arith, Split},
};

/// `[max(x, 0)] = [x] [x >= 0]`: 5 rounds and 654 bits (tree *five*), 6 and 590 (*six*), 4 and 1120 (the short sign).
pub async fn relu(p: &Party, x: &Arith) -> Arith {
    let split = split_of_share(p, x);
    let bit = nonnegative(p, &split).await;
    inject_split(p, x, &split, &bit).await
}

/// `[min(max(x, low), high)] = low + relu(x - low) - relu(x - high)`, either bound may be missing: one ReLU a bound, side by
/// side, so the rounds of one.
pub async fn clip(p: &Party, x: &Arith, [low, high]: [Option<Word>; 2]) -> Arith {
    let above = async |bound: Word| relu(p, &add_public(p, x, bound.wrapping_neg())).await;
    let base = async {
        match low {
            None => x.clone(),
            Some(low) => add_public(p, &above(low).await, low),
        }
    };
    let (base, over) = join(p, base, async { if let Some(high) = high { Some(above(high).await) } else { None } }).await;
    over.map_or_else(|| base.clone(), |over| sub(p, &base, &over))
}

/// The same of the truncated value, from a product's split: bounds have `f` fraction bits, the value `2f`.
pub async fn activate_clip(p: &Party, x: &Split, bits: u32, [low, high]: [Option<Word>; 2]) -> Arith {
    let above = async |bound: Word| activate(p, &add_public_split(p, x, (bound << bits).wrapping_neg()), bits).await;
    let base = async {
        match low {
            None => truncate(p, x, bits).await,
            Some(low) => add_public(p, &above(low).await, low),
        }
    };
    let (base, over) = join(p, base, async { if let Some(high) = high { Some(above(high).await) } else { None } }).await;
    over.map_or_else(|| base.clone(), |over| sub(p, &base, &over))
}

/// A split value truncated, `|x| < 2^62`: what follows a product without an activation.
pub async fn rescale(p: &Party, x: &Split) -> Arith {
    truncate(p, x, p.fraction_bits()).await
}

const SWAP: u8 = 0;
const WORDS: [u8; 3] = [1, 2, 3];
const FIELDS: [u8; 2] = [4, 5];

/// `[max(truncate(x), 0)]`: the truncated value is multiplied by the bit before it is ever shared, one last swap. From a
/// product's split 5 rounds and 846 + 2f bits in all, the split's swap included (*six*: 6 and 782 + 2f; the short sign: 4 and 1312 + 2f).
pub async fn activate(p: &Party, x: &Split, bits: u32) -> Arith {
    let bit = nonnegative(p, x).await;
    let op = p.op(Label::Activation);
    op.led_by(x.lead);
    let (device, n) = (p.device(), x.part.len());
    let (own, next) = match op.role() {
        Role::Lead => {
            let pads = [WORDS[0], WORDS[1], WORDS[2], FIELDS[0], FIELDS[1]].map(|purpose| op.pad(1, purpose));
            deal(&op, 3 * n + field_words(n, bits), || {
                let messages = activate_deal(device, &x.part, &bit.plane, bits, pads);
                WORDS.into_iter().chain([FIELDS[0]]).zip(messages).collect()
            })
            .await;
            (draw(device, n, op.known(0, SWAP)), draw(device, n, op.known(1, SWAP)))
        }
        Role::First => {
            let streams = [WORDS[0], WORDS[1], WORDS[2], FIELDS[0], FIELDS[1]].map(|purpose| op.known(1, purpose));
            let (message, own) = activate_pair(device, &x.part, &bit.plane, bits, true, &ActivateDealt::Drawn(streams), op.pad(1, SWAP));
            let received = swap(&op, SWAP, &message).await;
            (own, linear::add(device, message.words(), &received))
        }
        Role::Second => {
            let t = op.receive_dealt(WORDS[0], n).await;
            let tu = op.receive_dealt(WORDS[1], n).await;
            let u = op.receive_dealt(WORDS[2], n).await;
            let fields = op.receive_dealt(FIELDS[0], field_words(n, bits)).await;
            let dealt = ActivateDealt::Received([t, tu, u, fields]);
            let (message, next) = activate_pair(device, &x.part, &bit.plane, bits, false, &dealt, op.pad(0, SWAP));
            let received = swap(&op, SWAP, &message).await;
            (linear::add(device, message.words(), &received), next)
        }
    };
    Arith { shape: x.shape.clone(), own, next }
}
