//! `trishade keygen`, `cluster`, `config`, `party`, `client`, `doctor`: parties on machines of their own.

use super::{
    Failure,
    args::{self, Caller, ClientCommand, ClusterCommand, ConfigCommand, Reveal},
    engine, infer, inputs, memory, paint,
};
use crate::{
    Error, Result,
    device::Device,
    net::{
        ClientOptions, ClientSetup, Cluster, Connection, Identity, InferOptions, PartyReport, PartySetup, Server,
        config::{Limits, LinkFigures},
        probe, setup,
    },
    nn,
    party::Net,
};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

pub fn keygen(options: &args::Keygen) -> std::result::Result<(), Failure> {
    let file = |end: &str| options.dir.join(format!("{}.{end}", options.name));
    let made = Identity::generate(&options.name, options.days)?;
    made.write(&file("crt"), &file("key"))?;
    if options.store {
        setup::store_key(&file("store.key"))?;
    }
    paint::print(&format!("certificate = \"{}\"", made.fingerprint));
    paint::say(&format!("{} and {} written; the line above goes into cluster.toml", file("key").display(), file("crt").display()));
    Ok(())
}

pub fn cluster(command: &ClusterCommand) -> std::result::Result<(), Failure> {
    let ClusterCommand::Init { dir, port, device, net, .. } = command;
    let next = |by| port.checked_add(by).ok_or_else(|| Error::Input(format!("--port {port}: there are no two ports after it")));
    let shape = net.figures().map(|net| LinkFigures { latency_us: net.latency_us, bits_per_second: net.bits_per_second });
    setup::local(dir, [*port, next(1)?, next(2)?], device, shape, &Limits::default())?;
    paint::say(&format!("{}: cluster.toml, party0.toml, party1.toml, party2.toml, and the client `owner`. Next:", dir.display()));
    let dir = dir.display();
    for party in 0..3 {
        paint::say(&format!("  trishade party --config {dir}/party{party}.toml &"));
    }
    paint::say(&format!("  trishade client upload --cluster {dir}/cluster.toml --model MODEL.onnx --name NAME"));
    paint::say(&format!("  trishade client infer --cluster {dir}/cluster.toml --model-id NAME --input INPUTS.npy"));
    Ok(())
}

pub fn config(command: &ConfigCommand) -> std::result::Result<(), Failure> {
    let ConfigCommand::Check { files } = command;
    for file in files {
        let text = std::fs::read_to_string(file).map_err(|e| Error::File(format!("{}: {e}", file.display())))?;
        // a party's file says which one it is; a cluster's has a table of them
        let table: toml::Table = text.parse().map_err(|e| Error::Input(format!("{}: {e}", file.display())))?;
        let cluster = match table.get("party") {
            Some(toml::Value::Integer(_)) => {
                let setup = PartySetup::open(file)?;
                let days = setup.identity.validity()?.days_left();
                paint::say(&format!("{}: party {}, certificate valid for {days} more days", file.display(), setup.config.party));
                setup.cluster
            }
            _ => Cluster::open(file)?,
        };
        let hash: String = cluster.hash()?[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        paint::say(&format!(
            "{}: cluster {hash}, {} clients; this number must be the same everywhere",
            file.display(),
            cluster.client.len()
        ));
    }
    Ok(())
}

pub fn party(options: &args::Party) -> std::result::Result<(), Failure> {
    let mut setup = PartySetup::open(&options.config)?;
    setup.config.prepare = options.prepare.unwrap_or(setup.config.prepare);
    log(options.log);
    let device = engine::device(&setup.config.device, setup.config.threads, false)?;
    if matches!(device, Device::Cpu(_)) {
        setup.config.memory = setup.config.memory.or_else(memory::available);
    }
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT])
        .map_err(|e| Error::Device(format!("signals cannot be caught: {e}")))?;
    let server = Server::start(setup, device)?;
    let signal = loop {
        if let Some(signal) = signals.pending().next() {
            break signal;
        }
        if server.is_broken() {
            return Err(Error::Device("a thread of the party has failed; the log says which".into()).into());
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    tracing::info!(signal, "stopping");
    server.stop();
    Ok(())
}

fn log(style: args::Log) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TRISHADE_LOG").unwrap_or_else(|_| "info".into());
    // a log that cannot be written, on a full disk, ends nothing
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).log_internal_errors(false);
    match style {
        args::Log::Text => log.with_ansi(false).init(),
        args::Log::Json => log.json().init(),
    }
}

/// Parties that are started in the same script as their client.
const STARTING: Duration = Duration::from_secs(5);

fn caller(caller: &Caller) -> Result<(ClientSetup, ClientOptions)> {
    let beside = || caller.cluster.parent().unwrap_or(Path::new("")).join("owner");
    let stem = caller.identity.clone().unwrap_or_else(beside);
    let file = |end: &str| PathBuf::from(format!("{}.{end}", stem.display()));
    let setup = ClientSetup::open(&caller.cluster, &file("crt"), &file("key"))?;
    let timeout = Duration::try_from_secs_f64(caller.timeout).map_err(|e| Error::Input(format!("--timeout {}: {e}", caller.timeout)))?;
    let shape = caller.net.figures().map(|net| LinkFigures { latency_us: net.latency_us, bits_per_second: net.bits_per_second });
    Ok((setup, ClientOptions { timeout, shape, retry: STARTING, ..ClientOptions::default() }))
}

pub fn client(command: &ClientCommand) -> std::result::Result<(), Failure> {
    match command {
        ClientCommand::Upload { caller: who, model, name } => {
            let graph = engine::graph(model)?;
            let from_file = || {
                let text = model.display().to_string();
                let stem = model.file_stem().map(|stem| stem.to_string_lossy().into_owned());
                text.strip_prefix("zoo:").map(str::to_owned).or(stem).unwrap_or_default()
            };
            let (setup, client_options) = caller(who)?;
            let connection = Connection::open(&setup, client_options)?;
            let bar = paint::progress(1000, "sharing the weights");
            let id = connection.upload(&name.clone().unwrap_or_else(from_file), &graph, |done| bar.set_position((done * 1000.0) as u64));
            bar.finish_and_clear();
            paint::print(&id?);
        }
        ClientCommand::Models { caller: who, json } => {
            let (setup, client_options) = caller(who)?;
            let models = Connection::open(&setup, client_options)?.models()?;
            if *json {
                let rows: Vec<_> = models.iter().map(|m| json!({"id": m.id, "uploaded": m.uploaded, "bytes": m.bytes})).collect();
                paint::print(&json!(rows).to_string());
            } else {
                models.iter().for_each(|model| paint::print(&model.id));
            }
        }
        ClientCommand::Infer(options) => ask(options)?,
    }
    Ok(())
}

fn ask(options: &args::ClientInfer) -> Result<()> {
    let (setup, client_options) = caller(&options.caller)?;
    let connection = Connection::open(&setup, client_options)?;
    connection.ready()?;
    let id = connection.find(&options.model_id)?;
    let architecture = connection.architecture(&id)?;
    let inputs = inputs::read(&options.input, architecture.input_extents(), options.preprocess)?;
    let labels = options.labels.as_ref().map(|path| inputs::labels(path, inputs.count)).transpose()?.or_else(|| inputs.labels.clone());
    let classes = options.classes.as_ref().map(|path| inputs::classes(path)).transpose()?.unwrap_or_else(|| inputs.classes.clone());
    let reveal = match options.reveal {
        Reveal::Logits => nn::Reveal::Logits,
        Reveal::Argmax => nn::Reveal::Argmax,
    };
    let request = InferOptions { batch: options.batch.into(), in_flight: options.in_flight.into(), reveal };
    connection.prepare(&id, inputs.count, request)?;
    let bar = paint::progress(inputs.count as u64, "private inference");
    let answer = connection.infer(&id, &architecture, &inputs.values, request, |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    let answer = answer?;
    let accuracy = labels.map(|labels| infer::accuracy(&labels, &answer.predictions));
    let device = format!("three parties of {}", options.caller.cluster.display());
    if options.json {
        infer::print(&answer, accuracy, &device);
    } else {
        infer::predictions(&answer, &inputs.names, &classes, options.top);
        infer::report(&answer, accuracy, &device);
    }
    Ok(())
}

pub fn doctor(options: &args::Doctor) -> std::result::Result<(), Failure> {
    let (setup, client_options) = caller(&options.caller)?;
    let own = setup.cluster.party_of(setup.identity.fingerprint());
    let mut rows =
        vec![["party", "address", "round trip", "there and back", "clock", "certificate", "session", "device"].map(String::from).to_vec()];
    let (mut objects, mut faults) = (Vec::new(), Vec::new());
    let graph = options.model.as_ref().map(|model| engine::graph(model)).transpose()?;
    // of all links: the longest way, and the least bandwidth
    let (mut latency, mut rate) = (0.0f64, f64::INFINITY);
    for number in (0..3).filter(|&number| Some(number) != own) {
        let address = setup.cluster.party[number].address.clone();
        match probe(&setup, number, &client_options) {
            Ok(PartyReport { clock, days_left, round_trip, bytes_a_second, status }) => {
                objects.push(json!({"party": number, "address": address, "clock_seconds": clock, "certificate_days": days_left,
                    "round_trip_seconds": round_trip, "bytes_a_second": bytes_a_second, "session": status.session, "device": status.device}));
                (latency, rate) = (latency.max(round_trip / 2.0), rate.min(bytes_a_second));
                let session = if status.session { "on" } else { "off" };
                let measured = format!("{}/s", paint::bytes(bytes_a_second as u64));
                let clock_ahead = format!("{clock:+.3} s");
                let certificate = format!("{days_left} days");
                rows.push(vec![
                    number.to_string(),
                    address,
                    paint::seconds(round_trip),
                    measured,
                    clock_ahead,
                    certificate,
                    session.into(),
                    status.device,
                ]);
                if clock.abs() > 60.0 {
                    faults.push(format!("party {number}: its clock is {clock:+.0} s ahead of this one: certificates may seem expired"));
                }
                if days_left < 30 {
                    faults.push(format!("party {number}: its certificate expires in {days_left} days"));
                }
            }
            Err(error) => {
                objects.push(json!({"party": number, "address": address, "error": error.to_string()}));
                faults.push(format!("party {number} at {address}: {error}"));
            }
        }
    }
    let estimate = match &graph {
        Some(graph) if rate.is_finite() => {
            let net = Net { latency_us: (latency * 1e6).round() as u64, bits_per_second: (8.0 * rate) as u64 };
            let cluster = &setup.cluster;
            Some(engine::wait(nn::network_seconds(graph, 1, cluster.fixed()?, cluster.sign.into(), net))?)
        }
        _ => None,
    };
    if options.json {
        objects.extend(estimate.map(|seconds| json!({"network_seconds_of_an_input": seconds})));
        paint::print(&json!(objects).to_string());
    } else if rows.len() > 1 {
        paint::columns(&rows);
        if let Some(seconds) = estimate {
            paint::say(&format!(
                "\nan input spends {} on such links; `trishade plan --measure` says what computing takes",
                paint::seconds(seconds)
            ));
        }
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Failure::Check(super::CheckFailed(faults.join("\n")))),
    }
}
