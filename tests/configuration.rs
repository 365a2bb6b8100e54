//! The files of a cluster, from hostile hands: an error or a configuration, never a panic, and what is read is written back alike.
#![cfg(feature = "net")]

use proptest::prelude::*;
use std::{path::PathBuf, sync::LazyLock};
use trishade::net::{
    Cluster, PartyConfig,
    config::{Client, Limits, LinkFigures, Peer, SignChoice},
    setup,
};

/// `cluster.toml` and `party1.toml` of a fresh cluster.
static FILES: LazyLock<[String; 2]> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("trishade-configuration-{}", std::process::id()));
    setup::local(&folder, [7300, 7301, 7302], "cpu", None, &Limits::default()).unwrap();
    let files = ["cluster.toml", "party1.toml"].map(|name| std::fs::read_to_string(folder.join(name)).unwrap());
    std::fs::remove_dir_all(folder).unwrap();
    files
});

/// What is accepted must come back the same.
fn both_ways(text: &str) {
    if let Ok(cluster) = Cluster::parse(text) {
        let again = Cluster::parse(&cluster.to_text().unwrap()).unwrap();
        assert_eq!(again.to_text().unwrap(), cluster.to_text().unwrap());
        assert_eq!(again.hash().unwrap(), cluster.hash().unwrap());
    }
    if let Ok(config) = PartyConfig::parse(text) {
        let again = PartyConfig::parse(&config.to_text().unwrap()).unwrap();
        assert_eq!(again.to_text().unwrap(), config.to_text().unwrap());
    }
}

#[test]
fn the_files_themselves_are_accepted() {
    Cluster::parse(&FILES[0]).unwrap();
    PartyConfig::parse(&FILES[1]).unwrap();
    assert!(Cluster::parse(&FILES[1]).is_err() && PartyConfig::parse(&FILES[0]).is_err());
}

#[test]
fn earlier_names_of_limits_are_accepted() {
    let earlier = FILES[1].replace("\npending = ", "\nearly = ").replace("\npreprocessing = ", "\nahead = ");
    assert!(earlier.contains("early") && earlier.contains("ahead"), "{earlier}");
    assert_eq!(PartyConfig::parse(&earlier).unwrap(), PartyConfig::parse(&FILES[1]).unwrap());
}

/// Every key of a cluster's file, each with a value.
fn whole_cluster() -> Cluster {
    let Cluster { party, client, .. } = Cluster::parse(&FILES[0]).unwrap();
    let network = Some(LinkFigures { latency_us: 1, bits_per_second: 1 });
    let [Peer { address, certificate }, ..] = &party[..] else { panic!("three parties") };
    let party = vec![Peer { address: address.clone(), certificate: *certificate }];
    let certificate = client[0].certificate;
    let client = vec![Client { name: "n".into(), certificate, upload: true, models: vec!["*".into()] }];
    Cluster { ring_bits: 64, fraction_bits: 20, sign: SignChoice::Auto, network, party, client }
}

/// Every key of a party's file, each with a value.
fn whole_party() -> PartyConfig {
    let file = || PathBuf::from("x");
    PartyConfig {
        party: 1,
        cluster: file(),
        certificate: file(),
        key: file(),
        listen: ([127, 0, 0, 1], 1).into(),
        store: file(),
        store_key: file(),
        device: "auto".into(),
        threads: 0,
        memory: Some(1),
        prepare: 0,
        metrics: Some(([127, 0, 0, 1], 2).into()),
        limits: Limits::default(),
        shape: Some(LinkFigures { latency_us: 1, bits_per_second: 1 }),
    }
}

/// Rows of the table after a line of docs/network.md that begins so: key, type, default.
fn documented(heading: &str) -> Vec<[String; 3]> {
    let document = include_str!("../docs/network.md");
    let section = document.split_once(heading).unwrap_or_else(|| panic!("no '{heading}' in docs/network.md")).1;
    let table = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).skip(2);
    let cell = |line: &str, column: usize| line.split('|').nth(column + 1).unwrap_or_default().trim().trim_matches('`').to_owned();
    table.map(|line| [0, 1, 2].map(|column| cell(line, column))).collect()
}

/// Keys of a file's table, in the order of their names.
fn keys(table: &toml::Table) -> Vec<String> {
    let mut keys: Vec<String> = table.keys().cloned().collect();
    keys.sort();
    keys
}

#[test]
fn the_document_has_every_key() {
    let table = |text: String| text.parse::<toml::Table>().unwrap();
    let (cluster, party) = (table(whole_cluster().to_text().unwrap()), table(whole_party().to_text().unwrap()));
    let of_first = |name: &str| cluster[name].as_array().unwrap()[0].as_table().unwrap().clone();
    let sections = [
        ("### Keys of cluster.toml", cluster.clone()),
        ("`[[party]]` of cluster.toml", of_first("party")),
        ("`[[client]]` of cluster.toml", of_first("client")),
        ("`[network]` of cluster.toml", cluster["network"].as_table().unwrap().clone()),
        ("### Keys of party.toml", party.clone()),
        ("`[shape]` of party.toml", party["shape"].as_table().unwrap().clone()),
        ("`[limits]` of party.toml", party["limits"].as_table().unwrap().clone()),
    ];
    for (heading, table) in &sections {
        let mut rows: Vec<String> = documented(heading).into_iter().map(|[key, ..]| key).collect();
        rows.sort();
        assert_eq!(rows, keys(table), "the keys below '{heading}' in docs/network.md, and those of the program");
    }
    // types and defaults as a file without the key has them
    let shortest = FILES[1].lines().filter(|line| !["prepare", "threads", "device"].iter().any(|key| line.starts_with(key)));
    let shortest = shortest.take_while(|line| !line.starts_with("[limits]")).collect::<Vec<_>>().join("\n");
    let defaults = table(PartyConfig::parse(&shortest).unwrap().to_text().unwrap());
    let limits = defaults["limits"].as_table().unwrap();
    for (heading, table) in [("### Keys of party.toml", &defaults), ("`[limits]` of party.toml", limits)] {
        for [key, kind, default] in documented(heading) {
            match (table.get(&key), &default[..]) {
                (_, "required") | (None, "none") => {}
                (Some(toml::Value::Table(_)), _) => assert_eq!(kind, "table", "{key}"),
                (Some(value), _) => {
                    assert_eq!(default, value.to_string(), "the default of {key} in docs/network.md");
                    assert_eq!(kind, value.type_str(), "the type of {key}");
                }
                (None, _) => panic!("docs/network.md: {key} has no default"),
            }
        }
    }
}

#[test]
fn names_of_clients_can_be_shown() {
    for name in ["a\\u001b[2J", "a\\nb", "\\u202egpj", &"x".repeat(101)] {
        let text = FILES[0].replace("name = \"owner\"", &format!("name = \"{name}\""));
        assert_ne!(text, FILES[0]);
        let error = Cluster::parse(&text).unwrap_err().to_string();
        assert!(error.contains("a name for logs") && !error.contains(char::is_control), "{error:?}");
    }
}

#[test]
fn numbers_out_of_range_and_unknown_fields_say_so() {
    let party = |from: &str, to: &str| {
        assert!(FILES[1].contains(from), "{from}");
        PartyConfig::parse(&FILES[1].replace(from, to)).unwrap_err().to_string()
    };
    assert!(party("party = 1", "party = 3").contains("0, 1 and 2"));
    assert!(party("idle_seconds = 15.0", "idle_seconds = -1.0").contains("idle_seconds"));
    assert!(party("idle_seconds = 15.0", "idle_seconds = nan").contains("idle_seconds"));
    assert!(party("frame = 4294967296", "frame = 0").contains("frame"));
    assert!(party("device", "devise").contains("devise"));
    let cluster = |from: &str, to: &str| {
        assert!(FILES[0].contains(from), "{from}");
        Cluster::parse(&FILES[0].replacen(from, to, 1)).unwrap_err().to_string()
    };
    assert!(cluster("ring_bits = 64", "ring_bits = 32").contains("ring_bits"));
    assert!(cluster("fraction_bits = 20", "fraction_bits = 63").contains("63"));
    assert!(cluster("sha256:", "sha1:").contains("sha256"));
}

proptest! {
    #[test]
    fn a_changed_file_is_an_error_or_a_configuration(which in 0usize..2, at in any::<prop::sample::Index>(), length in 0usize..20,
        put in "[ -~\n]{0,12}") {
        let text = &FILES[which];
        let begin = at.index(text.len());
        let end = (begin + length).min(text.len());
        both_ways(&format!("{}{put}{}", &text[..begin], &text[end..]));
    }

    #[test]
    fn numbers_of_any_size_are_an_error_or_a_configuration(which in 0usize..2, field in any::<prop::sample::Index>(), value in any::<i64>(),
        float in any::<f64>(), real in any::<bool>()) {
        let fields: Vec<&str> = FILES[which].lines().filter(|line| line.contains(" = ")).collect();
        let line = fields[field.index(fields.len())];
        let name = line.split(" = ").next().unwrap();
        let value = if real { format!("{float:e}") } else { value.to_string() };
        both_ways(&FILES[which].replace(line, &format!("{name} = {value}")));
    }

    #[test]
    fn any_text_is_an_error_or_a_configuration(text in "\\PC{0,200}") {
        both_ways(&text);
    }
}
