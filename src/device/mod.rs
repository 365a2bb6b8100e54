//! Where words live and kernels run: `gpu` (wgpu), `cpu` (native), `dry` (sizes only).
//!
//! A [`Device`] is a value that the caller owns and clones freely. A [`Buffer`] is written once, by an upload or by one
//! kernel, and goes back to its device's pool when the last handle is dropped.

mod cpu;
mod dry;
pub(crate) mod gemm;
#[cfg(feature = "gpu")]
pub mod gpu;
mod growing;
mod pool;
pub(crate) mod vector;

pub use cpu::{Cpu, Output};
pub use dry::Dry;
#[cfg(feature = "gpu")]
pub use gpu::Gpu;
pub(crate) use growing::Growing;
pub use vector::Level;

use crate::{Error, Result, ring::Word};
use std::sync::Arc;

/// The head of every kernel's parameters: which items this dispatch covers.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Window {
    /// Index of the first item: streams count from the tensor's beginning, data from the window's.
    pub first: u32,
    /// Number of items.
    pub count: u32,
}

/// Parameters of a kernel, laid out as the WGSL uniform of the same name: `window` first, a multiple of 16 bytes.
pub trait Params: bytemuck::Pod + Send + Sync {
    /// The window that the device fills in.
    fn window_mut(&mut self) -> &mut Window;
}

/// A native twin: parameters, inputs, whole outputs.
pub type Native<P> = fn(&Cpu, &P, &[&[Word]], &mut [&mut [Word]]);

/// One kernel: a WGSL entry point and its native twin under one name. `T` holds the text: `String` if it is written at run time.
pub struct Kernel<P: 'static, T = &'static str> {
    /// Entry point, label, and the name in every error and test; no two kernels have the same.
    pub name: T,
    /// Text of `shaders/NAME.wgsl`, without the prelude.
    pub wgsl: T,
    /// Number of workgroups for the window in the parameters.
    pub groups: fn(&P) -> u64,
    /// The native implementation: inputs and whole outputs in the order of the bindings.
    pub cpu: Native<P>,
    /// Whether it multiplies on the device's product path.
    pub product: bool,
}

/// An input binding.
#[derive(Clone, Copy)]
pub struct Arg<'a> {
    /// The words.
    pub buffer: &'a Buffer,
    /// Words an item, or 0 if every window needs the whole buffer.
    pub per_item: usize,
}

/// An output binding, made by the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    /// Words in all.
    pub len: usize,
    /// Words an item.
    pub per_item: usize,
}

/// Where words live.
#[derive(Clone)]
pub enum Device {
    /// Native.
    Cpu(Arc<Cpu>),
    /// Sizes only.
    Dry(Arc<Dry>),
    /// A GPU.
    #[cfg(feature = "gpu")]
    Gpu(Arc<Gpu>),
}

enum Store {
    Cpu(cpu::Words),
    Dry(#[expect(dead_code, reason = "counted while it lives")] dry::Size),
    #[cfg(feature = "gpu")]
    Gpu(gpu::Words),
}

/// Words on a device, written once.
#[derive(Clone)]
pub struct Buffer {
    len: usize,
    store: Arc<Store>,
}

/// What a device has computed since it was made: for tests and benchmarks that ask who did the work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// ChaCha20 blocks of 64 bytes.
    pub chacha_blocks: u64,
    /// Ring multiply-adds of matrix products and convolutions.
    pub multiply_adds: u64,
}

/// What tensors take, foreseen by a dry device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// The most bytes of one party's tensors at one time.
    pub live: u64,
    /// The most bytes that one native device holds for all parties of the process, kept buffers included.
    pub held: u64,
}

impl Device {
    /// The native device with so many threads; 0 means one a core.
    pub fn cpu(threads: usize) -> Result<Self> {
        Ok(Self::Cpu(Cpu::new(threads)?))
    }

    /// A device that keeps sizes and computes nothing.
    pub fn dry() -> Self {
        Self::Dry(Dry::new())
    }

    /// Three devices that keep sizes, of three parties in one process.
    pub fn dry_process() -> [Self; 3] {
        let first = Dry::new();
        [Self::Dry(first.beside()), Self::Dry(first.beside()), Self::Dry(first)]
    }

    /// The GPU that the selector names: an index of [`gpu::adapters`], a backend (`vulkan`, `metal`, `dx12`: hardware only), or
    /// a part of the adapter's name, upper or lower case.
    #[cfg(all(feature = "gpu", not(target_arch = "wasm32")))]
    pub fn gpu(selector: &str) -> Result<Self> {
        pollster::block_on(Gpu::open(selector, None)).map(Self::Gpu)
    }

    /// The same with a prelude of the caller's choice.
    #[cfg(all(feature = "gpu", not(target_arch = "wasm32")))]
    pub fn gpu_with(selector: &str, prelude: gpu::Prelude) -> Result<Self> {
        pollster::block_on(Gpu::open(selector, Some(prelude))).map(Self::Gpu)
    }

    /// The best hardware GPU, if there is one; software adapters are used only when asked for by name.
    #[cfg(all(feature = "gpu", not(target_arch = "wasm32")))]
    pub fn auto() -> Option<Result<Self>> {
        Some(pollster::block_on(Gpu::auto())?.map(Self::Gpu))
    }

    /// An application's own device: errors are caught in scopes, its handlers are left alone.
    #[cfg(feature = "gpu")]
    pub fn from_wgpu(adapter: &wgpu::Adapter, device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        Gpu::from_wgpu(adapter, device, queue).map(Self::Gpu)
    }

    /// For people: `cpu`, `dry`, or the adapter's name.
    pub fn name(&self) -> String {
        match self {
            Self::Cpu(_) => "cpu".into(),
            Self::Dry(_) => "dry".into(),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => gpu.facts().to_string(),
        }
    }

    /// Whether a buffer of the one can be used on the other.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cpu(a), Self::Cpu(b)) => Arc::ptr_eq(a, b),
            (Self::Dry(_), Self::Dry(_)) => true,
            #[cfg(feature = "gpu")]
            (Self::Gpu(a), Self::Gpu(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// Refuses, by the next download or check, a dispatch whose loops take more turns than the driver gives: Mesa's software
    /// Vulkan leaves a shader's loops after 65,535 turns in all and says nothing.
    pub(crate) fn must_loop(&self, kernel: &str, turns: usize) {
        #[cfg(feature = "gpu")]
        if let Self::Gpu(gpu) = self {
            gpu.must_loop(kernel, turns);
        }
        let _ = (kernel, turns);
    }

    /// Rows that an invocation makes of a product of so many outputs, and whether a workgroup stages one operand; one row and
    /// no where there are no invocations.
    pub(crate) fn product_tiles(&self, outputs: usize) -> (u32, bool) {
        #[cfg(feature = "gpu")]
        if let Self::Gpu(gpu) = self {
            return (gpu.rows(outputs as u64), gpu.tuning().staged);
        }
        let _ = outputs;
        (1, false)
    }

    /// Whether work is only recorded until bytes are wanted.
    pub fn records(&self) -> bool {
        !matches!(self, Self::Cpu(_) | Self::Dry(_))
    }

    /// Whether buffers hold no words.
    pub fn is_dry(&self) -> bool {
        matches!(self, Self::Dry(_))
    }

    /// Copies words to the device. A dry device takes only their number.
    pub fn upload(&self, words: &[Word]) -> Buffer {
        let mut growing = self.grow(words.len());
        growing.put(words);
        growing.finish()
    }

    /// Copies buffers to the host, in one submission. On a dry device: zeros.
    pub async fn download(&self, buffers: &[&Buffer]) -> Result<Vec<Vec<Word>>> {
        let mut made: Vec<Vec<Word>> = buffers.iter().map(|buffer| vec![0; buffer.len]).collect();
        let mut take = |buffer: usize, first: usize, bytes: &[u8]| {
            bytemuck::cast_slice_mut(&mut made[buffer][first..first + bytes.len() / 8]).copy_from_slice(bytes);
        };
        self.read(buffers, &mut take).await?;
        Ok(made)
    }

    /// Hands out the words of each buffer where they lie, in one submission and in order: the buffer's index, the first word's, and
    /// eight bytes a word. On a dry device: zeros.
    pub(crate) async fn read(&self, buffers: &[&Buffer], take: &mut (dyn FnMut(usize, usize, &[u8]) + Send)) -> Result<()> {
        match self {
            Self::Cpu(_) => {
                buffers.iter().enumerate().for_each(|(i, buffer)| take(i, 0, bytemuck::cast_slice(buffer.cpu_words())));
                Ok(())
            }
            Self::Dry(_) => {
                buffers.iter().enumerate().for_each(|(i, buffer)| take(i, 0, &vec![0; 8 * buffer.len]));
                Ok(())
            }
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => {
                let words: Vec<_> = buffers.iter().map(|buffer| (buffer.gpu_words(), buffer.len)).collect();
                gpu.download(&words, take).await
            }
        }
    }

    /// Runs one kernel over `items`; every output is written in full.
    pub fn run<P: Params, T: AsRef<str>, const N: usize>(
        &self,
        kernel: &Kernel<P, T>,
        mut params: P,
        items: usize,
        inputs: &[Arg<'_>],
        outputs: [Out; N],
    ) -> [Buffer; N] {
        match self {
            Self::Cpu(cpu) => {
                *params.window_mut() = Window { first: 0, count: items as u32 };
                let mut made = outputs.map(|out| cpu.allocate(out.len));
                {
                    let read: Vec<&[Word]> = inputs.iter().map(|arg| arg.buffer.cpu_words()).collect();
                    let mut write: Vec<&mut [Word]> = made.iter_mut().map(|words| words.as_mut_slice()).collect();
                    (kernel.cpu)(cpu, &params, &read, &mut write);
                }
                made.map(|words| Buffer { len: words.len(), store: Arc::new(Store::Cpu(words)) })
            }
            Self::Dry(dry) => outputs.map(|out| Buffer { len: out.len, store: Arc::new(Store::Dry(dry.allocate(out.len))) }),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => {
                let lens = outputs.map(|out| out.len);
                let made = gpu.run(kernel, params, items, inputs, outputs);
                let mut lens = lens.into_iter();
                made.map(|words| Buffer { len: lens.next().unwrap_or(0), store: Arc::new(Store::Gpu(words)) })
            }
        }
    }

    /// The first failure since the last call: a lost device, a validation error, memory that ran out.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Cpu(_) | Self::Dry(_) => Ok(()),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => gpu.check(),
        }
    }

    /// Overwrites every pooled buffer with zeros and frees it.
    pub fn clear(&self) {
        match self {
            Self::Cpu(cpu) => cpu.clear(),
            Self::Dry(_) => {}
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => gpu.clear(),
        }
    }

    /// What the device has computed; zero where it does not count.
    pub fn work(&self) -> Work {
        match self {
            Self::Cpu(cpu) => cpu.work(),
            Self::Dry(_) => Work::default(),
            #[cfg(feature = "gpu")]
            Self::Gpu(_) => Work::default(),
        }
    }

    /// A bound on what the native device holds: above it, buffers that are kept for later use are let go for fresh ones. It is
    /// passed only if tensors in use need more.
    pub fn limit_memory(&self, bytes: u64) {
        match self {
            Self::Cpu(cpu) => cpu.limit_memory(bytes),
            Self::Dry(dry) => dry.limit_memory(bytes),
            #[cfg(feature = "gpu")]
            Self::Gpu(_) => {}
        }
    }

    /// Of a dry device: the most bytes of tensors at one time, and the most that a native device would hold that serves it and
    /// those beside it.
    pub fn memory(&self) -> Option<Memory> {
        match self {
            Self::Dry(dry) => Some(Memory { live: dry.most_live(), held: dry.most_held() }),
            _ => None,
        }
    }
}

impl Buffer {
    /// Number of words.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: a tensor has at least one element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// This buffer as an input of which each item reads `per_item` words.
    pub fn each(&self, per_item: usize) -> Arg<'_> {
        Arg { buffer: self, per_item }
    }

    /// This buffer as an input that every item may read.
    pub fn whole(&self) -> Arg<'_> {
        Arg { buffer: self, per_item: 0 }
    }

    fn cpu_words(&self) -> &[Word] {
        match &*self.store {
            Store::Cpu(words) => words.as_slice(),
            _ => unreachable!("a buffer of another device reached the CPU: the links convert"),
        }
    }

    #[cfg(feature = "gpu")]
    fn gpu_words(&self) -> &gpu::Words {
        match &*self.store {
            Store::Gpu(words) => words,
            _ => unreachable!("a buffer of another device reached a GPU: the links convert"),
        }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} words)", self.len)
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Device({})", self.name())
    }
}

/// Error for a device that is not there.
pub fn no_device(name: &str, known: &[String]) -> Error {
    Error::Device(format!("no device matches '{name}'; known: {} (`trishade devices` lists them)", known.join(", ")))
}
