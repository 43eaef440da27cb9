//! Sections, lists of pages, and mapping both.
//!
//! Only sections of the paging file are made, and only the kernel maps lists, pages that are locked and never
//! executable. What the documentation asks of drivers is checked: views and lists are given back once, in
//! order, and nothing is unlocked that is still mapped. Each step counts as an allocation of the pool, so
//! that it can be made to fail; locking fails by an exception, as on Windows, so only under Wine.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::ex::{ExAllocatePool2, ExFreePoolWithTag};
use super::file::under;
use super::pages;
use super::{answer, exports, get, put};
use crate::irql;
use crate::machine::{current, violation};
use crate::platform::installed;
use crate::process::{self, SYSTEM};
use crate::sections::{Access, PAGE};
use crate::status;
use wdk::ndis::Mdl;
use wdk::nt::OBJ_KERNEL_HANDLE;

/// `POOL_FLAG_NON_PAGED`.
const NON_PAGED: u64 = 0x40;
/// Tag of lists.
const TAG: u32 = u32::from_le_bytes(*b"Mdl ");
const KERNEL_MODE: i8 = 0;
const NO_EXECUTE: u32 = 0x4000_0000;
/// `MDL_PAGES_LOCKED`.
const PAGES_LOCKED: i16 = 2;
/// `PAGE_READWRITE`, `SEC_COMMIT`.
const READ_WRITE: u32 = 4;
const COMMIT: u32 = 0x0800_0000;

/// Gives memory back that nobody refers to any more.
fn give(memory: Option<u64>) {
    if let Some(memory) = memory {
        pages::give(memory);
    }
}

/// Gives a reference to a section up; false when it is none.
pub(super) fn release(object: u64) -> bool {
    let released = current().sections.release(object);
    released.map(give).is_some()
}

/// Closes a handle to a section; false when it is none of the kernel or the calling process.
pub(super) fn close(handle: u64) -> bool {
    let closed = current().sections.close(handle, process::current());
    closed.map(give).is_some()
}

/// Maps a section for the calling process by a handle, as `MapViewOfFile` does on a host.
pub(super) fn map_view(handle: u64, access: Access) -> Result<u64, u32> {
    let (machine, process) = (current(), process::current());
    let found = machine.sections.handle(handle, process);
    let (object, allowed) = found.ok_or(status::INVALID_HANDLE)?;
    if allowed.is_none() || (access == Access::Write && allowed != Some(Access::Write)) {
        return Err(status::ACCESS_DENIED);
    }
    show(object, process, access).ok_or(status::INSUFFICIENT_RESOURCES)
}

/// Takes a view of the calling process away; false when there is none.
pub(super) fn unmap_view(address: u64) -> bool {
    hide(address, process::current())
}

fn show(object: u64, process: u64, access: Access) -> Option<u64> {
    let sections = &current().sections;
    let run = sections.begin_view(object)?;
    match pages::show(run, access) {
        0 => {
            release(object);
            None
        }
        view => {
            sections.add_view(view, process, (object, run.len_bytes));
            Some(view)
        }
    }
}

fn hide(address: u64, process: u64) -> bool {
    let Some((len_bytes, memory)) = current().sections.remove_view(address, process) else {
        return false;
    };
    pages::hide(address, len_bytes);
    give(memory);
    true
}

/// The system takes back what a process had of sections.
pub(super) fn process_ended(process: u64) {
    let (views, handles) = current().sections.of_process(process);
    for view in views {
        hide(view, process);
    }
    for handle in handles {
        give(current().sections.close(handle, process).flatten());
    }
}

/// A handle of the calling process to a section: one that it can use itself, where there are processes.
fn open_section(object: u64, memory: u64, rights: u32) -> Result<u64, u32> {
    let process = process::current();
    let handle = match installed() {
        _ if current().pool.admit(0).is_none() => None,
        Some(platform) => {
            let handle = platform.share_pages(process, memory, rights);
            (handle != 0).then_some(handle)
        }
        None => current().sections.open(object, process, rights),
    };
    handle.ok_or(status::INSUFFICIENT_RESOURCES)
}

/// Pages of a list: their number.
fn page_count(list: &Mdl) -> u64 {
    (u64::from(list.byte_offset) + u64::from(list.byte_count)).div_ceil(PAGE)
}

/// Where a list has the number of a page.
fn number_at(list: u64, index: u64) -> u64 {
    list + size_of::<Mdl>() as u64 + index * 8
}

/// Changes the flags of a list.
fn change_flags(list: u64, change: impl FnOnce(i16) -> i16) {
    // SAFETY: a list of the driver.
    let _ = unsafe {
        get::<Mdl>(list).and_then(|header| {
            let flags = change(header.flags);
            put(list, Mdl { flags, ..header })
        })
    };
}

/// Locks the pages of a list; false when they are not the kernel's.
fn lock_pages(list: u64) -> bool {
    // SAFETY: a list of the driver.
    let Ok(header) = (unsafe { get::<Mdl>(list) }) else {
        return false;
    };
    let range = (
        header.start_address,
        u64::from(header.byte_offset) + u64::from(header.byte_count),
    );
    let Some(numbers) = current().sections.lock_pages(list, range) else {
        return false;
    };
    for (index, number) in (0..).zip(&numbers) {
        // SAFETY: a list has room for the numbers of its pages.
        let _ = unsafe { put(number_at(list, index), *number) };
    }
    change_flags(list, |flags| flags | PAGES_LOCKED);
    true
}

/// Maps the locked pages of a list for the kernel; 0 when that is not possible.
fn map_list(list: u64) -> u64 {
    let machine = current();
    // SAFETY: a list of the driver and the numbers of its pages.
    let (header, numbers) = unsafe {
        let Ok(header) = get::<Mdl>(list) else {
            return 0;
        };
        let number = |index| get::<u64>(number_at(list, index));
        let numbers: Result<Vec<u64>, u32> = (0..page_count(&header)).map(number).collect();
        (header, numbers.unwrap_or_default())
    };
    let is_locked = header.flags & PAGES_LOCKED != 0 && !machine.sections.uses_list(list);
    let runs = is_locked.then(|| machine.sections.runs(&numbers)).flatten();
    let Some((runs, objects)) = runs else {
        violation(|| "MmMapLockedPagesSpecifyCache of what is not locked pages".to_owned());
        return 0;
    };
    if machine.pool.admit(0).is_none() {
        return 0;
    }
    let address = pages::join(&runs);
    if address != 0 {
        let len_bytes = numbers.len() as u64 * PAGE;
        machine
            .sections
            .add_mapped(list, (address, len_bytes), objects);
    }
    address
}

exports! { "ntoskrnl.exe", All:
    fn ZwCreateSection(
        handle: u64,
        access: u32,
        attributes: u64,
        bytes: u64,
        protection: u32,
        kind: u32,
        file: u64,
    ) -> u32 {
        const ATTRIBUTES: u64 = 24;
        irql::at_most(irql::PASSIVE, "ZwCreateSection");
        // SAFETY: the driver's structure and variable.
        let wanted = unsafe { get::<u32>(attributes + ATTRIBUTES).and_then(|a| Ok((a, get::<u64>(bytes)?))) };
        let Ok((flags, len_bytes @ 1..)) = wanted else {
            return status::INVALID_PARAMETER;
        };
        if (protection, kind, file) != (READ_WRITE, COMMIT, 0) || flags & OBJ_KERNEL_HANDLE == 0 {
            violation(|| format!(
                "ZwCreateSection with protection {protection:#x}, kind {kind:#x}, file {file:#x}, attributes {flags:#x}"
            ));
        }
        let machine = current();
        let admitted = machine.pool.admit(0);
        let memory = admitted.and_then(|_| pages::take(len_bytes.next_multiple_of(PAGE)));
        let Some(memory) = memory else {
            return status::INSUFFICIENT_RESOURCES;
        };
        let made = machine.sections.create(memory, len_bytes.next_multiple_of(PAGE), access);
        // SAFETY: the driver's variable.
        answer(unsafe { put(handle, made) })
    }

    fn MmMapViewInSystemSpace(section: u64, view: u64, bytes: u64) -> u32 {
        irql::at_most(irql::APC, "MmMapViewInSystemSpace");
        let machine = current();
        let Some(whole) = machine.sections.whole(section) else {
            violation(|| format!("MmMapViewInSystemSpace of {section:#x}, which is no section"));
            return status::INVALID_PARAMETER;
        };
        let admitted = machine.pool.admit(0);
        let shown = admitted.and_then(|_| show(section, SYSTEM, Access::Write));
        let Some(address) = shown else {
            return status::INSUFFICIENT_RESOURCES;
        };
        // SAFETY: the driver's variables.
        answer(unsafe { put(view, address).and_then(|()| put(bytes, whole.len_bytes)) })
    }

    fn MmUnmapViewInSystemSpace(view: u64) -> u32 {
        irql::at_most(irql::APC, "MmUnmapViewInSystemSpace");
        match hide(view, SYSTEM) {
            true => status::SUCCESS,
            false => {
                violation(|| format!("MmUnmapViewInSystemSpace of {view:#x}, which is no view"));
                status::INVALID_PARAMETER
            }
        }
    }

    fn ObOpenObjectByPointer(
        object: u64,
        attributes: u32,
        state: u64,
        access: u32,
        kind: u64,
        mode: i8,
        handle: u64,
    ) -> u32 {
        irql::at_most(irql::PASSIVE, "ObOpenObjectByPointer");
        let opened = match current().sections.whole(object) {
            Some(whole) => open_section(object, whole.memory, access),
            None if installed().is_some() => {
                let arguments = [
                    object, u64::from(attributes), state, u64::from(access), kind, mode as u64, handle,
                ];
                let opened = under("ObOpenObjectByPointer", &arguments);
                return opened.map_or(status::NOT_SUPPORTED, |opened| opened as u32);
            }
            None => Ok(super::device::open(object)),
        };
        // SAFETY: the driver's variable.
        answer(opened.and_then(|opened| unsafe { put(handle, opened) }))
    }

    fn IoAllocateMdl(address: u64, bytes: u32, _secondary: u8, _quota: u8, _irp: u64) -> u64 {
        irql::at_most(irql::DISPATCH, "IoAllocateMdl");
        let offset = address % PAGE;
        let pages = (offset + u64::from(bytes)).div_ceil(PAGE);
        let size = size_of::<Mdl>() as u64 + pages * 8;
        let list = ExAllocatePool2(NON_PAGED, size, TAG);
        if list != 0 {
            let header = Mdl {
                size: i16::try_from(size).unwrap_or(i16::MAX),
                start_address: address - offset,
                byte_count: bytes,
                byte_offset: offset as u32,
                ..Mdl::default()
            };
            // SAFETY: a fresh block.
            let _ = unsafe { put(list, header) };
        }
        list
    }

    fn IoFreeMdl(list: u64) {
        irql::at_most(irql::DISPATCH, "IoFreeMdl");
        if current().sections.uses_list(list) {
            violation(|| "IoFreeMdl of a list that is locked or mapped".to_owned());
        }
        ExFreePoolWithTag(list, TAG);
    }

    fn MmProbeAndLockPages(list: u64, mode: i8, _operation: u32) {
        irql::at_most(irql::DISPATCH, "MmProbeAndLockPages");
        if let Some(platform) = installed()
            && current().pool.admit(0).is_none()
        {
            platform.raise(status::INSUFFICIENT_RESOURCES);
            return;
        }
        if mode != KERNEL_MODE || !lock_pages(list) {
            violation(|| format!("MmProbeAndLockPages for mode {mode} of what is not mapped"));
        }
    }

    fn MmUnlockPages(list: u64) {
        irql::at_most(irql::DISPATCH, "MmUnlockPages");
        match current().sections.unlock_pages(list) {
            Ok(memory) => {
                change_flags(list, |flags| flags & !PAGES_LOCKED);
                give(memory);
            }
            Err(wrong) => violation(|| format!("MmUnlockPages of a list that {wrong}")),
        }
    }

    fn MmMapLockedPagesSpecifyCache(
        list: u64,
        mode: i8,
        _cache: u32,
        wanted: u64,
        _bugcheck: u32,
        priority: u32,
    ) -> u64 {
        irql::at_most(irql::DISPATCH, "MmMapLockedPagesSpecifyCache");
        if mode != KERNEL_MODE || wanted != 0 || priority & NO_EXECUTE == 0 {
            violation(|| format!(
                "MmMapLockedPagesSpecifyCache for mode {mode} at {wanted:#x}, priority {priority:#x}"
            ));
            return 0;
        }
        map_list(list)
    }

    fn MmUnmapLockedPages(address: u64, list: u64) {
        irql::at_most(irql::DISPATCH, "MmUnmapLockedPages");
        match current().sections.remove_mapped(list, address) {
            Some(len_bytes) => pages::part(address, len_bytes),
            None => violation(|| format!(
                "MmUnmapLockedPages of {address:#x}, where the list is not mapped"
            )),
        }
    }
}

#[cfg(test)]
mod tests;
