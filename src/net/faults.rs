//! Parties that misbehave on purpose (feature `seeded`): for the tests of what the others do then.

use std::sync::atomic::{AtomicI64, Ordering};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// All connections of the party break.
    Stop,
    /// Nothing is sent any more, not even that the party is alive; the connections stay open.
    Stall,
    /// Bytes that are no record, inside TLS.
    Garbage,
    /// Bytes that are no TLS.
    RawGarbage,
    /// A record that ends too soon.
    Truncated,
    /// A record that says it is huge.
    Oversized,
    /// A record with the number of the one before.
    Repeated,
    /// A record of another session.
    Replayed,
}

/// When it goes wrong: before the record of parcels of this number, counted over both links of a party.
#[derive(Debug)]
pub struct Plan {
    fault: Fault,
    left: AtomicI64,
}

impl Plan {
    /// Goes wrong after so many records of parcels.
    pub fn new(fault: Fault, after: u32) -> Self {
        Self { fault, left: AtomicI64::new(i64::from(after)) }
    }

    /// Whether it has come to that.
    pub fn happened(&self) -> bool {
        self.left.load(Ordering::Relaxed) < 0
    }

    pub(super) fn due(&self, parcels: bool) -> Option<Fault> {
        if parcels && !self.happened() && self.left.fetch_sub(1, Ordering::Relaxed) > 0 {
            return None;
        }
        self.happened().then_some(self.fault)
    }
}
