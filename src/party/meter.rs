//! What a run costs: rounds, bytes and time, by label and by layer.

use super::message::Label;
use std::collections::BTreeMap;

/// Costs of one label in one layer at one party.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Messages sent.
    pub messages: u64,
    /// Bytes sent, headers of the messages included.
    pub bytes: u64,
}

/// How many signs of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signs {
    /// By the tree of six rounds.
    pub six: u64,
    /// By the tree of five.
    pub five: u64,
    /// Short ones.
    pub short: u64,
}

impl std::fmt::Display for Signs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = [("six", self.six), ("five", self.five), ("short", self.short)];
        let used: Vec<String> = all.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
        f.write_str(if used.is_empty() { "none".into() } else { used.join(", ") }.as_str())
    }
}

/// What one party has spent.
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
    pub by_label: BTreeMap<(u16, Label), Cost>,
    /// Signs computed.
    pub signs: Signs,
    /// By layer: the clock when its scope began and ended.
    pub layers: BTreeMap<u16, (u32, u32)>,
}

impl Meter {
    /// Bytes sent in all.
    pub fn bytes(&self) -> u64 {
        self.bytes_to.iter().sum()
    }
}
