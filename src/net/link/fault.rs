//! Fault injection (feature `seeded`): faults of a party's links that tests plan.

use std::sync::atomic::{AtomicI64, Ordering};

/// Kind of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The party's connections break.
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

/// Fault and its time: before the frame of a certain number, counted over all links of a party, whose frames then have records of
/// their own.
#[derive(Debug)]
pub struct FaultPlan {
    fault: Fault,
    left: AtomicI64,
}

impl FaultPlan {
    /// Plans a fault after so many frames.
    pub fn new(fault: Fault, after: u32) -> Self {
        Self { fault, left: AtomicI64::new(i64::from(after)) }
    }

    /// Whether the fault has happened.
    pub fn happened(&self) -> bool {
        self.left.load(Ordering::Relaxed) < 0
    }

    /// Fault that is due before the next record, which holds frames if `parcels`.
    pub(super) fn due(&self, parcels: bool) -> Option<Fault> {
        if parcels && !self.happened() && self.left.fetch_sub(1, Ordering::Relaxed) > 0 {
            return None;
        }
        self.happened().then_some(self.fault)
    }
}
