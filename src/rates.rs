//! Rates of a device's own kernels: the work of one party, without a protocol around it.
//!
//! ```
//! use trishade::{device::Device, rates};
//!
//! # fn main() -> trishade::Result<()> {
//! let device = Device::cpu(1)?;
//! let sum = rates::cases(&device).pop().expect("every device adds");
//! let seconds = pollster::block_on(sum.on(&device).seconds())?;
//! println!("{}, {}: {} {}", sum.name, sum.shape, sum.work / seconds, sum.unit);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "gpu")]
use crate::device::gpu::{Gpu, Prelude, Tuning};
use crate::{
    Result, clock,
    device::{Buffer, Device},
    kernels::{
        draw::draw,
        linear,
        matmul::{Layout, matmul},
    },
    stream::Stream,
};

/// Words of the streams and sums: 32 MiB.
const WORDS: usize = 1 << 22;

/// A kernel on operands that lie on the device already.
type Run = Box<dyn Fn(&Device) -> Buffer>;

/// A kernel of one party with operands of a fixed shape.
pub struct Case {
    /// The kernel, for people.
    pub name: &'static str,
    /// The operands, for people.
    pub shape: String,
    /// Units of work of one call.
    pub work: f64,
    /// Unit of the rate: units of work a second.
    pub unit: &'static str,
    make: Box<dyn Fn(&Device) -> Run>,
}

/// A case whose operands lie on a device: it can be timed again and again.
pub struct Repetition {
    device: Device,
    run: Run,
}

/// The cases of a device: products of shares, ChaCha20, a sum; of a GPU also products in registers and each way to multiply.
pub fn cases(device: &Device) -> Vec<Case> {
    let mut cases: Vec<Case> = [256, 512, 1024].map(|n| product(n, format!("{n} x {n} x {n}, one party"))).into();
    #[cfg(feature = "gpu")]
    if let Device::Gpu(gpu) = device {
        cases.extend(in_registers(gpu));
        cases.extend(Tuning::all(gpu.prelude()).into_iter().map(by_tuning));
    }
    #[cfg(not(feature = "gpu"))]
    let _ = device;
    let bytes = WORDS as f64 * 8.0;
    cases.push(case("ChaCha20", "32 MiB".into(), (bytes, "bytes/s"), |_| Box::new(|device| draw(device, WORDS, stream(3)))));
    cases.push(case("sum of two tensors", "32 MiB each".into(), (3.0 * bytes, "bytes/s"), |device| {
        let x = draw(device, WORDS, stream(4));
        Box::new(move |device| linear::add(device, &x, &x))
    }));
    cases
}

impl Case {
    /// Makes the operands on a device.
    pub fn on(&self, device: &Device) -> Repetition {
        Repetition { device: device.clone(), run: (self.make)(device) }
    }
}

impl Repetition {
    /// Seconds of one call. `Error::Device` if the device fails.
    pub async fn seconds(&self) -> Result<f64> {
        let began = clock::now();
        let made = (self.run)(&self.device);
        self.device.download(&[]).await?;
        drop(made);
        Ok(clock::now() - began)
    }
}

fn case(name: &'static str, shape: String, (work, unit): (f64, &'static str), make: impl Fn(&Device) -> Run + 'static) -> Case {
    Case { name, shape, work, unit, make: Box::new(make) }
}

fn product(n: usize, shape: String) -> Case {
    case("product of shares", shape, (2.0 * (n as f64).powi(3), "multiply-adds/s"), move |device| {
        let multiply = multiplier(device, n);
        Box::new(multiply)
    })
}

/// The product of shares of fixed `n x n` words with themselves.
fn multiplier(device: &Device, n: usize) -> impl Fn(&Device) -> Buffer + use<> {
    let words: Vec<u64> = (0..(n * n) as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let x = device.upload(&words);
    let layout = Layout { batch: 1, m: n, k: n, n, transpose_x: false, transpose_y: false };
    move |device| matmul(device, [&x, &x, &x, &x], layout, [stream(1), stream(2)])
}

/// Products when nothing else holds the adapter up.
#[cfg(feature = "gpu")]
fn in_registers(gpu: &Gpu) -> [Case; 2] {
    use crate::kernels::rate;
    let (items, turns) = if gpu.facts().software { (1 << 12, 1 << 10) } else { (1 << 18, 1 << 12) };
    let words = if gpu.prelude() == Prelude::Native { "64-bit integers" } else { "two 32-bit halves" };
    [("32-bit products", "u32", false), ("products of ring words", words, true)].map(|(name, held, ring)| {
        let kernel = move |_: &Device| -> Run { Box::new(move |device| rate::rate(device, items, turns, ring)) };
        case(name, format!("in registers, {held}"), (rate::multiply_adds(items, turns), "multiply-adds/s"), kernel)
    })
}

/// The product of shares in one way that a GPU can multiply.
#[cfg(feature = "gpu")]
fn by_tuning(tuning: Tuning) -> Case {
    const N: usize = 512;
    let shape = format!("{N} x {N} x {N}, {tuning}");
    case("product of shares", shape, (2.0 * (N as f64).powi(3), "multiply-adds/s"), move |device| {
        let multiply = multiplier(device, N);
        Box::new(move |device| {
            let Device::Gpu(gpu) = device else { return multiply(device) };
            let usual = gpu.tuning();
            // one that the adapter has not got is not in the list
            let _ = gpu.set_tuning(tuning);
            let z = multiply(device);
            let _ = gpu.set_tuning(usual);
            z
        })
    })
}

fn stream(seed: u32) -> Stream {
    Stream { key: [seed; 8], nonce: [0; 4] }
}
