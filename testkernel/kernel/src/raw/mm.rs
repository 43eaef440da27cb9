//! Lists of pages, and mapping them into processes; attaching to a process; ends of processes.
//!
//! Only memory of the pool is mapped, and only for user mode. What the documentation asks of drivers is
//! checked: whole pages of a block, never executable, unmapped in the process that saw them and before
//! it ends. Mapping counts as an allocation of the pool, so that it can be made to fail; under Wine it
//! then raises an exception, as Windows does, and elsewhere it gives null.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::ex::{ExAllocatePool2, ExFreePoolWithTag};
use super::file::under;
use super::pages::{self, PAGE};
use super::{exports, get, put};
use crate::irql;
use crate::machine::{current, violation};
use crate::platform::installed;
use crate::process;
use crate::status;
use crate::views::{Access, View};
use wdk::ndis::{MDL_NONPAGED, Mdl};

/// `POOL_FLAG_NON_PAGED`.
const NON_PAGED: u64 = 0x40;
/// Tag of lists.
const TAG: u32 = u32::from_le_bytes(*b"Mdl ");
const USER_MODE: i8 = 1;
const NO_EXECUTE: u32 = 0x4000_0000;
const NO_WRITE: u32 = 0x8000_0000;

/// Address and bytes that a list is about, when they are whole pages of a block of the pool.
fn pages_of(list: u64) -> Option<(u64, u64)> {
    // SAFETY: a list of the driver.
    let list: Mdl = unsafe { get(list) }.ok()?;
    let (address, bytes) = (list.start_address, u64::from(list.byte_count));
    let is_whole = list.byte_offset == 0 && bytes != 0 && bytes.is_multiple_of(PAGE);
    let is_built = list.flags & MDL_NONPAGED != 0;
    (is_whole && is_built && current().pool.holds(address, bytes)).then_some((address, bytes))
}

/// What mapping for user mode does when it fails.
fn failed() -> u64 {
    if let Some(platform) = installed() {
        platform.raise(status::INSUFFICIENT_RESOURCES);
    }
    0
}

fn map(list: u64, access: Access) -> u64 {
    let Some((address, len_bytes)) = pages_of(list) else {
        violation(|| {
            "MmMapLockedPagesSpecifyCache of what is not whole pages of the pool".to_owned()
        });
        return failed();
    };
    let machine = current();
    if machine.pool.admit(0).is_none() {
        return failed();
    }
    let process = process::current();
    let view = pages::show(process, (address, len_bytes), access);
    if view == 0 {
        return failed();
    }
    machine.views.add(View {
        process,
        address: view,
        len_bytes,
        list,
        source: address,
    });
    view
}

/// Tells drivers that a process ends, while its memory is there, and takes its memory away.
pub(super) fn process_ended(process: u64) {
    process::run_as(process, || {
        for routine in current().views.routines() {
            let routine = std::ptr::with_exposed_provenance::<()>(routine as usize);
            // SAFETY: the type of the routine by the interface of the function.
            let routine: extern "win64" fn(u64, u64, u8) = unsafe { std::mem::transmute(routine) };
            irql::run_at(irql::PASSIVE, "process routine", || routine(0, process, 0));
        }
    });
    for view in current().views.of_process(process) {
        violation(|| format!("process {process} ends with a view at {:#x}", view.address));
        current().views.remove(process, view.address);
        pages::hide(process, (view.address, view.len_bytes));
    }
}

/// The id of a process by its object.
fn id_of(object: u64) -> u64 {
    under("PsGetProcessId", &[object]).unwrap_or_else(|| super::thread::process_of(object))
}

exports! { "ntoskrnl.exe", All:
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
        if current().views.has_list(list) {
            violation(|| "IoFreeMdl of a list that is mapped".to_owned());
        }
        ExFreePoolWithTag(list, TAG);
    }

    fn MmBuildMdlForNonPagedPool(list: u64) {
        irql::at_most(irql::DISPATCH, "MmBuildMdlForNonPagedPool");
        // SAFETY: a list of `IoAllocateMdl`.
        let _ = unsafe {
            get::<Mdl>(list).and_then(|header| put(list, Mdl {
                flags: header.flags | MDL_NONPAGED,
                system_address: header.start_address + u64::from(header.byte_offset),
                ..header
            }))
        };
    }

    fn MmMapLockedPagesSpecifyCache(
        list: u64,
        mode: i8,
        _cache: u32,
        wanted: u64,
        _bugcheck: u32,
        priority: u32,
    ) -> u64 {
        irql::at_most(irql::APC, "MmMapLockedPagesSpecifyCache");
        if mode != USER_MODE || wanted != 0 || priority & NO_EXECUTE == 0 {
            violation(|| format!(
                "MmMapLockedPagesSpecifyCache for mode {mode} at {wanted:#x}, priority {priority:#x}"
            ));
            return failed();
        }
        map(list, if priority & NO_WRITE == 0 { Access::Write } else { Access::Read })
    }

    fn MmUnmapLockedPages(address: u64, list: u64) {
        irql::at_most(irql::APC, "MmUnmapLockedPages");
        let process = process::current();
        match current().views.remove(process, address) {
            Some(view) if view.list == list => {
                pages::hide(process, (address, view.len_bytes));
            }
            _ => violation(|| format!(
                "MmUnmapLockedPages of {address:#x}, which process {process} does not see"
            )),
        }
    }

    /// The state holds whom the thread worked for before.
    fn KeStackAttachProcess(object: u64, state: u64) {
        irql::at_most(irql::APC, "KeStackAttachProcess");
        let before = process::attach(Some(id_of(object)));
        // SAFETY: the driver's structure.
        let _ = unsafe { put(state, [u64::from(before.is_some()), before.unwrap_or(0)]) };
    }

    fn KeUnstackDetachProcess(state: u64) {
        irql::at_most(irql::APC, "KeUnstackDetachProcess");
        // SAFETY: the driver's structure.
        if let Ok([is_some, before]) = unsafe { get::<[u64; 2]>(state) } {
            process::attach((is_some != 0).then_some(before));
        }
    }

    fn PsSetCreateProcessNotifyRoutine(routine: u64, remove: u8) -> u32 {
        irql::at_most(irql::PASSIVE, "PsSetCreateProcessNotifyRoutine");
        let views = &current().views;
        let is_done = match remove {
            0 => views.add_routine(routine),
            _ => views.remove_routine(routine),
        };
        if is_done { status::SUCCESS } else { status::INVALID_PARAMETER }
    }
}

#[cfg(test)]
mod tests;
