//! The suite `peak`: the device's own rates, and beside them those of a bare kernel.

#[path = "../../../../../benches/peak.rs"]
mod bare;

use super::case::{Bed, Case, Repetition, Sample};
use crate::engine;
use trishade::{Result, device::Device, rates};

pub fn cases(bed: &Bed) -> Vec<Case> {
    let mut cases = Vec::new();
    if matches!(bed.device, Device::Cpu(_)) {
        cases.push(bare_case("bare 8x16 product", "1024 x 1024 x 1024, one thread", 1024f64.powi(3), "multiply-adds/s", || {
            1024f64.powi(3) / bare::product_rate(1024, 1)
        }));
        let bytes = f64::from(1 << 27);
        cases.push(bare_case("copy", "128 MiB, one thread", bytes, "bytes/s", move || bytes / bare::copy_rate()));
    }
    cases.extend(rates::cases(&bed.device).into_iter().map(case));
    cases
}

/// One kernel of one party.
fn case(rate: rates::Case) -> Case {
    let (name, shape, work) = (rate.name.into(), rate.shape.clone(), Some((rate.work, rate.unit)));
    let prepare = move |bed: &Bed| -> Result<Repetition> {
        let repetition = rate.on(&bed.device);
        Ok(Box::new(move || Ok(Sample { seconds: engine::wait(repetition.seconds())?, ..Sample::default() })))
    };
    Case { name, shape, work, signs: false, prepare: Box::new(prepare) }
}

/// Something that times itself.
fn bare_case(name: &str, shape: &str, work: f64, unit: &'static str, seconds: impl Fn() -> f64 + Copy + 'static) -> Case {
    let prepare = move |_: &Bed| -> Result<Repetition> { Ok(Box::new(move || Ok(Sample { seconds: seconds(), ..Sample::default() }))) };
    Case { name: name.into(), shape: shape.into(), work: Some((work, unit)), signs: false, prepare: Box::new(prepare) }
}
