//! Levels and spin locks, used rightly and wrongly.

use super::*;
use crate::Machine;
use std::sync::Arc;

#[test]
fn levels_nest() {
    let machine: Arc<Machine> = Arc::default();
    let mut lock = 0u64;
    let lock = (&raw mut lock).expose_provenance() as u64;
    machine.enter(|| {
        let level = KeAcquireSpinLockRaiseToDpc(lock);
        assert_eq!((level, KeGetCurrentIrql()), (irql::PASSIVE, DISPATCH));
        KeReleaseSpinLock(lock, level);
        assert_eq!(KeGetCurrentIrql(), irql::PASSIVE);
        let mut handle = [0u64; 3];
        let handle = handle.as_mut_ptr().expose_provenance() as u64;
        KeAcquireInStackQueuedSpinLock(lock, handle);
        assert_eq!(KeGetCurrentIrql(), DISPATCH);
        KeReleaseInStackQueuedSpinLock(handle);
        assert_eq!(KeGetCurrentIrql(), irql::PASSIVE);
    });
    assert_eq!(machine.reports.violations(), [""; 0]);
}

#[test]
fn mistakes_with_levels_and_locks_are_told() {
    let machine: Arc<Machine> = Arc::default();
    let mut lock = 0u64;
    let lock = (&raw mut lock).expose_provenance() as u64;
    machine.enter(|| {
        KeAcquireSpinLockAtDpcLevel(lock);
        KeReleaseSpinLockFromDpcLevel(lock);
        let level = KeAcquireSpinLockRaiseToDpc(lock);
        KeAcquireSpinLockAtDpcLevel(lock);
        KeReleaseSpinLock(lock, level);
        KeLowerIrql(DISPATCH);
        KeEnterCriticalRegion();
        assert_eq!(KfRaiseIrql(irql::PASSIVE), DISPATCH);
        KeLeaveCriticalRegion();
        KeLeaveCriticalRegion();
    });
    let found = machine.reports.violations();
    let expected = [
        "KeAcquireSpinLockAtDpcLevel at level 0",
        "KeReleaseSpinLockFromDpcLevel at level 0",
        "dead lock",
        "KeLowerIrql to 2 at level 0",
        "KeEnterCriticalRegion at level 2",
        "KeRaiseIrql to 0 at level 2",
        "KeLeaveCriticalRegion without",
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{found}");
    }
}
