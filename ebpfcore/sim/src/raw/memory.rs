//! Memory that programs and drivers reach by address: contexts, packets, driver objects.
//!
//! Pages of their own, between two guard pages that cannot be accessed, so that a stray access of
//! native code stops at once. Invariant: Rust code touches the bytes only by the copies here, and
//! never while a program runs over them.
#![expect(unsafe_code, reason = "maps memory and copies by address")]

use super::pages;
use crate::Error;
use std::io;
use std::ptr::NonNull;

const PAGE_BYTES: usize = 4096;

/// Where memory must lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// Anywhere.
    Any,
    /// Below 4 GiB: contexts of Linux hold 32-bit packet pointers.
    Low,
}

/// Zeroed pages.
#[derive(Debug)]
pub(crate) struct Memory {
    /// The lower guard page.
    start: NonNull<u8>,
    /// Bytes between the guard pages.
    len: usize,
}

// SAFETY: the pages belong to this value alone; all access goes through it or happens while it is
// mutably borrowed for a run.
unsafe impl Send for Memory {}

impl Memory {
    /// Maps zeroed pages for at least `len` bytes.
    ///
    /// # Errors
    /// The system has none, or none below 4 GiB.
    pub(crate) fn new(len: usize, reach: Reach) -> Result<Memory, Error> {
        let rounded = len.max(1).checked_next_multiple_of(PAGE_BYTES);
        let total = rounded.and_then(|len| len.checked_add(2 * PAGE_BYTES));
        let (Some(len), Some(total)) = (rounded, total) else {
            return Err(Error::Memory(io::ErrorKind::OutOfMemory.into()));
        };
        let start = pages::reserve(total, reach)?;
        let memory = Memory { start, len };
        // SAFETY: the pages between the guards of the range just reserved.
        unsafe { pages::commit(memory.pointer(0), len) }?;
        Ok(memory)
    }

    /// Address of an offset.
    pub(crate) fn address(&self, offset: usize) -> u64 {
        debug_assert!(offset <= self.len);
        self.pointer(offset).expose_provenance() as u64
    }

    /// Copies bytes in.
    ///
    /// # Panics
    /// The range does not lie in the memory: the caller laid it out wrongly.
    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.check(offset, bytes.len());
        // SAFETY: in bounds; the pages are writable and not referenced by Rust values.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.pointer(offset), bytes.len());
        }
    }

    /// Copies bytes out.
    ///
    /// # Panics
    /// As [`Memory::write`].
    pub(crate) fn read(&self, offset: usize, len: usize) -> Vec<u8> {
        self.check(offset, len);
        let mut bytes = vec![0; len];
        // SAFETY: in bounds; the pages are readable, and no program runs over them now.
        unsafe { std::ptr::copy_nonoverlapping(self.pointer(offset), bytes.as_mut_ptr(), len) };
        bytes
    }

    fn check(&self, offset: usize, len: usize) {
        let end = offset.checked_add(len);
        assert!(
            end.is_some_and(|end| end <= self.len),
            "{len} bytes at {offset} of {}",
            self.len
        );
    }

    fn pointer(&self, offset: usize) -> *mut u8 {
        self.start.as_ptr().wrapping_add(PAGE_BYTES + offset)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` reserved; nothing refers to it after this value.
        unsafe { pages::release(self.start, self.len + 2 * PAGE_BYTES) };
    }
}
