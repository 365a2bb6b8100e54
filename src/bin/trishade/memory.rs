//! Memory that this process has taken and may still take.

use crate::terminal;
use trishade::{Error, Result};

/// An error if a run that will hold so many bytes cannot have them, or may not.
pub fn fits(needed: u64, limit: Option<u64>, batch: usize) -> Result<()> {
    let advice = if batch > 1 { "choose a smaller --batch" } else { "it needs a machine with more" };
    let refuse = |there: u64, why: &str| {
        let needed = terminal::bytes(needed);
        Err(Error::Input(format!("too little memory: a batch of {batch} needs about {needed}, {} {why}; {advice}", terminal::bytes(there))))
    };
    match (limit, available()) {
        (Some(limit), _) if needed > limit => refuse(limit, "are allowed by --max-memory"),
        (_, Some(there)) if needed > there => refuse(there, "are free"),
        _ => Ok(()),
    }
}

/// Bytes that this process may still take, where the system says so.
pub fn available() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let free = kilobytes(&info, "MemAvailable:")?;
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let group = number("/sys/fs/cgroup/memory.max").zip(number("/sys/fs/cgroup/memory.current"));
    Some(group.map_or(free, |(most, now)| free.min(most.saturating_sub(now))))
}

/// The most bytes of this process that were in memory at one time since it began or since [`forget_most`].
pub fn most() -> Option<u64> {
    kilobytes(&std::fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// Starts [`most`] anew.
pub fn forget_most() {
    // where the system does not know how, the figure is that of the whole process
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}
