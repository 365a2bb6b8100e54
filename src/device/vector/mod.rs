//! Run-time dispatch to vector code: the only unsafe native code of the package lies in this folder.
//!
//! Plain loops over slices are written once, as `#[inline(always)]` functions, and compiled for each [`Level`] by
//! `vectorise!`. Only ChaCha20 and the product's micro kernel need intrinsics; each has its portable twin and a test.

#![allow(unsafe_code, reason = "calls into target_feature functions after detection, and vector loads and stores")]

mod chacha;
mod level;
mod product;

pub use chacha::{keystream, keystream_from_word, keystream_sliced};
pub use level::Level;
pub(crate) use level::{at_avx2, at_avx512, vectorise};
pub use product::{COLUMNS, ROWS, multiply};
