//! Networks: a graph, where it comes from, what is rewritten, and how it runs on shares.
//!
//! `onnx` imports, [`passes`] rewrite, [`steps`] is what runs, [`infer`] runs it on shares, [`plain`] in the clear.

pub mod builder;
pub mod graph;
pub mod infer;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod passes;
pub mod plain;
pub mod plan;
pub mod steps;
pub mod zoo;

pub use graph::Graph;
pub use infer::{Answer, Leads, Model, Reveal, Session};
pub use plan::{plan, plan_with};
