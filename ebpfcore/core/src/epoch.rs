//! Epochs: memory that a running program may still use is not reused before the program is done.
//!
//! The idea is epoch-based reclamation (Fraser, "Practical lock-freedom", 2004) with counters
//! instead of per-thread records, so that a reader may migrate between processors. A reader pins
//! the current epoch `e` by counting itself in slot `e & 1` of some shard and checking that the
//! epoch is still `e`. The epoch may advance from `E` to `E + 1` only while nobody is counted in
//! the slot of `E - 1`.
//!
//! Invariant: while a reader is pinned at `e`, the epoch is `e` or `e + 1`. Something made
//! unreachable while the epoch was `g` can be seen only by readers pinned at `g` or before, so it
//! may be reused once the epoch is at least `g + 2`.
//!
//! A reader that pins after that must not find the thing any more. It finds the address by loads of
//! order [`FOLLOW`]: in the single order of sequentially consistent operations the fence of
//! [`Epoch::retire_stamp`] comes before the advance, that before the look of [`Epoch::pin`], and that
//! before the load, which therefore sees the unlinking that came before the fence.

use crate::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use crate::{Platform, Status};
use alloc::vec::Vec;

/// Order of loads of addresses that are valid because an epoch is pinned. (On x64 an ordinary load.)
pub(crate) const FOLLOW: Ordering = Ordering::SeqCst;

/// Counters of one shard, alone on its cache lines so that processors do not share them.
#[repr(align(128))]
#[derive(Default)]
struct Shard {
    pinned: [AtomicUsize; 2],
}

/// The epoch of one runtime.
pub struct Epoch {
    current: AtomicU64,
    shards: Vec<Shard>,
}

/// A pinned epoch: what was reachable when it was taken stays valid until it is dropped.
pub struct Guard<'a> {
    slot: &'a AtomicUsize,
}

impl Epoch {
    /// An epoch for `cpus` processors.
    ///
    /// # Errors
    ///
    /// [`Status::NoMemory`].
    pub fn new(cpus: u32) -> Result<Epoch, Status> {
        let count = cpus.max(1) as usize;
        let mut shards = Vec::new();
        shards
            .try_reserve_exact(count)
            .map_err(|_| Status::NoMemory)?;
        shards.resize_with(count, Shard::default);
        Ok(Epoch {
            current: AtomicU64::new(2),
            shards,
        })
    }

    /// Pins the current epoch. `cpu` only spreads the load; any number is correct.
    #[must_use]
    pub fn pin(&self, cpu: u32) -> Guard<'_> {
        let shard = &self.shards[cpu as usize % self.shards.len()];
        loop {
            let epoch = self.current.load(Ordering::SeqCst);
            let slot = &shard.pinned[(epoch & 1) as usize];
            slot.fetch_add(1, Ordering::SeqCst);
            if self.current.load(Ordering::SeqCst) == epoch {
                return Guard { slot };
            }
            slot.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// The epoch to note for something that was just made unreachable.
    #[must_use]
    pub fn retire_stamp(&self) -> u64 {
        // Orders the unlinking store before the read of the epoch (see the module invariant).
        fence(Ordering::SeqCst);
        self.current.load(Ordering::SeqCst)
    }

    /// Whether something that was unreachable at `stamp` may be reused.
    #[must_use]
    pub fn is_over(&self, stamp: u64) -> bool {
        self.current.load(Ordering::SeqCst) >= stamp.saturating_add(2)
    }

    /// Advances the epoch when no reader forbids it; never waits.
    pub fn try_advance(&self) {
        let epoch = self.current.load(Ordering::SeqCst);
        let before = (epoch.wrapping_sub(1) & 1) as usize;
        let busy = self
            .shards
            .iter()
            .any(|shard| shard.pinned[before].load(Ordering::SeqCst) != 0);
        if !busy {
            // Losing the race means that somebody else advanced it, which is as good.
            let _ =
                self.current
                    .compare_exchange(epoch, epoch + 1, Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    /// Waits until every reader that is pinned now is done. The caller must not be pinned itself.
    pub fn synchronize(&self, platform: &dyn Platform) {
        let stamp = self.retire_stamp();
        while !self.is_over(stamp) {
            self.try_advance();
            if !self.is_over(stamp) {
                platform.relax();
            }
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.slot.fetch_sub(1, Ordering::SeqCst);
    }
}
