//! Whole pages of the pool, which can be mapped a second time.
//!
//! On Linux they are shared memory of this process, and a process of user mode is a thread of it: a
//! view is the same memory at another address, with a protection of its own. Under Wine the shim does
//! it, between processes. Elsewhere nothing can be shown.

use crate::platform::installed;
use crate::views::Access;
use std::alloc::Layout;

/// Bytes of a page.
pub(super) const PAGE: u64 = 4096;

/// Fresh pages for a layout, or null.
pub(super) fn take(layout: Layout) -> *mut u8 {
    match installed() {
        Some(platform) => pointer(platform.take_pages(layout.size() as u64)),
        None => host::take(layout),
    }
}

/// Gives pages back.
///
/// # Safety
/// 1. From [`take`] with this layout, given back once.
pub(super) unsafe fn give(pages: *mut u8, layout: Layout) {
    match installed() {
        Some(platform) => platform.give_pages(pages.expose_provenance() as u64),
        // SAFETY: obligation 1.
        None => unsafe { host::give(pages, layout) },
    }
}

/// Maps pages of [`take`] once more, for a process; 0 when that is not possible.
pub(super) fn show(process: u64, (address, len_bytes): (u64, u64), access: Access) -> u64 {
    match installed() {
        Some(platform) => platform.show_pages(process, (address, len_bytes), access),
        None => host::show((address, len_bytes), access),
    }
}

/// Takes back what [`show`] gave.
pub(super) fn hide(process: u64, (address, len_bytes): (u64, u64)) {
    match installed() {
        Some(platform) => platform.hide_pages(process, address),
        None => host::hide(address, len_bytes),
    }
}

fn pointer(address: u64) -> *mut u8 {
    std::ptr::with_exposed_provenance_mut(address as usize)
}

#[cfg(target_os = "linux")]
mod host {
    use super::{Access, Layout, PAGE, pointer};
    use std::ptr::null_mut;

    fn whole(bytes: usize) -> usize {
        bytes.next_multiple_of(PAGE as usize)
    }

    pub(super) fn take(layout: Layout) -> *mut u8 {
        let (protection, kind) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
        );
        // SAFETY: a new mapping at an address that the system chooses.
        let pages =
            unsafe { libc::mmap(null_mut(), whole(layout.size()), protection, kind, -1, 0) };
        if pages == libc::MAP_FAILED {
            return null_mut();
        }
        pages.cast()
    }

    /// # Safety
    /// 1. From [`take`] with this layout, given back once.
    pub(super) unsafe fn give(pages: *mut u8, layout: Layout) {
        // SAFETY: obligation 1. Views of the pages stay valid until they are taken back.
        unsafe { libc::munmap(pages.cast(), whole(layout.size())) };
    }

    pub(super) fn show((address, bytes): (u64, u64), access: Access) -> u64 {
        let protection = match access {
            Access::Read => libc::PROT_READ,
            Access::Write => libc::PROT_READ | libc::PROT_WRITE,
        };
        // SAFETY: an old size of zero maps shared memory a second time and leaves the first alone;
        // the new mapping is nobody's yet when its protection is set.
        unsafe {
            let old = pointer(address).cast();
            let view = libc::mremap(old, 0, bytes as usize, libc::MREMAP_MAYMOVE);
            if view == libc::MAP_FAILED || libc::mprotect(view, bytes as usize, protection) != 0 {
                return 0;
            }
            view.expose_provenance() as u64
        }
    }

    pub(super) fn hide(address: u64, bytes: u64) {
        // SAFETY: a mapping of `show`, taken back once.
        unsafe { libc::munmap(pointer(address).cast(), bytes as usize) };
    }
}

#[cfg(not(target_os = "linux"))]
mod host {
    use super::{Access, Layout};

    pub(super) fn take(layout: Layout) -> *mut u8 {
        // SAFETY: the size is not zero: a page at least.
        unsafe { std::alloc::alloc(layout) }
    }

    /// # Safety
    /// 1. From [`take`] with this layout, given back once.
    pub(super) unsafe fn give(pages: *mut u8, layout: Layout) {
        // SAFETY: obligation 1.
        unsafe { std::alloc::dealloc(pages, layout) };
    }

    pub(super) fn show(_: (u64, u64), _: Access) -> u64 {
        0
    }

    pub(super) fn hide(_: u64, _: u64) {}
}
