//! Which sign is chosen: the one whose messages end first, the same at all parties.
#![allow(missing_docs, reason = "tests")]

mod common;

use common::shape;
use trishade::{
    device::Device,
    kernels::circuit::Tree,
    party::{Net, Party, Transport, run},
    protocol::{self as mpc, Sign, Signs},
};

/// A ReLU on shape-only devices: seconds of its messages, and the signs that it used.
fn relu(parties: &[Party; 3], sign: Sign, n: usize, link: Transport) -> (f64, Signs) {
    parties.iter().for_each(|p| {
        p.reset_meter();
        p.set_sign(sign);
    });
    let task = |p| async move { mpc::relu(p, &mpc::public(p, &shape(n), &vec![0; n])).await };
    pollster::block_on(run(parties, link, task)).unwrap();
    let meters = parties.each_ref().map(Party::meter);
    assert!(meters.iter().all(|meter| meter.signs() == meters[0].signs()), "all parties choose the same");
    (meters.iter().map(|meter| meter.seconds).fold(0.0, f64::max), meters[0].signs())
}

fn shape_only() -> [Party; 3] {
    Party::local([Device::shape_only(), Device::shape_only(), Device::shape_only()], 20).unwrap()
}

#[test]
fn the_choice_over_a_wide_network_is_the_best() {
    let parties = shape_only();
    let link = Transport::Shaped(Net::WAN);
    for n in [100, 10_000, 100_000, 1_000_000] {
        // the first runs compile the circuits
        let fixed = [Sign::Five, Sign::Six, Sign::Short].map(|sign| [relu(&parties, sign, n, link), relu(&parties, sign, n, link)][1].0);
        let best = fixed.into_iter().fold(f64::INFINITY, f64::min);
        let (took, signs) = relu(&parties, Sign::Auto, n, link);
        assert!(took <= 1.05 * best, "{n}: {took} by {signs}, the best of {fixed:?} is {best}");
    }
}

#[test]
fn the_choice_follows_size_and_network() {
    assert_eq!(mpc::choose(100, None, false), Some(Tree::Five), "in one process");
    assert_eq!(mpc::choose(1 << 20, None, false), Some(Tree::Five));
    assert_eq!(mpc::choose(100, Some(Net::WAN), false), None, "far and small: the short sign");
    assert_eq!(mpc::choose(10_000, Some(Net::WAN), false), Some(Tree::Five));
    assert_eq!(mpc::choose(1_000_000, Some(Net::WAN), false), Some(Tree::Six), "narrow: the fewest bits");
    assert_eq!(mpc::choose(1 << 31, Some(Net { latency_us: u64::MAX, ..Net::WAN }), false), Some(Tree::Five), "too large for its streams");
    for net in [Net::LAN, Net::WAN] {
        for n in [1, 100, 10_000, 1_000_000] {
            let chosen = mpc::seconds(mpc::choose(n, Some(net), false), n, net, false);
            assert!([Some(Tree::Five), Some(Tree::Six), None].into_iter().all(|sign| chosen <= mpc::seconds(sign, n, net, false)));
            let prepared = mpc::choose(n, Some(net), true);
            assert!(prepared.is_some(), "a lead that has ended hears nothing");
            assert!(mpc::seconds(prepared, n, net, true) < mpc::seconds(prepared, n, net, false));
        }
    }
}

#[test]
fn a_party_knows_its_network() {
    let parties = shape_only();
    let short = |signs: Signs| signs.short == 1;
    assert!(!short(relu(&parties, Sign::Auto, 100, Transport::Handover).1), "in one process");
    assert!(short(relu(&parties, Sign::Auto, 100, Transport::Shaped(Net::WAN)).1), "a shaped link tells");
    assert!(!short(relu(&parties, Sign::Auto, 100, Transport::Handover).1), "for its own run");
    parties.iter().for_each(|p| p.set_net(Some(Net::WAN)));
    assert!(short(relu(&parties, Sign::Auto, 100, Transport::Bytes).1), "or the caller");
    assert!(!short(relu(&parties, Sign::Five, 100, Transport::Bytes).1), "what is set is used");
}
