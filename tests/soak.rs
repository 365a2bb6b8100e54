//! Sessions that start and end without a pause, while parties are killed at random: no wrong answer, no leak.
//!
//! Runs for `TRISHADE_SOAK_SECONDS` (default 15).
#![allow(missing_docs, reason = "tests")]
#![cfg(target_os = "linux")]

#[path = "common/cluster.rs"]
mod cluster;

use cluster::{Cluster, client_options, limits};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use trishade::{
    Error,
    net::{Connection, InferOptions},
    nn::{Reveal, builder::Builder, reference},
};

/// File handles, threads, and resident bytes of this process.
fn held() -> [u64; 3] {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    [std::fs::read_dir("/proc/self/fd").unwrap().count() as u64, field("Threads:"), field("VmRSS:") * 1024]
}

#[test]
fn a_soak() {
    let seconds = std::env::var("TRISHADE_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(15.0);
    let mut cluster = Cluster::new("soak", None, &limits());
    cluster.prepare = 2;
    cluster.start_all();
    let layers = Builder::new(&[1, 8, 8], 3).unwrap().conv(3, 3, 1, 1).unwrap().relu().unwrap().max_pool(2, 2, 0).unwrap();
    let graph = layers.flatten().unwrap().linear(5).unwrap().build();
    let input: Vec<f32> = (0..64).map(|i| (i % 9) as f32 / 9.0).collect();
    let scores = reference::run_f32(&graph, &input, 1).unwrap().values;
    let owner = cluster.connect();
    let id = owner.upload("soak", &graph, |_| {}).unwrap();
    let program = owner.architecture(&id).unwrap();
    drop(owner);

    let (over, answers, tokens) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let errors: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
    let setup = cluster.owner();
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let (setup, id, program, input, scores) = (setup.clone(), id.clone(), program.clone(), input.clone(), scores.clone());
            let (over, answers, tokens, errors) = (over.clone(), answers.clone(), tokens.clone(), errors.clone());
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let many = InferOptions { batch: 1, in_flight: 8, reveal: Reveal::Logits };
                    let eight: Vec<f32> = input.iter().cycle().take(8 * input.len()).copied().collect();
                    let asked = Connection::open(&setup, client_options()).and_then(|owner| {
                        owner.ready()?;
                        tokens.fetch_add(owner.prepare(&id, 8, many)? as u64, Ordering::Relaxed);
                        owner.infer(&id, &program, &eight, many, |_| {})
                    });
                    match asked {
                        Ok(answer) => {
                            for row in &answer.logits {
                                let near = row.iter().zip(&scores).all(|(a, b)| (a - b).abs() < 1e-3);
                                assert!(near, "a wrong answer: {row:?} instead of {scores:?}");
                            }
                            answers.fetch_add(8, Ordering::Relaxed);
                        }
                        Err(Error::Peer(text)) => {
                            let kind = text.rsplit(": ").next().unwrap_or_default().to_owned();
                            *errors.lock().unwrap().entry(kind).or_default() += 1;
                            thread::sleep(Duration::from_millis(50));
                        }
                        Err(other) => panic!("{other:?}"),
                    }
                }
            })
        })
        .collect();

    let began = Instant::now();
    let (mut kills, mut random, mut samples) = (0u64, 12345u64, Vec::new());
    while began.elapsed().as_secs_f64() < seconds {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        thread::sleep(Duration::from_millis(200 + random % 700));
        let party = (random >> 33) as usize % 3;
        cluster.parties[party].take().unwrap().kill();
        thread::sleep(Duration::from_millis(random >> 20 & 127));
        cluster.start(party);
        kills += 1;
        cluster.wait();
        samples.push(held());
    }
    over.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    thread::sleep(Duration::from_millis(500));
    let (first, last) = (samples[samples.len() / 4], held());
    let (answered, taken) = (answers.load(Ordering::Relaxed), tokens.load(Ordering::Relaxed));
    println!("{seconds} s: {answered} right answers, {taken} tokens, {kills} kills; errors: {:?}", errors.lock().unwrap());
    println!("file handles, threads, resident bytes: {first:?} after a quarter, {last:?} at the end");
    assert!(answered > 0 && taken > 0 && kills > 3);
    assert!(last[0] <= first[0] + 8, "file handles leak: {first:?}, {last:?}");
    assert!(last[1] <= first[1] + 8, "threads leak: {first:?}, {last:?}");
    assert!(last[2] <= first[2] + first[2] / 4 + (64 << 20), "memory leaks: {first:?}, {last:?}");
}
