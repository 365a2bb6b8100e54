//! Three processes and a client, as the README starts them: by the program alone.
#![allow(missing_docs, reason = "tests")]
#![cfg(unix)]

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_trishade");

struct Three {
    folder: PathBuf,
    parties: Vec<Child>,
}

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).display().to_string()
}

/// Three free ports in a row.
fn port() -> u16 {
    (20_000..60_000).step_by(37).find(|&port| (port..port + 3).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())).unwrap()
}

impl Three {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("trishade-processes-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let dir = folder.display().to_string();
        let made = trishade(&["cluster", "init", "--local", "--dir", &dir, "--port", &port().to_string(), "--device", "cpu"]);
        assert!(made.status.success(), "{made:?}");
        let mut three = Self { folder, parties: Vec::new() };
        three.parties = (0..3).map(|number| three.start(number)).collect();
        three
    }

    fn start(&self, number: usize) -> Child {
        let config = self.folder.join(format!("party{number}.toml"));
        let log = std::fs::File::create(self.folder.join(format!("log{number}"))).unwrap();
        let mut command = program();
        command.arg("party").arg("--config").arg(config).args(["--log", "json", "--prepare", "2"]).stderr(log).stdin(Stdio::null());
        command.spawn().unwrap()
    }

    fn client(&self, arguments: &[&str]) -> Output {
        let cluster = self.folder.join("cluster.toml").display().to_string();
        trishade(&[&["client", arguments[0], "--cluster", &cluster], &arguments[1..]].concat())
    }

    /// Until all three have a session.
    fn wait(&self) {
        let until = Instant::now() + Duration::from_secs(20);
        let cluster = self.folder.join("cluster.toml").display().to_string();
        loop {
            let doctor = trishade(&["doctor", "--cluster", &cluster, "--json"]);
            let text = String::from_utf8_lossy(&doctor.stdout).into_owned();
            if text.matches("\"session\":true").count() == 3 {
                return;
            }
            assert!(Instant::now() < until, "no session: {text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Uploads without a range, with one, and with samples that overflow.
    fn upload_and_calibrate(&self) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let upload = |more: &[&str]| {
            let arguments = ["upload", "--model", &example("models/lenet_mnist.onnx"), "--name", "lenet"];
            self.client(&[&arguments[..], more].concat())
        };
        let first = upload(&[]);
        assert!(first.status.success() && text(&first.stderr).contains("model lenet, version 1"), "{first:?}");
        let id = text(&first.stdout).trim().to_owned();
        assert!(id.starts_with("lenet@") && id.len() == 22, "{id}");
        let warned = text(&self.infer().stderr);
        assert!(warned.contains(&format!("model lenet, version 1, id {id}")), "{warned}");
        assert_eq!(warned.matches("carries no range of inputs").count(), 1, "{warned}");
        let images = example("data/mnist100.npy");
        let second = upload(&["--calibrate", &images, "--preprocess", "unit"]);
        assert!(second.status.success() && text(&second.stderr).contains("version 2"), "{second:?}");
        let calm = text(&self.infer().stderr);
        assert!(calm.contains("version 2") && !calm.contains("warning"), "{calm}");
        // pixels from 0 to 255 are beyond an eighth more than 0 to 1
        let raw = self.client(&["infer", "--model-id", "lenet", "--input", &images, "--preprocess", "raw"]);
        let said = text(&raw.stderr);
        assert!(!raw.status.success() && said.contains("is outside -0.125 to 1.125") && said.contains("calibrated"), "{said}");
        let large = self.folder.join("large.npy").display().to_string();
        npy(&large, &[1, 1, 28, 28], &[4_000_000.0; 784]);
        let overflow = upload(&["--calibrate", &large]);
        let said = text(&overflow.stderr);
        assert_eq!(overflow.status.code(), Some(5), "{said}");
        assert!(said.contains("a value needs") && said.contains("step '") && said.contains("fraction bits, or scale"), "{said}");
        let listed = text(&self.client(&["models"]).stdout);
        assert!(listed.lines().count() == 2 && listed.contains(&format!("{id}  version 1")), "{listed}");
    }

    fn infer(&self) -> Output {
        let (images, labels) = (example("data/mnist100.npy"), example("data/mnist100_labels.npy"));
        self.client(&["infer", "--model-id", "lenet", "--input", &images, "--labels", &labels, "--preprocess", "unit", "--json"])
    }
}

impl Drop for Three {
    fn drop(&mut self) {
        for party in &mut self.parties {
            let _ = party.kill();
            let _ = party.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Writes an array.
fn npy(path: &str, shape: &[u64], values: &[f32]) {
    use npyz::WriterBuilder;
    let file = std::fs::File::create(path).unwrap();
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(file).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
}

/// The program, allowed to serve although it is built for tests.
fn program() -> Command {
    let mut command = Command::new(PROGRAM);
    command.env("TRISHADE_SEEDED", "allow");
    command
}

fn trishade(arguments: &[&str]) -> Output {
    program().args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn three_processes_serve_are_killed_and_serve_again() {
    let mut three = Three::new();
    three.wait();
    three.upload_and_calibrate();
    let remote = json(&three.infer());
    let (images, labels) = (example("data/mnist100.npy"), example("data/mnist100_labels.npy"));
    let model = example("models/lenet_mnist.onnx");
    let in_one = ["infer", "--model", &model, "--input", &images, "--labels", &labels, "--preprocess", "unit", "--device", "cpu", "--json"];
    let local = json(&trishade(&in_one));
    assert_eq!(remote["predictions"], local["predictions"]);
    assert_eq!(remote["accuracy"], local["accuracy"]);
    assert_eq!(remote["outputs"], local["outputs"]);
    let file = three.folder.join("scores.npy").display().to_string();
    let shown = three.client(&["infer", "--model-id", "lenet", "--input", &images, "--output", &file]);
    assert!(shown.status.success() && shown.stdout.starts_with(b"input 0: class 7 "), "{shown:?}");
    assert_eq!(npyz::NpyFile::new(&std::fs::read(&file).unwrap()[..]).unwrap().shape(), [100, 10]);
    let refused = three.client(&["infer", "--model-id", "lenet", "--input", &images, "--output", "scores.txt"]);
    assert!(refused.status.code() == Some(2), "{refused:?}");

    // the parties have learnt what is asked for, and do a part of it before it is asked again
    let until = Instant::now() + Duration::from_secs(20);
    let prepared = loop {
        let answer = json(&three.infer());
        assert_eq!(answer["predictions"], local["predictions"]);
        if answer["bytes_prepared"].as_u64().unwrap() > 0 {
            break answer;
        }
        assert!(Instant::now() < until, "nothing is prepared");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert!(prepared["seconds"]["prepare"].as_f64().unwrap() > 0.0);

    // killed in the middle of many requests
    let arguments = ["infer", "--model-id", "lenet", "--input", &images, "--preprocess", "unit", "--batch", "1", "--in-flight", "100"];
    let cluster = three.folder.join("cluster.toml").display().to_string();
    let mut asking = program();
    asking.arg("client").args(&arguments[..1]).args(["--cluster", &cluster]).args(&arguments[1..]);
    let asking = asking.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(150));
    three.parties[1].kill().unwrap();
    three.parties[1].wait().unwrap();
    let began = Instant::now();
    let ended = asking.wait_with_output().unwrap();
    assert!(began.elapsed() < Duration::from_secs(20));
    let said = String::from_utf8_lossy(&ended.stderr);
    // it may have been quicker than the signal
    assert!(ended.status.success() || ended.status.code() == Some(4) && said.contains("party 1"), "{said}");

    three.parties[1] = three.start(1);
    three.wait();
    assert_eq!(json(&three.infer())["predictions"], local["predictions"]);

    // an orderly end, and a log of JSON objects
    let id = three.parties[2].id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(three.parties[2].wait().unwrap().code(), Some(0));
    let log = std::fs::read_to_string(three.folder.join("log2")).unwrap();
    assert!(log.lines().count() > 3 && log.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{log}");
}

/// This program is built with the feature `seeded`, as every one that `cargo test` builds.
#[test]
fn a_program_for_tests_says_so_and_serves_nobody() {
    let version = Command::new(PROGRAM).arg("--version").output().unwrap();
    let text = String::from_utf8_lossy(&version.stdout).into_owned();
    assert!(text.starts_with(concat!("trishade ", env!("CARGO_PKG_VERSION"))) && text.contains("seeded"), "{text}");
    let model = example("models/lenet_mnist.onnx");
    let refused: [&[&str]; 5] = [
        &["party", "--config", "party0.toml"],
        &["client", "upload", "--cluster", "cluster.toml", "--model", &model],
        &["client", "infer", "--cluster", "cluster.toml", "--model-id", "lenet", "--input", "x.npy"],
        &["keygen", "--name", "nobody", "--dir", "no-such-folder"],
        &["cluster", "init", "--local", "--dir", "no-such-folder"],
    ];
    for arguments in refused {
        let output = Command::new(PROGRAM).args(arguments).env_remove("TRISHADE_SEEDED").output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(text.contains("refused") && text.contains("seeded") && text.contains("cargo build --release"), "{text}");
    }
}
