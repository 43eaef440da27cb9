//! Spin locks for short sections at DISPATCH_LEVEL.
//!
//! Lock order (take a later one only while holding earlier ones, never the reverse): map lock,
//! bucket lock, pool lock. No callback, no waiting and no allocation of unbounded size happens
//! under a lock.

use crate::Platform;
use crate::atomic::{AtomicBool, Ordering, spin_loop};

/// Raises the IRQL for its lifetime.
pub(crate) struct Raised<'a> {
    platform: &'a dyn Platform,
    level: u8,
}

impl<'a> Raised<'a> {
    pub(crate) fn new(platform: &'a dyn Platform) -> Raised<'a> {
        let level = platform.raise_irql();
        Raised { platform, level }
    }
}

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.platform.lower_irql(self.level);
    }
}

/// A spin lock without data; what it protects is said where it stands.
#[derive(Default)]
pub(crate) struct Spin {
    held: AtomicBool,
}

/// Releases a [`Spin`] when dropped.
pub(crate) struct SpinGuard<'a> {
    lock: &'a Spin,
    _raised: Raised<'a>,
}

impl Spin {
    /// Takes the lock.
    pub(crate) fn lock<'a>(&'a self, platform: &'a dyn Platform) -> SpinGuard<'a> {
        let raised = Raised::new(platform);
        while self
            .held
            .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            while self.held.load(Ordering::Relaxed) {
                spin_loop();
            }
        }
        SpinGuard {
            lock: self,
            _raised: raised,
        }
    }
}

impl Drop for SpinGuard<'_> {
    fn drop(&mut self) {
        // Runs before `_raised` lowers the level: fields are dropped after this.
        self.lock.held.store(false, Ordering::Release);
    }
}
