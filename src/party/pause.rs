//! Pauses of a run: now and then the executor gets a turn, so that a caller's window goes on drawing, and can drop the run.

use crate::clock;
use std::{future::poll_fn, task::Poll};

/// Seconds between pauses.
const EVERY: f64 = 4e-3;

/// When the last pause was.
pub(super) struct Pauses {
    last: f64,
}

impl Pauses {
    pub(super) fn new() -> Self {
        Self { last: clock::now() }
    }

    /// Yields once if it is time.
    pub(super) async fn pause(&mut self) {
        if clock::now() - self.last < EVERY {
            return;
        }
        let mut yielded = false;
        poll_fn(|context| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        self.last = clock::now();
    }
}
