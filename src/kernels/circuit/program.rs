//! Programs: what a step of a circuit computes, as instructions on registers that hold one plane each.

/// Registers that a program may use.
pub const REGISTERS: usize = 1024;

/// Register that holds 0.
pub const ZERO: u16 = 0;
/// Register that holds all ones.
pub const ONES: u16 = 1;
/// Register that holds this party's half of the constant 1: ones at the first of the pair, 0 at the second.
pub const UNIT: u16 = 2;

/// One instruction: destination, then `a`, `b`, `c`.
pub type Instruction = [u16; 4];

/// Step of one party between two swaps. The sources lie in consecutive registers in the order of the fields.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// Whether the 64 planes of a word tensor are loaded.
    pub words: bool,
    /// Planes of the swap just made: sent ^ received.
    pub received: usize,
    /// Planes that an earlier step kept.
    pub saved: usize,
    /// Planes of masks: the party's own component, or the sum of both at the lead.
    pub masks: usize,
    /// Planes dealt: received by the second of the pair, drawn by the first.
    pub dealt: usize,
    /// The instructions.
    pub code: Vec<Instruction>,
    /// Registers that are masked and sent.
    pub outputs: Vec<u16>,
    /// Registers that the party keeps.
    pub kept: Vec<u16>,
}

/// One level: the lead deals, the pair combines and swaps.
#[derive(Debug, Clone)]
pub struct Level {
    /// The lead's step: outputs are dealt.
    pub lead: Program,
    /// The pair's step: outputs are swapped.
    pub pair: Program,
}

/// A compiled circuit on the bits of `x = A + B`.
#[derive(Debug, Clone)]
pub struct Circuit {
    /// Level after level.
    pub levels: Vec<Level>,
    /// After the last swap, no message: what each keeps are split bits, `lead ^ pair` = the result.
    pub finish: Level,
}

impl Circuit {
    /// Bits dealt and swapped for each element, both directions counted.
    pub fn bits(&self) -> usize {
        self.levels.iter().map(|level| level.lead.outputs.len() + 2 * level.pair.outputs.len()).sum()
    }
}
