//! One party's local step between two exchanges. Shader `shaders/NAME.wgsl` and native twin `NAME.rs` agree bit for bit.

pub mod activate;
pub mod bits;
pub mod circuit;
pub mod cross;
pub mod draw;
pub mod fields;
pub mod inject;
pub mod linear;
pub mod planes;
mod stream;
pub mod truncate;
pub mod view;

pub use stream::{Masked, Pad, Stream};
