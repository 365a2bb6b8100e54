//! The shaders of all kernels, for tests and tools.

use super::{
    activate, bits,
    circuit::{self, Tree},
    conv, cross, draw, gather, inject, linear, matmul, rate, short, truncate, view,
};
use crate::device::Kernel;

/// A kernel's shader, for tests and tools.
#[derive(Debug, Clone)]
pub struct Shader {
    /// Entry point.
    pub name: String,
    /// Text without the prelude.
    pub wgsl: String,
    /// Bytes of the uniform.
    pub params: usize,
    /// Whether a product path stands before it.
    pub product: bool,
}

/// The shaders of all kernels and circuits.
pub fn shaders() -> Vec<Shader> {
    fn of<P, T: AsRef<str>>(kernel: &Kernel<P, T>) -> Shader {
        Shader { name: kernel.name.as_ref().into(), wgsl: kernel.wgsl.as_ref().into(), params: size_of::<P>(), product: kernel.product }
    }
    let mut all = vec![
        of(&linear::LINEAR),
        of(&rate::RATE),
        of(&draw::DRAW),
        of(&draw::MASK),
        of(&cross::CROSS),
        of(&gather::GATHER),
        of(&gather::CONCAT),
        of(&view::VIEW),
        of(&view::TAP),
        of(&view::WINDOW_SUM),
        of(&truncate::TRUNCATE_DEAL),
        of(&truncate::TRUNCATE_PAIR),
        of(&truncate::TRUNCATE_FINISH),
        of(&inject::INJECT_DEAL),
        of(&inject::INJECT_PAIR),
        of(&activate::ACTIVATE_DEAL),
        of(&activate::ACTIVATE_PAIR),
        of(&short::SHORT_DEAL),
        of(&short::SHORT_PAIR),
        of(&short::SHORT_OPEN),
    ];
    all.extend(matmul::MATMUL.iter().map(of));
    all.extend(conv::CONV.iter().map(of));
    for circuit in [circuit::nonnegative(Tree::Five, 64), circuit::nonnegative(Tree::Six, 64), circuit::all_bits(), circuit::masked_top()] {
        let steps = circuit.levels.iter().chain([&circuit.finish]);
        all.extend(steps.flat_map(|step| [&step.lead, &step.pair]).map(|program| of(&bits::kernel(program))));
    }
    all
}
