//! Networks: a graph, where it comes from, what is rewritten, and how it runs on shares.
//!
//! `onnx` imports, [`passes`] rewrite, [`steps`] is what runs, [`infer`] runs it on shares, [`plain`] in the clear.

pub mod answer;
pub mod builder;
mod forward;
pub mod graph;
pub mod hosted;
pub mod infer;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod passes;
pub mod plain;
pub mod plan;
pub mod profile;
pub mod ranges;
pub mod steps;
pub mod weights;
pub mod zoo;

pub use answer::{Answer, Cost, Seconds};
pub use graph::Graph;
pub use hosted::{Architecture, Hosted};
pub use infer::{Leads, Model, Prepared, Reveal, Session};
pub use plan::{network_seconds, plan, plan_on};
pub use profile::Profile;
pub use weights::Weights;
