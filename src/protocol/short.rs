//! The short sign: two rounds in place of the tree's four or five, for long latencies and small tensors.

use super::{
    circuits::{CircuitKind, circuit},
    reshare::{answer, answers, deal},
};
use crate::{
    device::Buffer,
    kernels::{
        Dealt,
        bits::{Sources, bits},
        short::{answer_words, dealt_words, short_deal, short_open, short_pair},
    },
    party::{Label, Party, Role},
    share::Split,
};

const DEAL: u8 = 0;
const ANSWER: u8 = 1;
const BLIND: u8 = 2;
const DIRECTION: u8 = 3;

/// This party's half of `[x >= 0]` as a plane: 2 rounds, 672 bits dealt and 2 x 96 answered.
///
/// The lead deals the blocks of its low 63 bits under `F_1`. The pair compares them with its own, each on its halves, in a
/// direction that it draws from `F_2`, blinds the outcome by factors, masks and a rotation from `F_2`, and answers. The lead
/// finds a zero or none, which is the carry into bit 63 XOR the direction (kernels::short).
pub(super) async fn nonnegative(p: &Party, x: &Split) -> Buffer {
    let op = p.op(Label::SHORT_SIGN);
    op.led_by(x.lead);
    let (device, n) = (p.device(), x.part.len());
    let role = op.role();
    if role == Role::Lead {
        let pad = op.pad(1, DEAL);
        deal(&op, dealt_words(n), || vec![(DEAL, short_deal(device, &x.part, pad))]).await;
        let [first, second] = answers(&op, ANSWER, answer_words(n));
        let lists = [first.await, second.await];
        return short_open(device, &x.part, lists.each_ref());
    }
    let sources = Sources { words: Some(&x.part), masks: vec![op.known(2, DIRECTION)], ..Sources::default() };
    let plane = bits(device, &circuit(p, CircuitKind::Direction).finish, n, &sources, None).1;
    let dealt = match role {
        Role::First => Dealt::Drawn([op.known(1, DEAL)]),
        _ => Dealt::Received([op.receive_dealt(DEAL, dealt_words(n)).await]),
    };
    let masked = short_pair(device, role == Role::First, &x.part, &plane, &dealt, op.pad(2, ANSWER), op.pad(2, BLIND));
    answer(&op, ANSWER, &masked);
    plane
}
