//! Protocols on edge values, for every sharing made of edge components: the result is always right.
//!
//! Rounding, carries and wraps depend on how a value lies in its components, so random sharings would not meet the edges.
#![allow(missing_docs, reason = "tests")]

mod common;

use common::{Rng, Task, components, revealed, seeded};
use trishade::{
    party::{Party, Tag, Transport, join_all, run, tagged},
    protocol::{self as mpc, Sign},
    ring::{Word, floor_shift},
    share::Arith,
};

const F: u32 = 20;

/// 0, the ends of the range, powers of two of both signs and their neighbours.
fn edges() -> Vec<Word> {
    let powers = [0, 1, F - 1, F, F + 1, 31, 32, 61, 62, 63].map(|k| 1u64 << k);
    let near = powers.into_iter().flat_map(|power| [power.wrapping_sub(1), power, power.wrapping_add(1)]);
    let mut all: Vec<Word> = near.flat_map(|word| [word, word.wrapping_neg()]).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Values and components 0 and 1: every value with every pair of edges whose sum A, and so B = x - A, is an edge case too,
/// and some at random.
fn sharings(values: &[Word]) -> ([Vec<Word>; 3], Vec<Word>) {
    let mut rng = Rng(1);
    let mut secrets = Vec::new();
    let mut parts: [Vec<Word>; 3] = Default::default();
    let mut push = |x: Word, a: Word, first: Word| {
        secrets.push(x);
        let words = [first, a.wrapping_sub(first), x.wrapping_sub(a)];
        parts.iter_mut().zip(words).for_each(|(part, word)| part.push(word));
    };
    for &x in values {
        for a in edges() {
            // A on an edge; B on an edge; A where adding 2^62 - 1 wraps
            for a in [a, x.wrapping_sub(a), a.wrapping_sub((1 << 62) - 1)] {
                for first in [0, a, rng.next()] {
                    push(x, a, first);
                }
            }
        }
    }
    (parts, secrets)
}

fn below_2_62(words: Vec<Word>) -> Vec<Word> {
    words.into_iter().filter(|word| (*word as i64).unsigned_abs() < 1 << 62).collect()
}

/// What a protocol makes of a sharing, whoever leads.
fn evaluate(
    sign: Sign,
    lead: usize,
    parts: &[Vec<Word>; 3],
    protocol: impl for<'a> Fn(&'a Party, Arith) -> Task<'a, Vec<Arith>>,
) -> Vec<Vec<Word>> {
    let parties = seeded([1, 2, 3]);
    parties.iter().for_each(|p| p.set_sign(sign));
    // component 0 is the lead's own
    let mut turned = parts.clone();
    turned.rotate_right(lead);
    let (turned, protocol) = (&turned, &protocol);
    let task = |p| async move {
        let x = components(p, turned).await;
        let results = tagged(p, Tag { lead: Some(lead), ..Tag::default() }, protocol(p, x)).await;
        let mut words = Vec::new();
        for result in &results {
            words.push(revealed(p, result).await);
        }
        words
    };
    let [a, b, c] = pollster::block_on(run(&parties, Transport::Handover, task)).unwrap();
    (0..a.len()).map(|i| mpc::combine([&a[i], &b[i], &c[i]])).collect()
}

macro_rules! protocol {
    (|$p:ident, $x:ident| $body:expr) => {
        move |$p, $x| Box::pin(async move { $body })
    };
}

const SIGNS: [Sign; 3] = [Sign::Five, Sign::Six, Sign::Short];

#[test]
fn sign_is_exact() {
    let (parts, secrets) = sharings(&edges());
    for sign in SIGNS {
        for lead in 0..3 {
            let got = evaluate(
                sign,
                lead,
                &parts,
                protocol!(|p, x| {
                    let split = mpc::split_of_share(p, &x);
                    let (negative, not) = (mpc::sign(p, &split).await, mpc::nonnegative(p, &split).await);
                    vec![mpc::lift(p, &negative).await, mpc::lift(p, &not).await]
                }),
            );
            for (i, &x) in secrets.iter().enumerate() {
                assert_eq!([got[0][i], got[1][i]], [x >> 63, 1 ^ x >> 63], "{sign:?}, lead {lead}: {x:x} of {:x}", parts[2][i]);
            }
        }
    }
}

#[test]
fn injection_and_relu_are_exact() {
    let (parts, secrets) = sharings(&edges());
    for sign in SIGNS {
        for lead in 0..3 {
            let got = evaluate(
                sign,
                lead,
                &parts,
                protocol!(|p, x| {
                    let bit = mpc::sign(p, &mpc::split_of_share(p, &x)).await;
                    vec![mpc::inject(p, &x, &bit).await, mpc::relu(p, &x).await]
                }),
            );
            for (i, &x) in secrets.iter().enumerate() {
                let want = if x >> 63 == 1 { [x, 0] } else { [0, x] };
                assert_eq!([got[0][i], got[1][i]], want, "{sign:?}, lead {lead}: {x:x} of {:x}", parts[2][i]);
            }
        }
    }
}

#[test]
fn truncation_is_the_formula() {
    let (parts, secrets) = sharings(&below_2_62(edges()));
    for lead in 0..3 {
        let got = evaluate(
            Sign::Five,
            lead,
            &parts,
            protocol!(|p, x| {
                let split = mpc::split_of_share(p, &x);
                vec![mpc::truncate(p, &split, F).await, mpc::activate(p, &split, F).await]
            }),
        );
        for (i, &x) in secrets.iter().enumerate() {
            // docs/security.md: floor((x - r) / 2^f) + 1 with r = ((A - 1) mod 2^f) + 1
            let a = parts[0][i].wrapping_add(parts[1][i]);
            let r = (a.wrapping_sub(1) & ((1 << F) - 1)) + 1;
            let y = floor_shift(x.wrapping_sub(r), F).wrapping_add(1);
            assert!(y.wrapping_sub(floor_shift(x, F)) <= u64::from(x % (1 << F) != 0), "the formula is floor or floor + 1");
            let relu = if x >> 63 == 1 { 0 } else { y };
            assert_eq!([got[0][i], got[1][i]], [y, relu], "lead {lead}: {x:x} with A = {a:x}");
        }
    }
}

#[test]
fn all_bits_are_exact() {
    let (parts, secrets) = sharings(&edges());
    for lead in 0..3 {
        let got = evaluate(
            Sign::Five,
            lead,
            &parts,
            protocol!(|p, x| {
                let bits = mpc::all_bits(p, &mpc::split_of_share(p, &x)).await;
                let lifted = (0..64).map(|j| {
                    let bit = mpc::bit(p, &bits, j);
                    async move { mpc::lift(p, &bit).await }
                });
                join_all(p, lifted.collect()).await
            }),
        );
        for (i, &x) in secrets.iter().enumerate() {
            let bits = got.iter().enumerate().fold(0, |bits, (j, words)| bits | words[i] << j);
            assert!(got.iter().all(|words| words[i] < 2), "bits are 0 or 1");
            assert_eq!(bits, x, "lead {lead}: {x:x} of {:x}", parts[2][i]);
        }
    }
}

/// The short sign in small: two blocks of two bits, residues modulo 5, everything that is drawn enumerated.
mod short {
    const BLOCKS: usize = 2;
    const PRIME: u32 = 5;

    /// One of the pair: its list for its own number, the complement of its part, from halves of `T_1, T_2, T_3` of each block.
    fn list(
        first: bool,
        own: u32,
        dealt: &[[u32; 3]; BLOCKS],
        beta: u32,
        s: [u32; BLOCKS],
        r: [u32; BLOCKS],
        turn: usize,
    ) -> [u32; BLOCKS] {
        let one = u32::from(first);
        let (mut differ, mut out) = (0, [0; BLOCKS]);
        for i in (0..BLOCKS).rev() {
            let w = (own >> (2 * i) & 3) as usize;
            // T_0 is 1, T_4 is 0
            let half = |t: usize| if t == 0 { one } else { dealt[i].get(t - 1).copied().unwrap_or(0) };
            let (low, high) = (half(w), half(w + 1));
            let miss = match (beta, i) {
                (0, _) => one + PRIME - high,
                (_, 0) => high,
                _ => low,
            };
            let mask = if first { r[i] } else { PRIME - r[i] };
            out[(i + turn) % BLOCKS] = ((miss + differ) * s[i] + mask) % PRIME;
            differ += one + PRIME - low + high;
        }
        out
    }

    /// Numbers of `digits` digits below `base`.
    fn all<const N: usize>(base: u32) -> impl Iterator<Item = [u32; N]> {
        (0..base.pow(N as u32)).map(move |number| std::array::from_fn(|i| number / base.pow(i as u32) % base))
    }

    /// How often the lead sees which pair of lists; it knows `a` and the first's halves.
    fn view(a: u32, own: u32, halves: &[[u32; 3]; BLOCKS]) -> Vec<u32> {
        let threshold = |i: usize, t: usize| u32::from(a >> (2 * i) & 3 > t as u32);
        let second: [[u32; 3]; BLOCKS] = std::array::from_fn(|i| std::array::from_fn(|t| (threshold(i, t) + PRIME - halves[i][t]) % PRIME));
        let mut counts = vec![0; PRIME.pow(2 * BLOCKS as u32) as usize];
        for beta in 0..2 {
            for s in all(PRIME - 1).map(|s: [u32; BLOCKS]| s.map(|s| s + 1)) {
                for r in all(PRIME) {
                    for turn in 0..BLOCKS {
                        let [one, other] =
                            [(true, halves), (false, &second)].map(|(first, dealt)| list(first, own, dealt, beta, s, r, turn));
                        let zeros = one.iter().zip(&other).filter(|(x, y)| (*x + *y) % PRIME == 0).count();
                        assert_eq!(zeros, (u32::from(a > own) ^ beta) as usize, "one zero or none: {a} and {own}, {beta}");
                        let place = one.iter().chain(&other).fold(0, |place, digit| place * PRIME + digit);
                        counts[place as usize] += 1;
                    }
                }
            }
        }
        counts
    }

    #[test]
    fn the_lead_sees_the_same_whatever_the_pair_holds() {
        for halves in [[[0; 3]; 2], [[1, 4, 2], [3, 0, 4]], [[2, 2, 1], [4, 1, 3]]] {
            for a in 0..16 {
                let want = view(a, 0, &halves);
                assert!((1..16).all(|own| view(a, own, &halves) == want), "a = {a}");
            }
        }
    }
}

/// All vectors of `width` entries of 0 to 2, one a row.
fn vectors(width: usize) -> Vec<Vec<Word>> {
    (0..3usize.pow(width as u32)).map(|row| (0..width).map(|i| (row / 3usize.pow(i as u32) % 3) as Word).collect()).collect()
}

#[test]
fn argmax_is_the_first_of_equal_ones() {
    for width in 1..=6 {
        let rows = vectors(width);
        let words = rows.concat();
        let mask: Vec<Word> = words.iter().enumerate().map(|(i, _)| Rng(i as u64).next()).collect();
        let rest = words.iter().zip(&mask).map(|(x, r)| x.wrapping_sub(*r)).collect();
        let parts = [mask, vec![0; words.len()], rest];
        let extents = [rows.len(), width];
        let got = evaluate(Sign::Five, 0, &parts, protocol!(|p, x| vec![mpc::argmax(p, &x.reshaped(&extents).unwrap()).await])).remove(0);
        assert_eq!(got.len(), rows.len());
        for (row, index) in rows.iter().zip(got) {
            let most = row.iter().max().unwrap();
            assert_eq!(Some(index as usize), row.iter().position(|x| x == most), "{row:?}");
        }
    }
}
