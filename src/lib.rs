//! Secure three-party computation for machine learning in portable compute shaders.
//!
//! # Layout
//! * [`ring`], [`fixed`], [`shape`], [`stream`], [`error`]: numbers, shapes and keystreams, no device.
//! * [`device`]: where words live and kernels run: GPU (wgpu), CPU (native), shape-only (sizes).
//! * [`kernels`]: one party's local step of a protocol, as a WGSL file and its native twin under one name.
//! * [`share`]: what a party holds of a secret.
//! * [`party`]: ops, joins, rounds, costs; three parties in one process.
//! * [`protocol`]: one file, one figure: products, truncation, sign, ReLU, maximum.
//! * [`data`]: what owners of data bring: images, and the files of known collections.
//! * [`nn`]: networks: graph, ONNX import, passes, inference on shares, references in the clear.
//! * `net`: the three parties on machines of their own, and their clients.

#![deny(missing_docs)]

#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod data;
pub mod device;
pub mod error;
pub mod fixed;
pub mod kernels;
#[cfg(feature = "net")]
pub mod net;
pub mod nn;
pub mod party;
pub mod protocol;
pub mod ring;
pub mod shape;
pub mod share;
pub mod stream;

pub use error::{Error, Result};
