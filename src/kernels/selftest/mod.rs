//! Every kernel on a device against the native twin, and ChaCha20 against RFC 8439.
//!
//! A [`Case`] uploads fixed words, runs kernels through their public functions, and gives the buffers that they made. Two
//! devices agree if all words of all cases are equal; there is no tolerance.

mod case;
mod circuits;
mod products;
mod rfc8439;
mod splits;
mod words;

pub use case::Case;

#[cfg(feature = "gpu")]
use crate::device::gpu::{Gpu, Path, Tuning};
use crate::{Result, device::Device, ring::Word};

#[cfg(feature = "gpu")]
use std::sync::Arc;

/// Findings of [`selftest`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Cases that ran.
    pub cases: usize,
    /// Name of each case that failed, and where or why.
    pub failed: Vec<(String, String)>,
}

/// All cases.
pub fn cases() -> Vec<Case> {
    [rfc8439::cases(), words::cases(), splits::cases(), circuits::cases(), products::cases()].into_iter().flatten().collect()
}

/// Runs all cases on the device and on a native one; `on_case` hears the name of each and whether the words were equal.
pub async fn selftest(device: &Device, mut on_case: impl FnMut(&str, bool)) -> Result<Report> {
    let native = Device::cpu(1)?;
    let mut report = Report::default();
    for case in cases() {
        compare(&case, device, &case.words(&native).await?, &mut report, &mut on_case).await;
    }
    Ok(report)
}

/// Runs products and convolutions in every way that a GPU can multiply; on a software adapter not each path with each
/// number of rows.
#[cfg(feature = "gpu")]
pub async fn product_paths(gpu: &Arc<Gpu>, mut on_case: impl FnMut(&str, bool)) -> Result<Report> {
    let (device, native) = (Device::Gpu(gpu.clone()), Device::cpu(1)?);
    let mut report = Report::default();
    let mut products = Vec::new();
    // of the matrices a few, in all storage orders; of the deep ones and of convolutions all
    let few = |(i, case): &(usize, Case)| i % 7 == 0 || !case.name.starts_with("matmul ") || case.name.contains("ones");
    for (_, case) in products::cases().into_iter().enumerate().filter(few) {
        products.push((case.words(&native).await?, case));
    }
    let usual = gpu.tuning();
    // a software driver compiles the longest shaders for many seconds; rows and limbs do not depend on each other
    let short = |t: &Tuning| !gpu.facts().software || t.rows == 2 || !t.staged && matches!(t.path, Path::U64 | Path::B2);
    for tuning in Tuning::all(gpu.prelude()).into_iter().filter(short) {
        gpu.set_tuning(Tuning { spread: false, ..tuning })?;
        for (want, case) in &mut products {
            let plain = case.name.clone();
            case.name = format!("{plain}, {tuning}");
            compare(case, &device, want, &mut report, &mut on_case).await;
            case.name = plain;
        }
    }
    gpu.set_tuning(usual)?;
    Ok(report)
}

async fn compare(case: &Case, device: &Device, want: &[Vec<Word>], report: &mut Report, on_case: &mut impl FnMut(&str, bool)) {
    let wrong = match case.words(device).await.and_then(|got| device.check().map(|()| got)) {
        Ok(got) => case.difference(&got, want),
        Err(error) => {
            // leaves the next case a clean slate, unless the device is lost
            let _ = device.check();
            Some(error.to_string())
        }
    };
    report.cases += 1;
    on_case(&case.name, wrong.is_none());
    report.failed.extend(wrong.map(|why| (case.name.clone(), why)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_native_device_passes() {
        let report = crate::kernels::now_or_never(selftest(&Device::cpu(2).unwrap(), |_, _| ())).unwrap();
        assert!(report.cases > 100 && report.failed.is_empty(), "{report:?}");
    }
}
