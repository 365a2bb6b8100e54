//! The files of a cluster, from hostile hands: an error or a configuration, never a panic, and what is read is written back alike.
#![cfg(feature = "net")]

use proptest::prelude::*;
use std::sync::LazyLock;
use trishade::net::{Cluster, PartyConfig, config::Limits, setup};

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
