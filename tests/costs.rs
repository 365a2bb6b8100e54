//! Golden costs: rounds and bytes of each protocol and of the bundled network, everything on the wire counted.
//!
//! `docs/costs.md` is what these meters print: `TRISHADE_WRITE_COSTS=1 cargo test --test costs` writes it anew.
#![allow(missing_docs, reason = "tests")]

use std::{fmt::Write, future::Future, path::Path};
use trishade::{
    device::Device,
    fixed::Fixed,
    nn::{Reveal, onnx, plan},
    party::{Meter, Party, Transport, run},
    protocol::{self as mpc, Sign},
    shape::{Axis, Pool, Shape},
    share::Arith,
};

const N: usize = 10_000;

type Task = std::pin::Pin<Box<dyn Future<Output = ()>>>;

/// A protocol on a tensor `(1, 1, 100, 100)`, and the most that it may cost an output.
struct Case {
    name: &'static str,
    sign: Sign,
    outputs: usize,
    rounds: u32,
    bits: f64,
    /// Who receives nothing.
    lead_is_silent: bool,
    task: fn(&'static Party, Arith) -> Task,
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

fn cases() -> Vec<Case> {
    let of = |name, sign, rounds, bits, task| Case { name, sign, outputs: N, rounds, bits, lead_is_silent: true, task };
    let heard = |name, rounds, bits, task| Case { lead_is_silent: false, ..of(name, Sign::Short, rounds, bits, task) };
    let case = |name, rounds, bits, task| of(name, Sign::Five, rounds, bits, task);
    vec![
        Case { lead_is_silent: false, ..case("open to all", 1, 193.0, task!(|p, x| mpc::open(p, &x).await)) },
        case("product", 1, 193.0, task!(|p, x| mpc::mul(p, &x, &x).await)),
        case("truncation", 2, 129.0, task!(|p, x| mpc::truncate(p, &mpc::split_of_share(p, &x), 20).await)),
        case("product and truncation", 2, 257.0, task!(|p, x| fixed_product(p, &x).await)),
        of("sign, tree *five*", Sign::Five, 4, 400.0, task!(|p, x| mpc::sign(p, &mpc::split_of_share(p, &x)).await)),
        of("sign, tree *six*", Sign::Six, 5, 336.0, task!(|p, x| mpc::sign(p, &mpc::split_of_share(p, &x)).await)),
        heard("sign, *short*", 2, 865.0, task!(|p, x| mpc::sign(p, &mpc::split_of_share(p, &x)).await)),
        of("ReLU, *five*", Sign::Five, 5, 660.0, task!(|p, x| mpc::relu(p, &x).await)),
        of("ReLU, *six*", Sign::Six, 6, 596.0, task!(|p, x| mpc::relu(p, &x).await)),
        heard("ReLU, *short*", 4, 1121.0, task!(|p, x| mpc::relu(p, &x).await)),
        of("product, truncation and ReLU, *five*", Sign::Five, 5, 895.0, task!(|p, x| activated_product(p, &x).await)),
        of("product, truncation and ReLU, *six*", Sign::Six, 6, 831.0, task!(|p, x| activated_product(p, &x).await)),
        heard("product, truncation and ReLU, *short*", 4, 1356.0, task!(|p, x| activated_product(p, &x).await)),
        case("maximum of two", 5, 660.0, task!(|p, x| mpc::max(p, &x, &x).await)),
        Case { outputs: N / 4, ..case("max-pool 2x2", 9, 1981.0, task!(|p, x| mpc::max_pool(p, &x, &windows(&x)).await)) },
        Case {
            outputs: N / 10,
            ..case("argmax of 10", 17, 10_061.0, task!(|p, x| mpc::argmax(p, &x.reshaped(&[N / 10, 10]).unwrap()).await))
        },
        case("all bits", 5, 864.0, task!(|p, x| mpc::all_bits(p, &mpc::split_of_share(p, &x)).await)),
        case("all bits, one as a word", 6, 1057.0, task!(|p, x| lifted_bit(p, &x).await)),
    ]
}

async fn fixed_product(p: &Party, x: &Arith) -> Arith {
    mpc::rescale(p, &mpc::split(p, mpc::product(p, x, x)).await).await
}

async fn activated_product(p: &Party, x: &Arith) -> Arith {
    mpc::activate(p, &mpc::split(p, mpc::product(p, x, x)).await, p.fraction_bits()).await
}

async fn lifted_bit(p: &Party, x: &Arith) -> Arith {
    let bits = mpc::all_bits(p, &mpc::split_of_share(p, x)).await;
    mpc::lift(p, &mpc::bit(p, &bits, 3)).await
}

fn windows(x: &Arith) -> Pool {
    Pool::new(x.shape(), [Axis { stride: 2, ..Axis::new(2) }; 2]).unwrap()
}

fn meters(link: Transport, case: &Case) -> [Meter; 3] {
    let device = Device::cpu(1).unwrap();
    let parties: &'static [Party; 3] = Box::leak(Box::new(Party::local([device.clone(), device.clone(), device], 20).unwrap()));
    parties.iter().for_each(|p| p.set_sign(case.sign));
    let words: Vec<u64> = (0..N as u64).map(|i| (i << 22).wrapping_sub(1 << 30)).collect();
    let shared = mpc::share(&Shape::new([1, 1, 100, 100]).unwrap(), &words).unwrap();
    pollster::block_on(run(parties, link, |p| (case.task)(p, mpc::input(p, &shared[p.number()])))).unwrap();
    std::array::from_fn(|i| parties[i].meter())
}

/// Rounds, bits an output over all links.
fn cost(meters: &[Meter; 3], outputs: usize) -> (u32, f64) {
    let bytes: u64 = meters.iter().map(Meter::bytes).sum();
    (meters.iter().map(|m| m.rounds).max().unwrap(), bytes as f64 * 8.0 / outputs as f64)
}

#[test]
fn no_protocol_costs_more_than_it_may() {
    for case in cases() {
        let name = case.name;
        let over_handover = meters(Transport::Handover, &case);
        assert_eq!(over_handover, meters(Transport::Bytes, &case), "{name}: both links count the same");
        let (rounds, bits) = cost(&over_handover, case.outputs);
        assert_eq!(rounds, case.rounds, "{name}");
        assert!(bits <= case.bits, "{name}: {bits} bits, at most {}", case.bits);
        if case.lead_is_silent {
            assert_eq!(over_handover[0].received, 0, "{name}: the lead receives nothing");
            assert_eq!(over_handover[0].frames, 1, "{name}: the lead deals in the first exchange alone");
        }
    }
}

#[test]
fn the_table_of_costs_is_what_the_meters_say() {
    let mut text = String::from(HEAD);
    for case in cases() {
        let (rounds, bits) = cost(&meters(Transport::Handover, &case), case.outputs);
        writeln!(text, "| {} | {rounds} | {bits:.1} |", case.name).unwrap();
    }
    text += NETWORK;
    let graph = onnx::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/models/lenet_mnist.onnx")).unwrap();
    for batch in [1, 10, 100] {
        let plan = pollster::block_on(plan(&graph, batch, Fixed::default(), Reveal::Logits)).unwrap();
        let [a, b, c] = plan.bytes_sent;
        let image = (a + b + c) / batch as u64;
        writeln!(text, "| {batch} | {} | {a} | {b} | {c} | {image} | {} |", plan.rounds, plan.bytes_from_owners).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/costs.md");
    if std::env::var_os("TRISHADE_WRITE_COSTS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "docs/costs.md is old: TRISHADE_WRITE_COSTS=1 writes it");
}

const HEAD: &str = "# Costs

Printed by the meter (`tests/costs.rs`), which counts everything that a party sends to another: words, padding, the header of
each message (32 bytes) and of each frame (16 bytes). Bits are an element of the output, over all links and rounds, for
10,000 elements with 20 fraction bits. Rounds are the longest chain of messages. In all but the opening and the short sign the
lead receives nothing, and sends all that it has to say in the first exchange.

| protocol | rounds | bits |
|---|--:|--:|
";

const NETWORK: &str = "
The bundled LeNet (max-pooled, 431,080 weights), logits revealed. The last round, 30 words an image, goes to the owner of the
images and is not among the bytes; what the owners share out is in the last column, weights included.

| images | rounds | party 0 sends | party 1 | party 2 | bytes an image | from owners |
|--:|--:|--:|--:|--:|--:|--:|
";
