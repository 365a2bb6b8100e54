//! Protocols against plain arithmetic on full-range values, over both in-process links.
#![allow(missing_docs, reason = "tests")]

use std::future::Future;
use trishade::{
    device::Device,
    party::{Net, Party, Tag, Transport, run, tagged},
    protocol::{self as mpc, Sign},
    ring::{EDGES, Word, floor_shift},
    shape::Shape,
    share::Arith,
};

fn block_on<F: Future>(future: F) -> F::Output {
    pollster::block_on(future)
}

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn parties() -> [Party; 3] {
    let device = Device::cpu(1).unwrap();
    Party::local([device.clone(), device.clone(), device], 20).unwrap()
}

fn shares(inputs: &[Vec<Word>]) -> Vec<[mpc::Input; 3]> {
    inputs.iter().map(|words| mpc::share(&Shape::new([words.len()]).unwrap(), words).unwrap()).collect()
}

macro_rules! evaluate {
    ($parties:expr, $link:expr, $inputs:expr, |$p:ident, $x:ident| $body:expr) => {{
        let shares = shares($inputs);
        let parts = block_on(run($parties, $link, |$p: &Party| {
            let $x: Vec<Arith> = shares.iter().map(|s| mpc::input($p, &s[$p.number()])).collect();
            async move {
                let z: Arith = $body;
                let part = mpc::reveal($p, &z);
                $p.device().download(&[&part]).await.unwrap().remove(0)
            }
        }))
        .unwrap();
        mpc::combine([&parts[0], &parts[1], &parts[2]])
    }};
}

const SIZES: [usize; 9] = [1, 7, 31, 33, 511, 512, 513, 1000, 3001];
const SIGNS: [Sign; 3] = [Sign::Five, Sign::Six, Sign::Short];

fn full_range(n: usize, seed: u64) -> Vec<Word> {
    let mut rng = Rng(seed);
    (0..n).map(|i| if i % 3 == 0 { EDGES[i / 3 % EDGES.len()] } else { rng.next() }).collect()
}

fn below_2_62(n: usize, seed: u64) -> Vec<Word> {
    let mut rng = Rng(seed);
    let edges = [0, 1, u64::MAX, (1 << 62) - 1, 1u64.wrapping_sub(1 << 62), 1 << 40, (1u64 << 40).wrapping_neg()];
    (0..n).map(|i| if i % 4 == 0 { edges[i / 4 % edges.len()] } else { ((rng.next() as i64) >> 2) as u64 }).collect()
}

#[test]
fn relu_is_exact_on_the_full_range() {
    for sign in SIGNS {
        for link in [Transport::Handover, Transport::Bytes, Transport::Shaped(Net::WAN)] {
            for n in SIZES {
                let x = full_range(n, n as u64);
                let parties = parties();
                parties.iter().for_each(|p| p.set_sign(sign));
                let got = evaluate!(&parties, link, std::slice::from_ref(&x), |p, x| mpc::relu(p, &x[0]).await);
                let want: Vec<u64> = x.iter().map(|&v| (v as i64).max(0) as u64).collect();
                assert_eq!(got, want, "{sign:?} {link:?} {n}");
            }
        }
    }
}

#[test]
fn truncation_is_floor_or_one_more() {
    for n in SIZES {
        for f in [8, 13, 20, 26] {
            let x = below_2_62(n, n as u64);
            let got = evaluate!(&parties(), Transport::Handover, std::slice::from_ref(&x), |p, x| {
                mpc::truncate(p, &mpc::split_of_share(p, &x[0]), f).await
            });
            for (x, y) in x.iter().zip(&got) {
                let error = y.wrapping_sub(floor_shift(*x, f));
                assert!(error <= 1, "f {f}: {x:x} gave {y:x}");
                assert!(error == 0 || x % (1 << f) != 0, "multiples are exact");
            }
        }
    }
}

#[test]
fn activation_is_relu_of_the_truncation() {
    for (n, sign) in SIZES.into_iter().flat_map(|n| SIGNS.map(|sign| (n, sign))) {
        let x = below_2_62(n, n as u64);
        let parties = parties();
        parties.iter().for_each(|p| p.set_sign(sign));
        let got = evaluate!(&parties, Transport::Handover, std::slice::from_ref(&x), |p, x| {
            mpc::activate(p, &mpc::split_of_share(p, &x[0]), p.fraction_bits()).await
        });
        for (x, y) in x.iter().zip(&got) {
            let floor = floor_shift(*x, 20);
            if (*x as i64) < 0 {
                assert_eq!(*y, 0, "{x:x}");
            } else {
                assert!(y.wrapping_sub(floor) <= 1, "{x:x} gave {y:x}");
            }
        }
    }
}

#[test]
fn bits_rebuild_the_word() {
    for n in [1, 33, 513, 1000] {
        let x = full_range(n, 5);
        let got = evaluate!(&parties(), Transport::Handover, std::slice::from_ref(&x), |p, x| {
            let bits = mpc::all_bits(p, &mpc::split_of_share(p, &x[0])).await;
            let lifted = trishade::party::join_all(
                p,
                (0..64)
                    .map(|j| {
                        let bit = mpc::bit(p, &bits, j);
                        async move { mpc::lift(p, &bit).await }
                    })
                    .collect(),
            )
            .await;
            lifted.iter().enumerate().fold(mpc::scale(p, &lifted[0], 0), |sum, (j, bit)| mpc::add(p, &sum, &mpc::scale(p, bit, 1 << j)))
        });
        assert_eq!(got, x, "{n}");
    }
}

#[test]
fn opening_tells_all() {
    let x = full_range(100, 9);
    let inputs = shares(std::slice::from_ref(&x));
    let parties = parties();
    let opened = block_on(run(&parties, Transport::Bytes, |p: &Party| {
        let x = mpc::input(p, &inputs[0][p.number()]);
        async move { mpc::open(p, &x).await }
    }))
    .unwrap();
    assert!(opened.iter().all(|words| *words == x));
}

#[test]
fn and_of_words_under_xor() {
    let device = Device::cpu(1).unwrap();
    let parties = Party::local([device.clone(), device.clone(), device], 20).unwrap();
    let shape = Shape::new([100]).unwrap();
    let words = |seed: u64| -> Vec<u64> { (0..100).map(|i: u64| (i + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect() };
    let (x, y) = (mpc::share_binary(&shape, &words(1)).unwrap(), mpc::share_binary(&shape, &words(50)).unwrap());
    let parts = pollster::block_on(run(&parties, Transport::Bytes, |p| {
        let (x, y) = (mpc::input_binary(p, &x[p.number()]), mpc::input_binary(p, &y[p.number()]));
        async move {
            let z = mpc::xor(p, &mpc::and(p, &x, &y).await, &x);
            p.device().download(&[&mpc::reveal_binary(p, &z)]).await.unwrap().remove(0)
        }
    }))
    .unwrap();
    let want: Vec<u64> = words(1).iter().zip(&words(50)).map(|(a, b)| a & b ^ a).collect();
    assert_eq!(mpc::combine_binary([&parts[0], &parts[1], &parts[2]]), want);
}

#[test]
fn a_slow_network_costs_its_rounds_and_bytes() {
    let n = 10_000;
    let device = Device::cpu(1).unwrap();
    let parties = Party::local([device.clone(), device.clone(), device], 20).unwrap();
    let x = mpc::share(&Shape::new([n]).unwrap(), &vec![5; n]).unwrap();
    let seconds = |sign, net| {
        parties.iter().for_each(|p| {
            p.reset_meter();
            p.set_sign(sign);
        });
        pollster::block_on(run(&parties, Transport::Shaped(net), |p| async { mpc::relu(p, &mpc::input(p, &x[p.number()])).await }))
            .unwrap();
        parties.iter().map(|p| p.meter().seconds).fold(0.0, f64::max)
    };
    // five messages in a chain; the deal of 464 bits an element lies on the way of all of them
    let (far, narrow) = (Net { latency_us: 1_000_000, bits_per_second: u64::MAX }, Net { latency_us: 0, bits_per_second: 1_000_000 });
    for (sign, rounds) in [(Sign::Five, 5.0), (Sign::Six, 6.0), (Sign::Short, 4.0), (Sign::Auto, 4.0)] {
        let took = seconds(sign, far);
        assert!((rounds..rounds + 0.5).contains(&took), "{sign:?}: {took}");
    }
    let took = seconds(Sign::Five, narrow);
    assert!((4.0..6.6).contains(&took), "{took}");
    assert!(seconds(Sign::Auto, narrow) < took, "six has fewer bits");
}

#[test]
fn signs_of_fewer_bits_are_exact_where_the_values_fit() {
    for bits in [2u32, 5, 9, 20, 33, 49, 53, 61, 63, 64] {
        let top = 1u64 << (bits - 1);
        let ends = [0, 1, top - 1, top.wrapping_neg(), top.wrapping_neg().wrapping_add(1), u64::MAX];
        let random = full_range(600, bits.into()).into_iter().map(|x| (x as i64 >> (64 - bits)) as u64);
        let x: Vec<Word> = ends.into_iter().chain(random).collect();
        let want: Vec<Word> = x.iter().map(|&v| if v >> 63 == 1 { 0 } else { v }).collect();
        for sign in SIGNS {
            let parties = parties();
            parties.iter().for_each(|p| p.set_sign(sign));
            let tag = Tag { range_bits: Some(bits), ..Tag::default() };
            let got = evaluate!(&parties, Transport::Handover, std::slice::from_ref(&x), |p, x| tagged(p, tag, mpc::relu(p, &x[0])).await);
            assert_eq!(got, want, "{bits} bits, {sign:?}");
        }
    }
}
