//! Sections, their handles and views, and lists of locked pages, used rightly and wrongly.
#![cfg(target_os = "linux")]

use super::*;
use crate::Machine;
use std::sync::Arc;

const BYTES: u64 = 2 * PAGE;
const PRIORITY: u32 = NO_EXECUTE | 16;
/// `SECTION_QUERY | SECTION_MAP_READ`, and with `SECTION_MAP_WRITE`.
const READ: u32 = 5;
const WRITE: u32 = 7;

/// A variable that functions write to by its address.
fn filled(fill: impl FnOnce(u64) -> u32) -> Result<u64, u32> {
    let mut variable = 0u64;
    match fill((&raw mut variable).expose_provenance() as u64) {
        status::SUCCESS => Ok(variable),
        status => Err(status),
    }
}

fn address_of<T>(value: &T) -> u64 {
    std::ptr::from_ref(value).expose_provenance() as u64
}

fn create(bytes: u64, flags: u32) -> Result<u64, u32> {
    let attributes = [48u64, 0, 0, u64::from(flags), 0, 0];
    filled(|place| {
        let (attributes, bytes) = (address_of(&attributes), address_of(&bytes));
        ZwCreateSection(place, WRITE, attributes, bytes, READ_WRITE, COMMIT, 0)
    })
}

/// A referenced section without a handle.
fn section() -> u64 {
    let handle = create(BYTES, OBJ_KERNEL_HANDLE).unwrap_or(0);
    let object = current().sections.reference(handle).unwrap_or(0);
    assert!(object != 0 && close(handle));
    object
}

fn system_view(object: u64) -> Result<u64, u32> {
    let mut bytes = 0u64;
    let place = (&raw mut bytes).expose_provenance() as u64;
    let view = filled(|view| MmMapViewInSystemSpace(object, view, place))?;
    assert_eq!(bytes, BYTES);
    Ok(view)
}

/// A section's pages, locked.
fn locked(object: u64) -> u64 {
    let view = system_view(object).unwrap_or(0);
    let list = IoAllocateMdl(view, BYTES as u32, 0, 0, 0);
    MmProbeAndLockPages(list, KERNEL_MODE, 2);
    MmUnmapViewInSystemSpace(view);
    list
}

/// A list of the pages of another one, twice.
fn doubled(list: u64) -> u64 {
    let double = IoAllocateMdl(0, 2 * BYTES as u32, 0, 0, 0);
    for index in 0..4 {
        // SAFETY: lists with as many numbers.
        unsafe {
            let number: u64 = get(number_at(list, index % 2)).unwrap_or(0);
            let _ = put(number_at(double, index), number);
        }
    }
    change_flags(double, |flags| flags | PAGES_LOCKED);
    double
}

fn map(list: u64) -> u64 {
    MmMapLockedPagesSpecifyCache(list, KERNEL_MODE, 1, 0, 0, PRIORITY)
}

/// The protection of a page, as the system says it.
fn protection(address: u64) -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let line = maps.lines().find(|line| {
        let range = line
            .split(' ')
            .next()
            .and_then(|range| range.split_once('-'));
        let number = |text| u64::from_str_radix(text, 16).unwrap_or(0);
        range.is_some_and(|(start, end)| (number(start)..number(end)).contains(&address))
    });
    line.and_then(|line| line.split(' ').nth(1))
        .unwrap_or("none")
        .to_owned()
}

fn open(object: u64, rights: u32) -> u64 {
    let handle = filled(|place| ObOpenObjectByPointer(object, 0, 0, rights, 0, KERNEL_MODE, place));
    handle.unwrap_or(0)
}

#[test]
fn pages_are_mapped_twice_and_by_processes_with_the_rights_of_their_handles() {
    let machine: Arc<Machine> = Arc::default();
    machine.enter(|| {
        let object = section();
        let list = locked(object);
        let double = doubled(list);
        let block = map(double);
        let (reader, view, writer) = process::run_as(8, || {
            let reader = open(object, READ);
            assert_eq!(map_view(reader, Access::Write), Err(status::ACCESS_DENIED));
            let reader_view = map_view(reader, Access::Read).unwrap_or(0);
            let writer = map_view(open(object, WRITE), Access::Write).unwrap_or(0);
            (reader, reader_view, writer)
        });
        assert_eq!(
            [block, view, writer].map(protection),
            ["rw-s", "r--s", "rw-s"]
        );
        // SAFETY: pages of the section, mapped at four places.
        unsafe {
            assert_eq!(get::<u64>(block), Ok(0));
            put(block + BYTES + 8, 77u64).unwrap();
            put(writer + PAGE, 78u64).unwrap();
            assert_eq!(get::<u64>(block + 8), Ok(77));
            assert_eq!(get::<u64>(view + 8), Ok(77));
            assert_eq!(get::<u64>(block + PAGE), Ok(78));
            assert_eq!(get::<u64>(block + BYTES + PAGE), Ok(78));
        }
        // A handle is one process's own.
        process::run_as(12, || {
            assert_eq!(map_view(reader, Access::Read), Err(status::INVALID_HANDLE));
            assert!(!close(reader) && !unmap_view(view));
        });
        MmUnmapLockedPages(block, double);
        IoFreeMdl(double);
        MmUnlockPages(list);
        IoFreeMdl(list);
        assert!(release(object));
        // What the process has mapped stays until it ends, handle or not.
        assert!(process::run_as(8, || close(reader)));
        // SAFETY: a view that is still there.
        assert_eq!(unsafe { get::<u64>(view + 8) }, Ok(77));
        assert_eq!(crate::control::faults(&machine), ["left: 1 sections"]);
        process_ended(8);
    });
    assert_eq!(crate::control::faults(&machine), [""; 0]);
}

#[test]
fn what_is_mapped_is_not_unlocked_and_what_is_locked_is_not_freed() {
    let machine: Arc<Machine> = Arc::default();
    machine.enter(|| {
        let object = section();
        let list = locked(object);
        let double = doubled(list);
        let block = map(double);
        MmUnlockPages(list);
        MmUnmapLockedPages(block + PAGE, double);
        MmUnmapLockedPages(block, double);
        MmUnlockPages(list);
        MmUnlockPages(list);
        // The numbers name nothing any more.
        assert_eq!(map(double), 0);
        IoFreeMdl(double);
        let again = locked(object);
        IoFreeMdl(again);
        IoFreeMdl(list);
        assert!(release(object) && !release(object + 1));
    });
    let said = machine.reports.violations();
    let expected = [
        "locks pages that are mapped",
        "where the list is not mapped",
        "locks nothing",
        "not locked pages",
        "locked or mapped",
    ];
    assert_eq!(said.len(), expected.len(), "{said:?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.contains(expected), "{said}");
    }
    let faults = crate::control::faults(&machine);
    let left = ["left: 1 sections", "left: 1 lists of locked pages"];
    assert!(
        left.iter()
            .all(|left| faults.iter().any(|fault| fault == left)),
        "{faults:?}"
    );
}

#[test]
fn only_the_kernels_pages_are_locked_and_never_executable() {
    let machine: Arc<Machine> = Arc::default();
    machine.enter(|| {
        let handle = create(BYTES, 0).unwrap_or(0);
        assert!(handle != 0 && close(handle) && !close(handle));
        assert_eq!(create(0, OBJ_KERNEL_HANDLE), Err(status::INVALID_PARAMETER));
        let object = section();
        let view = process::run_as(8, || {
            map_view(open(object, WRITE), Access::Write).unwrap_or(0)
        });
        let list = IoAllocateMdl(view, BYTES as u32, 0, 0, 0);
        MmProbeAndLockPages(list, KERNEL_MODE, 2);
        assert_eq!(MmUnmapViewInSystemSpace(view), status::INVALID_PARAMETER);
        assert_eq!(system_view(object + 8), Err(status::INVALID_PARAMETER));
        let own = locked(object);
        assert_eq!(
            MmMapLockedPagesSpecifyCache(own, KERNEL_MODE, 1, 0, 0, 16),
            0
        );
        assert_eq!(MmMapLockedPagesSpecifyCache(own, 1, 1, 0, 0, PRIORITY), 0);
        MmUnlockPages(own);
        IoFreeMdl(own);
        IoFreeMdl(list);
        process_ended(8);
        release(object);
    });
    let said = machine.reports.violations();
    assert_eq!(said.len(), 6, "{said:?}");
    assert_eq!(machine.sections.left(), [""; 0]);
}

#[test]
fn each_step_fails_when_memory_is_short() {
    let machine: Arc<Machine> = Arc::default();
    machine.enter(|| {
        let object = section();
        let list = locked(object);
        let double = doubled(list);
        machine.pool.dry_up_after(0);
        let short = Err(status::INSUFFICIENT_RESOURCES);
        assert_eq!(create(BYTES, OBJ_KERNEL_HANDLE), short);
        assert_eq!(system_view(object), short);
        assert_eq!(process::run_as(8, || open(object, READ)), 0);
        assert_eq!(map(double), 0);
        machine.pool.refill();
        let block = map(double);
        assert_ne!(block, 0);
        MmUnmapLockedPages(block, double);
        IoFreeMdl(double);
        MmUnlockPages(list);
        IoFreeMdl(list);
        release(object);
    });
    assert_eq!(crate::control::faults(&machine), [""; 0]);
}
