//! Flow control of deals: how far the lead may run ahead, in bytes dealt to one receiver and not yet taken.

use std::collections::VecDeque;

/// First come, first served; what is larger than the window goes when nothing is undelivered.
#[derive(Debug)]
pub(super) struct CreditWindow {
    size: u64,
    undelivered: u64,
    queue: VecDeque<u64>,
    issued: u64,
}

impl CreditWindow {
    pub(super) fn new(size: u64) -> Self {
        Self { size, undelivered: 0, queue: VecDeque::new(), issued: 0 }
    }

    /// Another of the same size.
    pub(super) fn like(&self) -> Self {
        Self::new(self.size)
    }

    /// As new: an earlier run may have ended with an error.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.size);
    }

    /// Joins the queue; the number that says when it is its turn.
    pub(super) fn queue(&mut self) -> u64 {
        self.issued += 1;
        self.queue.push_back(self.issued);
        self.issued
    }

    /// Takes room for `bytes` if it is this number's turn and there is room.
    pub(super) fn enter(&mut self, number: u64, bytes: u64) -> bool {
        let turn = self.queue.front() == Some(&number);
        let fits = self.undelivered == 0 || self.undelivered + bytes <= self.size;
        if turn && fits {
            self.queue.pop_front();
            self.undelivered += bytes;
        }
        turn && fits
    }

    /// Counts everything dealt as taken; false if nothing was.
    pub(super) fn open(&mut self) -> bool {
        std::mem::take(&mut self.undelivered) > 0
    }

    pub(super) fn credit(&mut self, bytes: u64) {
        self.undelivered = self.undelivered.saturating_sub(bytes);
    }
}
