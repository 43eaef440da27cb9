//! Views of the pool, mapped and unmapped rightly and wrongly.
#![cfg(target_os = "linux")]

use super::*;
use crate::Machine;
use std::sync::Arc;

const BYTES: u64 = 4 * PAGE;
const ANY: u32 = u32::from_le_bytes(*b"test");
const PRIORITY: u32 = NO_EXECUTE | 16;

/// A block, and a list of its second and third page.
fn list() -> (u64, u64) {
    let block = ExAllocatePool2(NON_PAGED, BYTES, ANY);
    let list = IoAllocateMdl(block + PAGE, 2 * PAGE as u32, 0, 0, 0);
    MmBuildMdlForNonPagedPool(list);
    (block, list)
}

fn map_for_user(list: u64, priority: u32) -> u64 {
    MmMapLockedPagesSpecifyCache(list, USER_MODE, 1, 0, 0, priority)
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

#[test]
fn a_view_is_the_same_memory_with_its_own_protection() {
    let machine: Arc<Machine> = Arc::default();
    machine.enter(|| {
        let (block, list) = list();
        let (first, second) = process::run_as(8, || {
            (
                map_for_user(list, PRIORITY | NO_WRITE),
                map_for_user(list, PRIORITY),
            )
        });
        assert_eq!([first, second].map(protection), ["r--s", "rw-s"]);
        // SAFETY: pages of the block and views of them.
        unsafe {
            put(block + PAGE + 8, 77u64).unwrap();
            put(second + PAGE, 78u64).unwrap();
            assert_eq!(get::<u64>(first + 8), Ok(77));
            assert_eq!(get::<u64>(block + 2 * PAGE), Ok(78));
        }
        process::run_as(8, || {
            MmUnmapLockedPages(first, list);
            MmUnmapLockedPages(second, list);
        });
        assert_eq!([first, second].map(protection), ["none", "none"]);
        IoFreeMdl(list);
        ExFreePoolWithTag(block, ANY);
    });
    assert_eq!(crate::control::faults(&machine), [""; 0]);
}

#[test]
fn views_are_taken_back_in_their_process_before_it_ends() {
    let machine: Arc<Machine> = Arc::default();
    machine.enter(|| {
        let (block, list) = list();
        let view = process::run_as(8, || map_for_user(list, PRIORITY));
        MmUnmapLockedPages(view, list);
        process_ended(8);
        IoFreeMdl(list);
        ExFreePoolWithTag(block, ANY);
    });
    let said = machine.reports.violations();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("which process 4 does not see"), "{said:?}");
    assert!(
        said[1].starts_with("process 8 ends with a view"),
        "{said:?}"
    );
}

#[test]
fn only_whole_pages_of_the_pool_are_mapped_and_never_executable() {
    let machine: Arc<Machine> = Arc::default();
    machine.enter(|| {
        let (block, list) = list();
        assert_eq!(map_for_user(list, 16), 0);
        let part = IoAllocateMdl(block + 8, 64, 0, 0, 0);
        let beyond = IoAllocateMdl(block, BYTES as u32 + PAGE as u32, 0, 0, 0);
        for other in [part, beyond] {
            MmBuildMdlForNonPagedPool(other);
            assert_eq!(map_for_user(other, PRIORITY), 0);
            IoFreeMdl(other);
        }
        IoFreeMdl(list);
        ExFreePoolWithTag(block, ANY);
    });
    assert_eq!(machine.reports.violations().len(), 3);
}

#[test]
fn a_thread_attaches_to_a_process_and_returns() {
    let machine: Arc<Machine> = Arc::default();
    machine.enter(|| {
        process::run_as(8, || {
            let object = super::super::thread::PsGetCurrentProcess();
            process::run_as(12, || {
                let mut state = [0u64; 6];
                let state = state.as_mut_ptr().expose_provenance() as u64;
                KeStackAttachProcess(object, state);
                assert_eq!(process::current(), 8);
                KeUnstackDetachProcess(state);
                assert_eq!(process::current(), 12);
            });
        });
    });
}
