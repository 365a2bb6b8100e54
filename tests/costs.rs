//! Golden costs: rounds and bytes of each protocol, everything on the wire counted.
#![allow(missing_docs, reason = "tests")]

use std::{future::Future, pin::Pin};
use trishade::{
    device::Device,
    kernels::circuit::Tree,
    party::{Link, Meter, Party, run},
    protocol as mpc,
    shape::Shape,
    share::Arith,
};

const N: usize = 10_000;

type Task = Pin<Box<dyn Future<Output = ()>>>;

fn meters(link: Link, tree: Tree, task: fn(&'static Party, Arith) -> Task) -> [Meter; 3] {
    let device = Device::cpu(1).unwrap();
    let parties: &'static [Party; 3] = Box::leak(Box::new(Party::local([device.clone(), device.clone(), device], 20).unwrap()));
    parties.iter().for_each(|p| p.set_tree(tree));
    let words: Vec<u64> = (0..N as u64).map(|i| (i << 22).wrapping_sub(1 << 30)).collect();
    let shared = mpc::share(&Shape::new([N]).unwrap(), &words).unwrap();
    pollster::block_on(run(parties, link, |p| task(p, mpc::input(p, &shared[p.number()])))).unwrap();
    std::array::from_fn(|i| parties[i].meter())
}

/// Rounds, bits an element over all links.
fn cost(meters: &[Meter; 3]) -> (u32, f64) {
    let bytes: u64 = meters.iter().map(Meter::bytes).sum();
    (meters.iter().map(|m| m.rounds).max().unwrap(), bytes as f64 * 8.0 / N as f64)
}

fn check(name: &str, tree: Tree, rounds: u32, bits: f64, task: fn(&'static Party, Arith) -> Task) {
    let over_handover = meters(Link::Handover, tree, task);
    let over_bytes = meters(Link::Bytes, tree, task);
    assert_eq!(over_handover, over_bytes, "{name}: both links count the same");
    let (r, b) = cost(&over_handover);
    println!("{name:30} rounds {r} bits {b:.2}");
    assert_eq!(r, rounds, "{name}");
    assert!(b <= bits, "{name}: {b} bits, at most {bits}");
    assert_eq!(over_handover[0].received, 0, "the lead receives nothing");
    assert_eq!(over_handover[0].frames, 1, "the lead deals in the first exchange alone");
}

macro_rules! task {
    (|$p:ident, $x:ident| $body:expr) => {
        |$p, $x| {
            Box::pin(async move {
                let _ = $body;
            })
        }
    };
}

#[test]
fn relu_costs() {
    check("relu five", Tree::Five, 5, 660.0, task!(|p, x| mpc::relu(p, &x).await));
    check("relu six", Tree::Six, 6, 596.0, task!(|p, x| mpc::relu(p, &x).await));
}

#[test]
fn truncation_costs() {
    check("truncation", Tree::Five, 2, 129.0, task!(|p, x| mpc::truncate(p, &mpc::split_of_share(p, &x), 20).await));
}

#[test]
fn activation_costs() {
    // from a share; a product's split adds 1 round for the swap, which overlaps the deal's, and 128 bits
    check("activation five", Tree::Five, 5, 768.0, task!(|p, x| mpc::activate(p, &mpc::split_of_share(p, &x)).await));
    check("activation six", Tree::Six, 6, 704.0, task!(|p, x| mpc::activate(p, &mpc::split_of_share(p, &x)).await));
}

#[test]
fn bits_cost() {
    check("all bits", Tree::Five, 5, 922.0, task!(|p, x| mpc::all_bits(p, &mpc::split_of_share(p, &x)).await));
    check(
        "bit to word",
        Tree::Five,
        6,
        922.0 + 193.0,
        task!(|p, x| {
            let bits = mpc::all_bits(p, &mpc::split_of_share(p, &x)).await;
            mpc::lift(p, &mpc::bit(p, &bits, 3)).await
        }),
    );
}
