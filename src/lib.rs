//! Secure three-party computation for machine learning in portable compute shaders.
//!
//! # Layout
//! * [`ring`], [`fixed`], [`shape`], [`error`]: numbers and shapes, no device.
//! * [`device`]: where words live and kernels run: GPU (wgpu), CPU (native), dry (sizes only).
//! * [`kernels`]: one party's local step of a protocol, as a WGSL file and its native twin under one name.

#![deny(missing_docs)]

pub mod device;
pub mod error;
pub mod fixed;
pub mod kernels;
pub mod ring;
pub mod shape;

pub use error::{Error, Result};
