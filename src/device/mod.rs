//! Devices: `gpu` (wgpu), `cpu` (native), `shape_only` (sizes only).
//!
//! A [`Device`] is a value that the caller owns and clones freely. A [`Buffer`] is written once, by an upload or by one
//! kernel, and goes back to its device's pool when the last handle is dropped.

mod buffer;
mod cpu;
#[expect(clippy::module_inception, reason = "the folder is named for what this file holds")]
mod device;
pub(crate) mod gemm;
#[cfg(feature = "gpu")]
pub mod gpu;
mod growing;
mod kernel;
mod missing;
mod pool;
mod shape_only;
pub(crate) mod vector;

pub use buffer::{Arg, Buffer};
pub use cpu::{Cpu, Output, Work};
pub use device::Device;
#[cfg(feature = "gpu")]
pub use gpu::Gpu;
pub(crate) use growing::Growing;
pub use kernel::{Kernel, Native, Out, Params, Window};
pub use missing::no_device;
pub use shape_only::{Memory, ShapeOnly};
pub use vector::Level;
