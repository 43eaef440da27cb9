//! Memory: the pool that is never executable, with a count of what is in use.
//!
//! `ExAllocatePool2` where Windows has it, else `NonPagedPoolNx`. The pool gives 16-byte alignment;
//! for more, the block holds its own address before what is given out. A thread below
//! DISPATCH_LEVEL whose allocation fails is served from its [`crate::reserve`].

use crate::import::{ExAllocatePoolWithTag, ExFreePoolWithTag, MmGetSystemRoutineAddress};
use crate::reserve;
use crate::text::with_string;
use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use wdk::nt::{NON_PAGED_POOL_NX, POOL_FLAG_NON_PAGED, POOL_FLAG_UNINITIALIZED};

/// `eBPF`, as it is read in a list of pool tags.
const TAG: u32 = u32::from_le_bytes(*b"eBPF");
/// What the pool guarantees.
const ALIGN: usize = 16;

type Allocate2 = extern "system" fn(flags: u64, size: usize, tag: u32) -> *mut u8;

static ALLOCATE_2: AtomicU64 = AtomicU64::new(0);
static BLOCKS: AtomicUsize = AtomicUsize::new(0);

struct Pool;

#[global_allocator]
static POOL: Pool = Pool;

/// Looks for the newer function; before this the older one serves.
pub(crate) fn start() {
    // SAFETY: a live string.
    let address = with_string("ExAllocatePool2", |name| unsafe {
        MmGetSystemRoutineAddress(name)
    });
    ALLOCATE_2.store(address, Relaxed);
}

/// Blocks in use.
pub(crate) fn blocks() -> usize {
    BLOCKS.load(Relaxed)
}

/// A block of the pool, or null.
pub(crate) fn take_block(size: usize) -> *mut u8 {
    let address = ALLOCATE_2.load(Relaxed);
    let block = if address == 0 {
        // SAFETY: no obligation; the result is checked by the caller.
        unsafe { ExAllocatePoolWithTag(NON_PAGED_POOL_NX, size, TAG) }
    } else {
        let function = core::ptr::with_exposed_provenance::<()>(address as usize);
        // SAFETY: the address of the export of that name, which has this type.
        let allocate: Allocate2 = unsafe { core::mem::transmute(function) };
        allocate(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, size, TAG)
    };
    if !block.is_null() {
        BLOCKS.fetch_add(1, Relaxed);
    }
    block
}

/// Gives back a block of the pool.
///
/// # Safety
/// 1. From [`take_block`], given back once.
pub(crate) unsafe fn give_block(block: *mut u8) {
    BLOCKS.fetch_sub(1, Relaxed);
    // SAFETY: obligation 1.
    unsafe { ExFreePoolWithTag(block, TAG) };
}

fn take(size: usize) -> *mut u8 {
    let block = take_block(size);
    if block.is_null() {
        return reserve::take(size);
    }
    block
}

// SAFETY: blocks come from the pool, are as large and aligned as asked, and stay until freed.
unsafe impl GlobalAlloc for Pool {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= ALIGN {
            return take(layout.size());
        }
        let Some(size) = layout.size().checked_add(layout.align()) else {
            return core::ptr::null_mut();
        };
        let block = take(size);
        if block.is_null() {
            return block;
        }
        // At least 16 bytes lie before it, because the block itself is aligned to 16.
        let distance = layout.align() - (block.addr() & (layout.align() - 1));
        // SAFETY: `distance` is 16 to `align`, so both places lie in the block, aligned.
        unsafe {
            let given = block.add(distance);
            given.cast::<*mut u8>().sub(1).write(block);
            given
        }
    }

    unsafe fn dealloc(&self, given: *mut u8, layout: Layout) {
        let block = if layout.align() <= ALIGN {
            given
        } else {
            // SAFETY: `alloc` wrote it there.
            unsafe { given.cast::<*mut u8>().sub(1).read() }
        };
        if !reserve::give(block) {
            // SAFETY: a block of the pool, freed once.
            unsafe { give_block(block) };
        }
    }
}
