//! Executive: pool, push locks, rundown protection.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::exports;
use crate::irql;
use crate::machine::{current, violation};
use crate::platform::installed;
use crate::pool::{Block, FREED, FRESH, GUARD, GUARD_BYTES, layout, text};
use std::alloc::{alloc, dealloc};
use std::sync::atomic::{AtomicU64, Ordering};

/// `POOL_FLAGS` of `ExAllocatePool2`.
const FLAG_UNINITIALIZED: u64 = 0x2;
const FLAG_NON_PAGED: u64 = 0x40;
const FLAG_NON_PAGED_EXECUTE: u64 = 0x80;
const FLAG_PAGED: u64 = 0x100;
/// `POOL_TYPE` of `ExAllocatePoolWithTag`.
const TYPE_NON_PAGED: u32 = 0;
const TYPE_PAGED: u32 = 1;

/// What a driver asks for.
#[derive(Clone, Copy)]
struct Wanted {
    block: Block,
    fill: u8,
    is_paged: bool,
    is_executable: bool,
}

fn allocate(function: &str, wanted: Wanted) -> u64 {
    let highest = if wanted.is_paged {
        irql::APC
    } else {
        irql::DISPATCH
    };
    irql::at_most(highest, function);
    if wanted.is_executable {
        violation(|| format!("{function} of executable memory, which HVCI refuses"));
        return 0;
    }
    let Block { tag, len_bytes } = wanted.block;
    if tag == 0 || len_bytes == 0 {
        violation(|| format!("{function} of {len_bytes} bytes with tag {tag:#x}"));
    }
    let machine = current();
    let Some(layout) = machine.pool.admit(len_bytes) else {
        return 0;
    };
    // SAFETY: the size is not zero: the guard is in it.
    let memory = unsafe { alloc(layout) };
    if memory.is_null() {
        return 0;
    }
    // SAFETY: the block, and the guard behind it.
    unsafe {
        memory.write_bytes(wanted.fill, len_bytes);
        memory.add(len_bytes).write_bytes(GUARD, GUARD_BYTES);
    }
    let address = memory.expose_provenance() as u64;
    machine.pool.insert(address, wanted.block);
    address
}

/// Zeroed memory for an object of the system; counted as a driver's, because the driver has to have
/// it freed.
pub(super) fn system_block(bytes: u64, tag: u32) -> u64 {
    ExAllocatePool2(FLAG_NON_PAGED, bytes, tag)
}

fn free(function: &str, address: u64, tag: u32) {
    irql::at_most(irql::DISPATCH, function);
    let Some(block) = current().pool.remove(address, tag) else {
        match installed() {
            Some(platform) => platform.free_foreign(address, tag),
            None => violation(|| format!("{function} of memory that is not allocated")),
        }
        return;
    };
    let memory = std::ptr::with_exposed_provenance_mut::<u8>(address as usize);
    // SAFETY: the guard of a block that is allocated.
    let guard = unsafe { std::slice::from_raw_parts(memory.add(block.len_bytes), GUARD_BYTES) };
    if guard.iter().any(|byte| *byte != GUARD) {
        let tag = text(block.tag);
        violation(|| {
            format!(
                "a block of {} bytes, tag {tag}, is written past its end",
                block.len_bytes
            )
        });
    }
    let Some(layout) = layout(block.len_bytes) else {
        return;
    };
    // SAFETY: a block that is allocated, with the layout it was allocated with; it was taken out of
    // the table, so nobody else frees it.
    unsafe {
        memory.write_bytes(FREED, block.len_bytes);
        dealloc(memory, layout);
    }
}

/// A variable of the driver that it shares between threads.
///
/// # Safety
/// 1. The address is that of a live variable of eight bytes.
unsafe fn shared<'a>(address: u64) -> &'a AtomicU64 {
    let pointer = std::ptr::with_exposed_provenance_mut::<u64>(address as usize);
    // SAFETY: the caller's obligation; drivers reach it through these functions only.
    unsafe { AtomicU64::from_ptr(pointer) }
}

/// Tries until it works, and lets other threads run.
fn until(mut attempt: impl FnMut() -> bool) {
    while !attempt() {
        std::thread::yield_now();
    }
}

/// Lowest bit: exclusive or run down; above it, the number of shared holders.
const EXCLUSIVE: u64 = 1;
const SHARED: u64 = 2;

fn change(word: u64, function: &str, change: impl Fn(u64) -> Option<u64>) -> bool {
    if word == 0 {
        violation(|| format!("{function} of null"));
        return true;
    }
    // SAFETY: the driver's lock.
    let word = unsafe { shared(word) };
    word.fetch_update(Ordering::AcqRel, Ordering::Acquire, change)
        .is_ok()
}

fn lock_exclusive(lock: u64, function: &str) {
    super::ke::needs_critical_region(function);
    until(|| change(lock, function, |word| (word == 0).then_some(EXCLUSIVE)));
}

fn lock_shared(lock: u64, function: &str) {
    super::ke::needs_critical_region(function);
    until(|| {
        change(lock, function, |word| {
            (word & EXCLUSIVE == 0).then_some(word + SHARED)
        })
    });
}

fn unlock_exclusive(lock: u64, function: &str) {
    if !change(lock, function, |word| (word == EXCLUSIVE).then_some(0)) {
        violation(|| format!("{function} of a push lock that is not held"));
    }
}

fn unlock_shared(lock: u64, function: &str) {
    if !change(lock, function, |word| {
        (word >= SHARED && word & EXCLUSIVE == 0).then(|| word - SHARED)
    }) {
        violation(|| format!("{function} of a push lock that is not held"));
    }
}

exports! { "ntoskrnl.exe", All:
    fn ExAllocatePool2(flags: u64, size: u64, tag: u32) -> u64 {
        let kinds = flags & (FLAG_NON_PAGED | FLAG_NON_PAGED_EXECUTE | FLAG_PAGED);
        if kinds.count_ones() != 1 {
            violation(|| format!("ExAllocatePool2 with flags {flags:#x}"));
            return 0;
        }
        let fill = if flags & FLAG_UNINITIALIZED != 0 { FRESH } else { 0 };
        let (is_paged, is_executable) = (kinds == FLAG_PAGED, kinds == FLAG_NON_PAGED_EXECUTE);
        let block = Block { tag, len_bytes: size as usize };
        allocate("ExAllocatePool2", Wanted { block, fill, is_paged, is_executable })
    }

    fn ExAllocatePoolWithTag(kind: u32, size: u64, tag: u32) -> u64 {
        let block = Block { tag, len_bytes: size as usize };
        // The lowest bit tells the paged pools; only the plain non-paged pool is executable.
        let (is_paged, is_executable) = (kind & TYPE_PAGED != 0, kind == TYPE_NON_PAGED);
        allocate("ExAllocatePoolWithTag", Wanted { block, fill: FRESH, is_paged, is_executable })
    }

    fn ExFreePoolWithTag(address: u64, tag: u32) {
        free("ExFreePoolWithTag", address, tag);
    }

    fn ExFreePool(address: u64) {
        free("ExFreePool", address, 0);
    }

    fn ExInitializePushLock(lock: u64) {
        change(lock, "ExInitializePushLock", |_| Some(0));
    }

    fn ExAcquirePushLockExclusiveEx(lock: u64, _flags: u32) {
        lock_exclusive(lock, "ExAcquirePushLockExclusiveEx");
    }

    fn ExAcquirePushLockSharedEx(lock: u64, _flags: u32) {
        lock_shared(lock, "ExAcquirePushLockSharedEx");
    }

    fn ExReleasePushLockExclusiveEx(lock: u64, _flags: u32) {
        unlock_exclusive(lock, "ExReleasePushLockExclusiveEx");
    }

    fn ExReleasePushLockSharedEx(lock: u64, _flags: u32) {
        unlock_shared(lock, "ExReleasePushLockSharedEx");
    }

    fn ExInitializeRundownProtection(rundown: u64) {
        change(rundown, "ExInitializeRundownProtection", |_| Some(0));
    }

    fn ExReInitializeRundownProtection(rundown: u64) {
        change(rundown, "ExReInitializeRundownProtection", |_| Some(0));
    }

    fn ExAcquireRundownProtection(rundown: u64) -> u8 {
        irql::at_most(irql::DISPATCH, "ExAcquireRundownProtection");
        let enter = |word| (word & EXCLUSIVE == 0).then_some(word + SHARED);
        u8::from(change(rundown, "ExAcquireRundownProtection", enter))
    }

    fn ExReleaseRundownProtection(rundown: u64) {
        irql::at_most(irql::DISPATCH, "ExReleaseRundownProtection");
        if !change(rundown, "ExReleaseRundownProtection", |word| word.checked_sub(SHARED)) {
            violation(|| "ExReleaseRundownProtection without protection".to_owned());
        }
    }

    fn ExWaitForRundownProtectionRelease(rundown: u64) {
        irql::at_most(irql::APC, "ExWaitForRundownProtectionRelease");
        change(rundown, "ExWaitForRundownProtectionRelease", |word| Some(word | EXCLUSIVE));
        until(|| change(rundown, "ExWaitForRundownProtectionRelease", |word| {
            (word == EXCLUSIVE).then_some(EXCLUSIVE)
        }));
    }

    fn ExRundownCompleted(rundown: u64) {
        change(rundown, "ExRundownCompleted", |_| Some(EXCLUSIVE));
    }
}

#[cfg(test)]
mod tests;
