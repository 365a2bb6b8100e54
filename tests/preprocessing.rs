//! Preprocessing: of a prepared request less is left to do, a token serves once, and nothing that is prepared outlives what it is for.
#![allow(missing_docs, reason = "tests")]

#[path = "common/cluster.rs"]
mod cluster;

use cluster::{Cluster, limits};
use std::{sync::atomic::Ordering, thread::sleep, time::Duration};
use trishade::{
    net::{Connection, InferOptions, Metrics, config::Limits},
    nn::{Answer, Program, Reveal, builder::Builder, reference},
};

const ONE: InferOptions = InferOptions { batch: 1, in_flight: 4, reveal: Reveal::Logits };

/// A cluster that keeps a small model and preprocesses requests for it.
struct Case {
    cluster: Cluster,
    id: String,
    program: Program,
    inputs: Vec<f32>,
    scores: Vec<f32>,
}

const INPUTS: usize = 9;

impl Case {
    fn new(name: &str, prepare: usize, limits: &Limits, change: impl Fn(&str) -> String) -> Self {
        let mut cluster = Cluster::new(name, None, limits);
        let file = cluster.folder.join("cluster.toml");
        std::fs::write(&file, change(&std::fs::read_to_string(&file).unwrap())).unwrap();
        cluster.prepare = prepare;
        cluster.start_all();
        let layers = Builder::new(&[1, 8, 8], 5).unwrap().conv(3, 3, 1, 1).unwrap().relu().unwrap().max_pool(2, 2, 0).unwrap();
        let graph = layers.flatten().unwrap().linear(6).unwrap().build();
        let inputs: Vec<f32> = (0..64 * INPUTS).map(|i| (i * 7 % 13) as f32 / 13.0).collect();
        let scores = reference::run_f32(&graph, &inputs, INPUTS).unwrap().values;
        let owner = cluster.connect();
        let id = owner.upload("small", &graph, |_| {}).unwrap();
        let program = owner.architecture(&id).unwrap();
        Self { cluster, id, program, inputs, scores }
    }

    fn ask(&self, owner: &Connection, inputs: usize, options: InferOptions) -> Answer {
        let answer = owner.infer(&self.id, &self.program, &self.inputs[..64 * inputs], options, |_| {}).unwrap();
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-3;
        assert!(answer.logits.concat().iter().zip(&self.scores).all(near), "a wrong answer");
        answer
    }

    fn metrics(&self, party: usize) -> std::sync::Arc<Metrics> {
        self.cluster.parties[party].as_ref().unwrap().metrics()
    }
}

fn sent(answer: &Answer) -> u64 {
    answer.cost.bytes_sent.iter().sum()
}

#[test]
fn prepared_requests_leave_less_to_do() {
    let case = Case::new("prepared", 3, &limits(), str::to_owned);
    let owner = case.cluster.connect();
    assert_eq!(owner.prepare(&case.id, INPUTS, ONE).unwrap(), 0, "nobody has asked for anything");
    let whole = case.ask(&owner, 3, ONE);
    assert_eq!(whole.cost.bytes_prepared, 0);

    // each party expects three like the one that it has led
    case.cluster.wait_prepared(3);
    assert_eq!(owner.prepare(&case.id, INPUTS, ONE).unwrap(), 9);
    case.cluster.wait_prepared(0);
    let rest = case.ask(&owner, 9, ONE);
    assert!(rest.cost.seconds.prepare > 0.0);
    // a deal travels beside what the pair swaps, so the longest chain is the pair's
    assert_eq!(rest.cost.rounds, 3 * whole.cost.rounds);
    // the pair sends what it sends anyway; of the lead only the frames are others
    let (all, prepared) = (3 * sent(&whole), rest.cost.bytes_prepared);
    assert!(prepared * 3 > all && sent(&rest) * 3 > all, "{prepared} and {} of {all}", sent(&rest));
    let apart = (sent(&rest) + prepared).abs_diff(all);
    assert!(apart * 50 < all, "{} and {prepared} are not the {all} of before", sent(&rest));

    // used ones are made anew, of the kinds that were asked for last
    case.cluster.wait_prepared(3);
    let pairs = InferOptions { batch: 2, ..ONE };
    case.ask(&owner, 6, pairs);
    // of the last three that each has led, one was a pair
    let expected = |case: &Case| {
        sleep(Duration::from_millis(300));
        case.cluster.wait_prepared(3);
        let owner = case.cluster.connect();
        let (pairs, ones) = (owner.prepare(&case.id, 6, pairs).unwrap(), owner.prepare(&case.id, INPUTS, ONE).unwrap());
        (pairs, ones)
    };
    assert_eq!(expected(&case), (3, 6));

    // what was given to a connection that is gone is thrown away and made anew
    case.cluster.wait_prepared(3);
    case.ask(&case.cluster.connect(), 9, ONE);
    assert!(case.metrics(0).prepared.load(Ordering::Relaxed) >= 9);
}

#[test]
fn a_token_serves_once() {
    let case = Case::new("once", 2, &limits(), str::to_owned);
    let owner = case.cluster.connect();
    case.ask(&owner, 3, ONE);
    case.cluster.wait_prepared(2);
    assert_eq!(owner.prepare(&case.id, 1, ONE).unwrap(), 1);
    let error = owner.replay(&case.id, &case.program, &case.inputs[..64]).unwrap_err().to_string();
    assert!(error.contains("Replayed"), "{error}");
    case.ask(&case.cluster.connect(), 9, ONE);
}

#[test]
fn tokens_end_with_the_session() {
    let mut case = Case::new("ended", 2, &limits(), str::to_owned);
    let owner = case.cluster.connect();
    case.ask(&owner, 3, ONE);
    case.cluster.wait_prepared(2);
    assert_eq!(owner.prepare(&case.id, 3, ONE).unwrap(), 3);
    case.cluster.parties[1].take().unwrap().kill();
    let error = owner.infer(&case.id, &case.program, &case.inputs[..64 * 3], ONE, |_| {}).unwrap_err();
    assert!(error.to_string().contains("party 1"), "{error}");
    case.cluster.start(1);
    case.cluster.wait();
    let owner = case.cluster.connect();
    owner.ready().unwrap();
    case.ask(&owner, 3, ONE);
    case.cluster.wait_prepared(2);
    assert_eq!(owner.prepare(&case.id, 3, ONE).unwrap(), 3);
    case.ask(&owner, 3, ONE);
}

#[test]
fn a_second_keeps_no_more_than_it_says() {
    let prepared = |preprocessing: u64, name: &str, wait: &dyn Fn(&Cluster)| {
        let case = Case::new(name, 5, &Limits { preprocessing, ..limits() }, str::to_owned);
        let owner = case.cluster.connect();
        case.ask(&owner, 3, ONE);
        wait(&case.cluster);
        let taken = owner.prepare(&case.id, 15, InferOptions { batch: 1, ..ONE }).unwrap();
        case.ask(&owner, 9, ONE);
        case.ask(&case.cluster.connect(), 9, ONE);
        taken
    };
    let a_while = |_: &Cluster| sleep(Duration::from_millis(500));
    assert_eq!(prepared(0, "none", &a_while), 0);
    assert_eq!(prepared(1 << 20, "all", &|cluster| cluster.wait_prepared(5)), 15);
    let one_each = |cluster: &Cluster| {
        while cluster.parties.iter().flatten().any(|party| party.status().prepared == 0) {
            sleep(Duration::from_millis(5));
        }
    };
    let some = prepared(40_000, "some", &one_each);
    assert!((3..15).contains(&some), "{some} of 15 requests are prepared");
}

#[test]
fn a_lead_that_needs_interaction_is_not_preprocessed() {
    let case = Case::new("short", 2, &limits(), |text| text.replace("sign = \"auto\"", "sign = \"short\""));
    let owner = case.cluster.connect();
    case.ask(&owner, 3, ONE);
    sleep(Duration::from_millis(300));
    assert_eq!(owner.prepare(&case.id, 3, ONE).unwrap(), 0);
    case.ask(&owner, 9, ONE);
}

#[test]
fn what_would_end_later_is_not_prepared() {
    // as the parties see their network: with such latency signs are short, and prepared runs have none
    let far = |text: &str| format!("{text}\n[network]\nlatency_us = 200000\nbits_per_second = 1000000000\n");
    let near = |text: &str| format!("{text}\n[network]\nlatency_us = 1\nbits_per_second = 10000000\n");
    let case = Case::new("far", 2, &limits(), far);
    case.ask(&case.cluster.connect(), 3, ONE);
    sleep(Duration::from_millis(300));
    assert_eq!(case.cluster.connect().prepare(&case.id, 3, ONE).unwrap(), 0);
    let case = Case::new("near", 2, &limits(), near);
    case.ask(&case.cluster.connect(), 3, ONE);
    case.cluster.wait_prepared(2);
    let owner = case.cluster.connect();
    assert_eq!(owner.prepare(&case.id, 3, ONE).unwrap(), 3);
    case.ask(&owner, 3, ONE);
}
