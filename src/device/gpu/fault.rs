//! The first thing that went wrong on a GPU, kept until somebody asks.
//!
//! wgpu reports validation errors and exhausted memory to a handler, and a lost device to a callback. Nothing of it may
//! panic here: calls on a failed device do nothing, and the next download or check returns the reason.

use crate::{Error, Result};
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// First failure and whether the device is gone.
#[derive(Default)]
pub(super) struct Fault {
    lost: AtomicBool,
    first: Mutex<Option<String>>,
}

impl Fault {
    pub(super) fn note(&self, what: impl Into<String>) {
        self.first().get_or_insert_with(|| what.into());
    }

    pub(super) fn lose(&self, why: impl Into<String>) {
        self.lost.store(true, Relaxed);
        self.note(why);
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Relaxed)
    }

    /// The first failure, which stays.
    pub(super) fn peek(&self) -> Result<()> {
        match (&*self.first(), self.is_lost()) {
            (Some(what), _) => Err(Error::Device(what.clone())),
            (None, true) => Err(Error::Device("the device was lost".into())),
            (None, false) => Ok(()),
        }
    }

    /// The first failure since the last call; a lost device stays lost.
    pub(super) fn take(&self) -> Result<()> {
        let found = self.peek();
        if !self.is_lost() {
            *self.first() = None;
        }
        found
    }

    fn first(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
