//! Copies between Rust slices and addresses, one naturally sized piece at a time.
//!
//! Shared bytes are written with relaxed atomic stores of 8, 4, 2 and 1 bytes, and read with such loads:
//! who reads a field of such a size concurrently sees the old or the new number, never a mixture.
#![expect(unsafe_code, reason = "reads and writes memory by address")]

use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

/// The pointer that an address stands for.
pub(crate) fn pointer(address: u64) -> *mut u8 {
    core::ptr::with_exposed_provenance_mut(address as usize)
}

/// Reads `out.len()` bytes at an address.
///
/// # Safety
///
/// The bytes are readable during the call.
pub unsafe fn read_bytes(address: u64, out: &mut [u8]) {
    // SAFETY: the caller's obligation; `out` is a distinct Rust buffer.
    unsafe { copy_from_shared(out.as_mut_ptr(), pointer(address), out.len()) };
}

/// Writes bytes at an address.
///
/// # Safety
///
/// The bytes are writable during the call.
pub unsafe fn write_bytes(address: u64, bytes: &[u8]) {
    // SAFETY: the caller's obligation.
    unsafe { copy_shared(pointer(address), bytes.as_ptr(), bytes.len()) };
}

/// Calls `$piece!` with place, number type and atomic type of each piece of a length.
macro_rules! pieces {
    ($length:expr, $piece:ident) => {{
        let mut at = 0;
        while $length - at >= 8 {
            $piece!(at, u64, AtomicU64);
            at += 8;
        }
        if $length & 4 != 0 {
            $piece!(at, u32, AtomicU32);
            at += 4;
        }
        if $length & 2 != 0 {
            $piece!(at, u16, AtomicU16);
            at += 2;
        }
        if $length & 1 != 0 {
            $piece!(at, u8, AtomicU8);
            at += 1;
        }
        debug_assert_eq!(at, $length, "the pieces cover the length");
    }};
}

/// Copies into memory that others may read at the same time.
///
/// # Safety
///
/// `source` is readable and `target` writable for `length` bytes.
#[inline]
pub(crate) unsafe fn copy_shared(target: *mut u8, source: *const u8, length: usize) {
    if target.addr() & 7 != 0 {
        // SAFETY: the caller's obligation; unaligned targets are never shared map values.
        unsafe { core::ptr::copy(source, target, length) };
        return;
    }
    macro_rules! store {
        ($at:ident, $word:ty, $atomic:ty) => {
            // SAFETY: in bounds by the conditions around it; aligned because `target` is aligned
            // to 8 and the pieces shrink.
            unsafe {
                let value = source.add($at).cast::<$word>().read_unaligned();
                <$atomic>::from_ptr(target.add($at).cast::<$word>()).store(value, Relaxed);
            }
        };
    }
    pieces!(length, store);
}

/// Copies out of memory that others may write at the same time.
///
/// Safety: `source` is readable and `target` writable for `length` bytes.
unsafe fn copy_from_shared(target: *mut u8, source: *mut u8, length: usize) {
    if source.addr() & 7 != 0 {
        // SAFETY: the caller's obligation; unaligned sources are never shared map values.
        unsafe { core::ptr::copy(source, target, length) };
        return;
    }
    macro_rules! load {
        ($at:ident, $word:ty, $atomic:ty) => {
            // SAFETY: as in `copy_shared`, for the source.
            unsafe {
                let value = <$atomic>::from_ptr(source.add($at).cast::<$word>()).load(Relaxed);
                target.add($at).cast::<$word>().write_unaligned(value);
            }
        };
    }
    pieces!(length, load);
}
