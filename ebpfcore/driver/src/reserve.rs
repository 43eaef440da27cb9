//! Memory set aside for the current thread, for allocations that cannot say that they failed.
//!
//! A reserve is one block of the pool. When the pool has nothing left, its thread is served from the
//! block, one piece behind the other; pieces may live on when the reserve is released, and the block
//! goes back to the pool with the last of them. Nothing of this costs anything while the pool has
//! memory, except a look at one counter when memory is freed.
//!
//! Invariants: a piece lies in exactly one region of the list; a region leaves the list when it is
//! released and no piece of it is left, and only then is its block given back.

use crate::import::{KeGetCurrentIrql, PsGetCurrentThreadId};
use crate::pool;
use crate::spin::Spinning;
use core::sync::atomic::{AtomicUsize, Ordering};
use wdk::nt::DISPATCH_LEVEL;

/// Memory is given back at any level up to DISPATCH, so nobody may wait here.
static REGIONS: Spinning<List> = Spinning::new(List(core::ptr::null_mut()));
/// Pieces in use, of all regions.
static PIECES: AtomicUsize = AtomicUsize::new(0);

/// Alignment of pieces, which is that of the pool.
const ALIGN: usize = 16;
/// Bytes in front of the first piece.
const HEADER: usize = size_of::<Region>().next_multiple_of(ALIGN);

/// All regions, the newest first.
struct List(*mut Region);

// SAFETY: regions are reached under the lock of the list only.
unsafe impl Send for List {}

/// The beginning of a reserve's block.
struct Region {
    next: *mut Region,
    thread: u64,
    /// Bytes of the block.
    size: usize,
    /// Bytes in use, with this header.
    used: usize,
    pieces: usize,
    is_released: bool,
}

impl List {
    /// The first region that fits, and where the pointer to it stands.
    fn find(&mut self, fits: impl Fn(&Region, usize) -> bool) -> Option<*mut *mut Region> {
        let mut place: *mut *mut Region = &raw mut self.0;
        // SAFETY: regions of the list exist, and the lock is held.
        unsafe {
            while let Some(region) = (*place).as_mut() {
                if fits(region, (*place).addr()) {
                    return Some(place);
                }
                place = &raw mut region.next;
            }
        }
        None
    }

    /// The reserve of the current thread.
    fn own(&mut self) -> Option<*mut *mut Region> {
        let thread = thread();
        self.find(|region, _| region.thread == thread && !region.is_released)
    }
}

/// Takes a region that nobody needs any more out of the list; its block has to be given back.
///
/// # Safety
/// 1. A place in the list, whose lock is held.
unsafe fn unlink_unused(place: *mut *mut Region) -> *mut Region {
    // SAFETY: obligation 1.
    unsafe {
        let region = *place;
        if !(*region).is_released || (*region).pieces != 0 {
            return core::ptr::null_mut();
        }
        *place = (*region).next;
        region
    }
}

/// Gives back the block of a region that left the list.
fn free(region: *mut Region) {
    if !region.is_null() {
        // SAFETY: it was made by `begin` and nobody reaches it any more.
        unsafe { pool::give_block(region.cast()) };
    }
}

fn thread() -> u64 {
    // SAFETY: no obligation.
    unsafe { PsGetCurrentThreadId() }
}

/// Sets memory aside for the current thread, until [`end`].
pub(crate) fn begin(bytes: usize) -> bool {
    let Some(size) = bytes.checked_add(HEADER) else {
        return false;
    };
    let region: *mut Region = pool::take_block(size).cast();
    if region.is_null() {
        return false;
    }
    let mut list = REGIONS.lock();
    // SAFETY: a fresh block with room for the header; the pool aligns it.
    unsafe {
        region.write(Region {
            next: list.0,
            thread: thread(),
            size,
            used: HEADER,
            pieces: 0,
            is_released: false,
        });
    }
    list.0 = region;
    true
}

/// Gives back what is left of the current thread's reserve.
pub(crate) fn end() {
    let unused = {
        let mut list = REGIONS.lock();
        let Some(place) = list.own() else { return };
        // SAFETY: a place in the list, whose lock is held.
        unsafe {
            (**place).is_released = true;
            unlink_unused(place)
        }
    };
    free(unused);
}

/// A piece of the current thread's reserve, or null.
pub(crate) fn take(size: usize) -> *mut u8 {
    // SAFETY: no obligation.
    if unsafe { KeGetCurrentIrql() } >= DISPATCH_LEVEL {
        // What interrupts the thread has no right to its reserve.
        return core::ptr::null_mut();
    }
    let mut list = REGIONS.lock();
    let Some(place) = list.own() else {
        return core::ptr::null_mut();
    };
    // SAFETY: a region of the list, whose lock is held; the piece lies in its block.
    unsafe {
        let region = &mut **place;
        let end = size
            .checked_next_multiple_of(ALIGN)
            .and_then(|size| size.checked_add(region.used));
        let Some(end) = end.filter(|end| *end <= region.size) else {
            return core::ptr::null_mut();
        };
        let piece = (*place).cast::<u8>().add(region.used);
        region.used = end;
        region.pieces += 1;
        PIECES.fetch_add(1, Ordering::Release);
        piece
    }
}

/// Takes a piece back; false when it is none.
pub(crate) fn give(piece: *mut u8) -> bool {
    // Whoever has a piece has seen it counted.
    if PIECES.load(Ordering::Acquire) == 0 {
        return false;
    }
    let unused = {
        let mut list = REGIONS.lock();
        let holds = |region: &Region, start: usize| {
            let offset = piece.addr().wrapping_sub(start);
            offset < region.size
        };
        let Some(place) = list.find(holds) else {
            return false;
        };
        PIECES.fetch_sub(1, Ordering::Release);
        // SAFETY: a place in the list, whose lock is held.
        unsafe {
            let region = &mut **place;
            region.pieces -= 1;
            if region.pieces == 0 {
                region.used = HEADER;
            }
            unlink_unused(place)
        }
    };
    free(unused);
    true
}
