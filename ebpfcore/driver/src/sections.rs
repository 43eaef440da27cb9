//! Memory of rings: sections of the paging file, which processes map by handles of their own.
//!
//! A ring has three sections: the consumer's page, the producers' page, the records. Their pages are
//! locked, so that programs write them at any level, and mapped here as one block, the records twice. A
//! process gets a handle to one section with the right to map it, to write only the consumer's page. The
//! system counts handles and views, and takes them back when their process ends; so nothing here
//! knows who has some, and memory that a process still sees stays until it has let go of it.
//!
//! What the runtime finds in these pages it takes for no proof: a process that may open the device can
//! make its handle one for writing all of them, because sections without a name have no list of who
//! may do what. Positions and lengths are cut to the ring where they are used (`ebpfcore::map::ring`).
//!
//! Invariant: of a [`Memory`] exists what is not 0. Giving it back is allowed up to DISPATCH_LEVEL.

use crate::import as nt;
use alloc::alloc::{Layout, alloc, dealloc};
use core::ptr::with_exposed_provenance_mut;
use ebpfcore::control::{Pages, Section};
use ebpfcore::{RingMemory, Status};
use wdk::ndis::Mdl;
use wdk::nt::{OBJ_KERNEL_HANDLE, ObjectAttributes};

const PAGE: u64 = 4096;
const KERNEL_MODE: i8 = 0;
/// `SECTION_QUERY`, `SECTION_MAP_WRITE`, `SECTION_MAP_READ`.
const QUERY: u32 = 1;
const MAP_WRITE: u32 = 2;
const MAP_READ: u32 = 4;
/// `MDL_PAGES_LOCKED`.
const PAGES_LOCKED: i16 = 2;

/// The memory of a ring.
#[derive(Default)]
struct Memory {
    /// In the order of [`Section`].
    regions: [Region; 3],
    /// The list of all pages, those of the records twice, and where it is mapped.
    list: u64,
    address: u64,
}

/// A section.
#[derive(Default)]
struct Region {
    bytes: u64,
    /// The section, referenced.
    object: u64,
    /// The list of its pages, and whether they are locked.
    list: u64,
    is_locked: bool,
}

/// Memory for a ring with so many bytes of records, whole pages. IRQL: PASSIVE.
pub(crate) fn take(bytes: u64) -> Result<RingMemory, Status> {
    let memory = Memory::new(bytes)?;
    let layout = Layout::new::<Memory>();
    // SAFETY: the size is not zero; a fresh block of that layout is written before it is used.
    let place = unsafe {
        let place = alloc(layout).cast::<Memory>();
        if place.is_null() {
            return Err(Status::NoMemory);
        }
        let address = memory.address;
        place.write(memory);
        (place.expose_provenance() as u64, address)
    };
    let (id, address) = place;
    Ok(RingMemory { address, id })
}

/// Gives it back. IRQL: any.
///
/// # Safety
/// 1. From [`take`], given back once; nobody uses it here any more.
pub(crate) unsafe fn give(id: u64) {
    let place = with_exposed_provenance_mut::<Memory>(id as usize);
    // SAFETY: obligation 1: `take` wrote it there.
    unsafe {
        drop(place.read());
        dealloc(place.cast(), Layout::new::<Memory>());
    }
}

/// A handle of the calling process to a part of a ring. IRQL: PASSIVE.
pub(crate) fn share(pages: Pages) -> Result<u64, Status> {
    let id = pages.memory.ok_or(Status::OperationNotSupported)?;
    let place = with_exposed_provenance_mut::<Memory>(id as usize);
    // SAFETY: the ring of a live map, whose memory is from `take`; it does not change.
    let object = unsafe { (&(*place).regions)[pages.section as usize].object };
    let access = match pages.section {
        Section::Consumer => QUERY | MAP_READ | MAP_WRITE,
        Section::Producer | Section::Data => QUERY | MAP_READ,
    };
    let mut handle = 0;
    // SAFETY: a referenced object and a live variable; the type was known when it was made.
    let opened =
        unsafe { nt::ObOpenObjectByPointer(object, 0, 0, access, 0, KERNEL_MODE, &raw mut handle) };
    if opened < 0 {
        return Err(Status::NoMemory);
    }
    Ok(handle)
}

impl Memory {
    fn new(bytes: u64) -> Result<Memory, Status> {
        let mut memory = Memory::default();
        for (region, bytes) in memory.regions.iter_mut().zip([PAGE, PAGE, bytes]) {
            region.fill(bytes)?;
        }
        memory.map()?;
        Ok(memory)
    }

    /// Maps the pages of all sections as one block, those of the records once more behind it.
    fn map(&mut self) -> Result<(), Status> {
        const CACHED: u32 = 1;
        const NORMAL: u32 = 16;
        const NO_EXECUTE: u32 = 0x4000_0000;
        let [consumer, producer, records] = &self.regions;
        let order = [consumer, producer, records, records];
        let all = order.iter().map(|region| region.bytes).sum();
        self.list = list(0, all)?;
        let mut at = numbers(self.list);
        for region in order {
            let count = (region.bytes / PAGE) as usize;
            // SAFETY: a locked list has a number for each page; the new one has room for all of them.
            unsafe {
                core::ptr::copy_nonoverlapping(numbers(region.list), at, count);
                at = at.add(count);
            }
        }
        let header = with_exposed_provenance_mut::<Mdl>(self.list as usize);
        // SAFETY: a list of this driver, whose pages are locked by the lists they came from.
        self.address = unsafe {
            (*header).flags |= PAGES_LOCKED;
            let priority = NORMAL | NO_EXECUTE;
            nt::MmMapLockedPagesSpecifyCache(self.list, KERNEL_MODE, CACHED, 0, 0, priority)
        };
        match self.address {
            0 => Err(Status::NoMemory),
            _ => Ok(()),
        }
    }
}

impl Region {
    /// Makes the section and locks its pages, which are zero.
    fn fill(&mut self, bytes: u64) -> Result<(), Status> {
        self.bytes = bytes;
        self.object = new_section(bytes)?;
        let (mut view, mut size) = (0, bytes as usize);
        // SAFETY: a section and live variables.
        let mapped =
            unsafe { nt::MmMapViewInSystemSpace(self.object, &raw mut view, &raw mut size) };
        if mapped < 0 {
            return Err(Status::NoMemory);
        }
        let locked = self.lock(view);
        // SAFETY: mapped above; pages that are locked stay where they are.
        unsafe { nt::MmUnmapViewInSystemSpace(view) };
        locked
    }

    fn lock(&mut self, view: u64) -> Result<(), Status> {
        /// `IoModifyAccess`.
        const MODIFY: u32 = 2;
        self.list = list(view, self.bytes)?;
        // SAFETY: a list of pages that are mapped; what it raises ends in the result.
        self.is_locked = unsafe { guarded_lock(self.list, KERNEL_MODE, MODIFY) } != 0;
        match self.is_locked {
            true => Ok(()),
            false => Err(Status::NoMemory),
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: what is not 0 exists; the block is unmapped before its pages are unlocked.
        unsafe {
            if self.address != 0 {
                nt::MmUnmapLockedPages(self.address, self.list);
            }
            if self.list != 0 {
                // The pages are locked by the lists they came from, not by this one.
                let header = with_exposed_provenance_mut::<Mdl>(self.list as usize);
                (*header).flags &= !PAGES_LOCKED;
                nt::IoFreeMdl(self.list);
            }
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: what is not 0 exists, and is used by nobody else.
        unsafe {
            if self.is_locked {
                nt::MmUnlockPages(self.list);
            }
            if self.list != 0 {
                nt::IoFreeMdl(self.list);
            }
            if self.object != 0 {
                nt::ObfDereferenceObject(self.object);
            }
        }
    }
}

/// A new section, referenced; no handle to it is left.
fn new_section(bytes: u64) -> Result<u64, Status> {
    const READ_WRITE: u32 = 4;
    const COMMIT: u32 = 0x0800_0000;
    let attributes = ObjectAttributes {
        length: size_of::<ObjectAttributes>() as u32,
        attributes: OBJ_KERNEL_HANDLE,
        ..ObjectAttributes::default()
    };
    let (mut handle, mut object) = (0, 0);
    let access = QUERY | MAP_READ | MAP_WRITE;
    // SAFETY: live variables; the handle is closed once.
    let referenced = unsafe {
        let (place, attributes) = (&raw mut handle, &raw const attributes);
        let made = nt::ZwCreateSection(
            place,
            access,
            attributes,
            &raw const bytes,
            READ_WRITE,
            COMMIT,
            0,
        );
        if made < 0 {
            return Err(Status::NoMemory);
        }
        let place = &raw mut object;
        let referenced = nt::ObReferenceObjectByHandle(handle, access, 0, KERNEL_MODE, place, 0);
        nt::ZwClose(handle);
        referenced
    };
    if referenced < 0 {
        return Err(Status::NoMemory);
    }
    Ok(object)
}

/// A list with room for the numbers of so many bytes' pages.
fn list(address: u64, bytes: u64) -> Result<u64, Status> {
    let bytes = u32::try_from(bytes).map_err(|_| Status::NoMemory)?;
    // SAFETY: no obligation.
    match unsafe { nt::IoAllocateMdl(address, bytes, 0, 0, 0) } {
        0 => Err(Status::NoMemory),
        list => Ok(list),
    }
}

/// Where a list has the numbers of its pages.
fn numbers(list: u64) -> *mut u64 {
    with_exposed_provenance_mut::<u64>(list as usize + size_of::<Mdl>())
}

// `MmProbeAndLockPages`, which raises an exception when it cannot lock; then the result is 0. The scope
// table names the call, every exception in it, and where to go on. The instruction behind the call
// keeps its return address inside of the scope.
core::arch::global_asm!(
    ".globl ebpfcore_guarded_lock",
    ".p2align 4",
    ".seh_proc ebpfcore_guarded_lock",
    "ebpfcore_guarded_lock:",
    "sub rsp, 40",
    ".seh_stackalloc 40",
    ".seh_endprologue",
    ".Lguarded_begin:",
    "call {lock}",
    "nop",
    ".Lguarded_end:",
    "mov eax, 1",
    "add rsp, 40",
    "ret",
    ".Lguarded_failed:",
    "xor eax, eax",
    "add rsp, 40",
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
    lock = sym nt::MmProbeAndLockPages,
);

unsafe extern "system" {
    /// List, mode, operation.
    #[link_name = "ebpfcore_guarded_lock"]
    fn guarded_lock(list: u64, mode: i8, operation: u32) -> u32;
}
