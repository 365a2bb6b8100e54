//! Truncation, bit injection and activation: the lead's step, the pair's, and the last.

use super::case::{Case, SIZES, fixed, pad, stream, upload};
use crate::{
    device::{Buffer, Device},
    kernels::{
        Dealt, Masked,
        activate::{activate_deal, activate_pair, field_words},
        fields,
        inject::{inject_deal, inject_pair, lift_deal, lift_pair},
        planes,
        short::{answer_words, dealt_words, short_deal, short_open, short_pair},
        truncate::{truncate_deal, truncate_finish, truncate_pair},
    },
};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // every width over whole blocks of fields and a part of one, a few widths over every size
    let widths = fields::WIDTHS.map(|bits| (1500, bits));
    let sizes = SIZES.into_iter().flat_map(|n| [8, 13, 20, 26, 32, 45].map(|bits| (n, bits)));
    for (n, bits) in widths.chain(sizes) {
        cases.push(Case::new(format!("truncate {n} by {bits}"), move |d| truncation(d, n, bits)));
        cases.push(Case::new(format!("activate {n} by {bits}"), move |d| activation(d, n, bits)));
    }
    for n in SIZES {
        cases.push(Case::new(format!("inject {n}"), move |d| injection(d, n)));
        cases.push(Case::new(format!("lift {n}"), move |d| lift(d, n)));
        cases.push(Case::new(format!("short sign {n}"), move |d| short(d, n)));
    }
    cases
}

/// Packed fields with nothing else in their words.
fn packed(d: &Device, n: usize, bits: u32, seed: u64) -> Buffer {
    let mut words = vec![0; fields::words(n, bits)];
    fields::pack(&fixed(n, seed), bits, &mut words);
    d.upload(&words)
}

fn plane(d: &Device, n: usize, seed: u64) -> Buffer {
    upload(d, planes::words(n, 1), seed)
}

fn both((message, kept): (Masked, Buffer)) -> [Buffer; 2] {
    [message.words().clone(), kept]
}

fn sent<const N: usize>(messages: &[Masked; N]) -> [Buffer; N] {
    messages.each_ref().map(|message| message.words().clone())
}

fn truncation(d: &Device, n: usize, bits: u32) -> Vec<Buffer> {
    let x = upload(d, n, 1);
    let (dealt, components) = truncate_deal(d, &x, bits, [1, 2].map(pad), [stream(3), stream(4)]);
    let mut out = [sent(&dealt), components].concat();
    out.extend(both(truncate_pair(d, &x, bits, &Dealt::Drawn([1, 2].map(stream)), pad(3))));
    out.extend(both(truncate_pair(d, &x, bits, &Dealt::Received([upload(d, n, 2), packed(d, n, bits, 3)]), pad(4))));
    out.push(truncate_finish(d, &x, bits, &packed(d, n, bits, 4), &packed(d, n, bits, 5)));
    out
}

fn injection(d: &Device, n: usize) -> Vec<Buffer> {
    let (a, b, bit) = (upload(d, n, 1), upload(d, n, 2), plane(d, n, 3));
    let mut out = sent(&inject_deal(d, &a, &bit, [1, 2].map(pad))).to_vec();
    out.extend(both(inject_pair(d, true, [&a, &b], &bit, &Dealt::Drawn([1, 2].map(stream)), pad(3))));
    let received = Dealt::Received([4, 5].map(|seed| upload(d, n, seed)));
    out.extend(both(inject_pair(d, false, [&a, &b], &bit, &received, pad(4))));
    out
}

fn lift(d: &Device, n: usize) -> Vec<Buffer> {
    let bit = plane(d, n, 3);
    let mut out = sent(&lift_deal(d, n, &bit, [pad(2)])).to_vec();
    out.extend(both(lift_pair(d, n, true, &bit, &Dealt::Drawn([stream(2)]), pad(3))));
    out.extend(both(lift_pair(d, n, false, &bit, &Dealt::Received([upload(d, n, 5)]), pad(4))));
    out
}

fn activation(d: &Device, n: usize, bits: u32) -> Vec<Buffer> {
    let (x, bit) = (upload(d, n, 1), plane(d, n, 3));
    let mut out = sent(&activate_deal(d, &x, &bit, bits, [1, 2, 3, 4, 5].map(pad))).to_vec();
    out.extend(both(activate_pair(d, &x, &bit, bits, true, &Dealt::Drawn([1, 2, 3, 4, 5].map(stream)), pad(6))));
    let [t, tu, u] = [4, 5, 6].map(|seed| upload(d, n, seed));
    let received = Dealt::Received([t, tu, u, upload(d, field_words(n, bits), 7)]);
    out.extend(both(activate_pair(d, &x, &bit, bits, false, &received, pad(7))));
    out
}

/// Answers are made by the pair, which have zeros among their sums, and at random.
fn short(d: &Device, n: usize) -> Vec<Buffer> {
    let (a, b, plane) = (upload(d, n, 1), upload(d, n, 2), plane(d, n, 3));
    let dealt = short_deal(d, &a, pad(1));
    let first = short_pair(d, true, &b, &plane, &Dealt::Drawn([stream(1)]), pad(2), pad(3));
    let second = short_pair(d, false, &b, &plane, &Dealt::Received([dealt.words().clone()]), pad(2), pad(3));
    let any = short_pair(d, false, &b, &plane, &Dealt::Received([upload(d, dealt_words(n), 4)]), pad(4), pad(5));
    let found = short_open(d, &a, [first.words(), second.words()]);
    let other = short_open(d, &a, [&upload(d, answer_words(n), 5), any.words()]);
    [dealt, first, second, any].iter().map(|message| message.words().clone()).chain([found, other]).collect()
}
