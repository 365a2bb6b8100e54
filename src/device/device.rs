//! A device of any kind: where words live and kernels run.

#[cfg(feature = "gpu")]
use super::gpu::Gpu;
use super::{
    buffer::{Arg, Buffer, Store},
    cpu::{Cpu, Work},
    kernel::{Kernel, Out, Params, Window},
    shape_only::{Memory, ShapeOnly},
};
use crate::{Result, ring::Word};
use std::sync::Arc;

/// A place where words live and kernels run.
#[derive(Clone)]
pub enum Device {
    /// Native.
    Cpu(Arc<Cpu>),
    /// Sizes only.
    ShapeOnly(Arc<ShapeOnly>),
    /// A GPU.
    #[cfg(feature = "gpu")]
    Gpu(Arc<Gpu>),
}

impl Device {
    /// The native device with so many threads; 0 means one a core.
    pub fn cpu(threads: usize) -> Result<Self> {
        Ok(Self::Cpu(Cpu::new(threads)?))
    }

    /// A device that keeps sizes and computes nothing.
    pub fn shape_only() -> Self {
        Self::ShapeOnly(ShapeOnly::new())
    }

    /// Three devices that keep sizes, of three parties in one process.
    pub fn shape_only_process() -> [Self; 3] {
        let first = ShapeOnly::new();
        [Self::ShapeOnly(first.beside()), Self::ShapeOnly(first.beside()), Self::ShapeOnly(first)]
    }

    /// The GPU that the selector names: an index of [`gpu::adapters`](super::gpu::adapters), a backend (`vulkan`, `metal`, `dx12`: hardware only), or
    /// a part of the adapter's name, upper or lower case.
    #[cfg(all(feature = "gpu", not(target_arch = "wasm32")))]
    pub fn gpu(selector: &str) -> Result<Self> {
        pollster::block_on(Gpu::open(selector, None)).map(Self::Gpu)
    }

    /// The same with a prelude of the caller's choice.
    #[cfg(all(feature = "gpu", not(target_arch = "wasm32")))]
    pub fn gpu_with(selector: &str, prelude: super::gpu::Prelude) -> Result<Self> {
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

    /// For people: `cpu`, `shape-only`, or the adapter's name.
    pub fn name(&self) -> String {
        match self {
            Self::Cpu(_) => "cpu".into(),
            Self::ShapeOnly(_) => "shape-only".into(),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => gpu.facts().to_string(),
        }
    }

    /// Whether a buffer of the one can be used on the other.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cpu(a), Self::Cpu(b)) => Arc::ptr_eq(a, b),
            (Self::ShapeOnly(_), Self::ShapeOnly(_)) => true,
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
        !matches!(self, Self::Cpu(_) | Self::ShapeOnly(_))
    }

    /// Whether buffers hold no words.
    pub fn is_shape_only(&self) -> bool {
        matches!(self, Self::ShapeOnly(_))
    }

    /// Copies words to the device. A shape-only device takes only their number.
    pub fn upload(&self, words: &[Word]) -> Buffer {
        let mut growing = self.grow(words.len());
        growing.put(words);
        growing.finish()
    }

    /// Copies buffers to the host, in one submission. On a shape-only device: zeros.
    pub async fn download(&self, buffers: &[&Buffer]) -> Result<Vec<Vec<Word>>> {
        let mut made: Vec<Vec<Word>> = buffers.iter().map(|buffer| vec![0; buffer.len]).collect();
        let mut take = |buffer: usize, first: usize, bytes: &[u8]| {
            bytemuck::cast_slice_mut(&mut made[buffer][first..first + bytes.len() / 8]).copy_from_slice(bytes);
        };
        self.read(buffers, &mut take).await?;
        Ok(made)
    }

    /// Hands out the words of each buffer where they lie, in one submission and in order: the buffer's index, the first word's, and
    /// eight bytes a word. On a shape-only device: zeros.
    pub(crate) async fn read(&self, buffers: &[&Buffer], take: &mut (dyn FnMut(usize, usize, &[u8]) + Send)) -> Result<()> {
        match self {
            Self::Cpu(_) => {
                buffers.iter().enumerate().for_each(|(i, buffer)| take(i, 0, bytemuck::cast_slice(buffer.cpu_words())));
                Ok(())
            }
            Self::ShapeOnly(_) => {
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
                made.map(|words| Buffer::new(words.len(), Store::Cpu(words)))
            }
            Self::ShapeOnly(device) => outputs.map(|out| Buffer::new(out.len, Store::ShapeOnly(device.allocate(out.len)))),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => {
                let inputs: Vec<_> = inputs.iter().map(|arg| (arg.buffer.gpu_words(), arg.buffer.len(), arg.per_item)).collect();
                let mut made = gpu.run(kernel, params, items, &inputs, outputs).into_iter();
                outputs.map(|out| Buffer::new(out.len, Store::Gpu(made.next().expect("words for each output"))))
            }
        }
    }

    /// The first failure since the last call: a lost device, a validation error, memory that ran out.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Cpu(_) | Self::ShapeOnly(_) => Ok(()),
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => gpu.check(),
        }
    }

    /// Overwrites every pooled buffer with zeros and frees it.
    pub fn clear(&self) {
        match self {
            Self::Cpu(cpu) => cpu.clear(),
            Self::ShapeOnly(_) => {}
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => gpu.clear(),
        }
    }

    /// Work that the device has done; zero where it does not count.
    pub fn work(&self) -> Work {
        match self {
            Self::Cpu(cpu) => cpu.work(),
            Self::ShapeOnly(_) => Work::default(),
            #[cfg(feature = "gpu")]
            Self::Gpu(_) => Work::default(),
        }
    }

    /// A bound on what the native device holds: above it, buffers that are kept for later use are let go for fresh ones. It is
    /// passed only if tensors in use need more.
    pub fn limit_memory(&self, bytes: u64) {
        match self {
            Self::Cpu(cpu) => cpu.limit_memory(bytes),
            Self::ShapeOnly(device) => device.limit_memory(bytes),
            #[cfg(feature = "gpu")]
            Self::Gpu(_) => {}
        }
    }

    /// The most bytes of tensors at one time, and the most that a native device would hold that serves it and
    /// those beside it; foreseen by a shape-only device alone.
    pub fn memory(&self) -> Option<Memory> {
        match self {
            Self::ShapeOnly(device) => Some(Memory { live: device.most_live(), held: device.most_held() }),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Device({})", self.name())
    }
}
