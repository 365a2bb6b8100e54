//! Models of others: what is imported means what its operators say, and what cannot be is an error that says why.
#![allow(missing_docs, reason = "tests")]

mod common;
mod models;

mod batches;
mod broadcasting;
mod comparisons;
mod constants;
mod ends;
mod free_shapes;
mod functions;
mod import;
mod integers;
mod model_files;
mod sklearn;
