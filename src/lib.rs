//! Secure three-party computation for machine learning in portable compute shaders.
//!
//! Numbers are secret-shared among three parties, which compute on their shares and learn nothing: in one process, or each on a
//! machine of its own. Semi-honest security with one corrupted party of three; `docs/security.md` says what that means.
//!
//! # Start here
//! A network answers about inputs that no party sees:
//!
//! ```
//! use trishade::{
//!     device::Device,
//!     fixed::Fixed,
//!     nn::{Progress, Reveal, Session, builder::Builder},
//! };
//! use std::ops::ControlFlow;
//!
//! # fn main() -> trishade::Result<()> {
//! // three parties in this process, which share a device and nothing else
//! let device = Device::cpu(0)?;
//! let session = Session::new([device.clone(), device.clone(), device], Fixed::default())?;
//!
//! // any network: this one has random weights; `nn::onnx::open` reads those of others
//! let graph = Builder::new(&[1, 8, 8], 1)?.conv(4, 3, 1, 1)?.relu()?.max_pool(2, 2, 0)?.linear(10)?.build();
//! let model = session.load(&graph)?;
//!
//! // two images, one after the other in a batch of one; the caller hears of every layer and may end it there
//! let images = vec![0.5; 2 * 64];
//! let said = |progress: Progress| {
//!     println!("layer {} of {}, {:.1} s left", progress.layers, progress.of_layers, progress.seconds_left);
//!     if progress.seconds < 60.0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
//! };
//! let answer = pollster::block_on(session.infer(&model, &images, 1, Reveal::Logits, said))?;
//! println!("classes {:?} after {} rounds", answer.predictions, answer.cost.rounds);
//! # assert_eq!(answer.predictions.len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! Programs of your own on shares are plain `async fn` over a [`Party`](party::Party): see [`protocol`], and
//! `examples/hello.rs`.
//!
//! # Layout
//! For applications, from the top:
//! * `net`: three parties on machines of their own, and the client of an owner of data or models.
//! * [`nn`]: networks: graph, builder, ONNX import, sessions, plans, references in the clear.
//! * [`protocol`]: one file, one figure of a paper: products, truncation, sign, ReLU, maximum; sharing and revealing.
//! * [`party`]: parties, joins, rounds, costs; three parties in one process.
//! * [`share`]: the types of what a party holds of a secret.
//! * [`device`]: where words live and kernels run: GPU (wgpu), CPU (native), or sizes only.
//! * [`data`]: images, and the files of known collections.
//! * [`ring`], [`fixed`], [`shape`], [`error`], [`text`], [`clock`]: numbers, geometry, errors, texts of others, time; no device.
//!
//! For choosing a device:
//! * [`selftest`]: every kernel against its native twin, bit for bit.
//! * [`rates`]: rates of the kernels of one party; `tuning`: the way in which a GPU multiplies best.
//!
//! Below them lie the kernels, one party's local step of a protocol each, as a WGSL file and its native twin under one name. They
//! are no part of the API: the feature `internals` makes them public for the project's own tests and benchmarks.

#![deny(missing_docs)]

pub mod clock;
pub mod data;
pub mod device;
pub mod error;
pub mod fixed;
#[cfg(feature = "internals")]
pub mod kernels;
#[cfg(not(feature = "internals"))]
#[allow(unused_imports, reason = "names for tests, which see the kernels with the feature internals")]
mod kernels;
#[cfg(feature = "net")]
pub mod net;
pub mod nn;
pub mod party;
pub mod protocol;
pub mod rates;
pub mod ring;
pub mod selftest;
pub mod shape;
pub mod share;
#[cfg(feature = "internals")]
pub mod stream;
#[cfg(not(feature = "internals"))]
mod stream;
pub mod text;
#[cfg(feature = "gpu")]
pub mod tuning;

pub use error::{Error, Result};

/// The README, whose code is tested as documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
