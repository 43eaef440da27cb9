//! Memory of sections: shared memory of the process that drivers run in.
//!
//! It is mapped here when it is made. Processes get handles of their own to it, by which they map it
//! themselves. Wine maps memory at multiples of 64 KiB only, so where pieces have to lie one behind the
//! other, pages of the mapping that is there are mapped once more by the system below Wine, into addresses
//! that Wine keeps free for that.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use testkernel::sections::Run;

const PAGE_NOACCESS: u32 = 0x01;
const PAGE_READWRITE: u32 = 0x04;
const MEM_RESERVE: u32 = 0x2000;
const MEM_RELEASE: u32 = 0x8000;
const PROCESS_DUP_HANDLE: u32 = 0x0040;
/// `FILE_MAP_WRITE`.
const MAP_WRITE: u32 = 0x0002;
/// `INVALID_HANDLE_VALUE`: memory without a file.
const NO_FILE: usize = usize::MAX;

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
    fn VirtualAlloc(address: u64, bytes: usize, kind: u32, protection: u32) -> u64;
    fn VirtualFree(address: u64, bytes: usize, kind: u32) -> i32;
    fn OpenProcess(access: u32, inherit: i32, process: u32) -> usize;
    fn GetCurrentProcess() -> u64;
    fn CloseHandle(handle: usize) -> i32;
    fn DuplicateHandle(
        source: usize,
        handle: usize,
        target: usize,
        copy: *mut usize,
        access: u32,
        inherit: i32,
        options: u32,
    ) -> i32;
}

#[link(name = "ntdll.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn RtlRaiseStatus(status: u32);
}

/// The handle of shared memory by the address where it is mapped.
static SECTIONS: Mutex<BTreeMap<u64, usize>> = Mutex::new(BTreeMap::new());

fn sections() -> MutexGuard<'static, BTreeMap<u64, usize>> {
    SECTIONS.lock().unwrap_or_else(PoisonError::into_inner)
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
    sections().insert(address, handle);
    address
}

/// Gives pages back; processes that have mapped them keep the memory.
pub(crate) fn give(address: u64) {
    let handle = sections().remove(&address);
    if let Some(handle) = handle {
        // SAFETY: mapped by `take`, given back once.
        unsafe { UnmapViewOfFile(address) };
        drop(Owned(handle));
    }
}

/// A handle of a process to pages of [`take`] with these rights, or 0.
pub(crate) fn share(process: u64, address: u64, rights: u32) -> u64 {
    let Some(handle) = sections().get(&address).copied() else {
        return 0;
    };
    let mut copy = 0;
    // SAFETY: open handles and a live variable; without the process nothing is copied.
    unsafe {
        let target = OpenProcess(PROCESS_DUP_HANDLE, 0, process as u32);
        if target == 0 {
            return 0;
        }
        let target = Owned(target);
        let source = GetCurrentProcess() as usize;
        match DuplicateHandle(source, handle, target.0, &raw mut copy, rights, 0, 0) {
            0 => 0,
            _ => copy as u64,
        }
    }
}

/// Maps pieces of pages of [`take`] one behind the other; the address, or 0.
pub(crate) fn join(runs: &[Run]) -> u64 {
    let all = runs.iter().map(|run| run.len_bytes as usize).sum();
    // SAFETY: addresses that nobody uses yet.
    let block = unsafe { VirtualAlloc(0, all, MEM_RESERVE, PAGE_NOACCESS) };
    if block == 0 {
        return 0;
    }
    let mut place = block;
    for run in runs {
        if !map_again(run.memory + run.offset, run.len_bytes, place) {
            part(block);
            return 0;
        }
        place += run.len_bytes;
    }
    block
}

/// Takes back what [`join`] gave.
pub(crate) fn part(block: u64) {
    // SAFETY: reserved by `join`, given back once; Wine takes away whatever is mapped there.
    unsafe { VirtualFree(block, 0, MEM_RELEASE) };
}

/// Maps shared pages a second time, at a place of reserved addresses.
fn map_again(pages: u64, bytes: u64, place: u64) -> bool {
    /// `mremap`, with `MREMAP_MAYMOVE` and `MREMAP_FIXED`; an old size of zero leaves the first mapping.
    const MREMAP: u64 = 25;
    const TO_PLACE: u64 = 3;
    let mapped: u64;
    // SAFETY: the call replaces pages of `join`'s own block, and reads nothing else.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") MREMAP => mapped,
            in("rdi") pages,
            in("rsi") 0,
            in("rdx") bytes,
            in("r10") TO_PLACE,
            in("r8") place,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    mapped == place
}

/// Raises an exception in the driver that called.
pub(crate) fn raise(status: u32) {
    // SAFETY: no obligation; the driver's handler goes on.
    unsafe { RtlRaiseStatus(status) };
}
