//! One comparison of a device with the native one: fixed words, kernels, the buffers that they made.

use crate::{
    Result,
    device::{Buffer, Device},
    kernels::Pad,
    ring::{EDGES, Word},
    stream::Stream,
};

/// Around groups of 8, workgroups of 64 and tiles of 512.
pub const SIZES: [usize; 10] = [1, 7, 8, 9, 64, 511, 512, 513, 1500, 10_007];

/// The kernels of a case on a device.
type Run = Box<dyn Fn(&Device) -> Vec<Buffer>>;

/// One comparison.
pub struct Case {
    /// Kernel, variant, size.
    pub name: String,
    run: Run,
    /// Words that a standard gives, as a part of the first output, where there is one.
    pub known: Option<(usize, Vec<Word>)>,
}

impl Case {
    /// A case that is compared with the native device alone.
    pub fn new(name: impl Into<String>, run: impl Fn(&Device) -> Vec<Buffer> + 'static) -> Self {
        Self { name: name.into(), run: Box::new(run), known: None }
    }

    /// All words that the case makes on this device.
    pub async fn words(&self, device: &Device) -> Result<Vec<Vec<Word>>> {
        let made = (self.run)(device);
        device.download(&made.iter().collect::<Vec<_>>()).await
    }

    /// Where two devices, or a device and the standard, differ first.
    pub fn difference(&self, got: &[Vec<Word>], want: &[Vec<Word>]) -> Option<String> {
        let known = self.known.iter().flat_map(|(at, words)| got[0][*at..].iter().zip(words).position(|(got, want)| got != want));
        let from_standard = known.map(|at| format!("word {at} is not the standard's")).next();
        let pairs = got.iter().zip(want).enumerate();
        let differing = pairs.filter_map(|(i, (got, want))| Some((i, got.iter().zip(want).position(|(a, b)| a != b)?, got, want)));
        let from_twin = differing.map(|(i, at, got, want)| format!("output {i}, word {at}: {:#x}, not {:#x}", got[at], want[at])).next();
        from_standard.or(from_twin)
    }
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Case({})", self.name)
    }
}

/// Words with many carries and turning signs.
pub fn fixed(n: usize, seed: u64) -> Vec<Word> {
    let mixed = |i: u64| (i ^ seed << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (0..n as u64).map(|i| if i % 5 == seed % 5 { EDGES[(i / 5 % 8) as usize] } else { mixed(i) ^ mixed(i) >> 31 }).collect()
}

/// The words of [`fixed`] on a device.
pub fn upload(device: &Device, n: usize, seed: u64) -> Buffer {
    device.upload(&fixed(n, seed))
}

/// A key and a nonce of this seed.
pub fn stream(seed: u32) -> Stream {
    Stream { key: std::array::from_fn(|i| seed.wrapping_mul(0x9e37_79b9).rotate_left(i as u32)), nonce: [seed, 2, 3, 0] }
}

/// A pad of this seed's stream.
pub fn pad(seed: u32) -> Pad {
    Pad::fresh(stream(seed))
}
