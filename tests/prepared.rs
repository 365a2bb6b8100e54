//! The lead's part of a run, done before there are inputs.
#![allow(missing_docs, reason = "tests")]

mod common;

use common::{components, seeded};
use trishade::{
    Error,
    device::Device,
    fixed::Fixed,
    nn::{Reveal, Session, builder::Builder},
    party::{Net, Party, Transport, preprocess, run, run_preprocessed},
    protocol::{self as mpc, Sign},
    ring::Word,
    share::Arith,
};

const N: usize = 700;

/// Components of numbers in -50..50.
fn words() -> [Vec<Word>; 3] {
    let mix = |i: u64, c: u64| (i + c).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let value = |i: u64| (mix(i, 3) >> 32) % (100 << 20);
    let last = |i: u64| value(i).wrapping_sub(50 << 20).wrapping_sub(mix(i, 1)).wrapping_sub(mix(i, 2));
    let n = N as u64;
    [(0..n).map(|i| mix(i, 1)).collect(), (0..n).map(|i| mix(i, 2)).collect(), (0..n).map(last).collect()]
}

/// The square, truncated, of the positive ones: this party's summand.
async fn task(p: &Party, x: &Arith) -> Vec<Word> {
    let y = mpc::relu(p, x).await;
    let z = mpc::activate(p, &mpc::split(p, mpc::product(p, &y, &y)).await, p.fraction_bits()).await;
    p.device().download(&[&mpc::reveal(p, &z)]).await.unwrap().remove(0)
}

/// Shares that were there before.
fn inputs(parties: &[Party; 3]) -> [Arith; 3] {
    let words = words();
    pollster::block_on(run(parties, Transport::Handover, |p| components(p, &words))).unwrap()
}

#[test]
fn a_prepared_run_gives_the_same_bits_over_every_link() {
    for link in [Transport::Handover, Transport::Bytes, Transport::Shaped(Net::WAN)] {
        let [whole, parties] = [seeded([1, 2, 3]), seeded([1, 2, 3])];
        whole.iter().chain(&parties).for_each(|p| p.set_sign(Sign::Five));
        let x = inputs(&whole);
        whole.iter().for_each(Party::reset_meter);
        let want = pollster::block_on(run(&whole, link, |p| task(p, &x[p.number()]))).unwrap();
        let x = inputs(&parties);
        parties.iter().for_each(Party::reset_meter);
        let prepared = pollster::block_on(preprocess(&parties, link, |p| task(p, &x[0]))).unwrap();
        let (bytes, seconds) = (prepared.bytes, prepared.seconds);
        assert_eq!(parties[1].meter().received + parties[2].meter().received, 0, "nothing has reached a task");
        let got = pollster::block_on(run_preprocessed(&parties, link, prepared, |p| task(p, &x[p.number()]))).unwrap();
        assert_eq!(got, want, "{link:?}");
        let sent = |parties: &[Party; 3]| parties.each_ref().map(|p| p.meter().bytes());
        // the lead's frames and the credits differ in number, not what is in them
        let (of_whole, of_prepared) = (sent(&whole), sent(&parties));
        assert!(of_whole.iter().zip(&of_prepared).all(|(a, b)| a.abs_diff(*b) < 16 * 64), "{link:?}: {of_whole:?} {of_prepared:?}");
        assert_eq!(bytes, of_prepared[0], "the lead sends nothing later");
        if link == Transport::Shaped(Net::WAN) {
            let online = parties.iter().map(|p| p.meter().seconds).fold(0.0, f64::max);
            let all = whole.iter().map(|p| p.meter().seconds).fold(0.0, f64::max);
            assert!(seconds > 0.04 && all - online > 0.03, "a latency less: {seconds} before, {online} of {all}");
        }
    }
}

#[test]
fn a_round_less_is_left() {
    let parties = seeded([4, 5, 6]);
    let x = inputs(&parties);
    parties.iter().for_each(Party::reset_meter);
    let prepared = pollster::block_on(preprocess(&parties, Transport::Handover, |p| mpc::relu(p, &x[0]))).unwrap();
    pollster::block_on(run_preprocessed(&parties, Transport::Handover, prepared, |p| mpc::relu(p, &x[p.number()]))).unwrap();
    assert_eq!(parties.iter().map(|p| p.meter().rounds).max(), Some(4));
}

#[test]
fn several_runs_wait_and_are_taken_in_any_order() {
    let parties = seeded([7, 8, 9]);
    parties.iter().for_each(|p| p.set_window(64));
    let x = inputs(&parties);
    let plain = pollster::block_on(run(&parties, Transport::Handover, |p| task(p, &x[p.number()]))).unwrap();
    let sum = |parts: &[Vec<Word>; 3]| mpc::combine(parts.each_ref().map(Vec::as_slice));
    let near = |a: &[Word], b: &[Word]| a.iter().zip(b).all(|(a, b)| a.wrapping_sub(*b).wrapping_add(1) <= 2);
    let mut waiting: Vec<_> =
        (0..3).map(|_| pollster::block_on(preprocess(&parties, Transport::Handover, |p| task(p, &x[0]))).unwrap()).collect();
    waiting.swap(0, 2);
    let mut seen = vec![plain.clone()];
    for prepared in waiting {
        let between = pollster::block_on(run(&parties, Transport::Handover, |p| task(p, &x[p.number()]))).unwrap();
        let got = pollster::block_on(run_preprocessed(&parties, Transport::Handover, prepared, |p| task(p, &x[p.number()]))).unwrap();
        for parts in [between, got] {
            assert!(near(&sum(&parts), &sum(&plain)));
            assert!(seen.iter().all(|earlier| earlier.iter().zip(&parts).all(|(a, b)| a != b)), "fresh masks in each run");
            seen.push(parts);
        }
    }
}

#[test]
fn what_cannot_be_prepared_is_an_error() {
    let parties = seeded([1, 1, 1]);
    let x = inputs(&parties);
    let opened = pollster::block_on(preprocess(&parties, Transport::Handover, |p| mpc::open(p, &x[0]))).map(|_| ()).unwrap_err();
    assert!(matches!(&opened, Error::Misuse(why) if why.contains("interaction")), "{opened}");
    parties.iter().for_each(|p| p.set_sign(Sign::Short));
    let short = pollster::block_on(preprocess(&parties, Transport::Handover, |p| mpc::relu(p, &x[0]))).map(|_| ()).unwrap_err();
    assert!(matches!(short, Error::Misuse(_)), "{short}");
    parties.iter().for_each(|p| p.set_sign(Sign::Auto));
    let _ = pollster::block_on(preprocess(&parties, Transport::Shaped(Net::WAN), |p| mpc::relu(p, &x[0]))).unwrap();
    let device = Device::cpu(1).unwrap();
    let others = Party::local([device.clone(), device.clone(), device], 20).unwrap();
    let prepared = pollster::block_on(preprocess(&others, Transport::Handover, |p| mpc::relu(p, &x[0]))).unwrap();
    let error =
        pollster::block_on(run_preprocessed(&parties, Transport::Handover, prepared, |p| mpc::relu(p, &x[p.number()]))).unwrap_err();
    assert!(matches!(error, Error::Misuse(_)), "{error}");
}

#[test]
fn networks_are_prepared_for_batches_to_come() {
    let graph = Builder::new(&[2, 8, 8], 5).unwrap().conv(4, 3, 1, 1).unwrap().relu().unwrap().max_pool(2, 2, 0).unwrap();
    let graph = graph.linear(6).unwrap().build();
    let device = Device::cpu(2).unwrap();
    let session = |seed| Session::seeded([device.clone(), device.clone(), device.clone()], Fixed::default(), seed);
    let values: Vec<f32> = (0..5 * 128).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
    let plain = session(3);
    let model = plain.load(&graph).unwrap();
    let want = pollster::block_on(plain.infer(&model, &values, 2, Reveal::Logits, |_| {})).unwrap();
    let ready = session(3).with_micro_batches(9);
    let model = ready.load(&graph).unwrap();
    let prepare = |count| pollster::block_on(ready.prepare(&model, count, Reveal::Logits)).unwrap();
    let prepared = vec![prepare(2), prepare(2)];
    let got = pollster::block_on(ready.infer_prepared(&model, prepared, &values, 2, Reveal::Logits, |_| {})).unwrap();
    assert_eq!(want.logits, got.logits);
    let (whole, online) = (want.cost, got.cost);
    assert_eq!(whole.rounds, online.rounds, "a product's first round is a swap of the others");
    let sent = |cost: &trishade::nn::Cost| cost.bytes_sent.iter().sum::<u64>() + cost.bytes_prepared;
    assert!(sent(&whole).abs_diff(sent(&online)) < 16 * 200 && online.bytes_prepared > sent(&online) / 4);
    assert!(online.seconds.prepare > 0.0 && whole.seconds.prepare == 0.0);
    let wrong = pollster::block_on(ready.infer_prepared(&model, vec![prepare(3)], &values, 2, Reveal::Logits, |_| {}));
    assert!(matches!(wrong, Err(Error::Misuse(_))));
    let pieces = session(6).with_micro_batches(2);
    let model = pieces.load(&graph).unwrap();
    let prepared = vec![pollster::block_on(pieces.prepare(&model, 5, Reveal::Argmax)).unwrap()];
    let got = pollster::block_on(pieces.infer_prepared(&model, prepared, &values, 5, Reveal::Argmax, |_| {})).unwrap();
    assert_eq!(want.predictions, got.predictions);
    let three = session(4).with_leads(trishade::nn::Leads::Three);
    let model = three.load(&graph).unwrap();
    assert!(matches!(pollster::block_on(three.prepare(&model, 3, Reveal::Logits)), Err(Error::Misuse(_))));
}
