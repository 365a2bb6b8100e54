//! One party's local step between two exchanges. Shader `shaders/NAME.wgsl` and native twin `NAME.rs` agree bit for bit.

mod stream;

pub use stream::Stream;
