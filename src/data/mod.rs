//! Data that owners bring: photographs, and the files of known collections. Nothing here is secret-shared yet.

mod batch;
pub mod cifar;
#[cfg(feature = "images")]
pub mod folder;
pub mod idx;
#[cfg(feature = "images")]
pub mod images;
mod numbers;

pub use batch::Batch;
pub use numbers::{Kind, Numbers};
