//! Networks: a graph, its importers, passes and lowering, and its run on shares.
//!
//! `onnx` imports and [`builder`] builds a [`Graph`] of [operations](ops); [`passes`] rewrite it; [`lower`](lower::lower) makes a
//! [`Program`]; [`PartyModel`] is a program with one party's shares, which `execute` runs; [`Session`] holds three parties of a
//! process. [`mod@reference`] computes the same in the clear, [`estimate`] foresees costs.

pub mod answer;
pub mod bounds;
pub mod builder;
pub mod calibrate;
pub mod clear;
mod draft;
pub mod estimate;
mod execute;
pub mod finish;
pub mod graph;
pub mod lower;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod ops;
mod party_model;
pub mod passes;
pub mod profile;
pub mod program;
pub mod progress;
pub mod range;
pub mod reference;
pub mod session;
pub mod value;
pub mod weights;
pub mod zoo;

pub use answer::{Answer, Cost, Reveal, Seconds};
pub use estimate::{network_seconds, plan, plan_on};
pub use graph::Graph;
pub use lower::{LoweredModel, lower};
pub use party_model::PartyModel;
pub use profile::Profile;
pub use program::Program;
pub use progress::{Progress, Verdict};
pub use range::{RangeOrigin, Ranges};
pub use session::{Leads, Model, Prepared, Session};
pub use value::Tensor;
pub use weights::Weights;
