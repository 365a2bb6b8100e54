//! Parameters of a convolution, as the shader has them.

use crate::{
    device::{Params, Window},
    stream::Stream,
};

/// Uniform of the shader; `pad` is the padding before the first row and column; `by_image` is 1 if an item is an image; `rows` are those of an invocation.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[allow(missing_docs, reason = "the fields are those of shape::Conv")]
pub struct ConvParams {
    pub window: Window,
    pub batch: u32,
    pub in_channels: u32,
    pub height: u32,
    pub width: u32,
    pub out_channels: u32,
    pub out_height: u32,
    pub out_width: u32,
    pub groups: u32,
    pub kernel_h: u32,
    pub kernel_w: u32,
    pub stride_h: u32,
    pub stride_w: u32,
    pub pad_h: u32,
    pub pad_w: u32,
    pub dilation_h: u32,
    pub dilation_w: u32,
    pub by_image: u32,
    pub rows: u32,
    pub plus: Stream,
    pub minus: Stream,
}

impl Params for ConvParams {
    fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }
}

/// The rows of the output that a window holds.
pub(super) fn window_rows(p: &ConvParams) -> Window {
    let rows = if p.by_image == 1 { p.out_channels } else { 1 };
    Window { first: p.window.first * rows, count: p.window.count * rows }
}
