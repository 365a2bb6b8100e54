//! A scope: the path that names ops, and the clock that counts rounds.
//!
//! A message's round is one more than its scope's clock; awaiting a message raises the clock to the message's round; a child
//! starts at its parent's clock, and a join takes the latest of its children.

use super::keys::Keys;
use zeroize::Zeroizing;

/// Public marks that a scope hands down to its children.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tag {
    /// The party that leads.
    pub lead: Option<usize>,
    /// The layer of a network that the costs belong to.
    pub layer: Option<u16>,
    /// Bits of two's complement that hold every value whose sign is taken; the caller vouches for it.
    pub range_bits: Option<u32>,
}

/// A scope of a party's task.
pub(super) struct Scope {
    pub(super) path: u128,
    pub(super) ops: u32,
    pub(super) children: u32,
    pub(super) clock: u32,
    pub(super) lead: usize,
    pub(super) layer: u16,
    pub(super) range_bits: u32,
    /// Something in this scope already waits in this turn.
    pub(super) waiting: bool,
    pub(super) keys: Zeroizing<[[u32; 8]; 2]>,
}

impl Scope {
    pub(super) fn root(keys: &Keys, run: u64) -> Self {
        let path = keys.path(0, run);
        Self { path, ops: 0, children: 0, clock: 0, lead: 0, layer: u16::MAX, range_bits: 64, waiting: false, keys: keys.of_scope(path) }
    }

    pub(super) fn child(&mut self, keys: &Keys, tag: Tag) -> Self {
        let path = keys.path(self.path, u64::from(self.children));
        self.children += 1;
        Self {
            path,
            ops: 0,
            children: 0,
            clock: self.clock,
            lead: tag.lead.unwrap_or(self.lead),
            layer: tag.layer.unwrap_or(self.layer),
            range_bits: tag.range_bits.unwrap_or(self.range_bits),
            waiting: false,
            keys: keys.of_scope(path),
        }
    }
}
