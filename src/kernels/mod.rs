//! One party's local step between two exchanges. Shader `shaders/NAME.wgsl` and native twin `NAME.rs` agree bit for bit.

pub mod activate;
pub mod bits;
pub mod circuit;
pub mod conv;
pub mod cross;
mod dealt;
pub mod draw;
pub mod fields;
pub mod gather;
pub mod inject;
pub mod linear;
mod masked;
pub mod matmul;
pub mod planes;
pub mod rate;
#[cfg(feature = "internals")]
mod shaders;
pub mod short;
mod tiles;
pub mod truncate;
mod unrolled;
pub mod view;

pub use dealt::Dealt;
pub use masked::{Masked, Pad};
#[cfg(feature = "internals")]
pub use shaders::{Shader, shaders};

/// The output of a future that needs no waiting: downloads from the native device, in tests.
#[cfg(test)]
pub(crate) fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("the future is not ready"),
    }
}
