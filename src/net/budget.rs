//! Budgets: bounds on what others can make this side hold. A permit is acquired before anything is allocated, travels with what it
//! is for, and gives its part back when it is dropped.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A number of bytes, requests or connections that may be held at one time.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    used: Mutex<u64>,
    freed: Condvar,
}

/// A part of a budget, given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    amount: u64,
}

impl Budget {
    /// Budget of `limit` units.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: Mutex::new(0), freed: Condvar::new() })
    }

    /// Permit for `amount`, as soon as that much is free. An amount above the limit waits until nothing else is held.
    pub fn acquire(self: &Arc<Self>, amount: u64) -> Permit {
        let mut used = self.lock();
        while *used > 0 && used.saturating_add(amount) > self.limit {
            used = self.freed.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
        *used = used.saturating_add(amount);
        Permit { budget: self.clone(), amount }
    }

    /// Permit for `amount`, or none if less than that is free now.
    pub fn try_acquire(self: &Arc<Self>, amount: u64) -> Option<Permit> {
        let mut permit = Permit { budget: self.clone(), amount: 0 };
        permit.try_grow(amount).then_some(permit)
    }

    /// Units that are held now.
    pub fn used(&self) -> u64 {
        *self.lock()
    }

    /// Units in all.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Adds `more` to the permit. False, and nothing has changed, if less than that is free now.
    pub fn try_grow(&mut self, more: u64) -> bool {
        let mut used = self.budget.lock();
        let fits = used.checked_add(more).is_some_and(|sum| sum <= self.budget.limit);
        if fits {
            *used += more;
            self.amount += more;
        }
        fits
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut used = self.budget.lock();
        *used = used.saturating_sub(self.amount);
        self.budget.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_is_given_back() {
        let budget = Budget::new(10);
        let mut first = budget.try_acquire(6).unwrap();
        assert!(budget.try_acquire(5).is_none() && first.try_grow(4) && !first.try_grow(1));
        let waiting = {
            let budget = budget.clone();
            std::thread::spawn(move || drop(budget.acquire(25)))
        };
        drop(first);
        waiting.join().unwrap();
        assert!(budget.try_acquire(u64::MAX).is_none() && budget.try_acquire(10).is_some());
        assert_eq!(budget.used(), 0);
    }
}
