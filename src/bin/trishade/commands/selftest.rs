//! `trishade selftest`: every kernel on a device against its native twin.

use crate::{
    args::Selftest,
    engine,
    failure::Failure,
    terminal::{self, To},
};
use trishade::{Error, device::Device, selftest};

pub fn run(options: &Selftest) -> Result<(), Failure> {
    let mut failed = Vec::new();
    for (name, device) in devices(&options.device)? {
        let report = whole(&device)?;
        let verdict = if report.failed.is_empty() { To::Output.colour("ok", "32") } else { To::Output.colour("FAILED", "31;1") };
        terminal::show(&format!("  {name}: {} of {} cases  {verdict}", report.cases - report.failed.len(), report.cases));
        for (case, why) in &report.failed {
            terminal::show(&format!("    {case}: {why}"));
        }
        failed.extend(report.failed.into_iter().map(|(case, _)| format!("{case} on {name}")));
    }
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(Failure::Check(format!("{} cases differ, the first is {first}", failed.len()))),
    }
}

/// All cases, and products in every way that the device has.
fn whole(device: &Device) -> Result<selftest::Report, Error> {
    let report = engine::wait(selftest::selftest(device, |_, _| ()))?;
    #[cfg(feature = "gpu")]
    if let Device::Gpu(gpu) = device {
        let mut paths = engine::wait(selftest::product_paths(gpu, |_, _| ()))?;
        paths.cases += report.cases;
        paths.failed.splice(0..0, report.failed);
        return Ok(paths);
    }
    Ok(report)
}

/// The devices that a name means, a GPU with both ways to hold a word if it has both.
fn devices(name: &str) -> Result<Vec<(String, Device)>, Error> {
    match name {
        "cpu" => Ok(vec![("cpu".into(), Device::cpu(0)?)]),
        "auto" => {
            let mut found = devices("cpu")?;
            for selector in hardware() {
                found.extend(both(&selector)?);
            }
            Ok(found)
        }
        name => both(name),
    }
}

#[cfg(feature = "gpu")]
fn hardware() -> Vec<String> {
    let adapters = engine::wait(trishade::device::gpu::adapters());
    adapters.iter().filter(|a| !a.software && a.unusable().is_none()).map(|a| a.index.to_string()).collect()
}

#[cfg(feature = "gpu")]
fn both(selector: &str) -> Result<Vec<(String, Device)>, Error> {
    use trishade::device::gpu::Prelude;
    let limbs = Device::gpu_with(selector, Prelude::Limbs)?;
    let has_both = matches!(&limbs, Device::Gpu(gpu) if gpu.facts().shader_int64);
    let mut found = vec![(format!("{}, two 32-bit halves", limbs.name()), limbs)];
    if has_both {
        let native = Device::gpu_with(selector, Prelude::Native)?;
        found.push((format!("{}, 64-bit integers", native.name()), native));
    }
    Ok(found)
}

#[cfg(not(feature = "gpu"))]
fn hardware() -> Vec<String> {
    Vec::new()
}

#[cfg(not(feature = "gpu"))]
fn both(selector: &str) -> Result<Vec<(String, Device)>, Error> {
    Ok(vec![(selector.into(), engine::device(selector, 0, false)?)])
}
