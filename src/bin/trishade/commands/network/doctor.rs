//! `trishade doctor`: round trips, bandwidth, clocks and certificates of three parties.

use super::caller;
use crate::{
    args::Doctor,
    engine,
    failure::Failure,
    terminal::{self, To},
};
use serde_json::{Value, json};
use trishade::{
    Error,
    net::{ClientSetup, PartyReport, probe},
    nn::{self, Graph},
    party::Net,
};

/// Fewer days than these until a certificate expires are a fault.
const DAYS: i64 = 30;

/// More seconds than these between two clocks are a fault.
const CLOCK: f64 = 60.0;

/// Findings at the parties that were dialled.
struct Findings {
    rows: Vec<Vec<String>>,
    objects: Vec<Value>,
    faults: Vec<String>,
    /// The longest way of all links, in seconds, and the least bandwidth, in bytes a second: endless if no party was met.
    latency: f64,
    rate: f64,
}

pub fn run(options: &Doctor) -> Result<(), Failure> {
    let (setup, how) = caller::open(&options.caller)?;
    let own = setup.cluster.party_of(setup.identity.fingerprint());
    let graph = options.model.as_ref().map(|model| engine::graph_at(model, &[], &[])).transpose()?;
    let mut findings = Findings::new();
    for number in (0..3).filter(|&number| Some(number) != own) {
        let address = setup.cluster.party[number].address.clone();
        match probe(&setup, number, &how) {
            Ok(found) => findings.met(number, address, found),
            Err(error) => findings.missed(number, address, &error.to_string()),
        }
    }
    let estimate = graph.map(|graph| findings.seconds(&graph, &setup)).transpose()?.flatten();
    if options.json {
        findings.objects.extend(estimate.map(|seconds| json!({"network_seconds_of_an_input": seconds})));
        terminal::print_json(&json!(findings.objects));
    } else {
        findings.report(estimate);
    }
    match findings.faults.is_empty() {
        true => Ok(()),
        false => Err(Failure::Check(findings.faults.join("\n"))),
    }
}

impl Findings {
    fn new() -> Self {
        let head = ["party", "address", "round trip", "there and back", "clock", "certificate", "session", "device"];
        let rows = vec![head.map(String::from).to_vec()];
        Self { rows, objects: Vec::new(), faults: Vec::new(), latency: 0.0, rate: f64::INFINITY }
    }

    fn met(&mut self, number: usize, address: String, found: PartyReport) {
        let PartyReport { clock, days_left, round_trip, bytes_a_second, status } = found;
        self.objects.push(json!({"party": number, "address": address, "clock_seconds": clock, "certificate_days": days_left,
            "round_trip_seconds": round_trip, "bytes_a_second": bytes_a_second, "session": status.session, "device": status.device}));
        self.latency = self.latency.max(round_trip / 2.0);
        self.rate = self.rate.min(bytes_a_second);
        self.rows.push(vec![
            number.to_string(),
            terminal::escaped(&address),
            terminal::seconds(round_trip),
            format!("{}/s", terminal::bytes(bytes_a_second as u64)),
            format!("{clock:+.3} s"),
            format!("{days_left} days"),
            if status.session { "on" } else { "off" }.into(),
            terminal::escaped(&status.device),
        ]);
        if clock.abs() > CLOCK {
            self.faults.push(format!("party {number}: its clock is {clock:+.0} s ahead of this one: certificates may seem expired"));
        }
        if days_left < DAYS {
            self.faults.push(format!("party {number}: its certificate expires in {days_left} days"));
        }
    }

    fn missed(&mut self, number: usize, address: String, error: &str) {
        self.objects.push(json!({"party": number, "address": address, "error": error}));
        self.faults.push(format!("party {number} at {address}: {error}"));
    }

    /// Seconds on the network of an input of this graph, if a party was met.
    fn seconds(&self, graph: &Graph, setup: &ClientSetup) -> Result<Option<f64>, Error> {
        if !self.rate.is_finite() {
            return Ok(None);
        }
        let net = Net { latency_us: (self.latency * 1e6).round() as u64, bits_per_second: (8.0 * self.rate) as u64 };
        let cluster = &setup.cluster;
        engine::wait(nn::network_seconds(graph, 1, cluster.fixed()?, cluster.sign.into(), net)).map(Some)
    }

    fn report(&self, estimate: Option<f64>) {
        if self.rows.len() == 1 {
            return;
        }
        To::Output.columns(&self.rows);
        if let Some(seconds) = estimate {
            let seconds = terminal::seconds(seconds);
            terminal::show(&format!("\nan input spends {seconds} on such links; `trishade plan --measure` says what computing takes"));
        }
    }
}
