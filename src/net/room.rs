//! Bounds on what others can make this side hold: room is taken before anything is allocated, and given back with what it was for.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// So many bytes, requests or connections, and no more.
#[derive(Debug)]
pub(super) struct Room {
    limit: u64,
    used: Mutex<u64>,
    freed: Condvar,
}

/// A part of a room, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    room: Arc<Room>,
    amount: u64,
}

impl Room {
    pub(super) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: Mutex::new(0), freed: Condvar::new() })
    }

    /// Waits until there is room. What is larger than all of it goes alone.
    pub(super) fn wait(self: &Arc<Self>, amount: u64) -> Held {
        let mut used = self.used();
        while *used > 0 && used.saturating_add(amount) > self.limit {
            used = self.freed.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
        *used = used.saturating_add(amount);
        Held { room: self.clone(), amount }
    }

    /// None if there is no room now.
    pub(super) fn take(self: &Arc<Self>, amount: u64) -> Option<Held> {
        let mut held = Held { room: self.clone(), amount: 0 };
        held.grow(amount).then_some(held)
    }

    /// What is not used.
    pub(super) fn left(&self) -> u64 {
        self.limit.saturating_sub(*self.used())
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    fn used(&self) -> MutexGuard<'_, u64> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// False, and nothing has changed, if there is no room for more.
    pub(super) fn grow(&mut self, more: u64) -> bool {
        let mut used = self.room.used();
        let fits = used.checked_add(more).is_some_and(|sum| sum <= self.room.limit);
        if fits {
            *used += more;
            self.amount += more;
        }
        fits
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut used = self.room.used();
        *used = used.saturating_sub(self.amount);
        self.room.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_back() {
        let room = Room::new(10);
        let mut first = room.take(6).unwrap();
        assert!(room.take(5).is_none() && first.grow(4) && !first.grow(1));
        let waiting = {
            let room = room.clone();
            std::thread::spawn(move || drop(room.wait(25)))
        };
        drop(first);
        waiting.join().unwrap();
        assert!(room.take(u64::MAX).is_none() && room.take(10).is_some());
    }
}
