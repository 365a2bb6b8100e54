//! Every kernel on a device against the native twin, and ChaCha20 against RFC 8439.
//!
//! A [`Case`] uploads fixed words, runs kernels through their public functions, and gives the buffers that they made. Two
//! devices agree if all words of all cases are equal; there is no tolerance.

mod circuits;
mod products;
mod rfc8439;
mod splits;
mod words;

use super::Pad;
#[cfg(feature = "gpu")]
use crate::device::gpu::{Gpu, Path, Tuning};
use crate::{
    Result,
    device::{Buffer, Device},
    ring::{EDGES, Word},
    stream::Stream,
};

#[cfg(feature = "gpu")]
use std::sync::Arc;

/// Around groups of 8, workgroups of 64 and tiles of 512.
const SIZES: [usize; 10] = [1, 7, 8, 9, 64, 511, 512, 513, 1500, 10_007];

/// What a case computes on a device.
type Run = Box<dyn Fn(&Device) -> Vec<Buffer>>;

/// One comparison.
pub struct Case {
    /// Kernel, variant, size.
    pub name: String,
    run: Run,
    /// Words that a standard gives, as a part of the first output, where there is one.
    known: Option<(usize, Vec<Word>)>,
}

impl Case {
    fn new(name: impl Into<String>, run: impl Fn(&Device) -> Vec<Buffer> + 'static) -> Self {
        Self { name: name.into(), run: Box::new(run), known: None }
    }

    /// All words that the case makes on this device.
    pub async fn words(&self, device: &Device) -> Result<Vec<Vec<Word>>> {
        let made = (self.run)(device);
        device.download(&made.iter().collect::<Vec<_>>()).await
    }

    /// Where two devices, or a device and the standard, differ first.
    fn difference(&self, got: &[Vec<Word>], want: &[Vec<Word>]) -> Option<String> {
        let known = self.known.iter().flat_map(|(at, words)| got[0][*at..].iter().zip(words).position(|(got, want)| got != want));
        let from_standard = known.map(|at| format!("word {at} is not the standard's")).next();
        let pairs = got.iter().zip(want).enumerate();
        let places = pairs.filter_map(|(i, (got, want))| Some((i, got.iter().zip(want).position(|(a, b)| a != b)?, got, want)));
        let from_twin = places.map(|(i, at, got, want)| format!("output {i}, word {at}: {:#x}, not {:#x}", got[at], want[at])).next();
        from_standard.or(from_twin)
    }
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Case({})", self.name)
    }
}

/// What [`selftest`] found.
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

/// Words with many carries and turning signs.
fn fixed(n: usize, seed: u64) -> Vec<Word> {
    let mixed = |i: u64| (i ^ seed << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (0..n as u64).map(|i| if i % 5 == seed % 5 { EDGES[(i / 5 % 8) as usize] } else { mixed(i) ^ mixed(i) >> 31 }).collect()
}

/// The same on a device.
fn upload(device: &Device, n: usize, seed: u64) -> Buffer {
    device.upload(&fixed(n, seed))
}

fn stream(seed: u32) -> Stream {
    Stream { key: std::array::from_fn(|i| seed.wrapping_mul(0x9e37_79b9).rotate_left(i as u32)), nonce: [seed, 2, 3, 0] }
}

fn pad(seed: u32) -> Pad {
    Pad::fresh(stream(seed))
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
