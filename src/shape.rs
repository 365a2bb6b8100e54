//! Shapes and the checked geometry of convolution and pooling. What is checked here is never checked again below.

use crate::{Error, Result};

/// The extents of a tensor, row-major. Always at least one element.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize), serde(try_from = "Vec<usize>", into = "Vec<usize>"))]
pub struct Shape(Vec<usize>);

/// No tensor has more elements: kernels count them in 32 bits.
pub const MAX_ELEMENTS: usize = u32::MAX as usize;

impl Shape {
    /// Checks that no extent is zero and that the product fits.
    pub fn new(extents: impl Into<Vec<usize>>) -> Result<Self> {
        let extents = extents.into();
        let mut product = 1usize;
        for &extent in &extents {
            product = match product.checked_mul(extent) {
                Some(0) => {
                    return Err(Error::Input(format!("shape {extents:?} has an extent of zero; every tensor needs at least one element")));
                }
                Some(n) if n <= MAX_ELEMENTS => n,
                _ => return Err(Error::Input(format!("shape {extents:?} has more than {MAX_ELEMENTS} elements"))),
            };
        }
        Ok(Self(extents))
    }

    /// The extents.
    pub fn extents(&self) -> &[usize] {
        &self.0
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.0.iter().product()
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The same elements in other extents.
    pub fn reshaped(&self, extents: impl Into<Vec<usize>>) -> Result<Self> {
        let to = Self::new(extents)?;
        if to.elements() != self.elements() {
            return Err(Error::Input(format!("cannot reshape {self} to {to}: {} elements against {}", self.elements(), to.elements())));
        }
        Ok(to)
    }
}

impl TryFrom<Vec<usize>> for Shape {
    type Error = Error;

    fn try_from(extents: Vec<usize>) -> Result<Self> {
        Self::new(extents)
    }
}

impl From<Shape> for Vec<usize> {
    fn from(shape: Shape) -> Self {
        shape.0
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "(")?;
        for (i, extent) in self.0.iter().enumerate() {
            write!(f, "{}{extent}", if i == 0 { "" } else { ", " })?;
        }
        write!(f, ")")
    }
}

/// How a window moves over one spatial axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Axis {
    /// Taps of the window.
    pub kernel: usize,
    /// Step between windows.
    pub stride: usize,
    /// Padding before the first element.
    pub pad_begin: usize,
    /// Padding after the last element.
    pub pad_end: usize,
    /// Distance between taps.
    pub dilation: usize,
}

impl Axis {
    /// A window of `kernel` taps, stride 1, no padding.
    pub fn new(kernel: usize) -> Self {
        Self { kernel, stride: 1, pad_begin: 0, pad_end: 0, dilation: 1 }
    }

    /// The number of windows over `extent` elements.
    pub fn outputs(&self, extent: usize) -> Result<usize> {
        let bad = |why: &str| Error::Input(format!("window {self:?} over {extent} elements: {why}"));
        if self.kernel == 0 || self.stride == 0 || self.dilation == 0 {
            return Err(bad("kernel, stride and dilation must be at least 1"));
        }
        let reach = (self.kernel - 1).checked_mul(self.dilation).and_then(|r| r.checked_add(1)).ok_or_else(|| bad("too large"))?;
        let padded = extent
            .checked_add(self.pad_begin)
            .and_then(|n| n.checked_add(self.pad_end))
            .filter(|&n| n <= MAX_ELEMENTS)
            .ok_or_else(|| bad("too much padding"))?;
        if padded < reach {
            return Err(bad("the window is larger than the padded input"));
        }
        Ok((padded - reach) / self.stride + 1)
    }
}

/// A two-dimensional convolution: input (N, C, H, W), weights (O, C/groups, KH, KW), output (N, O, OH, OW).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv {
    /// N.
    pub batch: usize,
    /// C.
    pub in_channels: usize,
    /// H, W.
    pub input: [usize; 2],
    /// O.
    pub out_channels: usize,
    /// OH, OW.
    pub output: [usize; 2],
    /// Groups.
    pub groups: usize,
    /// The windows, rows then columns.
    pub axes: [Axis; 2],
}

impl Conv {
    /// Checks everything; `x` is the input's shape, `w` the weights'.
    pub fn new(x: &Shape, w: &Shape, axes: [Axis; 2], groups: usize) -> Result<Self> {
        let (&[n, c, h, wd], &[o, cg, kh, kw]) = (x.extents(), w.extents()) else {
            return Err(Error::Input(format!(
                "convolution needs an input (N, C, H, W) and weights (O, C/groups, KH, KW), got {x} and {w}"
            )));
        };
        if groups == 0 || c % groups != 0 || o % groups != 0 || cg != c / groups.max(1) {
            return Err(Error::Input(format!("convolution of {x} with weights {w} in {groups} groups: the channels do not match")));
        }
        if axes[0].kernel != kh || axes[1].kernel != kw {
            return Err(Error::Input(format!("convolution weights {w} do not have the kernel {}x{}", axes[0].kernel, axes[1].kernel)));
        }
        let output = [axes[0].outputs(h)?, axes[1].outputs(wd)?];
        Shape::new([n, o, output[0], output[1]])?;
        Ok(Self { batch: n, in_channels: c, input: [h, wd], out_channels: o, output, groups, axes })
    }

    /// Shape of the output.
    pub fn out_shape(&self) -> Shape {
        Shape(vec![self.batch, self.out_channels, self.output[0], self.output[1]])
    }

    /// Length of one dot product: C/groups x KH x KW.
    pub fn depth(&self) -> usize {
        self.in_channels / self.groups * self.axes[0].kernel * self.axes[1].kernel
    }

    /// Multiply-adds of one product.
    pub fn multiply_adds(&self) -> u64 {
        self.out_shape().elements() as u64 * self.depth() as u64
    }
}

/// Pooling windows over (N, C, H, W), channel by channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// N x C.
    pub planes: usize,
    /// N, C.
    pub leading: [usize; 2],
    /// H, W.
    pub input: [usize; 2],
    /// OH, OW.
    pub output: [usize; 2],
    /// The windows, rows then columns.
    pub axes: [Axis; 2],
}

impl Pool {
    /// Checks everything; every window must touch at least one real element.
    pub fn new(x: &Shape, axes: [Axis; 2]) -> Result<Self> {
        let &[n, c, h, w] = x.extents() else {
            return Err(Error::Input(format!("pooling needs an input (N, C, H, W), got {x}")));
        };
        let output = [axes[0].outputs(h)?, axes[1].outputs(w)?];
        let pool = Self { planes: n * c, leading: [n, c], input: [h, w], output, axes };
        Shape::new([n, c, output[0], output[1]])?;
        for d in 0..2 {
            for o in 0..output[d] {
                if pool.taps(d, o).next().is_none() {
                    return Err(Error::Input(format!("pooling {:?} over {x}: a window lies wholly in the padding", axes[d])));
                }
            }
        }
        Ok(pool)
    }

    /// Shape of the output.
    pub fn out_shape(&self) -> Shape {
        Shape(vec![self.leading[0], self.leading[1], self.output[0], self.output[1]])
    }

    /// The real (unpadded) positions that window `o` of axis `d` covers.
    pub fn taps(&self, d: usize, o: usize) -> impl Iterator<Item = usize> + use<> {
        let (axis, extent) = (self.axes[d], self.input[d]);
        (0..axis.kernel).filter_map(move |k| (o * axis.stride + k * axis.dilation).checked_sub(axis.pad_begin)).filter(move |&i| i < extent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pooling_window_in_the_padding_is_refused_wherever_it_lies() {
        let axis = |kernel, pad, dilation| Axis { kernel, stride: 1, pad_begin: pad, pad_end: pad, dilation };
        let pool = |axis| Pool::new(&Shape::new([1, 1, 3, 3]).unwrap(), [axis, Axis::new(1)]);
        // of taps ten apart the first window has the second on an element, the last one the first, those between none
        assert!(pool(axis(2, 9, 10)).unwrap_err().to_string().contains("padding"));
        assert!(pool(axis(3, 1, 1)).is_ok());
    }
}
