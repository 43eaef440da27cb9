//! Pages by `mmap`.
#![expect(unsafe_code, reason = "maps memory")]

use super::super::memory::Reach;
use crate::Error;
use std::io;
use std::ptr::{NonNull, null_mut};

/// Reserves bytes that nothing can access.
///
/// # Errors
/// The system has none, or none below 4 GiB.
pub(crate) fn reserve(len: usize, reach: Reach) -> Result<NonNull<u8>, Error> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | low(reach)?;
    // SAFETY: a new private mapping at an address of the system's choice touches no existing
    // memory; the result is checked below.
    let start = unsafe { libc::mmap(null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(Error::Memory(io::Error::last_os_error()));
    }
    NonNull::new(start.cast()).ok_or(Error::Memory(io::ErrorKind::OutOfMemory.into()))
}

/// Makes whole pages readable and writable.
///
/// # Safety
/// They are part of one range of [`reserve`] that nothing refers to yet.
///
/// # Errors
/// The system refuses.
pub(crate) unsafe fn commit(start: *mut u8, len: usize) -> Result<(), Error> {
    // SAFETY: pages of a mapping of this module's, by the contract above.
    match unsafe { libc::mprotect(start.cast(), len, libc::PROT_READ | libc::PROT_WRITE) } {
        0 => Ok(()),
        _ => Err(Error::Memory(io::Error::last_os_error())),
    }
}

/// Gives a whole range back.
///
/// # Safety
/// Exactly what [`reserve`] returned, and nothing refers to it any more.
pub(crate) unsafe fn release(start: NonNull<u8>, len: usize) {
    // SAFETY: by the contract above.
    unsafe { libc::munmap(start.as_ptr().cast(), len) };
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn low(reach: Reach) -> Result<libc::c_int, Error> {
    Ok(match reach {
        Reach::Any => 0,
        Reach::Low => libc::MAP_32BIT,
    })
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn low(reach: Reach) -> Result<libc::c_int, Error> {
    match reach {
        Reach::Any => Ok(0),
        Reach::Low => Err(Error::UnsupportedHost {
            what: "packet memory below 4 GiB",
        }),
    }
}
