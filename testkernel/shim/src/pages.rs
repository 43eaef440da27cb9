//! Pages that can be shown to other processes: shared memory of the process that drivers run in.
//!
//! A view has to begin at a multiple of 64 KiB of the shared memory, so it covers pages in front of
//! those that were asked for; nobody may touch these. When its process has ended nothing is left to
//! take back.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use testkernel::views::Access;

/// Where views may begin.
const GRANULE: u64 = 0x1_0000;
const PAGE_NOACCESS: u32 = 0x01;
const PAGE_READONLY: u32 = 0x02;
const PAGE_READWRITE: u32 = 0x04;
/// What is needed of a process: working with its memory.
const PROCESS_VM: u32 = 0x0008;
/// `FILE_MAP_WRITE`.
const MAP_WRITE: u32 = 0x0002;
/// `INVALID_HANDLE_VALUE`: memory without a file.
const NO_FILE: usize = usize::MAX;
/// `ViewUnmap`: children of the process do not get the view.
const VIEW_UNMAP: u32 = 2;

#[link(name = "kernel32.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn CreateFileMappingW(
        file: usize,
        security: usize,
        protection: u32,
        high: u32,
        low: u32,
        name: usize,
    ) -> usize;
    fn MapViewOfFile(section: usize, access: u32, high: u32, low: u32, bytes: usize) -> u64;
    fn UnmapViewOfFile(address: u64) -> i32;
    fn OpenProcess(access: u32, inherit: i32, process: u32) -> usize;
    fn CloseHandle(handle: usize) -> i32;
    fn VirtualProtectEx(
        process: usize,
        address: u64,
        bytes: usize,
        protection: u32,
        old: *mut u32,
    ) -> i32;
}

#[link(name = "ntdll.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn NtMapViewOfSection(
        section: usize,
        process: usize,
        address: *mut u64,
        zero_bits: usize,
        committed: usize,
        offset: *mut u64,
        bytes: *mut usize,
        inherit: u32,
        kind: u32,
        protection: u32,
    ) -> i32;
    fn NtUnmapViewOfSection(process: usize, address: u64) -> i32;
    fn RtlRaiseStatus(status: u32);
}

/// Shared memory: where it is mapped here.
struct Section {
    handle: usize,
    bytes: u64,
}

#[derive(Default)]
struct State {
    sections: BTreeMap<u64, Section>,
    /// Where the views of processes begin in truth.
    views: BTreeMap<(u64, u64), u64>,
}

static STATE: Mutex<State> = Mutex::new(State {
    sections: BTreeMap::new(),
    views: BTreeMap::new(),
});

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A handle that is closed in the end.
struct Owned(usize);

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: this value owns the handle.
        unsafe { CloseHandle(self.0) };
    }
}

/// Fresh pages, or 0.
pub(crate) fn take(bytes: u64) -> u64 {
    let (high, low) = ((bytes >> 32) as u32, bytes as u32);
    // SAFETY: memory without a name, mapped where the system likes.
    let (handle, address) = unsafe {
        let handle = CreateFileMappingW(NO_FILE, 0, PAGE_READWRITE, high, low, 0);
        if handle == 0 {
            return 0;
        }
        (handle, MapViewOfFile(handle, MAP_WRITE, 0, 0, 0))
    };
    if address == 0 {
        drop(Owned(handle));
        return 0;
    }
    state().sections.insert(address, Section { handle, bytes });
    address
}

/// Gives pages back; views of them keep the memory.
pub(crate) fn give(address: u64) {
    if let Some(section) = state().sections.remove(&address) {
        // SAFETY: mapped by `take`, given back once.
        unsafe { UnmapViewOfFile(address) };
        drop(Owned(section.handle));
    }
}

/// Maps pages into a process; the address there, or 0.
pub(crate) fn show(process: u64, (address, bytes): (u64, u64), access: Access) -> u64 {
    let mut state = state();
    let found = state.sections.range(..=address).next_back();
    let inside = found.filter(|(start, section)| address + bytes <= **start + section.bytes);
    let Some((offset, handle)) = inside.map(|(start, section)| (address - start, section.handle))
    else {
        return 0;
    };
    let start = offset - offset % GRANULE;
    let Some(base) = map(process, handle, (start, offset - start + bytes)) else {
        return 0;
    };
    let view = base + offset - start;
    if !protect(process, (base, view), (bytes, access)) {
        unmap(process, base);
        return 0;
    }
    state.views.insert((process, view), base);
    view
}

/// Takes back what [`show`] gave.
pub(crate) fn hide(process: u64, address: u64) {
    let base = state().views.remove(&(process, address));
    if let Some(base) = base {
        unmap(process, base);
    }
}

/// Raises an exception in the driver that called.
pub(crate) fn raise(status: u32) {
    // SAFETY: no obligation; the driver's handler goes on.
    unsafe { RtlRaiseStatus(status) };
}

fn open(process: u64) -> Option<Owned> {
    // SAFETY: no obligation.
    let handle = unsafe { OpenProcess(PROCESS_VM, 0, process as u32) };
    (handle != 0).then_some(Owned(handle))
}

fn map(process: u64, section: usize, (offset, bytes): (u64, u64)) -> Option<u64> {
    let process = open(process)?;
    let (mut address, mut offset, mut bytes) = (0, offset, bytes as usize);
    // SAFETY: open handles and live variables.
    let mapped = unsafe {
        NtMapViewOfSection(
            section,
            process.0,
            &raw mut address,
            0,
            0,
            &raw mut offset,
            &raw mut bytes,
            VIEW_UNMAP,
            0,
            PAGE_READWRITE,
        )
    };
    (mapped >= 0).then_some(address)
}

/// Lets the process use the pages of its view, and none in front of them.
fn protect(process: u64, (base, view): (u64, u64), (bytes, access): (u64, Access)) -> bool {
    let wanted = match access {
        Access::Read => PAGE_READONLY,
        Access::Write => PAGE_READWRITE,
    };
    let Some(process) = open(process) else {
        return false;
    };
    let parts = [(base, view - base, PAGE_NOACCESS), (view, bytes, wanted)];
    let mut parts = parts.into_iter().filter(|(_, bytes, _)| *bytes != 0);
    // SAFETY: pages of the mapping that was just made, and a live variable.
    parts.all(|(address, bytes, protection)| unsafe {
        VirtualProtectEx(process.0, address, bytes as usize, protection, &mut 0) != 0
    })
}

fn unmap(process: u64, base: u64) {
    if let Some(process) = open(process) {
        // SAFETY: a mapping of `map`; a process that ends meanwhile has none.
        unsafe { NtUnmapViewOfSection(process.0, base) };
    }
}
