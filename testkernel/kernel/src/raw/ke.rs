//! Kernel core: levels, spin locks, critical regions, time.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::{exports, put};
use crate::irql::{self, APC, DISPATCH};
use crate::machine::violation;
use std::cell::Cell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

thread_local! {
    static CRITICAL_REGIONS: Cell<u32> = const { Cell::new(0) };
    /// A number for the owner word of spin locks.
    static THREAD: u64 = {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

/// Since when time counts.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Seconds from 1601, where Windows begins, to 1970.
const EPOCH_SECONDS: u64 = 11_644_473_600;

/// Reports a wait for a push lock in which the thread could be suspended.
pub(super) fn needs_critical_region(function: &str) {
    irql::at_most(APC, function);
    if irql::level() < APC && CRITICAL_REGIONS.get() == 0 {
        violation(|| format!("{function} outside of a critical region"));
    }
}

/// A number for this thread, from 1.
pub(super) fn thread_number() -> u64 {
    THREAD.with(|number| *number)
}

/// 100 ns since the start.
fn uptime() -> u64 {
    (START.elapsed().as_nanos() / 100) as u64
}

fn system_time() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    EPOCH_SECONDS * 10_000_000 + (since.as_nanos() / 100) as u64
}

/// The word of a spin lock: 0, or the number of the thread that holds it.
///
/// # Safety
/// 1. The address is that of a driver's spin lock.
unsafe fn spin_word<'a>(lock: u64) -> &'a AtomicU64 {
    let pointer = std::ptr::with_exposed_provenance_mut::<u64>(lock as usize);
    // SAFETY: the caller's obligation; drivers reach it through these functions only.
    unsafe { AtomicU64::from_ptr(pointer) }
}

fn try_acquire(lock: u64) -> bool {
    let own = THREAD.with(|number| *number);
    // SAFETY: the driver's spin lock.
    let word = unsafe { spin_word(lock) };
    match word.compare_exchange(0, own, Ordering::Acquire, Ordering::Relaxed) {
        Ok(_) => true,
        Err(holder) if holder == own => {
            violation(|| "a spin lock is acquired twice by one thread: dead lock".to_owned());
            // Going on is wrong, but waiting would hide the report.
            true
        }
        Err(_) => false,
    }
}

fn acquire(lock: u64) {
    let mut turns = 0u32;
    while !try_acquire(lock) {
        // A thread of user mode that holds a lock can be preempted.
        turns = turns.wrapping_add(1);
        match turns % 64 {
            0 => std::thread::yield_now(),
            _ => std::hint::spin_loop(),
        }
    }
}

fn release(lock: u64, function: &str) {
    irql::at_least(DISPATCH, function);
    let own = THREAD.with(|number| *number);
    // SAFETY: the driver's spin lock.
    let holder = unsafe { spin_word(lock) }.swap(0, Ordering::Release);
    if holder != own {
        violation(|| format!("{function} by a thread that does not hold the lock"));
    }
}

/// `KLOCK_QUEUE_HANDLE`: the lock's address at 8, the old level at 16.
mod queued {
    pub(super) const LOCK: u64 = 8;
    pub(super) const LEVEL: u64 = 16;
}

fn acquire_queued(lock: u64, handle: u64, level: u8) {
    acquire(lock);
    // SAFETY: the driver's lock handle.
    let _ = unsafe {
        put(handle + queued::LOCK, lock).and_then(|()| put(handle + queued::LEVEL, level))
    };
}

fn release_queued(handle: u64, function: &str) -> u8 {
    // SAFETY: the driver's lock handle, filled by `acquire_queued`.
    let read = unsafe {
        super::get(handle + queued::LOCK)
            .and_then(|lock| Ok((lock, super::get(handle + queued::LEVEL)?)))
    };
    let Ok((lock, level)) = read else {
        return irql::PASSIVE;
    };
    release(lock, function);
    level
}

exports! { "ntoskrnl.exe", All:
    fn KeGetCurrentIrql() -> u8 {
        irql::level()
    }

    fn KfRaiseIrql(new: u8) -> u8 {
        irql::raise(new)
    }

    fn KeRaiseIrqlToDpcLevel() -> u8 {
        irql::raise(DISPATCH)
    }

    fn KeLowerIrql(new: u8) {
        irql::lower(new);
    }

    fn KeInitializeSpinLock(lock: u64) {
        // SAFETY: the driver's spin lock.
        let _ = unsafe { put(lock, 0u64) };
    }

    fn KeAcquireSpinLockRaiseToDpc(lock: u64) -> u8 {
        irql::at_most(DISPATCH, "KeAcquireSpinLockRaiseToDpc");
        let level = irql::raise(DISPATCH);
        acquire(lock);
        level
    }

    fn KeReleaseSpinLock(lock: u64, level: u8) {
        release(lock, "KeReleaseSpinLock");
        irql::lower(level);
    }

    fn KeAcquireSpinLockAtDpcLevel(lock: u64) {
        irql::at_least(DISPATCH, "KeAcquireSpinLockAtDpcLevel");
        acquire(lock);
    }

    fn KeTryToAcquireSpinLockAtDpcLevel(lock: u64) -> u8 {
        irql::at_least(DISPATCH, "KeTryToAcquireSpinLockAtDpcLevel");
        u8::from(try_acquire(lock))
    }

    fn KeReleaseSpinLockFromDpcLevel(lock: u64) {
        release(lock, "KeReleaseSpinLockFromDpcLevel");
    }

    fn KeAcquireInStackQueuedSpinLock(lock: u64, handle: u64) {
        irql::at_most(DISPATCH, "KeAcquireInStackQueuedSpinLock");
        let level = irql::raise(DISPATCH);
        acquire_queued(lock, handle, level);
    }

    fn KeReleaseInStackQueuedSpinLock(handle: u64) {
        irql::lower(release_queued(handle, "KeReleaseInStackQueuedSpinLock"));
    }

    fn KeAcquireInStackQueuedSpinLockAtDpcLevel(lock: u64, handle: u64) {
        irql::at_least(DISPATCH, "KeAcquireInStackQueuedSpinLockAtDpcLevel");
        acquire_queued(lock, handle, DISPATCH);
    }

    fn KeReleaseInStackQueuedSpinLockFromDpcLevel(handle: u64) {
        release_queued(handle, "KeReleaseInStackQueuedSpinLockFromDpcLevel");
    }

    fn KeEnterCriticalRegion() {
        irql::at_most(APC, "KeEnterCriticalRegion");
        CRITICAL_REGIONS.set(CRITICAL_REGIONS.get() + 1);
    }

    fn KeLeaveCriticalRegion() {
        irql::at_most(APC, "KeLeaveCriticalRegion");
        match CRITICAL_REGIONS.get().checked_sub(1) {
            Some(regions) => CRITICAL_REGIONS.set(regions),
            None => violation(|| "KeLeaveCriticalRegion without KeEnterCriticalRegion".to_owned()),
        }
    }

    fn KeQueryInterruptTimePrecise(counter: u64) -> u64 {
        let now = uptime();
        // SAFETY: the driver's variable.
        let _ = unsafe { put(counter, now) };
        now
    }

    fn KeQueryInterruptTime() -> u64 {
        uptime()
    }

    fn KeQueryUnbiasedInterruptTime() -> u64 {
        uptime()
    }

    fn KeQueryUnbiasedInterruptTimePrecise(counter: u64) -> u64 {
        KeQueryInterruptTimePrecise(counter)
    }

    fn KeQuerySystemTimePrecise(target: u64) {
        // SAFETY: the driver's variable.
        let _ = unsafe { put(target, system_time()) };
    }

    fn EtwRegister(_provider: u64, _callback: u64, _context: u64, handle: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "EtwRegister");
        // SAFETY: the driver's variable. Any number does: nobody listens.
        super::answer(unsafe { put(handle, 1u64) })
    }

    fn EtwUnregister(_handle: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "EtwUnregister");
        crate::status::SUCCESS
    }
}

#[cfg(test)]
mod tests;
