//! Misbehaving clients: what they do is refused or cut off, takes no more than its budget, and disturbs nobody's request.
#![allow(missing_docs, reason = "tests")]
#![cfg(target_os = "linux")]

#[path = "common/cluster.rs"]
mod cluster;

use cluster::{Cluster, client, limits};
use std::{
    sync::{Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};
use trishade::{
    net::{Identity, InferOptions, MisbehavingClient, Server, config::Client, config::Limits},
    nn::{Program, Reveal, builder::Builder, reference},
};

const ONE: InferOptions = InferOptions { batch: 1, in_flight: 4, reveal: Reveal::Logits };

/// Memory is that of the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

struct Case {
    cluster: Cluster,
    id: String,
    program: Program,
    input: Vec<f32>,
    scores: Vec<f32>,
    // after the cluster has ended
    _alone: MutexGuard<'static, ()>,
}

/// A small model, an owner, and a client that may ask for nothing.
impl Case {
    fn new(name: &str, limits: &Limits) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cluster = Cluster::new(name, None, limits);
        let guest = Identity::generate("guest", 9).unwrap();
        guest.write(&cluster.folder.join("guest.crt"), &cluster.folder.join("guest.key")).unwrap();
        let mut all = cluster.owner().cluster;
        all.client.push(Client { name: "guest".into(), certificate: guest.fingerprint, upload: true, models: Vec::new() });
        std::fs::write(cluster.folder.join("cluster.toml"), all.to_text().unwrap()).unwrap();
        cluster.start_all();
        let graph = Builder::new(&[1, 6, 6], 3).unwrap().conv(2, 3, 1, 1).unwrap().relu().unwrap().flatten().unwrap();
        let graph = graph.linear(4).unwrap().build();
        let input: Vec<f32> = (0..36).map(|i| (i % 7) as f32 / 7.0).collect();
        let scores = reference::run_f32(&graph, &input, 1).unwrap().values;
        let owner = cluster.connect();
        let id = owner.upload("small", &graph, |_| {}).unwrap();
        let program = owner.architecture(&id).unwrap();
        Self { _alone: alone, cluster, id, program, input, scores }
    }

    fn guest(&self) -> MisbehavingClient {
        MisbehavingClient::connect(&client(&self.cluster.folder, "guest"), 0).unwrap()
    }

    /// Others are served as ever, in the session that was there before.
    fn undisturbed(&self) {
        let began = Instant::now();
        let answer = self.cluster.connect().infer(&self.id, &self.program, &self.input, ONE, |_| {}).unwrap();
        assert!(answer.logits[0].iter().zip(&self.scores).all(|(a, b)| (a - b).abs() < 1e-3));
        assert!(began.elapsed() < Duration::from_secs(2), "it took {:?}", began.elapsed());
        let sessions = self.cluster.parties.iter().flatten().map(|party| party.metrics().sessions.load(Ordering::Relaxed));
        assert!(sessions.into_iter().all(|sessions| sessions == 1), "the session was disturbed");
        assert!(!self.cluster.parties.iter().flatten().any(Server::is_broken));
    }
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn long_names_and_wrong_shares_are_refused() {
    let case = Case::new("names", &limits());
    for name in ["x".repeat(60 << 20), "../../etc/passwd".into(), case.id.clone()] {
        let mut guest = case.guest();
        guest.ask_with(&name, &[]).unwrap();
        let text = guest.refusal().unwrap();
        assert!(text.len() < 600, "{} bytes of refusal", text.len());
        case.undisturbed();
    }
    // the owner may, but these are no shares; a peer hears of it and goes on
    for shares in [&[][..], &[1], &[9; 700], &[0; 66]] {
        let mut owner = MisbehavingClient::connect(&case.cluster.owner(), 1).unwrap();
        owner.ask_with(&case.id, shares).unwrap();
        if shares != [0; 66] {
            owner.refusal().unwrap();
        }
        case.undisturbed();
    }
}

#[test]
fn what_is_promised_takes_no_memory_until_it_comes() {
    let case = Case::new("promises", &Limits { client_bytes: 8 << 20, ..limits() });
    let before = resident();
    let mut too_large = case.guest();
    too_large.promise(4 << 30, 0).unwrap();
    assert!(too_large.is_cut_off(Duration::from_secs(5)), "a record larger than its whole budget");
    // each is within the limit, all together are not
    let mut guests: Vec<MisbehavingClient> = (0..12).map(|_| case.guest()).collect();
    for guest in &mut guests {
        let _ = guest.promise(7 << 20, 0);
    }
    let held = resident().saturating_sub(before);
    assert!(held < 80 << 20, "{held} bytes");
    case.undisturbed();
    let cut = guests.iter().map(|guest| guest.is_cut_off(Duration::from_millis(300))).filter(|cut| *cut).count();
    assert!(cut >= 4, "{cut} of 12 were cut off, with a budget for 7 first pieces");
    drop(guests);
    case.undisturbed();
}

#[test]
fn requests_and_connections_of_one_client_are_counted() {
    let case = Case::new("counted", &Limits { client_requests: 5, client_connections: 6, ..limits() });
    let mut owner = MisbehavingClient::connect(&case.cluster.owner(), 2).unwrap();
    for _ in 0..6 {
        owner.ask(&case.id).unwrap();
    }
    assert!(owner.refusal().unwrap().contains("5 requests"), "the sixth");
    drop(owner);
    // the others' budgets are their own
    let mut guests: Vec<MisbehavingClient> = (0..6).map(|_| case.guest()).collect();
    let one_more = MisbehavingClient::connect(&client(&case.cluster.folder, "guest"), 0);
    assert!(one_more.is_err() || one_more.unwrap().is_cut_off(Duration::from_secs(3)), "a seventh connection");
    std::thread::sleep(Duration::from_millis(300));
    case.undisturbed();
    guests.pop();
    std::thread::sleep(Duration::from_millis(300));
    case.guest().ask("none@0123456789abcdef").unwrap();
}

#[test]
fn who_goes_on_after_the_end_of_tls_is_cut_off() {
    let case = Case::new("after", &Limits { client_connections: 2, ..limits() });
    for _ in 0..8 {
        // a connection whose reader does not end keeps its place
        let until = Instant::now() + Duration::from_secs(3);
        let mut guest = loop {
            match MisbehavingClient::connect(&client(&case.cluster.folder, "guest"), 0) {
                Ok(guest) if !guest.is_cut_off(Duration::from_millis(20)) => break guest,
                _ => assert!(Instant::now() < until, "its place is taken"),
            }
        };
        let _ = guest.outlive_tls();
        assert!(guest.is_cut_off(Duration::from_secs(3)));
    }
    case.undisturbed();
}

#[test]
fn who_does_not_read_gets_no_more() {
    let case = Case::new("unread", &limits());
    let before = resident();
    let mut guest = case.guest();
    let thread = std::thread::spawn(move || guest.echoes(4 << 20, 100));
    std::thread::sleep(Duration::from_secs(1));
    case.undisturbed();
    let held = resident().saturating_sub(before);
    assert!(held < 150 << 20, "{held} bytes");
    let sent = thread.join().unwrap();
    assert!((3..30).contains(&sent), "{sent} echoes of 4 MiB were taken");
    case.undisturbed();
}
