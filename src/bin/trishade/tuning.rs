//! How each adapter multiplies best: measured when it is first used, then kept in the user's cache directory.

use crate::terminal;
use etcetera::{BaseStrategy, choose_base_strategy};
use serde_json::{Value, json};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use trishade::{
    Result,
    device::{
        Device,
        gpu::{AdapterFacts, Tuning},
    },
    tuning::tune,
};

/// Grows when the meaning of an entry changes.
const SCHEMA: u64 = 1;

/// Gives a GPU the tuning that an earlier run has measured, or measures it: always if asked to. Other devices have nothing to
/// choose.
pub fn tuned(device: Device, again: bool) -> Result<Device> {
    let Device::Gpu(gpu) = &device else { return Ok(device) };
    let (file, key) = (file(), key(gpu.facts()));
    let known = file.as_deref().filter(|_| !again).and_then(|file| read(file).get(&key)?.as_str()?.parse::<Tuning>().ok());
    if known.is_some_and(|tuning| gpu.set_tuning(tuning).is_ok()) {
        return Ok(device);
    }
    terminal::say(&format!("measuring how {} multiplies best (once; --retune repeats it)", gpu.facts().name));
    let found = pollster::block_on(tune(gpu))?;
    terminal::say(&format!("  {found}"));
    if let Some(Err(why)) = file.map(|file| store(&file, &key, found)) {
        terminal::say(&format!("  not kept for the next run: {why}"));
    }
    Ok(device)
}

/// The tuning that an earlier run has measured for an adapter, for people.
pub fn known(facts: &AdapterFacts) -> Option<String> {
    Some(read(&file()?).get(&key(facts))?.as_str()?.to_owned())
}

fn file() -> Option<PathBuf> {
    Some(choose_base_strategy().ok()?.cache_dir().join("trishade").join("tuning.json"))
}

/// Another driver may be another machine.
fn key(facts: &AdapterFacts) -> String {
    format!("{}, {}, {}", facts.name, facts.backend, facts.driver)
}

/// The entries; none if the file is missing, damaged, or of another version of the program.
fn read(file: &Path) -> serde_json::Map<String, Value> {
    let whole: Value = fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    match (&whole["schema"], &whole["program"], &whole["adapters"]) {
        (schema, program, Value::Object(adapters)) if *schema == SCHEMA && *program == env!("CARGO_PKG_VERSION") => adapters.clone(),
        _ => serde_json::Map::new(),
    }
}

/// Adds an entry; the file is whole at every moment.
fn store(file: &Path, key: &str, tuning: Tuning) -> io::Result<()> {
    let mut adapters = read(file);
    adapters.insert(key.into(), tuning.to_string().into());
    let text = json!({"schema": SCHEMA, "program": env!("CARGO_PKG_VERSION"), "adapters": adapters}).to_string();
    fs::create_dir_all(file.parent().unwrap_or(file))?;
    let fresh = file.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&fresh, text)?;
    fs::rename(&fresh, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stay_and_damage_is_nothing_known() {
        let folder = std::env::temp_dir().join(format!("trishade tuning {}", std::process::id()));
        let file = folder.join("deep").join("tuning.json");
        assert!(read(&file).is_empty());
        let [one, other] = ["m8 2x8", "u64 4x8"].map(|text| text.parse::<Tuning>().unwrap());
        store(&file, "one", one).unwrap();
        store(&file, "other", other).unwrap();
        let entries = read(&file);
        assert_eq!((entries["one"].as_str(), entries["other"].as_str()), (Some("m8 2x8"), Some("u64 4x8")));
        for damage in ["", "{", "[1]", r#"{"schema":1,"program":"0.0.0","adapters":{"one":"m8 2x8"}}"#] {
            fs::write(&file, damage).unwrap();
            assert!(read(&file).is_empty(), "{damage}");
        }
        store(&file, "one", one).unwrap();
        assert_eq!(read(&file).len(), 1);
        assert!("m8 3x8".parse::<Tuning>().is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
