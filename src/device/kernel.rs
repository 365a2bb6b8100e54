//! Kernels: a shader and its native twin under one name, and what a dispatch is given.

use super::cpu::Cpu;
use crate::ring::Word;

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

/// An output binding, made by the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    /// Words in all.
    pub len: usize,
    /// Words an item.
    pub per_item: usize,
}
