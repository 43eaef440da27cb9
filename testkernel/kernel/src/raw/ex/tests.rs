//! Pool and locks as drivers use them, rightly and wrongly.

use super::*;
use crate::Machine;
use std::sync::Arc;

const TAG: u32 = u32::from_le_bytes(*b"tset");

fn machine() -> Arc<Machine> {
    Arc::default()
}

#[test]
fn what_is_not_freed_is_told_by_tag() {
    let machine = machine();
    machine.enter(|| {
        let kept = ExAllocatePool2(FLAG_NON_PAGED, 100, TAG);
        let freed = ExAllocatePoolWithTag(512, 5000, TAG);
        assert_eq!(freed % 4096, 0);
        ExFreePoolWithTag(freed, TAG);
        assert_eq!(
            machine.pool.usage()["tset"],
            crate::pool::Usage {
                blocks: 1,
                bytes: 100
            }
        );
        // SAFETY: the block that was asked for.
        let content = unsafe { super::super::get::<[u8; 100]>(kept) };
        assert_eq!(content, Ok([0; 100]));
        ExFreePool(kept);
    });
    assert!(machine.pool.usage().is_empty());
    assert_eq!(machine.reports.violations(), [""; 0]);
}

#[test]
fn mistakes_with_memory_are_told() {
    let machine = machine();
    machine.enter(|| {
        let block = ExAllocatePool2(FLAG_NON_PAGED, 8, TAG);
        // SAFETY: one byte into the guard.
        unsafe { super::super::put(block + 1, [0u8; 8]) }.unwrap();
        ExFreePoolWithTag(block, TAG + 1);
        ExFreePoolWithTag(block, TAG);
        assert_eq!(ExAllocatePoolWithTag(TYPE_NON_PAGED, 8, TAG), 0);
        let level = irql::raise(irql::DISPATCH);
        let paged = ExAllocatePool2(FLAG_PAGED, 8, TAG);
        irql::lower(level);
        ExFreePool(paged);
    });
    let found = machine.reports.violations();
    let expected = [
        "freed with tag",
        "past its end",
        "not allocated",
        "executable",
        "at level 2",
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn an_allocation_can_be_made_to_fail() {
    let machine = machine();
    machine.pool.fail_after(1);
    machine.enter(|| {
        let blocks = [(); 3].map(|()| ExAllocatePool2(FLAG_NON_PAGED, 8, TAG));
        assert_eq!(blocks.map(|block| block == 0), [false, true, false]);
        ExFreePool(blocks[0]);
        ExFreePool(blocks[2]);
    });
    assert!(!machine.pool.stop_failing());
}

#[test]
fn push_locks_keep_writers_apart() {
    let machine = machine();
    let (mut lock, mut sum) = (0u64, 0u64);
    let lock = (&raw mut lock).expose_provenance() as u64;
    let sum = (&raw mut sum).expose_provenance() as u64;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                machine.enter(|| {
                    for _ in 0..1000 {
                        super::super::ke::KeEnterCriticalRegion();
                        ExAcquirePushLockExclusiveEx(lock, 0);
                        // SAFETY: the lock is held.
                        unsafe {
                            let old: u64 = super::super::get(sum).unwrap();
                            super::super::put(sum, old + 1).unwrap();
                        }
                        ExReleasePushLockExclusiveEx(lock, 0);
                        super::super::ke::KeLeaveCriticalRegion();
                    }
                });
            });
        }
    });
    // SAFETY: nobody else is left.
    assert_eq!(unsafe { super::super::get::<u64>(sum) }, Ok(4000));
    assert_eq!(machine.reports.violations(), [""; 0]);
}

#[test]
fn rundown_waits_for_those_inside_and_refuses_the_next() {
    let machine = machine();
    let mut rundown = 0u64;
    let rundown = (&raw mut rundown).expose_provenance() as u64;
    assert_eq!(ExAcquireRundownProtection(rundown), 1);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| machine.enter(|| ExWaitForRundownProtectionRelease(rundown)));
        while ExAcquireRundownProtection(rundown) == 1 {
            ExReleaseRundownProtection(rundown);
            std::thread::yield_now();
        }
        assert!(!waiter.is_finished());
        ExReleaseRundownProtection(rundown);
    });
    assert_eq!(ExAcquireRundownProtection(rundown), 0);
}
