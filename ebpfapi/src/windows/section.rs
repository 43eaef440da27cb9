//! Sections that the driver gave handles to, mapped.
//!
//! The records of a ring are mapped twice, one behind the other, so that none wraps. Windows 10 (1803) keeps
//! addresses free for that: a placeholder is split and each half replaced by a view. Where that is missing,
//! addresses are looked for and used at once, which works for sections of whole 64 KiB; when neither works
//! the section is mapped once, and whoever reads it has to go on at its beginning.
#![expect(unsafe_code, reason = "maps memory by handles of the driver")]

use super::device::last_error;
use crate::{Cause, Mapped, Section};
use std::ffi::{CStr, c_void};
use std::os::windows::io::{FromRawHandle as _, OwnedHandle};
use std::ptr::{null, null_mut};
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleA, GetProcAddress};
use windows_sys::Win32::System::Memory::{
    FILE_MAP_READ, FILE_MAP_WRITE, MEM_PRESERVE_PLACEHOLDER, MEM_RELEASE, MEM_REPLACE_PLACEHOLDER,
    MEM_RESERVE, MEM_RESERVE_PLACEHOLDER, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile,
    MapViewOfFileEx, PAGE_NOACCESS, PAGE_READONLY, UnmapViewOfFile, VirtualAlloc, VirtualFree,
};

/// How often addresses are looked for: another thread may take them meanwhile.
const ATTEMPTS: u32 = 16;

type Alloc2 = unsafe extern "system" fn(
    HANDLE,
    *const c_void,
    usize,
    u32,
    u32,
    *mut c_void,
    u32,
) -> *mut c_void;
type MapView3 = unsafe extern "system" fn(
    HANDLE,
    HANDLE,
    *const c_void,
    u64,
    usize,
    u32,
    u32,
    *mut c_void,
    u32,
) -> *mut c_void;

/// A view, or two of the same one behind the other.
pub(super) struct View {
    address: usize,
    /// Bytes of each.
    len_bytes: usize,
    count: usize,
}

impl View {
    pub(super) fn new(section: Section) -> Result<View, Cause> {
        // SAFETY: the driver made the handle for this process, and nobody else closes it.
        let _owned = unsafe { OwnedHandle::from_raw_handle(section.handle as HANDLE) };
        let handle = section.handle as HANDLE;
        let len_bytes = usize::try_from(section.len_bytes).map_err(|_| Cause::OtherReply)?;
        let twice = match section.is_twice {
            true => replaced(handle, len_bytes).or_else(|| adjacent(handle, len_bytes)),
            false => None,
        };
        if let Some(address) = twice {
            let count = 2;
            return Ok(View {
                address,
                len_bytes,
                count,
            });
        }
        let access = match section.is_writable {
            true => FILE_MAP_READ | FILE_MAP_WRITE,
            false => FILE_MAP_READ,
        };
        // SAFETY: no obligation: the system checks the handle and chooses the address.
        let view = unsafe { MapViewOfFile(handle, access, 0, 0, len_bytes) };
        if view.Value.is_null() {
            let (what, code) = ("map a ring", last_error());
            return Err(Cause::System { what, code });
        }
        Ok(View {
            address: view.Value.expose_provenance(),
            len_bytes,
            count: 1,
        })
    }
}

impl Mapped for View {
    fn address(&self) -> usize {
        self.address
    }

    fn len_bytes(&self) -> usize {
        self.len_bytes * self.count
    }
}

impl Drop for View {
    fn drop(&mut self) {
        for index in 0..self.count {
            unmap(self.address + index * self.len_bytes);
        }
    }
}

fn unmap(address: usize) {
    let address = std::ptr::with_exposed_provenance_mut(address);
    // SAFETY: a view of this module, taken away once.
    unsafe { UnmapViewOfFile(MEMORY_MAPPED_VIEW_ADDRESS { Value: address }) };
}

/// Gives back addresses of this module that nothing is mapped at.
fn release(address: usize) {
    // SAFETY: reserved by this module, given back once; a size of 0 stands for all of it.
    unsafe {
        VirtualFree(
            std::ptr::with_exposed_provenance_mut(address),
            0,
            MEM_RELEASE,
        )
    };
}

/// Address of a function that older systems lack.
fn function(name: &CStr) -> Option<*const ()> {
    // SAFETY: names with their ends; the module is part of every process.
    unsafe {
        let module = GetModuleHandleA(c"kernelbase.dll".as_ptr().cast());
        let function = GetProcAddress(module, name.as_ptr().cast())?;
        Some(function as *const ())
    }
}

/// Two views in place of the two halves of a placeholder.
fn replaced(section: HANDLE, len_bytes: usize) -> Option<usize> {
    let (alloc, map) = (function(c"VirtualAlloc2")?, function(c"MapViewOfFile3")?);
    // SAFETY: the types of the functions of these names.
    let (alloc, map) = unsafe {
        let alloc = std::mem::transmute::<*const (), Alloc2>(alloc);
        (alloc, std::mem::transmute::<*const (), MapView3>(map))
    };
    let kind = MEM_RESERVE | MEM_RESERVE_PLACEHOLDER;
    // SAFETY: this process, an address of the system's choice.
    let first = unsafe {
        let both = len_bytes.checked_mul(2)?;
        alloc(null_mut(), null(), both, kind, PAGE_NOACCESS, null_mut(), 0)
    };
    if first.is_null() {
        return None;
    }
    let second = first.wrapping_byte_add(len_bytes);
    // SAFETY: the placeholder that was just made is split, and nobody else knows it.
    if unsafe { VirtualFree(first, len_bytes, MEM_RELEASE | MEM_PRESERVE_PLACEHOLDER) } == 0 {
        release(first.expose_provenance());
        return None;
    }
    let mapped = [first, second].map(|place| {
        let kind = MEM_REPLACE_PLACEHOLDER;
        // SAFETY: a placeholder of this size is replaced.
        let view = unsafe {
            map(
                section,
                null_mut(),
                place,
                0,
                len_bytes,
                kind,
                PAGE_READONLY,
                null_mut(),
                0,
            )
        };
        (place.expose_provenance(), !view.is_null())
    });
    if mapped.iter().all(|(_, is_mapped)| *is_mapped) {
        return Some(mapped[0].0);
    }
    for (place, is_mapped) in mapped {
        if is_mapped {
            unmap(place);
        } else {
            release(place);
        }
    }
    None
}

/// Two views at addresses that were free a moment before.
fn adjacent(section: HANDLE, len_bytes: usize) -> Option<usize> {
    let both = len_bytes.checked_mul(2)?;
    let view = |place: *mut c_void| {
        // SAFETY: the system refuses addresses that are in use.
        let view = unsafe { MapViewOfFileEx(section, FILE_MAP_READ, 0, 0, len_bytes, place) };
        !view.Value.is_null()
    };
    for _ in 0..ATTEMPTS {
        // SAFETY: an address of the system's choice.
        let first = unsafe { VirtualAlloc(null(), both, MEM_RESERVE, PAGE_NOACCESS) };
        if first.is_null() {
            return None;
        }
        let address = first.expose_provenance();
        release(address);
        if !view(first) {
            continue;
        }
        if view(first.wrapping_byte_add(len_bytes)) {
            return Some(address);
        }
        unmap(address);
    }
    None
}
