//! `Locked`: a value that one caller at a time may use, at PASSIVE_LEVEL.
//!
//! Control operations are rare and may wait: a waiter lets others run
//! ([`Platform::relax`]) instead of spinning at a raised level. Lock order: a `Locked` is taken
//! before any spin lock, and never two of them at once.
//! Left out: fairness; recursion (taking it twice waits for ever).
#![expect(
    unsafe_code,
    reason = "gives out exclusive references after a handshake"
)]

use crate::Platform;
use crate::atomic::{AtomicBool, Ordering};
use core::{
    cell::UnsafeCell,
    ops::{Deref, DerefMut},
};

/// A value behind a waiting lock.
#[derive(Default)]
pub struct Locked<T> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

/// Exclusive use of the value until dropped.
pub struct LockedGuard<'a, T> {
    lock: &'a Locked<T>,
}

// SAFETY: the value is reached by one guard at a time; sending the lock sends the value.
unsafe impl<T: Send> Send for Locked<T> {}
// SAFETY: as above; sharing the lock hands the value from thread to thread.
unsafe impl<T: Send> Sync for Locked<T> {}

impl<T> Locked<T> {
    /// A lock that nobody holds.
    pub const fn new(value: T) -> Locked<T> {
        Locked {
            held: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits for the value. IRQL: PASSIVE.
    pub fn lock(&self, platform: &dyn Platform) -> LockedGuard<'_, T> {
        while self
            .held
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            platform.relax();
        }
        LockedGuard { lock: self }
    }
}

impl<T> Deref for LockedGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: this guard set `held`; no other guard exists until it is dropped.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for LockedGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `self` is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for LockedGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.held.store(false, Ordering::Release);
    }
}
