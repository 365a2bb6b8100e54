//! Models of one name over time: numbers, uploads that fail or meet, stores that differ, shares that no longer mean what they did, and
//! the range of inputs that a model carries.
#![allow(missing_docs, reason = "tests")]

#[path = "common/cluster.rs"]
mod cluster;

use cluster::{Cluster, limits};
use std::{fs, path::PathBuf};
use trishade::{
    Error,
    net::{Connection, InferOptions, MisbehavingClient, UploadOptions, config::Limits},
    nn::{Graph, RangeOrigin, Ranges, Reveal, builder::Builder},
};

const ONE: InferOptions = InferOptions { batch: 2, in_flight: 1, reveal: Reveal::Logits };

/// A network of four inputs, all weights alike.
fn graph(weight: f32) -> Graph {
    let mut graph = Builder::new(&[4], 1).unwrap().linear(2).unwrap().build();
    for tensor in graph.constants.values_mut() {
        std::sync::Arc::make_mut(tensor).values.fill(weight);
    }
    graph
}

fn score(owner: &Connection, model: &str) -> trishade::Result<f32> {
    let id = owner.find(model)?;
    let program = owner.architecture(&id)?;
    Ok(owner.infer(&id, &program, &[1.0, 0.0, 0.0, 0.0], ONE, |_| {})?.logits[0][0])
}

fn is(found: trishade::Result<f32>, wanted: f32) -> bool {
    (found.unwrap() - wanted).abs() < 1e-3
}

fn store(cluster: &Cluster, party: usize) -> PathBuf {
    cluster.folder.join(format!("party{party}.store"))
}

/// Files of a party's store with this ending.
fn files(cluster: &Cluster, party: usize, end: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(store(cluster, party)).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.extension().is_some_and(|own| own == end)).collect()
}

fn again(cluster: &mut Cluster) -> Connection {
    cluster.start_all();
    let owner = cluster.connect();
    owner.ready().unwrap();
    owner
}

fn stop(cluster: &mut Cluster) {
    cluster.parties.iter_mut().filter_map(Option::take).for_each(trishade::net::Server::stop);
}

#[test]
fn parties_number_the_models_of_a_name() {
    let mut cluster = Cluster::new("numbers", None, &limits());
    cluster.start_all();
    let owner = cluster.connect();
    for (version, weight) in [(1, 0.25), (2, 0.5), (3, 0.75)] {
        let uploaded = owner.upload_with("m", &graph(weight), UploadOptions::default(), |_, _| {}).unwrap();
        assert_eq!(uploaded.version, version);
        assert_eq!(owner.find_model("m").unwrap().id, uploaded.id);
        // a bias of the same number
        assert!(is(score(&owner, "m"), 2.0 * weight));
    }
    let versions: Vec<u32> = owner.models().unwrap().iter().map(|model| model.version).collect();
    assert_eq!(versions, [1, 2, 3]);
    let first = owner.models().unwrap()[0].id.clone();
    assert!(is(score(&owner, &first), 0.5), "older ones by their ids");
    // two at one time: each gets a number of its own, or is told that the other is under way
    let clients = [cluster.connect(), cluster.connect(), cluster.connect()];
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = clients.into_iter().map(|client| scope.spawn(move || client.upload("m", &graph(1.0), |_| {}))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let fine = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(fine >= 1, "{outcomes:?}");
    let under_way = |error: &Error| error.to_string().contains("under way");
    assert!(outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).all(under_way), "{outcomes:?}");
    assert_eq!(owner.find_model("m").unwrap().version, 3 + fine as u32);
    assert!(is(score(&owner, "m"), 2.0));
}

#[test]
fn an_upload_that_fails_at_one_party_leaves_the_older_model() {
    let mut cluster = Cluster::new("fails", None, &limits());
    let text = fs::read_to_string(cluster.folder.join("party2.toml")).unwrap();
    // room for one small model
    fs::write(cluster.folder.join("party2.toml"), text.replace(&format!("store = {}", Limits::default().store), "store = 2000")).unwrap();
    cluster.start_all();
    let owner = cluster.connect();
    owner.upload("m", &graph(0.25), |_| {}).unwrap();
    let large = Builder::new(&[4], 1).unwrap().linear(1000).unwrap().build();
    let error = owner.upload("m", &large, |_| {}).unwrap_err();
    assert!(error.to_string().contains("party 2") && error.to_string().contains("full"), "{error}");
    assert!(is(score(&owner, "m"), 0.5));
    std::thread::sleep(std::time::Duration::from_millis(200));
    for party in 0..3 {
        let left = files(&cluster, party, "part").len() + files(&cluster, party, "stored").len();
        assert_eq!((files(&cluster, party, "share").len(), left), (1, 0), "party {party}");
    }
    // the next of the name is the second
    assert_eq!(owner.upload_with("m", &graph(0.5), UploadOptions::default(), |_, _| {}).unwrap().version, 2);
}

#[test]
fn stores_that_differ_are_noticed() {
    let mut cluster = Cluster::new("differ", None, &limits());
    cluster.start_all();
    let owner = cluster.connect();
    let first = owner.upload("m", &graph(0.25), |_| {}).unwrap();
    let second = owner.upload("m", &graph(0.5), |_| {}).unwrap();
    drop(owner);
    stop(&mut cluster);
    // party 1 ended between storing and hearing of the others: all three have it
    let moved = |cluster: &Cluster, party: usize, from: &str, to: &str| {
        let path = |end: &str| store(cluster, party).join(format!("{second}.{end}"));
        fs::rename(path(from), path(to)).unwrap();
    };
    moved(&cluster, 1, "share", "stored");
    let owner = again(&mut cluster);
    assert!(is(score(&owner, "m"), 1.0));
    drop(owner);
    stop(&mut cluster);
    // the store of party 1 is of yesterday
    fs::remove_file(store(&cluster, 1).join(format!("{second}.stored"))).unwrap();
    let owner = again(&mut cluster);
    for asked in ["m", &second] {
        let error = score(&owner, asked).unwrap_err();
        assert!(
            matches!(&error, Error::Peer(text) if text.contains("party 0 and 2 keeps version 2") && text.contains(&second)),
            "{error:?}"
        );
    }
    assert!(is(score(&owner, &first), 0.5), "by its id");
    drop(owner);
    stop(&mut cluster);
    // the others never heard that all had stored it: an upload that did not end
    moved(&cluster, 0, "share", "stored");
    moved(&cluster, 2, "share", "stored");
    let owner = again(&mut cluster);
    assert!(is(score(&owner, "m"), 0.5));
    // a new upload is above all of them, and what was left is gone
    assert_eq!(owner.upload_with("m", &graph(1.0), UploadOptions::default(), |_, _| {}).unwrap().version, 3);
    assert!(is(score(&owner, "m"), 2.0));
    assert_eq!((0..3).map(|party| files(&cluster, party, "stored").len()).sum::<usize>(), 0);
}

/// Changes a line of `cluster.toml`, the same for all.
fn configure(cluster: &Cluster, from: &str, to: &str) {
    let path = cluster.folder.join("cluster.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn shares_of_another_meaning_are_refused_everywhere() {
    let mut cluster = Cluster::new("meaning", None, &limits());
    cluster.start_all();
    let owner = cluster.connect();
    let id = owner.upload("m", &graph(0.25), |_| {}).unwrap();
    let program = owner.architecture(&id).unwrap();
    // at the upload, by every party, each field by its name
    for party in 0..3 {
        let fields = ["program_format", "share_format", "ring_bits", "fraction_bits", "range_bits"];
        for (field, name) in fields.into_iter().enumerate() {
            let mut misbehaving = MisbehavingClient::connect(&cluster.owner(), party).unwrap();
            let error = misbehaving.upload(&cluster.owner(), "m", &program, |meaning| meaning[field] ^= 4).unwrap_err();
            assert!(error.to_string().contains(&format!("{name} = ")), "{name}: {error}");
        }
        let mut misbehaving = MisbehavingClient::connect(&cluster.owner(), party).unwrap();
        misbehaving.upload(&cluster.owner(), "m", &program, |_| {}).unwrap();
        assert!(misbehaving.number(u32::MAX).unwrap_err().to_string().contains("far from 2"));
    }
    drop(owner);
    stop(&mut cluster);
    // the operators change their minds
    configure(&cluster, "fraction_bits = 20", "fraction_bits = 12");
    let owner = again(&mut cluster);
    let error = owner.architecture(&id).unwrap_err();
    assert!(error.to_string().contains("fraction_bits = 20, cluster.toml says 12"), "{error}");
    assert!(error.to_string().contains("upload the model again"), "{error}");
    // a client that does not look is refused by the parties
    let error = owner.infer(&id, &program, &[1.0, 0.0, 0.0, 0.0], ONE, |_| {}).unwrap_err();
    assert!(error.to_string().contains("fraction_bits = 20, cluster.toml says 12"), "{error}");
    owner.upload("m", &graph(0.25), |_| {}).unwrap();
    assert!(is(score(&owner, "m"), 0.5));
}

#[test]
fn a_model_carries_the_range_of_its_inputs() {
    let mut cluster = Cluster::new("range", None, &limits());
    cluster.start_all();
    let owner = cluster.connect();
    let upload = |name: &str, weight, options: UploadOptions<'_>| {
        let id = owner.upload_with(name, &graph(weight), options, |_, _| {})?.id;
        owner.architecture(&id).map(|program| (id, program))
    };
    let calibrated = |samples| UploadOptions { calibration: samples, ..UploadOptions::default() };
    // four times 8 * 150,000 is above 2^22
    let error = upload("m", 150_000.0, calibrated(&[8.0; 4])).unwrap_err();
    assert!(matches!(&error, Error::Range(text) if text.contains("63 bits") && text.contains("fraction bits, or scale")), "{error:?}");
    assert!(owner.models().unwrap().is_empty());
    let (id, program) = upload("m", 0.25, calibrated(&[0.0, 8.0, 1.0, 1.0, 0.0, 4.0, 4.0, 4.0])).unwrap();
    assert_eq!(program.ranges(), Some(&Ranges { bounds: vec![[-1.0, 9.0]], origin: RangeOrigin::Calibrated }));
    let begun = || cluster.parties[0].as_ref().unwrap().metrics().begun.load(std::sync::atomic::Ordering::Relaxed);
    let before = begun();
    let inside = [[9.0, -1.0, 0.0, 0.0], [0.0; 4], [1.0; 4]].concat();
    for (element, outside) in [(2, 9.5), (0, -1.5), (3, f32::NAN), (1, f32::INFINITY)] {
        let mut values = inside.clone();
        values[8 + element] = outside;
        let error = owner.infer(&id, &program, &values, InferOptions { batch: 1, ..ONE }, |_| {}).unwrap_err().to_string();
        assert!(error.contains(&format!("item 2: element {element} is outside -1 to 9")) && error.contains("upload it again"), "{error}");
    }
    assert_eq!(begun(), before, "nothing was shared");
    assert!(owner.infer(&id, &program, &inside, ONE, |_| {}).is_ok());
    let (_, program) = upload("m", 0.25, UploadOptions::default()).unwrap();
    assert_eq!(program.ranges(), None);
    let stated = Ranges { bounds: vec![[0.0, 1.0]], origin: RangeOrigin::Stated };
    let (_, program) = upload("m", 0.25, UploadOptions { ranges: Some(stated.clone()), ..UploadOptions::default() }).unwrap();
    assert_eq!(program.ranges(), Some(&stated));
    let (_, program) = upload("m", 0.25, UploadOptions { range_bits: Some(0.0..=1.0), ..UploadOptions::default() }).unwrap();
    assert_eq!(program.ranges().unwrap().origin, RangeOrigin::Proven);
    let without = UploadOptions { ranges: Some(Ranges { bounds: vec![], ..stated }), ..UploadOptions::default() };
    assert!(upload("m", 0.25, without).is_err());
}
