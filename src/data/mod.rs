//! Data that owners bring: photographs, and the files of known collections. Nothing here is secret-shared yet.

mod batch;
pub mod cifar;
pub mod idx;
#[cfg(feature = "images")]
pub mod images;

pub use batch::Batch;
