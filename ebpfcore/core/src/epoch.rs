//! Epochs: memory that a running program may still use is not reused before the program is done.
//!
//! The idea is epoch-based reclamation (Fraser, "Practical lock-freedom", 2004) with counters
//! and claimed places instead of per-thread records, so that a reader may migrate between processors.
//! Each processor has a shard. A reader puts the epoch `e` that it sees into the place of some shard
//! when nobody else has it. Otherwise it counts itself in slot `e & 1` of the shard and checks that the
//! epoch is still `e`. The epoch may advance from `E` to `E + 1` only while nobody is counted in the
//! slot of `E - 1` and no place holds another epoch than `E`.
//!
//! Invariant: when a reader appeared in its place or slot while the epoch was `c`, the epoch is `c` or
//! `c + 1` until it leaves. Whoever would advance it from `c + 1` saw that epoch and looked at the
//! readers afterwards, hence sees this one: its slot is that of `c`, and its place holds `c` or, when
//! the epoch advanced in between, something older. Something made unreachable while the epoch was `g`
//! can be seen only by readers that appeared at `g` or before, so it may be reused once the epoch is
//! at least `g + 2`.
//!
//! The place costs one locked instruction, the slot two: only the reader who claimed a place writes to
//! it until it is free again, hence leaving is a plain store. Whoever claims it next or sees it free
//! goes on from that store (a claim is a read-modify-write), so all that the reader did came before. No
//! reader needs to know that it is alone on its processor: one that interrupts another or comes with a
//! wrong number finds the place taken.
//!
//! A reader that pins after that must not find the thing any more. It finds the address by loads of
//! order [`FOLLOW`]: in the single order of sequentially consistent operations the fence of
//! [`Epoch::retire_stamp`] comes before the advance, that before the reader appears, and that before the
//! load, which therefore sees the unlinking that came before the fence.

use crate::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use crate::{Platform, Status};
use alloc::vec::Vec;

/// Order of loads of addresses that are valid because an epoch is pinned. (On x64 an ordinary load.)
pub(crate) const FOLLOW: Ordering = Ordering::SeqCst;

/// Readers of one processor, alone on their cache lines so that processors do not share them.
#[repr(align(128))]
#[derive(Default)]
struct Shard {
    /// The epoch that one reader has pinned, 0 while there is none.
    place: AtomicU64,
    /// Readers that found the place taken, by the epoch's lowest bit.
    pinned: [AtomicUsize; 2],
}

/// The epoch of one runtime.
pub struct Epoch {
    current: AtomicU64,
    shards: Vec<Shard>,
}

/// A pinned epoch: what was reachable when it was taken stays valid until it is dropped.
pub struct Guard<'a> {
    pin: Pin<'a>,
}

/// Where a reader is noted.
enum Pin<'a> {
    /// A place that it claimed.
    Place(&'a AtomicU64),
    /// A slot in which it is counted.
    Slot(&'a AtomicUsize),
}

/// The first epoch: not 0, which marks a free place.
const FIRST: u64 = 2;

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
            current: AtomicU64::new(FIRST),
            shards,
        })
    }

    /// Pins the current epoch. `cpu` only spreads the load; any number is correct.
    #[inline]
    #[must_use]
    pub fn pin(&self, cpu: u32) -> Guard<'_> {
        let shard = match self.shards.get(cpu as usize) {
            Some(shard) => shard,
            None => self.shard_beyond(cpu),
        };
        let epoch = self.current.load(Ordering::SeqCst);
        let claim = shard
            .place
            .compare_exchange(0, epoch, Ordering::SeqCst, Ordering::Relaxed);
        if claim.is_err() {
            return self.pin_beside(cpu);
        }
        Guard {
            pin: Pin::Place(&shard.place),
        }
    }

    /// Pins beside another reader of the shard.
    #[cold]
    pub(crate) fn pin_beside(&self, cpu: u32) -> Guard<'_> {
        let shard = self.shard_beyond(cpu);
        loop {
            let epoch = self.current.load(Ordering::SeqCst);
            let slot = &shard.pinned[(epoch & 1) as usize];
            slot.fetch_add(1, Ordering::SeqCst);
            let guard = Guard {
                pin: Pin::Slot(slot),
            };
            if self.current.load(Ordering::SeqCst) == epoch {
                return guard;
            }
        }
    }

    /// The shard of any number.
    #[cold]
    fn shard_beyond(&self, cpu: u32) -> &Shard {
        &self.shards[cpu as usize % self.shards.len()]
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
        let is_behind = |shard: &Shard| {
            let pinned = shard.place.load(Ordering::SeqCst);
            (pinned != 0 && pinned != epoch) || shard.pinned[before].load(Ordering::SeqCst) != 0
        };
        if !self.shards.iter().any(is_behind) {
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
    #[inline]
    fn drop(&mut self) {
        match self.pin {
            Pin::Place(place) => place.store(0, Ordering::Release),
            Pin::Slot(slot) => _ = slot.fetch_sub(1, Ordering::SeqCst),
        }
    }
}
