//! Who computes what: each party on a device of its own, whose counters tell.
#![allow(missing_docs, reason = "tests")]

mod common;

use common::{Task, shape};
use trishade::{
    device::{Device, Work},
    kernels::{
        circuit::{self, Level, Tree},
        matmul::Layout,
    },
    party::{Party, Transport, run},
    protocol::{self as mpc, Sign},
    share::Arith,
};

/// A whole number of tiles of bit planes and of blocks of fields.
const N: usize = 512 * 15;

fn work(sign: Sign, protocol: impl for<'a> Fn(&'a Party, Arith) -> Task<'a, ()>) -> [Work; 3] {
    let devices: [Device; 3] = std::array::from_fn(|_| Device::cpu(1).unwrap());
    let parties = Party::local_seeded(devices, 20, 1);
    parties.iter().for_each(|p| p.set_sign(sign));
    let task = |p| protocol(p, mpc::public(p, &shape(N), &[1 << 30; N]));
    pollster::block_on(run(&parties, Transport::Handover, task)).unwrap();
    parties.map(|p| p.device().work())
}

macro_rules! work {
    ($sign:expr, |$p:ident, $x:ident| $body:expr) => {
        work($sign, |$p, $x| {
            Box::pin(async move {
                let _ = $body;
            })
        })
    };
}

/// Blocks of a tensor of words, and of 20-bit fields.
const WORDS: usize = N / 8;
const FIELDS: usize = N / 3 / 8;

/// Blocks of a carry tree: all that the lead deals, all that the pair swaps.
fn planes(tree: Tree) -> [usize; 2] {
    let levels = circuit::nonnegative(tree, 64).levels;
    let blocks = |outputs: fn(&Level) -> usize| levels.iter().map(|level| N / 32 * outputs(level).div_ceil(16)).sum();
    [blocks(|level| level.lead.outputs.len()), blocks(|level| level.pair.outputs.len())]
}

/// Blocks of lead, first and second; multiply-adds of each party.
#[track_caller]
fn check(work: [Work; 3], blocks: [usize; 3], multiply_adds: usize) {
    let want = blocks.map(|blocks| Work { chacha_blocks: blocks as u64, multiply_adds: multiply_adds as u64 });
    assert_eq!(work, want);
}

#[test]
fn two_products_a_party_and_two_streams() {
    check(work!(Sign::Five, |p, x| mpc::product(p, &x, &x)), [2 * WORDS; 3], 2 * N);
    let [m, k, n] = [64, 120, 64];
    let layout = Layout { batch: 1, m, k, n, transpose_x: false, transpose_y: true };
    check(work!(Sign::Five, |p, x| mpc::matmul(p, &x, &x, layout)), [2 * m * n / 8; 3], 2 * m * k * n);
}

#[test]
fn the_first_draws_what_the_lead_deals_and_the_second_receives_it() {
    check(work!(Sign::Five, |p, x| mpc::mul(p, &x, &x).await), [3 * WORDS, 3 * WORDS, 2 * WORDS], 2 * N);
    // the lead draws both components of the result besides; each of the pair its own
    let truncation = [WORDS + 3 * FIELDS, WORDS + 2 * FIELDS, FIELDS];
    check(work!(Sign::Five, |p, x| mpc::truncate(p, &mpc::split_of_share(p, &x), 20).await), truncation, 0);
}

#[test]
fn a_relu_costs_the_second_least() {
    for (sign, tree) in [(Sign::Five, Tree::Five), (Sign::Six, Tree::Six)] {
        // who knows a mask draws it twice: to mask the message, then to use the bit
        let [dealt, swapped] = planes(tree);
        activations(sign, [dealt + 2 * swapped, dealt + 2 * swapped, 2 * swapped]);
    }
}

#[test]
fn a_short_sign_draws_what_it_says() {
    // four blocks an element dealt; masks and factors, a block each; and the plane of directions
    let blind = 2 * N + N / 32;
    activations(Sign::Short, [4 * N, 4 * N + blind, blind]);
}

/// Blocks of the sign alone at lead, first and second; then with what follows it.
fn activations(sign: Sign, [lead, first, second]: [usize; 3]) {
    check(work!(sign, |p, x| mpc::nonnegative(p, &mpc::split_of_share(p, &x)).await), [lead, first, second], 0);
    check(work!(sign, |p, x| mpc::relu(p, &x).await), [lead + 4 * WORDS, first + 3 * WORDS, second + WORDS], 0);
    check(
        work!(sign, |p, x| mpc::activate(p, &mpc::split_of_share(p, &x), p.fraction_bits()).await),
        [lead + 5 * WORDS + 2 * FIELDS, first + 4 * WORDS + 2 * FIELDS, second + WORDS],
        0,
    );
}
