//! Truncation by the fraction bits: floor or floor + 1, exact on multiples, unbiased.

use super::reshare::{Purposes, deal_and_swap};
use crate::{
    kernels::{
        fields,
        truncate::{truncate_deal, truncate_finish, truncate_pair},
    },
    party::{Label, Party},
    share::{Arith, Split},
};

const VALUE: u8 = 0;
const WRAP: u8 = 1;
const SWAP: u8 = 2;

/// `[floor(x / 2^bits)]` or one more, for `|x| < 2^62`; exact if `2^bits` divides `x`. 2 rounds, `64 + 3 bits` bits.
///
/// The lead deals `T_A` and its wrap bit; the pair swaps halves of the product of both wrap bits (kernels::truncate).
///
/// ```
/// use trishade::{
///     device::Device,
///     party::{Party, Transport, run},
///     protocol as mpc,
///     shape::Shape,
/// };
///
/// # fn main() -> trishade::Result<()> {
/// let device = Device::cpu(1)?;
/// let parties = Party::local([device.clone(), device.clone(), device], 20)?;
/// let x = mpc::share(&Shape::new([3])?, &[5 << 20, (-3i64 << 20) as u64, 1000])?;
/// let parts = pollster::block_on(run(&parties, Transport::Handover, |p| async {
///     let x = mpc::input(p, &x[p.number()]);
///     let y = mpc::truncate(p, &mpc::split_of_share(p, &x), 20).await;
///     p.device().download(&[&mpc::reveal(p, &y)]).await
/// }))?;
/// let [a, b, c] = parts;
/// let y = mpc::combine([&a?[0], &b?[0], &c?[0]]);
/// assert_eq!(y[..2], [5, -3i64 as u64], "multiples are exact");
/// assert!(y[2] <= 1, "the floor or one more");
/// # Ok(())
/// # }
/// ```
pub async fn truncate(p: &Party, x: &Split, bits: u32) -> Arith {
    let op = p.op(Label::TRUNCATION);
    op.led_by(x.lead);
    let (device, n) = (p.device(), x.part.len());
    let (own, next) = deal_and_swap(
        &op,
        n,
        Purposes { streams: [VALUE, WRAP], messages: [(VALUE, n), (WRAP, fields::words(n, bits))], swap: SWAP },
        ([&x.part], |[a], pads, masks| {
            let (dealt, components) = truncate_deal(device, a, bits, pads, masks);
            (dealt, Some(components))
        }),
        ([&x.part], |_, [b], dealt, out| truncate_pair(device, b, bits, &dealt, out)),
        |sent, received| truncate_finish(device, &x.part, bits, sent, received),
    )
    .await;
    Arith { shape: x.shape.clone(), own, next }
}
