//! Faults, and what parties and clients say then: a table, printed by `cargo test --test faults -- --nocapture --test-threads 1`.
//!
//! In every case the client ends within the time-outs with an error that says which party and why, or with the right answer; and
//! afterwards, with the fault gone, the same cluster answers a request with the shares that it has kept.
#![allow(missing_docs, reason = "tests")]

#[path = "common/cluster.rs"]
mod cluster;

use cluster::{Cluster, client, client_options, limits};
use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};
use trishade::{
    Error, Result,
    net::{
        Connection, Fault, FaultPlan, Identity, InferOptions, MisbehavingClient, PartySetup, Server,
        config::{Client, Limits},
    },
    nn::{Graph, Program, Reveal, builder::Builder, reference},
};

const ONE: InferOptions = InferOptions { batch: 1, in_flight: 1, reveal: Reveal::Logits };

/// Few messages, of several kinds: products, activations, a max-pool.
fn small() -> (Graph, Vec<f32>) {
    let layers = Builder::new(&[1, 6, 6], 3).unwrap().conv(2, 3, 1, 1).unwrap().relu().unwrap().max_pool(2, 2, 0).unwrap();
    let graph = layers.flatten().unwrap().linear(4).unwrap().build();
    (graph, (0..36).map(|i| (i % 7) as f32 / 7.0).collect())
}

/// A cluster that keeps the small model.
struct Case {
    cluster: Cluster,
    id: String,
    program: Program,
    input: Vec<f32>,
    prediction: usize,
}

impl Case {
    fn new(name: &str, limits: &Limits) -> Self {
        let mut cluster = Cluster::new(name, None, limits);
        cluster.start_all();
        let (graph, input) = small();
        let owner = cluster.connect();
        let id = owner.upload("small", &graph, |_| {}).unwrap();
        let program = owner.architecture(&id).unwrap();
        let scores = reference::run_f32(&graph, &input, 1).unwrap();
        let best = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        let prediction = best(&scores.values);
        Self { cluster, id, program, input, prediction }
    }

    fn ask(&self, owner: &Connection) -> Result<usize> {
        owner.infer(&self.id, &self.program, &self.input, ONE, |_| {}).map(|answer| answer.predictions[0])
    }

    /// The cluster works, whatever has been.
    fn works(&self) {
        self.cluster.wait();
        let owner = self.cluster.connect();
        owner.ready().unwrap();
        assert_eq!(self.ask(&owner).unwrap(), self.prediction, "a wrong answer");
    }
}

fn row(fault: &str, seconds: f64, said: &str) {
    println!("| {fault} | {seconds:.2} s | {} |", said.replace('\n', " "));
}

/// Error of the client after a fault at a party, in a session that has been on before.
fn with_fault(case: &mut Case, party: usize, fault: Fault, after: u32) -> Option<(f64, Error)> {
    case.cluster.parties[party].take().unwrap().stop();
    let plan = Arc::new(FaultPlan::new(fault, after));
    case.cluster.start_with_fault(party, plan.clone());
    case.cluster.wait();
    let began = Instant::now();
    let owner = case.cluster.connect();
    let asked = owner.ready().and_then(|()| case.ask(&owner));
    let seconds = began.elapsed().as_secs_f64();
    assert!(seconds < 12.0, "{fault:?} at party {party} after {after}: {seconds} s");
    let happened = plan.happened();
    case.cluster.parties[party].take().unwrap().kill();
    case.cluster.start(party);
    match asked {
        Ok(prediction) => {
            assert_eq!(prediction, case.prediction, "{fault:?} at party {party} after {after}: a wrong answer");
            assert!(!happened || matches!(fault, Fault::Stall), "{fault:?} at party {party} after {after} went unnoticed");
            None
        }
        Err(error) => {
            assert!(matches!(error, Error::Peer(_)), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(&format!("party {party}")) || text.contains("party"), "{text}");
            Some((seconds, error))
        }
    }
}

#[test]
fn a_party_stops_at_every_message_in_turn() {
    let mut case = Case::new("stops", &limits());
    for party in 0..3 {
        let mut after = 0;
        while let Some((seconds, error)) = with_fault(&mut case, party, Fault::Stop, after) {
            if after == 0 {
                row(&format!("party {party} stops at message {after}"), seconds, &error.to_string());
            }
            after += 1;
            assert!(after < 200, "it never ends");
        }
        println!("| party {party} stops at each of its {after} messages in turn | | every time an error, then right answers again |");
        assert!(after > 3, "party {party} sends more messages than that");
        case.works();
    }
}

#[test]
fn a_party_sends_what_it_must_not() {
    let mut case = Case::new("sends", &limits());
    for fault in [Fault::Garbage, Fault::RawGarbage, Fault::Truncated, Fault::Oversized, Fault::Repeated, Fault::Replayed, Fault::Stall] {
        for party in 0..3 {
            let (seconds, error) = with_fault(&mut case, party, fault, 2).unwrap_or_else(|| panic!("{fault:?} at party {party}"));
            row(&format!("{fault:?} from party {party}"), seconds, &error.to_string());
            case.works();
        }
    }
}

#[test]
fn who_does_not_belong_is_refused() {
    let case = Case::new("belong", &limits());
    let folder = &case.cluster.folder;
    let owner = case.cluster.owner();
    let refused = |what: &str, wanted: &str, result: Result<()>| {
        let said = result.map_or_else(|error| error.to_string(), |()| panic!("{what}: taken"));
        assert!(said.contains(wanted), "{what}: {said}");
        row(what, 0.0, &said);
    };
    let generate = |name: &str, days: u32| {
        Identity::generate(name, days).unwrap().write(&folder.join(format!("{name}.crt")), &folder.join(format!("{name}.key"))).unwrap();
    };
    generate("unknown", 9);
    let connect = |setup| Connection::open(&setup, client_options()).map(drop);
    refused("a client whose certificate is not pinned", "party 0", connect(client(folder, "unknown")));

    // pinned by the client's own idea of the cluster, which is another file
    let mut other = owner.clone();
    other.cluster.fraction_bits = 16;
    refused("another cluster.toml", "another cluster.toml", connect(other));

    refused("another version of the protocol", "version 7", MisbehavingClient::hello(&owner, 1, 7, None));
    refused("the version before models were numbered", "version 1", MisbehavingClient::hello(&owner, 1, 1, None));
    refused("a client that says it is party 2", "says that it is party 2", MisbehavingClient::hello(&owner, 0, 2, Some(2)));

    // a party's server with another certificate than the one that the client pins
    let mut other = owner.clone();
    let certificates = [1, 2, 0].map(|i| owner.cluster.party[i].certificate);
    other.cluster.party.iter_mut().zip(certificates).for_each(|(party, certificate)| party.certificate = certificate);
    refused("a server with the certificate of another party", "not one that cluster.toml pins", connect(other));

    let wrong = std::fs::read_to_string(folder.join("party1.toml")).unwrap().replace("party = 1", "party = 2");
    std::fs::write(folder.join("wrong.toml"), wrong).unwrap();
    refused("a party.toml with another number", "pins", PartySetup::open(&folder.join("wrong.toml")).map(drop));

    generate("old", 0);
    std::thread::sleep(Duration::from_millis(2100));
    let expired = cluster::try_client(folder, "old").map(drop);
    refused("a certificate that has expired", "expired", expired);

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(folder.join("owner.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
        refused("a key that others can read", "chmod 600", cluster::try_client(folder, "owner").map(drop));
        std::fs::set_permissions(folder.join("owner.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    case.works();
}

/// A second client who may do little.
fn add_guest(cluster: &Cluster) {
    let folder = &cluster.folder;
    let guest = Identity::generate("guest", 9).unwrap();
    guest.write(&folder.join("guest.crt"), &folder.join("guest.key")).unwrap();
    let mut all = cluster.owner().cluster;
    let models = vec!["other*".into()];
    all.client.push(Client { name: "guest".into(), certificate: guest.fingerprint, upload: false, models });
    std::fs::write(folder.join("cluster.toml"), all.to_text().unwrap()).unwrap();
}

#[test]
fn a_client_may_do_what_the_cluster_says() {
    let mut case = Case::new("guest", &limits());
    case.cluster.parties.iter_mut().filter_map(Option::take).for_each(Server::stop);
    add_guest(&case.cluster);
    case.cluster.start_all();
    let guest = Connection::open(&client(&case.cluster.folder, "guest"), client_options()).unwrap();
    let say = |what: &str, wanted: &str, error: Error| {
        assert!(matches!(error, Error::Input(_)) && error.to_string().contains(wanted), "{error:?}");
        row(what, 0.0, &error.to_string());
    };
    assert!(guest.models().unwrap().is_empty());
    say("a guest uploads a model", "may not upload", guest.upload("mine", &small().0, |_| {}).unwrap_err());
    say("a guest asks for a model of others", "may not use", case.ask(&guest).unwrap_err());
    let owner = case.cluster.connect();
    let no = owner.infer("small@0000000000000000", &case.program, &case.input, ONE, |_| {}).unwrap_err();
    say("a model that nobody keeps", "no model", no);
    say("a path for a model", "no model", owner.infer("../owner", &case.program, &case.input, ONE, |_| {}).unwrap_err());
    let share = case.cluster.folder.join("party2.store").join(format!("{}.share", case.id));
    let kept = std::fs::read(&share).unwrap();
    std::fs::remove_file(&share).unwrap();
    say("a model that one party has lost", "party 2", case.ask(&owner).unwrap_err());
    let mut changed = kept.clone();
    changed[100] ^= 1;
    std::fs::write(&share, &changed).unwrap();
    let error = case.ask(&case.cluster.connect()).unwrap_err();
    assert!(error.to_string().contains("party 2") && error.to_string().contains("changed"), "{error}");
    row("shares on a disk that were changed", 0.0, &error.to_string());
    std::fs::write(&share, kept).unwrap();
    let replayed = case.cluster.connect().replay(&case.id, &case.program, &case.input).unwrap_err();
    assert!(replayed.to_string().contains("Replayed"), "{replayed}");
    row("a request that is made twice", 0.0, &replayed.to_string());
    let many: Vec<f32> = case.input.iter().cycle().take(36 * 300).copied().collect();
    let all = InferOptions { batch: 300, ..ONE };
    say("more inputs than a request may have", "at most 256", owner.infer(&case.id, &case.program, &many, all, |_| {}).unwrap_err());
    case.works();
}

#[test]
fn unauthenticated_connections_disturb_nobody() {
    let case = Case::new("unauthenticated", &limits());
    let address = case.cluster.parties[0].as_ref().unwrap().address();
    let silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut loud = TcpStream::connect(address).unwrap();
    loud.write_all(&[0x47; 5000]).unwrap();
    case.works();
    let began = Instant::now();
    for mut half in silent {
        half.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // an alert perhaps, then the end
        let mut rest = Vec::new();
        let _ = half.read_to_end(&mut rest);
    }
    let seconds = began.elapsed().as_secs_f64();
    assert!(seconds < 8.0, "half-open connections stay for {seconds} s");
    row("20 connections that say nothing", seconds, "closed by the party; requests were answered meanwhile");
    case.works();
}

#[test]
fn a_full_disk_keeps_what_was_there() {
    let mut case = Case::new("disk", &Limits { store: 4000, ..limits() });
    let big = Builder::new(&[1, 6, 6], 4).unwrap().flatten().unwrap().linear(300).unwrap().build();
    let owner = case.cluster.connect();
    let error = owner.upload("big", &big, |_| {}).unwrap_err();
    assert!(error.to_string().contains("store is full"), "{error}");
    row("a model larger than the store's limit", 0.0, &error.to_string());
    drop(owner);
    case.works();

    // a disk that is truly full, where one may be mounted
    let folder = case.cluster.folder.join("party1.store");
    let kept = case.cluster.folder.join("kept");
    case.cluster.parties[1].take().unwrap().stop();
    std::fs::rename(&folder, &kept).unwrap();
    std::fs::create_dir(&folder).unwrap();
    let mount = |program: &str, arguments: &[&str]| {
        std::process::Command::new(program).args(arguments).arg(&folder).status().is_ok_and(|s| s.success())
    };
    if !mount("mount", &["-t", "tmpfs", "-o", "size=64k", "tmpfs"]) {
        println!("| a disk that is full | | skipped: no file system can be mounted here |");
        std::fs::remove_dir(&folder).unwrap();
        std::fs::rename(&kept, &folder).unwrap();
        case.cluster.start(1);
        return case.works();
    }
    std::fs::copy(kept.join(format!("{}.share", case.id)), folder.join(format!("{}.share", case.id))).unwrap();
    let text = std::fs::read_to_string(case.cluster.folder.join("party1.toml")).unwrap().replace("store = 4000", "store = 4000000");
    std::fs::write(case.cluster.folder.join("party1.toml"), text).unwrap();
    for number in [0, 2] {
        case.cluster.parties[number].take().unwrap().stop();
        let file = case.cluster.folder.join(format!("party{number}.toml"));
        std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replace("store = 4000", "store = 4000000")).unwrap();
        case.cluster.start(number);
    }
    case.cluster.start(1);
    case.cluster.wait();
    let began = Instant::now();
    let error = case.cluster.connect().upload("big", &big, |_| {});
    let left = std::fs::read_dir(&folder).unwrap().count();
    let works = || case.works();
    works();
    assert!(mount("umount", &["-l"]));
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::rename(&kept, &folder).unwrap();
    let error = error.unwrap_err();
    assert!(error.to_string().contains("party 1"), "{error}");
    assert_eq!(left, 1, "what could not be written is left behind");
    row("a disk that is full at party 1", began.elapsed().as_secs_f64(), &error.to_string());
}
