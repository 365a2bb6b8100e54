//! ReLU, and truncation with ReLU in one.

use super::{
    injection::inject_split,
    linear::{add_public, add_public_split, sub},
    reshare::{Purposes, deal_and_swap, split_of_share},
    sign::nonnegative,
    truncation::truncate,
};
use crate::{
    kernels::{
        activate::{activate_deal, activate_pair, field_words},
        linear,
    },
    party::{Label, Party, join},
    ring::Word,
    share::{Arith, Split},
};

/// `[max(x, 0)] = [x] [x >= 0]`: 5 rounds and 654 bits (tree *five*), 6 and 590 (*six*), 4 and 1120 (the short sign).
///
/// ```
/// use trishade::{
///     device::Device,
///     fixed::Fixed,
///     party::{Party, Transport, run},
///     protocol as mpc,
///     shape::Shape,
/// };
///
/// # fn main() -> trishade::Result<()> {
/// let fixed = Fixed::default();
/// let device = Device::cpu(1)?;
/// let parties = Party::local([device.clone(), device.clone(), device], fixed.fraction_bits())?;
/// let x = mpc::share(&Shape::new([3])?, &fixed.encode("x", &[1.5, -2.0, 0.25])?)?;
/// let parts = pollster::block_on(run(&parties, Transport::Handover, |p| async {
///     let y = mpc::relu(p, &mpc::input(p, &x[p.number()])).await;
///     p.device().download(&[&mpc::reveal(p, &y)]).await
/// }))?;
/// let [a, b, c] = parts;
/// let y = mpc::combine([&a?[0], &b?[0], &c?[0]]);
/// assert_eq!(fixed.decode_all(&y), [1.5, 0.0, 0.25]);
/// # Ok(())
/// # }
/// ```
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
/// `T_A`, `T_A u`, `u`, as words; `m_A` and `m_A u`, as fields of one message.
const WORDS: [u8; 3] = [1, 2, 3];
const FIELDS: [u8; 2] = [4, 5];

/// `[max(truncate(x), 0)]`: the truncated value is multiplied by the bit before it is ever shared, one last swap. From a
/// product's split 5 rounds and 846 + 2f bits in all, the split's swap included (*six*: 6 and 782 + 2f; the short sign: 4 and 1312 + 2f).
pub async fn activate(p: &Party, x: &Split, bits: u32) -> Arith {
    let bit = nonnegative(p, x).await;
    let op = p.op(Label::ACTIVATION);
    op.led_by(x.lead);
    let (device, n) = (p.device(), x.part.len());
    let purposes = Purposes {
        streams: [WORDS[0], WORDS[1], WORDS[2], FIELDS[0], FIELDS[1]],
        messages: [(WORDS[0], n), (WORDS[1], n), (WORDS[2], n), (FIELDS[0], field_words(n, bits))],
        swap: SWAP,
    };
    let (own, next) = deal_and_swap(
        &op,
        n,
        purposes,
        ([&x.part, &bit.plane], |[a, u], pads, _| (activate_deal(device, a, u, bits, pads), None)),
        ([&x.part, &bit.plane], |is_first, [b, plane], dealt, out| activate_pair(device, b, plane, bits, is_first, &dealt, out)),
        |sent, received| linear::add(device, sent, received),
    )
    .await;
    Arith { shape: x.shape.clone(), own, next }
}
