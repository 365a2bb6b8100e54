//! How the outputs of a matrix product or convolution are shared among a GPU's invocations: `shaders/tile.wgsl`. The kernels
//! exist for each number of rows of an invocation, and once more with one operand staged in workgroup memory:
//! `shaders/staged.wgsl`.

use crate::device::{Device, Kernel, Window};

/// Texts of a product's kernels.
pub(super) struct Texts {
    /// Entry point.
    pub name: &'static str,
    /// Text that both ways share.
    pub common: &'static str,
    /// An invocation reads its operands itself.
    pub direct: &'static str,
    /// A workgroup reads one operand together.
    pub staged: &'static str,
}

/// The host's part of a product: workgroups, and the native twin.
pub(super) type Host<P> = (fn(&P) -> u64, fn(&crate::device::Cpu, &P, &[&[u64]], &mut [&mut [u64]]));

/// The kernels of a product, in the order of [`Tiles::kernel`].
pub(super) fn kernels<P>(texts: &Texts, (groups, cpu): Host<P>) -> [Kernel<P, String>; 6] {
    std::array::from_fn(|i| {
        let (rows, staged) = (1 << (i % 3), i >= 3);
        let (staging, own) = if staged { (include_str!("../../shaders/staged.wgsl"), texts.staged) } else { ("", texts.direct) };
        let name = format!("{}_{rows}{}", texts.name, if staged { "_staged" } else { "" });
        let own = own.replace(&format!("fn {}(", texts.name), &format!("fn {name}("));
        let wgsl = format!("const ROWS: u32 = {rows}u;\n{}{staging}{}{own}", include_str!("../../shaders/tile.wgsl"), texts.common);
        Kernel { name, wgsl, groups, cpu, product: true }
    })
}

/// How a product is tiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tiles {
    /// Rows of an invocation.
    pub rows: u32,
    /// Whether a workgroup stages one operand.
    pub staged: bool,
}

impl Tiles {
    /// As the device is tuned, for `panels` of `height` rows by `columns`.
    pub fn new(device: &Device, panels: usize, height: usize, columns: usize) -> Self {
        let (rows, staged) = device.product_tiles(panels * height * columns);
        Self { rows, staged: staged && alike(panels, height, columns, rows as usize) }
    }

    /// The number of its kernel.
    pub fn kernel(self) -> usize {
        self.rows.ilog2() as usize + if self.staged { 3 } else { 0 }
    }
}

/// Whether every workgroup lies in one panel and is eight column groups wide, which begin alike in all rows.
fn alike(panels: usize, height: usize, columns: usize, rows: usize) -> bool {
    columns.is_multiple_of(8) && columns > 32 && (panels == 1 || row_groups(height as u64, rows as u64).is_multiple_of(8))
}

fn row_groups(height: u64, rows: u64) -> u64 {
    let deep = 8 * rows;
    height / deep * 8 + (height % deep).min(8)
}

/// Workgroups that make a window of the rows of panels of `height` by `columns`.
pub(super) fn groups(window: Window, rows: u32, height: u32, columns: u64) -> u64 {
    let panels = (window.first + window.count - 1) / height - window.first / height + 1;
    let height = if panels == 1 { window.count } else { height };
    let groups = row_groups(height.into(), rows.into());
    let across = if columns.is_multiple_of(8) { columns / 8 } else { (columns + 14) / 8 };
    let width = across.next_power_of_two().min(8);
    across.div_ceil(width) * (u64::from(panels) * groups).div_ceil(64 / width)
}
