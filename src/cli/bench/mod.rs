//! `trishade bench`: what a device does in a second, for whom it matters to compare.

#[path = "../../../benches/peak.rs"]
mod bare;
mod models;
mod peak;
mod protocols;
mod report;

use super::{
    Failure,
    args::{Bench, Suite},
    engine, paint,
};
use crate::{
    Error, Result,
    device::Device,
    party::Transport,
    protocol::{Sign, Signs},
};
use report::{File, Row};

/// What every case runs on.
struct Bed {
    device: Device,
    threads: usize,
    link: Transport,
    sign: Sign,
    repetitions: usize,
    micro_batch: usize,
    verify: bool,
}

/// One repetition.
#[derive(Clone, Copy, Default)]
struct Sample {
    seconds: f64,
    rounds: u32,
    bytes: u64,
    /// The same with the lead's part done before: seconds of that part, seconds of the rest.
    prepared: Option<[f64; 2]>,
    signs: Signs,
    /// Of a first run: what it had to hold by the plan, and the most that the process has held.
    memory: Option<[u64; 2]>,
    /// The largest difference from the fixed-point oracle's scores and the largest of these, in units of the last place.
    ulps: Option<[u64; 2]>,
}

/// A case: its name, its shape, and what prepares a repetition.
struct Case {
    name: String,
    shape: String,
    /// Multiply-adds, elements or bytes of a repetition, and the unit of their rate.
    work: Option<(f64, &'static str)>,
    /// Whether it has signs, and so is measured with each.
    signs: bool,
    prepare: Prepare,
}

/// Sets a case up on a bed.
type Prepare = Box<dyn Fn(&Bed) -> Result<Repetition>>;

/// Something that can be timed again and again.
type Repetition = Box<dyn FnMut() -> Result<Sample>>;

pub fn run(options: &Bench) -> std::result::Result<(), Failure> {
    let old = options.compare.as_deref().map(File::read).transpose()?;
    let suites = options.suite.map_or(vec![Suite::Peak, Suite::Micro, Suite::Models], |suite| vec![suite]);
    let mut file = File::new(options);
    for name in devices(&options.device) {
        let mut bed = Bed {
            device: engine::device(&name, options.threads, options.retune)?,
            threads: options.threads,
            link: options.net.figures().map_or(Transport::Handover, Transport::Shaped),
            sign: Sign::Auto,
            repetitions: options.repetitions.max(1),
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
                    paint::say(&format!("  {:24} {:34} {:14} {}", row.case, row.shape, row.sign, paint::seconds(row.seconds[0])));
                    file.rows.push(row);
                }
            }
        }
    }
    if file.rows.is_empty() {
        return Err(Error::Input("no case has this text in its name or shape".into()).into());
    }
    paint::print(&file.written(options.output));
    if let Some(old) = old {
        paint::print(&file.compared(&old));
    }
    Ok(())
}

/// A device, or all: the CPU and every hardware GPU.
fn devices(name: &str) -> Vec<String> {
    match name {
        "all" => {
            let mut all = vec!["cpu".to_owned()];
            #[cfg(feature = "gpu")]
            all.extend(engine::wait(crate::device::gpu::adapters()).iter().filter(|a| !a.software).map(|a| a.index.to_string()));
            all
        }
        name => vec![name.to_owned()],
    }
}

/// The warm-up is not counted.
fn measure(case: &Case, suite: Suite, bed: &Bed) -> Result<Row> {
    bed.device.clear();
    let mut repetition = (case.prepare)(bed)?;
    let first = repetition()?;
    let mut samples = (0..bed.repetitions).map(|_| repetition()).collect::<Result<Vec<Sample>>>()?;
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
        Device::Cpu(_) => format!("{:?}", crate::device::vector::Level::best()).to_lowercase(),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu.tuning().to_string(),
        _ => "none".into(),
    }
}
