//! Pages by `VirtualAlloc`.
#![expect(unsafe_code, reason = "maps memory")]

use super::super::memory::Reach;
use crate::Error;
use std::io;
use std::ptr::{NonNull, null};
use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_NOACCESS, PAGE_READWRITE, VirtualAlloc, VirtualFree,
};

/// Reserves bytes that nothing can access.
///
/// # Errors
/// The system has none; memory below 4 GiB is not offered on Windows.
pub(crate) fn reserve(len: usize, reach: Reach) -> Result<NonNull<u8>, Error> {
    if reach == Reach::Low {
        return Err(Error::UnsupportedHost {
            what: "packet memory below 4 GiB",
        });
    }
    // SAFETY: a new reservation at an address of the system's choice touches no existing memory.
    let start = unsafe { VirtualAlloc(null(), len, MEM_RESERVE, PAGE_NOACCESS) };
    NonNull::new(start.cast()).ok_or_else(|| Error::Memory(io::Error::last_os_error()))
}

/// Makes whole pages readable and writable.
///
/// # Safety
/// They are part of one range of [`reserve`] that nothing refers to yet.
///
/// # Errors
/// The system has no memory for them.
pub(crate) unsafe fn commit(start: *mut u8, len: usize) -> Result<(), Error> {
    // SAFETY: pages of a reservation of this module's, by the contract above.
    match unsafe { VirtualAlloc(start.cast(), len, MEM_COMMIT, PAGE_READWRITE) } {
        done if done.is_null() => Err(Error::Memory(io::Error::last_os_error())),
        _ => Ok(()),
    }
}

/// Gives a whole range back.
///
/// # Safety
/// Exactly what [`reserve`] returned, and nothing refers to it any more.
pub(crate) unsafe fn release(start: NonNull<u8>, _: usize) {
    // SAFETY: by the contract above; a size of 0 stands for the whole reservation.
    unsafe { VirtualFree(start.as_ptr().cast(), 0, MEM_RELEASE) };
}
