//! The commands: `demo`, `infer`, `check`, `plan`, `zoo`, `bench`, `devices`, `selftest`, and those of parties on machines of
//! their own.

pub mod bench;
pub mod check;
pub mod demo;
pub mod devices;
pub mod infer;
#[cfg(feature = "net")]
pub mod network;
pub mod plan;
pub mod selftest;
pub mod zoo;
