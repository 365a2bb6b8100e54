//! From the options to a device, and from a device to a session.

use super::args::Engine;
#[cfg(feature = "gpu")]
use super::tuning::tuned;
use crate::{Error, Result, device::Device, fixed::Fixed, nn::Session};

/// The device that a name means. A GPU multiplies as it was found to do best, which is measured anew if `retune`.
pub fn device(name: &str, threads: usize, retune: bool) -> Result<Device> {
    let device = match name {
        "cpu" => Device::cpu(threads),
        "auto" => hardware().unwrap_or_else(|| Device::cpu(threads)),
        name => named(name),
    }?;
    tuned(device, retune)
}

/// Three parties on one device.
pub fn session(options: &Engine) -> Result<Session> {
    let fixed = Fixed::new(options.fraction_bits)?;
    let device = device(&options.device, options.threads, options.retune)?;
    Ok(Session::new([device.clone(), device.clone(), device], fixed)?.with_sign(options.sign.into()))
}

#[cfg(feature = "gpu")]
fn hardware() -> Option<Result<Device>> {
    Device::auto()
}

#[cfg(not(feature = "gpu"))]
fn hardware() -> Option<Result<Device>> {
    None
}

#[cfg(not(feature = "gpu"))]
fn tuned(device: Device, _: bool) -> Result<Device> {
    Ok(device)
}

#[cfg(feature = "gpu")]
fn named(name: &str) -> Result<Device> {
    Device::gpu(name)
}

#[cfg(not(feature = "gpu"))]
fn named(name: &str) -> Result<Device> {
    Err(crate::device::no_device(name, &["cpu".into()]))
}

/// Runs a future to its end on this thread.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    pollster::block_on(future)
}

/// An error if a run that needs so many bytes at each party, all on this machine, cannot have them.
pub fn fits(memory: [u64; 3], batch: usize) -> Result<()> {
    let needed: u64 = memory.iter().sum();
    match available() {
        Some(there) if needed > there => Err(Error::Input(format!(
            "too little memory: a batch of {batch} needs about {}, {} are free; choose a smaller --batch",
            super::paint::bytes(needed),
            super::paint::bytes(there)
        ))),
        _ => Ok(()),
    }
}

/// Bytes that this process may still take, where the system says so.
fn available() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let free = line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024;
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let group = number("/sys/fs/cgroup/memory.max").zip(number("/sys/fs/cgroup/memory.current"));
    Some(group.map_or(free, |(most, now)| free.min(most.saturating_sub(now))))
}
