//! The GPU device: kernels as compute shaders on Vulkan, Metal, DX12 or WebGPU, through wgpu.
//!
//! Work is recorded and submitted when bytes are wanted or the recording grows long (`recorder`). Buffers are pooled
//! (`pool`), large tensors processed in windows (`window`), failures kept and returned by the next download or check
//! (`fault`).

mod adapter;
mod context;
mod dispatch;
mod fault;
mod pipeline;
mod pool;
mod prelude;
mod readback;
mod recorder;
mod staging;
mod tuning;
mod window;

pub use adapter::{AdapterFacts, adapters};
pub use context::Gpu;
pub(super) use context::Words;
pub use prelude::Prelude;
pub use tuning::{Path, Tuning};
