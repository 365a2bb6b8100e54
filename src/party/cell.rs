//! A value that one task of a join makes and others await: the edges of a graph.
//!
//! The reader's clock is raised to the clock at which the value was made, so that rounds remain the longest chain.

use super::party::Party;
use std::{
    future::poll_fn,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Poll,
};

/// A value to come, for a known number of readers; the last reader takes it, which frees its buffers.
#[derive(Debug)]
pub struct Cell<T> {
    state: Mutex<(Option<(T, u32)>, usize)>,
}

impl<T: Clone> Cell<T> {
    /// An empty cell.
    pub fn new(readers: usize) -> Self {
        Self { state: Mutex::new((None, readers)) }
    }

    /// Fills the cell; the readers go on in this party's next turn.
    pub fn set(&self, p: &Party, value: T) {
        let mut party = p.lock();
        let clock = party.scope.clock;
        party.yielded = true;
        let mut state = self.lock();
        if state.1 > 0 {
            state.0 = Some((value, clock));
        }
    }

    /// Waits for the value.
    pub async fn get(&self, p: &Party) -> T {
        poll_fn(|_| {
            let mut party = p.lock();
            let mut state = self.lock();
            let Some((value, clock)) = state.0.as_ref() else {
                drop(state);
                party.wait("a value that another task makes".into());
                return Poll::Pending;
            };
            let (value, clock) = (value.clone(), *clock);
            party.scope.clock = party.scope.clock.max(clock);
            state.1 = state.1.saturating_sub(1);
            if state.1 == 0 {
                state.0 = None;
            }
            Poll::Ready(value)
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, (Option<(T, u32)>, usize)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
