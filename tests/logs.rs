//! Logs and errors of a party whose clients choose words that steer a terminal.
#![allow(missing_docs, reason = "tests")]
#![cfg(unix)]

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use trishade::net::{ClientSetup, Identity, MisbehavingClient, config::Limits, setup};

/// A terminal cleared, a line forged, the direction turned, C1 and line separators; far too long.
fn words() -> String {
    format!("x\u{1b}[2J\u{1b}]0;title\u{7}\r\n2026-01-01 ERROR forged\u{202e}gpj\u{9b}1A\u{2028}{}", "long ".repeat(5_000))
}

struct Party {
    folder: PathBuf,
    child: Child,
}

impl Party {
    fn start(log: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("trishade-logs-{log}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let ports = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap()).map(|bound| bound.local_addr().unwrap().port());
        setup::local(&folder, ports, "cpu", None, &Limits { connect_seconds: 3.0, ..Limits::default() }).unwrap();
        let file = std::fs::File::create(folder.join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_trishade"));
        command.env("TRISHADE_SEEDED", "allow").env("TRISHADE_LOG", "trace").args(["party", "--log", log, "--config"]);
        let child = command.arg(folder.join("party0.toml")).stderr(file).stdin(Stdio::null()).spawn().unwrap();
        Self { folder, child }
    }

    fn log(&self) -> String {
        String::from_utf8(std::fs::read(self.folder.join("log")).unwrap()).unwrap()
    }

    /// Until the log has this.
    fn wait(&self, wanted: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        while !self.log().contains(wanted) {
            assert!(Instant::now() < until, "no '{wanted}' in {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn owner(folder: &Path) -> ClientSetup {
    let file = |name: &str| folder.join(name);
    ClientSetup::open(&file("cluster.toml"), &file("owner.crt"), &file("owner.key")).unwrap()
}

#[test]
fn words_of_clients_steer_no_log() {
    for style in ["text", "json"] {
        let party = Party::start(style);
        party.wait("listening");
        let owner = owner(&party.folder);
        // as the version of its program, as the last words, as a model, as the subject of a certificate
        let refusal = MisbehavingClient::hello_from(&owner, 0, &words()).unwrap_err().to_string();
        assert!(refusal.contains("speaks version 0") && !refusal.contains(char::is_control), "{refusal:?}");
        MisbehavingClient::connect(&owner, 0).unwrap().end(&words()).unwrap();
        party.wait("has ended the connection");
        MisbehavingClient::connect(&owner, 0).unwrap().ask_with(&words(), &[]).unwrap();
        if let Ok(made) = Identity::generate("x\u{1b}[2J\nforged", 9) {
            let unknown = ClientSetup { identity: made.identity().unwrap(), ..owner.clone() };
            assert!(MisbehavingClient::connect(&unknown, 0).is_err());
        }
        MisbehavingClient::hello_from(&owner, 0, "the last one").unwrap_err();
        party.wait("the last one");
        let log = party.log();
        assert!(log.contains("forged"), "the words came there at all: {log}");
        for line in log.lines() {
            assert!(!line.contains(|c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}')), "{line:?}");
            assert!(!line.starts_with("2026-01-01") && line.len() < 4000, "{line}");
            assert!(style == "text" || serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
        }
    }
}
