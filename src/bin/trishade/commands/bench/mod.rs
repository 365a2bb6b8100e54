//! `trishade bench`: rates of devices, seconds of protocols and of networks.

mod case;
mod models;
mod peak;
mod protocols;
mod report;

use crate::{
    args::{Bench, Suite},
    engine,
    failure::Failure,
    terminal,
};
use case::{Bed, Case, Sample};
use report::{File, Row};
use trishade::{
    Error,
    device::{Device, Level},
    party::Transport,
    protocol::{Sign, Signs},
};

pub fn run(options: &Bench) -> Result<(), Failure> {
    let old = options.compare.as_deref().map(File::read).transpose()?;
    let suites = options.suite.map_or(vec![Suite::Peak, Suite::Micro, Suite::Models], |suite| vec![suite]);
    let mut file = File::new(options);
    for name in devices(&options.device) {
        let mut bed = Bed {
            device: engine::device(&name, options.threads, options.retune)?,
            threads: options.threads,
            link: options.net.figures().map_or(Transport::Handover, Transport::Shaped),
            sign: Sign::Auto,
            repetitions: options.repetitions,
            micro_batch: options.micro_batch.map_or(usize::MAX, usize::from),
            verify: options.verify,
        };
        for &suite in &suites {
            let cases = match suite {
                Suite::Peak => peak::cases(&bed),
                Suite::Micro => protocols::cases(),
                Suite::Models => models::cases(),
            };
            for case in cases {
                let wanted = options.filter.as_ref().is_none_or(|text| format!("{} {}", case.name, case.shape).contains(text.as_str()));
                let signs = options.sign.each();
                for &sign in signs.iter().take(if !wanted { 0 } else { [1, signs.len()][usize::from(case.signs)] }) {
                    bed.sign = sign;
                    let row = measure(&case, suite, &bed)?;
                    terminal::say(&format!("  {:24} {:34} {:14} {}", row.case, row.shape, row.sign, terminal::seconds(row.seconds[0])));
                    file.rows.push(row);
                }
            }
        }
    }
    if file.rows.is_empty() {
        let text = options.filter.as_deref().unwrap_or_default();
        return Err(Failure::Usage(format!("--filter {text}: no case has this text in its name or shape")));
    }
    terminal::print(&file.written(options.output));
    if let Some(old) = old {
        terminal::print(&file.compared(&old));
    }
    Ok(())
}

/// A device, or all: the CPU and every hardware GPU.
fn devices(name: &str) -> Vec<String> {
    match name {
        "all" => {
            let mut all = vec!["cpu".to_owned()];
            #[cfg(feature = "gpu")]
            all.extend(engine::wait(trishade::device::gpu::adapters()).iter().filter(|a| !a.software).map(|a| a.index.to_string()));
            all
        }
        name => vec![name.to_owned()],
    }
}

/// The warm-up is not counted.
fn measure(case: &Case, suite: Suite, bed: &Bed) -> Result<Row, Error> {
    bed.device.clear();
    let mut repetition = (case.prepare)(bed)?;
    let first = repetition()?;
    let mut samples = (0..bed.repetitions).map(|_| repetition()).collect::<Result<Vec<Sample>, Error>>()?;
    samples.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let (middle, last) = (&samples[samples.len() / 2], &samples[samples.len() - 1]);
    let median = |i: usize| {
        let mut seconds: Vec<f64> = samples.iter().filter_map(|s| s.prepared.map(|p| p[i])).collect();
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied()
    };
    Ok(Row {
        suite: format!("{suite:?}").to_lowercase(),
        case: case.name.clone(),
        shape: case.shape.clone(),
        device: bed.device.name(),
        threads: bed.threads,
        path: path(&bed.device),
        sign: sign(bed.sign, middle.signs),
        seconds: [middle.seconds, samples[0].seconds, last.seconds],
        offline: median(0),
        online: median(1),
        rounds: middle.rounds,
        bytes: middle.bytes,
        memory: first.memory,
        ulps: first.ulps,
        rate: case.work.map(|(work, unit)| (work / middle.seconds, unit.to_owned())),
    })
}

/// The sign that was asked for, and what it came to; nothing for a case without.
fn sign(asked: Sign, used: Signs) -> String {
    let names: Vec<&str> =
        [("six", used.six), ("five", used.five), ("short", used.short)].iter().filter(|(_, n)| *n > 0).map(|(name, _)| *name).collect();
    let auto = if asked == Sign::Auto && !names.is_empty() { "auto: " } else { "" };
    [auto, &names.join(", ")].concat()
}

/// How the device holds and multiplies a word.
fn path(device: &Device) -> String {
    match device {
        Device::Cpu(_) => format!("{:?}", Level::best()).to_lowercase(),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu.tuning().to_string(),
        _ => "none".into(),
    }
}
