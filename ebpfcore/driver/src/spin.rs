//! A value that one caller at a time may use, at any level up to DISPATCH.
//!
//! The holder runs at DISPATCH_LEVEL, so that it is not preempted and spinning stays short. Left out:
//! fairness; recursion (taking it twice spins for ever).

use crate::level;
use core::cell::UnsafeCell;
use core::hint::spin_loop;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, Ordering};

/// A value behind a spin lock.
pub(crate) struct Spinning<T> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

/// Exclusive use of the value until dropped.
pub(crate) struct SpinningGuard<'a, T> {
    lock: &'a Spinning<T>,
    /// The level before.
    level: u8,
}

// SAFETY: the value is reached by one guard at a time; sharing the lock hands it from one to another.
unsafe impl<T: Send> Sync for Spinning<T> {}

impl<T> Spinning<T> {
    /// A lock that nobody holds.
    pub(crate) const fn new(value: T) -> Spinning<T> {
        Spinning {
            held: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Takes the value.
    pub(crate) fn lock(&self) -> SpinningGuard<'_, T> {
        let level = level::raise();
        while self
            .held
            .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            spin_loop();
        }
        SpinningGuard { lock: self, level }
    }
}

impl<T> Deref for SpinningGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: this guard set `held`; no other guard exists until it is dropped.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for SpinningGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `self` is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for SpinningGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.held.store(false, Ordering::Release);
        level::lower(self.level);
    }
}
