//! Rings that processes see: whole pages of the pool, mapped into the caller.
//!
//! A view belongs to a file, the one behind the handle of its map, and to a process. It is taken back
//! when its process asks, when the last handle of the file is closed, and before its process ends,
//! which the system reports while the addresses of the process are still there. Then nothing is left
//! that shows memory which was given back: a map stays as long as a handle of it.
//!
//! A view of the records is twice as long as the ring, as are the records themselves. Only the
//! consumer's page is writable. Left out: sections, which user mode would map itself.

use crate::import as nt;
use crate::level::Passive;
use crate::platform::Kernel;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use ebpfcore::Status;
use ebpfcore::control::{Pages, Section};
use ebpfcore::raw::locked::Locked;

/// Views at the same time.
const MOST: usize = 16 << 10;

/// A part of a ring in a process.
struct View {
    file: u64,
    index: u64,
    section: Section,
    /// Id and object of the process; the object is referenced.
    process: (u64, u64),
    list: u64,
    address: u64,
}

static KERNEL: Kernel = Kernel;
static VIEWS: Locked<Vec<View>> = Locked::new(Vec::new());
/// Whether the ends of processes are reported.
static IS_TOLD: AtomicBool = AtomicBool::new(false);

/// Asks for the ends of processes; without them nothing is shown.
pub(crate) fn start(_: &Passive) {
    const ADD: u8 = 0;
    // SAFETY: the routine stays until `stop`.
    let told = unsafe { nt::PsSetCreateProcessNotifyRoutine(process_changed, ADD) };
    IS_TOLD.store(told >= 0, Ordering::Release);
}

/// No file of the device is open any more, so no view is left.
pub(crate) fn stop(_: &Passive) {
    const REMOVE: u8 = 1;
    if IS_TOLD.swap(false, Ordering::AcqRel) {
        // SAFETY: added by `start`; waits for calls that are under way.
        unsafe { nt::PsSetCreateProcessNotifyRoutine(process_changed, REMOVE) };
    }
    drop(core::mem::take(&mut *VIEWS.lock(&KERNEL)));
}

/// Shows pages to the calling process; `is_open` says whether the file still has its object.
pub(crate) fn show(
    _: &Passive,
    file: u64,
    pages: Pages,
    is_open: impl Fn() -> bool,
) -> Result<u64, Status> {
    let process = current();
    let mut views = VIEWS.lock(&KERNEL);
    // Whoever closes the file says so before it looks for views, under the lock.
    if !is_open() {
        return Err(Status::InvalidFd);
    }
    if !IS_TOLD.load(Ordering::Acquire) {
        return Err(Status::OperationNotSupported);
    }
    let is_same = |view: &&View| {
        (view.file, view.process.1) == (file, process.1)
            && (view.index, view.section) == (pages.index, pages.section)
    };
    if let Some(view) = views.iter().find(is_same) {
        return Ok(view.address);
    }
    if views.len() >= MOST || views.try_reserve(1).is_err() {
        return Err(Status::NoMemory);
    }
    let (list, address) = map(&pages)?;
    // SAFETY: the current process exists.
    unsafe { nt::ObfReferenceObject(process.1) };
    views.push(View {
        file,
        index: pages.index,
        section: pages.section,
        process,
        list,
        address,
    });
    Ok(address)
}

/// Takes back what the calling process sees of a ring; false when that is nothing.
pub(crate) fn hide(_: &Passive, file: u64, index: u64) -> bool {
    let process = current();
    take_back(|view| (view.file, view.index) == (file, index) && view.process.1 == process.1)
}

/// Takes back all views of a file that nobody has open any more.
pub(crate) fn gone(_: &Passive, file: u64) {
    take_back(|view| view.file == file);
}

/// A process begins or ends; at its end this runs before its addresses are given up.
extern "system" fn process_changed(_parent: u64, process: u64, is_new: u8) {
    if is_new == 0 {
        take_back(|view| view.process.0 == process);
    }
}

fn current() -> (u64, u64) {
    // SAFETY: no obligation.
    unsafe { (nt::PsGetCurrentProcessId(), nt::PsGetCurrentProcess()) }
}

/// Takes back all views that fit; false when none does. The lock is held throughout, so a process
/// does not end while one of its views is being taken back.
fn take_back(fits: impl Fn(&View) -> bool) -> bool {
    let mut views = VIEWS.lock(&KERNEL);
    let before = views.len();
    while let Some(at) = views.iter().position(&fits) {
        let view = views.swap_remove(at);
        // SAFETY: the view was in the table; its process has not ended, because that takes the lock.
        unsafe { unmap(&view) };
    }
    views.len() < before
}

/// Maps pages into the calling process; gives their list and their address there.
fn map(pages: &Pages) -> Result<(u64, u64), Status> {
    const USER_MODE: i8 = 1;
    const CACHED: u32 = 1;
    let bytes = u32::try_from(pages.bytes).map_err(|_| Status::NoMemory)?;
    // SAFETY: whole pages of the pool that nothing else lies in and that stay as long as the view; on
    // failure the list is given back.
    unsafe {
        let list = nt::IoAllocateMdl(pages.address, bytes, 0, 0, 0);
        if list == 0 {
            return Err(Status::NoMemory);
        }
        nt::MmBuildMdlForNonPagedPool(list);
        let priority = priority(pages.section);
        match guarded_map(list, USER_MODE, CACHED, 0, 0, priority) {
            0 => {
                nt::IoFreeMdl(list);
                Err(Status::NoMemory)
            }
            address => Ok((list, address)),
        }
    }
}

/// `MM_PAGE_PRIORITY` with what the process may do.
fn priority(section: Section) -> u32 {
    const NORMAL: u32 = 16;
    const NO_EXECUTE: u32 = 0x4000_0000;
    const NO_WRITE: u32 = 0x8000_0000;
    match section {
        Section::Consumer => NORMAL | NO_EXECUTE,
        Section::Producer | Section::Data => NORMAL | NO_EXECUTE | NO_WRITE,
    }
}

/// # Safety
/// 1. A view that was taken out of the table and whose process has not ended.
unsafe fn unmap(view: &View) {
    let mut state = [0; 6];
    // SAFETY: obligation 1: address and list of the process, given back once.
    unsafe {
        let is_own = nt::PsGetCurrentProcess() == view.process.1;
        if !is_own {
            nt::KeStackAttachProcess(view.process.1, &raw mut state);
        }
        nt::MmUnmapLockedPages(view.address, view.list);
        if !is_own {
            nt::KeUnstackDetachProcess(&raw mut state);
        }
        nt::IoFreeMdl(view.list);
        nt::ObfDereferenceObject(view.process.1);
    }
}

// `MmMapLockedPagesSpecifyCache`, which raises an exception when it cannot map for user mode; then
// the result is 0. The scope table names the call, every exception in it, and where to go on. The
// instruction behind the call keeps its return address inside of the scope.
core::arch::global_asm!(
    ".globl ebpfcore_guarded_map",
    ".p2align 4",
    ".seh_proc ebpfcore_guarded_map",
    "ebpfcore_guarded_map:",
    "sub rsp, 56",
    ".seh_stackalloc 56",
    ".seh_endprologue",
    "mov eax, dword ptr [rsp + 96]",
    "mov dword ptr [rsp + 32], eax",
    "mov eax, dword ptr [rsp + 104]",
    "mov dword ptr [rsp + 40], eax",
    ".Lguarded_begin:",
    "call {map}",
    "nop",
    ".Lguarded_end:",
    "add rsp, 56",
    "ret",
    ".Lguarded_failed:",
    "xor eax, eax",
    "add rsp, 56",
    "ret",
    ".seh_handler __C_specific_handler, @except",
    ".seh_handlerdata",
    ".long 1",
    ".long .Lguarded_begin@IMGREL",
    ".long .Lguarded_end@IMGREL",
    ".long 1",
    ".long .Lguarded_failed@IMGREL",
    ".text",
    ".seh_endproc",
    map = sym nt::MmMapLockedPagesSpecifyCache,
);

unsafe extern "system" {
    /// List, mode, cache, wanted address, bugcheck on failure, priority.
    #[link_name = "ebpfcore_guarded_map"]
    fn guarded_map(
        list: u64,
        mode: i8,
        cache: u32,
        wanted: u64,
        bugcheck: u32,
        priority: u32,
    ) -> u64;
}
