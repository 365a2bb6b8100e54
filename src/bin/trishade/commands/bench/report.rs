//! Measurements as a table, as lines, and as a file that later runs can be compared with.

use crate::{
    args::{Bench, NetworkChoice, Output},
    hardware, terminal,
};
use serde_json::{Value, json};
use std::{fmt::Write, path::Path};
use trishade::{Error, Result};

/// Grows when a key of a row changes its meaning.
const SCHEMA: u64 = 1;

/// One measured case.
#[derive(Debug, Clone)]
pub struct Row {
    pub suite: String,
    pub case: String,
    pub shape: String,
    pub device: String,
    pub threads: usize,
    pub path: String,
    pub sign: String,
    /// Median, least, most.
    pub seconds: [f64; 3],
    /// With the lead's part done before there are inputs: medians of that part and of the rest.
    pub offline: Option<f64>,
    pub online: Option<f64>,
    pub rounds: u32,
    pub bytes: u64,
    /// Foreseen by the plan, and the most that the process has held.
    pub memory: Option<[u64; 2]>,
    /// The largest difference of a score from the fixed-point reference's, and the largest of these, in units of the last place.
    pub ulps: Option<[u64; 2]>,
    pub rate: Option<(f64, String)>,
}

/// A run of the benchmark.
pub struct File {
    net: &'static str,
    repetitions: usize,
    facts: Value,
    pub rows: Vec<Row>,
}

impl File {
    pub fn new(options: &Bench) -> Self {
        let net = match options.net {
            NetworkChoice::Local => "one process, three parties share the device",
            NetworkChoice::Lan => "shaped: 10 Gb/s and 0.2 ms each link and way, simulated clock, each party has the device alone",
            NetworkChoice::Wan => "shaped: 100 Mb/s and 40 ms each link and way, simulated clock, each party has the device alone",
        };
        Self { net, repetitions: options.repetitions.max(1), facts: Value::Array(hardware::list()), rows: Vec::new() }
    }

    /// The rows of an earlier run.
    pub fn read(path: &Path) -> Result<Vec<Value>> {
        let bad = |what: String| Error::File(format!("{}: {what}", path.display()));
        let bytes = std::fs::read(path).map_err(|e| bad(format!("cannot be read: {e}")))?;
        let file: Value = serde_json::from_slice(&bytes).map_err(|e| bad(format!("not JSON: {e}")))?;
        match (file["schema"].as_u64(), file["rows"].as_array()) {
            (Some(SCHEMA), Some(rows)) => Ok(rows.clone()),
            _ => Err(bad(format!("not a file of `trishade bench -o json` with schema {SCHEMA}"))),
        }
    }

    pub fn written(&self, output: Output) -> String {
        match output {
            Output::Md => self.table(),
            Output::Csv => self.csv(),
            Output::Json => {
                let rows: Vec<Value> = self.rows.iter().map(|row| self.object(row)).collect();
                json!({"schema": SCHEMA, "program": env!("CARGO_PKG_VERSION"), "net": self.net, "devices": self.facts, "rows": rows})
                    .to_string()
            }
            Output::Jsonl => self.rows.iter().map(|row| self.object(row).to_string()).collect::<Vec<_>>().join("\n"),
        }
    }

    fn object(&self, row: &Row) -> Value {
        let [median, least, most] = row.seconds;
        json!({
            "suite": row.suite, "case": row.case, "shape": row.shape, "device": row.device, "threads": row.threads,
            "path": row.path, "sign": row.sign,
            "seconds_median": median, "seconds_min": least, "seconds_max": most,
            "seconds_offline": row.offline, "seconds_online": row.online, "repetitions": self.repetitions,
            "rounds": row.rounds, "bytes": row.bytes, "net": self.net,
            "memory_planned": row.memory.map(|m| m[0]), "memory": row.memory.map(|m| m[1]), "ulps": row.ulps.map(|u| u[0]), "ulps_largest_score": row.ulps.map(|u| u[1]),
            "rate": row.rate.as_ref().map(|r| r.0), "rate_unit": row.rate.as_ref().map(|r| &r.1),
        })
    }

    fn table(&self) -> String {
        let mut text = format!("Medians of {}; {}. Online: with the lead's part prepared.\n\n", self.repetitions, self.net);
        let memory = self.rows.iter().any(|row| row.memory.is_some());
        let ulps = self.rows.iter().any(|row| row.ulps.is_some());
        let more = |memory_cell: &str, ulps_cell: &str| [if memory { memory_cell } else { "" }, if ulps { ulps_cell } else { "" }].concat();
        let head = "| case | shape | sign | device, threads, path | median | least | most | online | rate | rounds | bytes |";
        let _ = writeln!(text, "{head}{}", more(" memory | planned |", " ulps |"));
        let _ = writeln!(text, "|---|---|---|---|--:|--:|--:|--:|--:|--:|--:|{}", more("--:|--:|", "--:|"));
        for row in &self.rows {
            let [median, least, most] = row.seconds.map(terminal::seconds);
            let rate = row.rate.as_ref().map_or(String::new(), |(rate, unit)| scaled(*rate, unit));
            let online = row.online.map_or(String::new(), terminal::seconds);
            let (rounds, bytes) = if row.rounds == 0 { Default::default() } else { (row.rounds.to_string(), terminal::bytes(row.bytes)) };
            let [planned, most_held] = row.memory.map_or(Default::default(), |m| m.map(terminal::bytes));
            let off = row.ulps.map_or(String::new(), |[ulps, largest]| format!("{ulps} of {largest}"));
            let _ = writeln!(
                text,
                "| {} | {} | {} | {}, {}, {} | {median} | {least} | {most} | {online} | {rate} | {rounds} | {bytes} |{}",
                row.case,
                row.shape,
                row.sign,
                row.device,
                threads(row.threads),
                row.path,
                more(&format!(" {most_held} | {planned} |"), &format!(" {off} |"))
            );
        }
        text
    }

    fn csv(&self) -> String {
        let mut text = String::from(
            "suite,case,shape,device,threads,path,seconds_median,seconds_min,seconds_max,seconds_offline,seconds_online,rounds,bytes,sign,memory_planned,memory,ulps\n",
        );
        for row in &self.rows {
            let [median, least, most] = row.seconds;
            let [offline, online] = [row.offline, row.online].map(|s| s.map_or(String::new(), |s| s.to_string()));
            let number = |n: Option<u64>| n.map_or(String::new(), |n| n.to_string());
            let [planned, held] = [0, 1].map(|i| number(row.memory.map(|m| m[i])));
            let quoted = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
            let cells = [&row.suite, &row.case, &row.shape, &row.device].map(|cell| quoted(cell));
            let _ = writeln!(
                text,
                "{},{},{},{median},{least},{most},{offline},{online},{},{},{},{planned},{held},{}",
                cells.join(","),
                row.threads,
                row.path,
                row.rounds,
                row.bytes,
                quoted(&row.sign),
                number(row.ulps.map(|u| u[0]))
            );
        }
        text.trim_end().into()
    }

    /// How the medians have changed, for cases that both runs have.
    pub fn compared(&self, old: &[Value]) -> String {
        let mut text = String::from("\n| case | shape | before | now | change |\n|---|---|--:|--:|--:|\n");
        for row in &self.rows {
            // files of earlier versions do not say
            let sign = |o: &Value| o["sign"].is_null() || o["sign"] == row.sign;
            let same = |o: &&Value| {
                sign(o) && o["case"] == row.case && o["shape"] == row.shape && o["device"] == row.device && o["threads"] == row.threads
            };
            if let Some(before) = old.iter().find(same).and_then(|o| o["seconds_median"].as_f64()) {
                let now = row.seconds[0];
                let change = (now / before - 1.0) * 100.0;
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {change:+.1} % |",
                    row.case,
                    row.shape,
                    terminal::seconds(before),
                    terminal::seconds(now)
                );
            }
        }
        text
    }
}

/// A rate with a decimal prefix.
fn scaled(rate: f64, unit: &str) -> String {
    let (factor, prefix) = if rate >= 1e9 {
        (1e9, "G")
    } else if rate >= 1e6 {
        (1e6, "M")
    } else {
        (1e3, "k")
    };
    format!("{:.2} {prefix} {unit}", rate / factor)
}

fn threads(count: usize) -> String {
    match count {
        0 => "all threads".into(),
        1 => "1 thread".into(),
        n => format!("{n} threads"),
    }
}
