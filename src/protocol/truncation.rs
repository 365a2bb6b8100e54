//! Truncation by the fraction bits: floor or floor + 1, exact on multiples, unbiased.

use super::reshare::{deal, swap};
use crate::{
    kernels::{
        bits::Dealt,
        fields,
        truncate::{truncate_deal, truncate_finish, truncate_pair},
    },
    party::{Label, Party, Role},
    share::{Arith, Split},
};

const VALUE: u8 = 0;
const WRAP: u8 = 1;
const SWAP: u8 = 2;

/// `[floor(x / 2^bits)]` or one more, for `|x| < 2^62`; exact if `2^bits` divides `x`. 2 rounds, `64 + 3 bits` bits.
///
/// The lead deals `T_A` and its wrap bit; the pair swaps halves of the product of both wrap bits (kernels::truncate).
pub async fn truncate(p: &Party, x: &Split, bits: u32) -> Arith {
    let op = p.op(Label::Truncation);
    op.led_by(x.lead);
    let (device, n) = (p.device(), x.part.len());
    let fields = fields::words(n, bits);
    let (own, next) = match op.role() {
        Role::Lead => {
            let pads = (op.pad(1, VALUE), op.pad(1, WRAP));
            let masks = [op.known(0, SWAP), op.known(1, SWAP)];
            let mut components = None;
            deal(&op, n + fields, || {
                let (value, wrap, out) = truncate_deal(device, &x.part, bits, pads.0, pads.1, masks);
                components = Some(out);
                vec![(VALUE, value), (WRAP, wrap)]
            })
            .await;
            match components {
                Some([own, next]) => (own, next),
                None => unreachable!("the deal was made"),
            }
        }
        Role::First => {
            let (value, wrap) = (Dealt::Drawn(op.known(1, VALUE)), Dealt::Drawn(op.known(1, WRAP)));
            let (message, own) = truncate_pair(device, &x.part, bits, &value, &wrap, op.pad(1, SWAP));
            let received = swap(&op, SWAP, &message).await;
            (own, truncate_finish(device, &x.part, bits, message.words(), &received))
        }
        Role::Second => {
            let value = op.receive_dealt(VALUE, n).await;
            let wrap = op.receive_dealt(WRAP, fields).await;
            let (message, next) = truncate_pair(device, &x.part, bits, &Dealt::Received(&value), &Dealt::Received(&wrap), op.pad(0, SWAP));
            let received = swap(&op, SWAP, &message).await;
            (truncate_finish(device, &x.part, bits, message.words(), &received), next)
        }
    };
    Arith { shape: x.shape.clone(), own, next }
}
