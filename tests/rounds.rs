//! The scheduler: random programs give the same over every link and window, and misuse ends in an error, never a hang.
#![allow(missing_docs, reason = "tests")]

mod common;

use common::{Rng, Task, components, revealed, seeded, shape};
use std::future::pending;
use trishade::{
    Error,
    party::{Meter, Party, Tag, Transport, join, join_all, run, tagged},
    protocol::{self as mpc, Sign},
    ring::Word,
    share::Arith,
};

/// A program of one value.
enum Program {
    Square,
    Relu,
    /// 1 if the value is negative, made a fixed-point number and truncated again.
    Negative,
    /// The two lowest bits.
    Bits,
    Chain(Vec<Program>),
    /// The sum of what the children make of the same value.
    Join(Vec<Program>),
    /// The same under another lead.
    Led(usize, Box<Program>),
}

use Program::*;

impl Program {
    fn random(rng: &mut Rng, depth: u64, leads: bool) -> Self {
        let children = |rng: &mut Rng| (0..2 + rng.below(2)).map(|_| Self::random(rng, depth - 1, leads)).collect();
        match rng.below(if depth == 0 { 5 } else { 12 }) {
            0 | 1 => Square,
            2 => Relu,
            3 => Negative,
            4 => Bits,
            5 | 6 if leads => Led(rng.below(3) as usize, Box::new(Self::random(rng, depth - 1, leads))),
            5..9 => Chain(children(rng)),
            _ => Join(children(rng)),
        }
    }

    fn run<'a>(&'a self, p: &'a Party, x: Arith) -> Task<'a, Arith> {
        Box::pin(async move {
            match self {
                Square => mpc::mul(p, &x, &x).await,
                Relu => mpc::relu(p, &x).await,
                Negative => {
                    let bit = mpc::sign(p, &mpc::split_of_share(p, &x)).await;
                    let scaled = mpc::scale(p, &mpc::lift(p, &bit).await, 1 << 20);
                    mpc::truncate(p, &mpc::split_of_share(p, &scaled), 20).await
                }
                Bits => {
                    let bits = mpc::all_bits(p, &mpc::split_of_share(p, &x)).await;
                    let [low, high] = [0, 1].map(|index| mpc::bit(p, &bits, index));
                    let (low, high) = join(p, mpc::lift(p, &low), mpc::lift(p, &high)).await;
                    mpc::add(p, &low, &mpc::scale(p, &high, 2))
                }
                Chain(parts) => {
                    let mut x = x;
                    for part in parts {
                        x = part.run(p, x).await;
                    }
                    x
                }
                Join(parts) => {
                    let parts = join_all(p, parts.iter().map(|part| part.run(p, x.clone())).collect()).await;
                    parts.iter().skip(1).fold(parts[0].clone(), |sum, part| mpc::add(p, &sum, part))
                }
                Led(lead, part) => tagged(p, Tag { lead: Some(*lead), ..Tag::default() }, part.run(p, x)).await,
            }
        })
    }

    fn plain(&self, x: Word) -> Word {
        match self {
            Square => x.wrapping_mul(x),
            Relu => (x as i64).max(0) as Word,
            Negative => x >> 63,
            Bits => x & 3,
            Chain(parts) => parts.iter().fold(x, |x, part| part.plain(x)),
            Join(parts) => parts.iter().fold(0, |sum, part| sum.wrapping_add(part.plain(x))),
            Led(_, part) => part.plain(x),
        }
    }

    /// The clocks of lead, first and second under one lead: the second awaits deals, a swap is a round from either, and a
    /// short sign one to the second and one back to the lead.
    fn clocks(&self, now: [u32; 3], sign: Sign) -> [u32; 3] {
        let swap = |[lead, first, second]: [u32; 3]| {
            let dealt = second.max(lead + 1);
            [lead, first.max(dealt + 1), dealt.max(first + 1)]
        };
        let swaps = |n, now| (0..n).fold(now, |now, _| swap(now));
        let signed = |now: [u32; 3]| match (sign, now) {
            (Sign::Short, [lead, first, second]) => {
                let dealt = second.max(lead + 1);
                [lead.max(first + 1).max(dealt + 1), first, dealt]
            }
            _ => swaps(3, now),
        };
        match self {
            // each of the pair sends its half at once
            Square => [now[0], now[1].max(now[2] + 1), now[2].max(now[1] + 1).max(now[0] + 1)],
            Relu => swap(signed(now)),
            Negative => swaps(2, signed(now)),
            Bits => swaps(5, now),
            Chain(parts) => parts.iter().fold(now, |now, part| part.clocks(now, sign)),
            Join(parts) => {
                let ends = parts.iter().map(|part| part.clocks(now, sign));
                ends.fold(now, |a, b| std::array::from_fn(|i| a[i].max(b[i])))
            }
            Led(_, part) => part.clocks(now, sign),
        }
    }

    /// Whether the lead hears under the short sign.
    fn signs(&self) -> bool {
        match self {
            Relu | Negative => true,
            Square | Bits => false,
            Chain(parts) | Join(parts) => parts.iter().any(Self::signs),
            Led(_, part) => part.signs(),
        }
    }
}

const WORDS: [Word; 5] = [0, 3, 1u64.wrapping_neg(), 1 << 63, 0x1234_5678_9abc_def0];

/// Result and meters.
fn evaluate(program: &Program, lead: usize, sign: Sign, link: Transport, window: u64) -> (Vec<Word>, [Meter; 3]) {
    let parties = seeded([1, 2, 3]);
    parties.iter().for_each(|p| {
        p.set_window(window);
        p.set_sign(sign);
    });
    let sharing = [vec![1 << 60; 5], vec![77; 5], WORDS.map(|x| x.wrapping_sub((1 << 60) + 77)).to_vec()];
    let task = |p| {
        let sharing = &sharing;
        async move {
            let x = components(p, sharing).await;
            let y = tagged(p, Tag { lead: Some(lead), ..Tag::default() }, program.run(p, x)).await;
            revealed(p, &y).await
        }
    };
    let parts = pollster::block_on(run(&parties, link, task)).unwrap();
    (mpc::combine([&parts[0], &parts[1], &parts[2]]), parties.map(|p| p.meter()))
}

fn check(seed: u64, sign: Sign, leads: bool) {
    let program = Program::random(&mut Rng(seed), 4, leads);
    let lead = seed as usize % 3;
    let want = WORDS.map(|x| program.plain(x));
    let (_, first) = evaluate(&program, lead, sign, Transport::Handover, u64::MAX);
    for link in [Transport::Handover, Transport::Bytes] {
        for window in [1, 64, 5000, u64::MAX] {
            let (got, meters) = evaluate(&program, lead, sign, link, window);
            assert_eq!(got, want, "program {seed}, {sign:?}, {link:?}, window {window}");
            for (meter, first) in meters.iter().zip(&first) {
                assert_eq!(
                    (meter.rounds, &meter.by_label),
                    (first.rounds, &first.by_label),
                    "program {seed}, {sign:?}, {link:?}, window {window}"
                );
            }
            if !leads {
                assert_eq!([0, 1, 2].map(|i| meters[(lead + i) % 3].rounds), program.clocks([0; 3], sign), "program {seed}, {sign:?}");
                let hears = sign == Sign::Short && program.signs();
                assert_eq!(meters[lead].received > 0, hears, "the lead receives nothing but answers");
                assert!(window < u64::MAX || hears || meters[lead].frames <= 1, "the lead deals ahead");
            }
        }
    }
}

#[test]
fn programs_under_one_lead() {
    (0..120).for_each(|seed| check(seed, Sign::Five, false));
    (0..120).for_each(|seed| check(seed, Sign::Short, false));
}

#[test]
fn programs_under_changing_leads() {
    (0..80).for_each(|seed| check(seed, Sign::Five, true));
    (0..80).for_each(|seed| check(seed, Sign::Short, true));
}

/// A task in which one party differs; afterwards the same parties run well.
fn fails(task: impl for<'a> Fn(&'a Party, Arith) -> Task<'a, ()>) -> Error {
    let parties = seeded([4, 5, 6]);
    for window in [1, 1 << 30] {
        parties.iter().for_each(|p| p.set_window(window));
        let errors = [Transport::Handover, Transport::Bytes].map(|link| {
            let start = |p| task(p, mpc::public(p, &shape(5), &WORDS));
            pollster::block_on(run(&parties, link, start)).expect_err("the run fails")
        });
        assert_eq!(errors[0].to_string(), errors[1].to_string(), "both links notice the same");
        let good = |p| async move {
            let x = mpc::public(p, &shape(5), &WORDS);
            revealed(p, &mpc::relu(p, &x).await).await
        };
        let parts = pollster::block_on(run(&parties, Transport::Handover, good)).expect("a later run is not disturbed");
        assert_eq!(mpc::combine([&parts[0], &parts[1], &parts[2]]), WORDS.map(|x| (x as i64).max(0) as Word));
        if window > 1 {
            return errors[0].clone();
        }
    }
    unreachable!("two windows")
}

macro_rules! fails {
    (|$p:ident, $x:ident| $body:expr) => {
        fails(|$p, $x| Box::pin(async move { $body }))
    };
}

#[track_caller]
fn out_of_step(error: Error, what: &str) {
    assert!(matches!(&error, Error::OutOfStep(why) if why.contains(what)), "{error}");
}

#[track_caller]
fn misuse(error: Error, what: &str) {
    assert!(matches!(&error, Error::Misuse(why) if why.contains(what)), "{error}");
}

#[test]
fn one_party_runs_another_op() {
    for odd in 0..3 {
        let error = fails!(|p, x| {
            if p.number() == odd {
                mpc::relu(p, &x).await
            } else {
                mpc::mul(p, &x, &x).await
            };
        });
        out_of_step(error, "");
    }
}

#[test]
fn one_party_has_another_length() {
    for odd in 0..3 {
        let error = fails!(|p, x| {
            let words = vec![1; if p.number() == odd { 4 } else { 5 }];
            let x = if words.len() == 5 { x } else { mpc::public(p, &shape(4), &words) };
            mpc::relu(p, &x).await;
        });
        out_of_step(error, "expected");
    }
}

#[test]
fn one_party_returns_early() {
    for odd in 0..3 {
        let error = fails!(|p, x| {
            if p.number() != odd {
                mpc::mul(p, &mpc::relu(p, &x).await, &x).await;
            }
        });
        out_of_step(error, "");
    }
}

#[test]
fn one_party_does_more() {
    for odd in 0..3 {
        let error = fails!(|p, x| {
            let y = mpc::relu(p, &x).await;
            if p.number() == odd {
                mpc::mul(p, &y, &x).await;
            }
        });
        out_of_step(error, "");
    }
}

#[test]
fn one_party_changes_the_order() {
    for odd in 0..3 {
        let error = fails!(|p, x| {
            if p.number() == odd {
                mpc::mul(p, &mpc::relu(p, &x).await, &x).await;
            } else {
                mpc::relu(p, &mpc::mul(p, &x, &x).await).await;
            }
        });
        out_of_step(error, "");
    }
}

#[test]
fn a_message_that_nobody_awaits() {
    let error = fails!(|p, x| {
        let z = mpc::product(p, &x, &x);
        if p.number() == 1 {
            let mut split = Box::pin(mpc::split(p, z));
            std::future::poll_fn(|context| std::task::Poll::Ready(split.as_mut().poll(context).is_ready())).await;
        }
    });
    out_of_step(error, "nobody awaited");
}

#[test]
fn one_party_fails() {
    for odd in 0..3 {
        let error = fails!(|p, x| {
            mpc::relu(p, &x).await;
            if p.number() == odd {
                pending::<()>().await;
            }
        });
        misuse(error, "pending without waiting");
    }
}

#[test]
fn a_join_that_is_not_ours() {
    let error = fails!(|p, x| {
        let (mut a, mut b) = (Box::pin(mpc::mul(p, &x, &x)), Box::pin(mpc::mul(p, &x, &x)));
        std::future::poll_fn(|context| {
            let done = [a.as_mut().poll(context), b.as_mut().poll(context)];
            if done.iter().all(|poll| poll.is_ready()) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    });
    misuse(error, "two waits");
}

#[test]
fn a_split_value_keeps_its_lead() {
    let under_one = Tag { lead: Some(1), ..Tag::default() };
    for what in 0..3 {
        let error = fails(move |p, x| {
            Box::pin(async move {
                let split = mpc::split_of_share(p, &x);
                match what {
                    0 => tagged(p, under_one, mpc::truncate(p, &split, 20)).await,
                    1 => tagged(p, under_one, mpc::activate(p, &split, p.fraction_bits())).await,
                    _ => {
                        let bit = mpc::sign(p, &split).await;
                        tagged(p, under_one, mpc::inject(p, &x, &bit)).await
                    }
                };
            })
        });
        misuse(error, "split under party 0, but party 1 leads here");
    }
}

#[test]
fn two_signs_in_one_run_differ() {
    for odd in [Sign::Six, Sign::Short] {
        let parties = seeded([1, 2, 3]);
        parties[2].set_sign(odd);
        let task = |p| async move {
            mpc::relu(p, &mpc::public(p, &shape(5), &WORDS)).await;
        };
        out_of_step(pollster::block_on(run(&parties, Transport::Handover, task)).expect_err("another sign"), "");
    }
}
