//! A batch of images as numbers.

/// A batch of images as bytes, and the class of each if the file says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// C, H, W.
    pub extents: [usize; 3],
    /// 0 to 255: N, C, H, W.
    pub pixels: Vec<u8>,
    /// One an image, or none at all.
    pub labels: Vec<usize>,
}
