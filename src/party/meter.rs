//! The meter of a run: rounds, bytes and time, by label and by layer.

use super::label::Label;
use std::collections::BTreeMap;

/// Costs of one label in one layer at one party.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MessageCost {
    /// Messages sent.
    pub messages: u64,
    /// Bytes sent, headers of the messages included.
    pub bytes: u64,
}

/// Spendings of one party.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Meter {
    /// The longest chain of messages.
    pub rounds: u32,
    /// Bytes sent to each party, everything on the wire counted.
    pub bytes_to: [u64; 3],
    /// Frames sent that held a message.
    pub frames: u64,
    /// When this party ended by the simulated clock; 0 on other links.
    pub seconds: f64,
    /// Messages received.
    pub received: u64,
    /// By layer (`u16::MAX`: none) and label.
    pub by_label: BTreeMap<(u16, Label), MessageCost>,
    /// How often a protocol went each of the ways that it chooses from, by the way's name.
    pub choices: BTreeMap<&'static str, u64>,
    /// By layer: the clock when its scope began and ended.
    pub layers: BTreeMap<u16, (u32, u32)>,
}

impl Meter {
    /// Bytes sent in all.
    pub fn bytes(&self) -> u64 {
        self.bytes_to.iter().sum()
    }
}
