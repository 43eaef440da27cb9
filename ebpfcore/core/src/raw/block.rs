//! `Block`: zeroed memory at a stable address that programs and the runtime share.
//!
//! Programs hold addresses into a block and write through them at any time, so the runtime never
//! makes Rust references to the bytes; it copies in and out with bounds checks, or uses atomics.
//! Invariant: `start` is valid for reads and writes of `length` bytes and aligned to 64 at least.
#![expect(unsafe_code, reason = "owns memory that native code writes to")]

use super::addresses::copy_shared;
use crate::atomic::{AtomicU32, AtomicU64};
use crate::{Platform, RingMemory, Status, map::ring::PAGE};
use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use core::ptr::NonNull;

/// Alignment of blocks: a cache line.
const ALIGN: usize = 64;

/// Zeroed shared memory.
pub(crate) struct Block {
    start: NonNull<u8>,
    length: usize,
    owner: Owner,
}

/// Whose memory it is.
enum Owner {
    /// Of the allocator, with this alignment.
    Pool(usize),
    /// Of the host, which gave it for a ring.
    Host(&'static dyn Platform, u64),
}

// SAFETY: all access goes through copies and atomics that tolerate concurrent writers.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    /// Allocates `length` zero bytes (at least one).
    pub(crate) fn try_zeroed(length: usize) -> Result<Block, Status> {
        Block::try_aligned(length.max(1), ALIGN)
    }

    /// Allocates whole zero pages, which nothing else lies in.
    pub(crate) fn try_pages(length: usize) -> Result<Block, Status> {
        let bytes = length.max(1).checked_next_multiple_of(PAGE);
        Block::try_aligned(bytes.ok_or(Status::ArithmeticOverflow)?, PAGE)
    }

    /// `length` is not zero.
    fn try_aligned(length: usize, align: usize) -> Result<Block, Status> {
        let layout = Layout::from_size_align(length, align).map_err(|_| Status::NoMemory)?;
        // SAFETY: the size is not zero.
        let memory = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(memory).ok_or(Status::NoMemory)?;
        let _ = start.as_ptr().expose_provenance();
        Ok(Block {
            start,
            length,
            owner: Owner::Pool(align),
        })
    }

    /// Memory that the host gave for a ring, `length` bytes in all.
    pub(crate) fn of_host(
        platform: &'static dyn Platform,
        memory: RingMemory,
        length: usize,
    ) -> Result<Block, Status> {
        let start = core::ptr::with_exposed_provenance_mut(memory.address as usize);
        Ok(Block {
            start: NonNull::new(start).ok_or(Status::NoMemory)?,
            length,
            owner: Owner::Host(platform, memory.id),
        })
    }

    /// What the host calls it; `None` when it is not the host's.
    pub(crate) fn host_id(&self) -> Option<u64> {
        match self.owner {
            Owner::Pool(_) => None,
            Owner::Host(_, id) => Some(id),
        }
    }

    /// The address of the first byte.
    #[inline]
    pub(crate) fn address(&self) -> u64 {
        self.start.as_ptr().addr() as u64
    }

    /// Bytes in the block.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Whether `size` bytes at an address all lie in the block; gives their offset.
    pub(crate) fn offset_of(&self, address: u64, size: u64) -> Option<u64> {
        let offset = address.checked_sub(self.address())?;
        (offset.checked_add(size)? <= self.length as u64).then_some(offset)
    }

    /// Copies bytes out; `false` when they are not all in the block.
    #[must_use]
    pub(crate) fn read(&self, offset: usize, out: &mut [u8]) -> bool {
        let Some(from) = self.range(offset, out.len()) else {
            return false;
        };
        // SAFETY: in bounds; `out` is a distinct Rust buffer.
        unsafe { core::ptr::copy_nonoverlapping(from, out.as_mut_ptr(), out.len()) };
        true
    }

    /// Copies bytes in; `false` when they do not all fit in the block.
    #[must_use]
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) -> bool {
        let Some(to) = self.range(offset, bytes.len()) else {
            return false;
        };
        // SAFETY: in bounds.
        unsafe { copy_shared(to, bytes.as_ptr(), bytes.len()) };
        true
    }

    /// Sets bytes to zero; `false` when they are not all in the block.
    #[must_use]
    pub(crate) fn zero(&self, offset: usize, length: usize) -> bool {
        let Some(to) = self.range(offset, length) else {
            return false;
        };
        // SAFETY: in bounds.
        unsafe { core::ptr::write_bytes(to, 0, length) };
        true
    }

    /// A 64-bit cell; `None` outside the block or when not aligned.
    pub(crate) fn cell64(&self, offset: usize) -> Option<&AtomicU64> {
        let at = self.range(offset, 8).filter(|at| at.addr() & 7 == 0)?;
        // SAFETY: in bounds, aligned, and alive as long as the block.
        Some(unsafe { AtomicU64::from_ptr(at.cast()) })
    }

    /// A 32-bit cell; `None` outside the block or when not aligned.
    pub(crate) fn cell32(&self, offset: usize) -> Option<&AtomicU32> {
        let at = self.range(offset, 4).filter(|at| at.addr() & 3 == 0)?;
        // SAFETY: in bounds, aligned, and alive as long as the block.
        Some(unsafe { AtomicU32::from_ptr(at.cast()) })
    }

    fn range(&self, offset: usize, length: usize) -> Option<*mut u8> {
        if offset.checked_add(length)? > self.length {
            return None;
        }
        // SAFETY: in bounds of the allocation.
        Some(unsafe { self.start.as_ptr().add(offset) })
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let align = match self.owner {
            Owner::Pool(align) => align,
            Owner::Host(platform, id) => return platform.give_ring(id),
        };
        // Invariant: the same arguments made a valid layout in `try_aligned`.
        if let Ok(layout) = Layout::from_size_align(self.length, align) {
            // SAFETY: allocated with this layout; nobody uses it any more.
            unsafe { dealloc(self.start.as_ptr(), layout) };
        }
    }
}
