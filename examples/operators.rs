//! Runs the ONNX project's operator cases as private inference: what passes, what is refused and why.
//!
//! `cargo run --release --example operators -- FOLDER`; Debian's package `libonnx-testdata` has the cases in the default folder.

#[path = "../tests/common/cases.rs"]
mod cases;

use cases::{Verdict, run_all, totals};
use std::{path::PathBuf, process::ExitCode};
use trishade::Error;

const FOLDER: &str = "/usr/share/libonnx-testdata/data/node";

fn main() -> Result<ExitCode, Error> {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from(FOLDER), PathBuf::from);
    let cases = run_all(&folder)?;
    for case in &cases {
        let (word, why) = match &case.verdict {
            Verdict::Passed => ("passed", ""),
            Verdict::Refused(why) => ("refused", why.as_str()),
            Verdict::Failed(why) => ("FAILED", why.as_str()),
        };
        let short = why.split("; supported:").next().unwrap_or(why).split(": supported:").next().unwrap_or(why);
        println!("{word:8} {:18} {:60} {short}", case.operator, case.name);
    }
    println!("\n{:20} {:>7} {:>8} {:>7}", "operator", "passed", "refused", "failed");
    let mut sums = [0; 3];
    for (operator, counts) in totals(&cases) {
        println!("{operator:20} {:7} {:8} {:7}", counts[0], counts[1], counts[2]);
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    println!("{:20} {:7} {:8} {:7}", "all", sums[0], sums[1], sums[2]);
    Ok(if sums[2] == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
