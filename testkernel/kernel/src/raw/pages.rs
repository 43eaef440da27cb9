//! Memory of sections: mapped by the kernel and by processes, and pieces of it joined to one block.
//!
//! On Linux it is a file in memory, and a process of user mode is a thread of this one: each view is the
//! same memory at another address, with a protection of its own. Under Wine the shim has the memory, and
//! processes map it themselves. Elsewhere there are no sections.

use crate::platform::installed;
use crate::sections::{Access, Run};

/// Fresh memory, zero.
pub(super) fn take(len_bytes: u64) -> Option<u64> {
    match installed() {
        Some(platform) => Some(platform.take_pages(len_bytes)).filter(|memory| *memory != 0),
        None => host::take(len_bytes),
    }
}

/// Gives memory back; views of it stay.
pub(super) fn give(memory: u64) {
    match installed() {
        Some(platform) => platform.give_pages(memory),
        None => host::give(memory),
    }
}

/// Maps memory; its address, or 0. What the shim calls memory is where it has mapped it already.
pub(super) fn show(run: Run, access: Access) -> u64 {
    match installed() {
        Some(_) => run.memory,
        None => host::show(run, access),
    }
}

/// Takes back what [`show`] gave.
pub(super) fn hide(address: u64, len_bytes: u64) {
    if installed().is_none() {
        host::hide(address, len_bytes);
    }
}

/// Maps pieces of memory one behind the other, to read and write; the address, or 0.
pub(super) fn join(runs: &[Run]) -> u64 {
    match installed() {
        Some(platform) => platform.join_pages(runs),
        None => host::join(runs),
    }
}

/// Takes back what [`join`] gave.
pub(super) fn part(address: u64, len_bytes: u64) {
    match installed() {
        Some(platform) => platform.part_pages(address),
        None => host::hide(address, len_bytes),
    }
}

#[cfg(target_os = "linux")]
mod host {
    use super::{Access, Run};
    use std::ffi::c_int;
    use std::ptr::null_mut;

    /// The file of memory that was given out as a number.
    fn file(memory: u64) -> c_int {
        memory as c_int
    }

    pub(super) fn take(len_bytes: u64) -> Option<u64> {
        // SAFETY: a name with its end; the file is new.
        unsafe {
            let file = libc::memfd_create(c"section".as_ptr(), libc::MFD_CLOEXEC);
            if file < 0 {
                return None;
            }
            if libc::ftruncate(file, len_bytes as i64) != 0 {
                libc::close(file);
                return None;
            }
            Some(file as u64)
        }
    }

    pub(super) fn give(memory: u64) {
        // SAFETY: a file of `take`, closed once.
        unsafe { libc::close(file(memory)) };
    }

    pub(super) fn show(run: Run, access: Access) -> u64 {
        let protection = match access {
            Access::Read => libc::PROT_READ,
            Access::Write => libc::PROT_READ | libc::PROT_WRITE,
        };
        let (bytes, offset) = (run.len_bytes as usize, run.offset as i64);
        // SAFETY: a new mapping at an address that the system chooses.
        let view = unsafe {
            let file = file(run.memory);
            libc::mmap(
                null_mut(),
                bytes,
                protection,
                libc::MAP_SHARED,
                file,
                offset,
            )
        };
        if view == libc::MAP_FAILED {
            return 0;
        }
        view.expose_provenance() as u64
    }

    pub(super) fn hide(address: u64, bytes: u64) {
        let view = std::ptr::with_exposed_provenance_mut(address as usize);
        // SAFETY: a mapping of `show` or `join`, taken back once.
        unsafe { libc::munmap(view, bytes as usize) };
    }

    pub(super) fn join(runs: &[Run]) -> u64 {
        let all = runs.iter().map(|run| run.len_bytes as usize).sum();
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at an address that the system chooses; its pages are then replaced.
        unsafe {
            let block = libc::mmap(null_mut(), all, libc::PROT_NONE, kind, -1, 0);
            if block == libc::MAP_FAILED {
                return 0;
            }
            let mut place = block.cast::<u8>();
            for run in runs {
                let (bytes, offset) = (run.len_bytes as usize, run.offset as i64);
                let (protection, kind) = (
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_SHARED | libc::MAP_FIXED,
                );
                let file = file(run.memory);
                let mapped = libc::mmap(place.cast(), bytes, protection, kind, file, offset);
                if mapped == libc::MAP_FAILED {
                    libc::munmap(block, all);
                    return 0;
                }
                place = place.add(bytes);
            }
            block.expose_provenance() as u64
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod host {
    use super::{Access, Run};

    pub(super) fn take(_: u64) -> Option<u64> {
        None
    }

    pub(super) fn give(_: u64) {}

    pub(super) fn show(_: Run, _: Access) -> u64 {
        0
    }

    pub(super) fn hide(_: u64, _: u64) {}

    pub(super) fn join(_: &[Run]) -> u64 {
        0
    }
}
