//! `Shared`: atomically reference-counted values whose allocation can fail.
//!
//! `alloc::sync::Arc` aborts when memory is short, which a kernel cannot accept; and native code
//! holds map and program addresses as plain numbers, so the address of the value must be stable
//! and convertible. Invariant: the count is the number of `Shared` values plus the number of
//! addresses made by [`Shared::into_address`]; the value is dropped when it reaches zero.
#![expect(unsafe_code, reason = "reference counting over a hand-made allocation")]

use crate::Status;
use crate::atomic::{AtomicUsize, Ordering, fence};
use alloc::alloc::{Layout, alloc, dealloc};
use core::{marker::PhantomData, ops::Deref, ptr::NonNull};

/// The value comes first, so that its address is the address of the allocation.
#[repr(C)]
struct Inner<T> {
    value: T,
    count: AtomicUsize,
}

/// A counted reference to a `T`.
pub struct Shared<T> {
    inner: NonNull<Inner<T>>,
    owns: PhantomData<Inner<T>>,
}

// SAFETY: the count is atomic and the value is only reached by shared reference, as with `Arc`.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Moves a value into counted memory.
    ///
    /// # Errors
    ///
    /// [`Status::NoMemory`]; the value is dropped.
    pub fn try_new(value: T) -> Result<Shared<T>, Status> {
        // SAFETY: `Inner` holds a counter, so the layout is not of size zero.
        let memory = unsafe { alloc(Layout::new::<Inner<T>>()) };
        let inner = NonNull::new(memory.cast::<Inner<T>>()).ok_or(Status::NoMemory)?;
        let count = AtomicUsize::new(1);
        // SAFETY: freshly allocated with the layout of `Inner<T>`.
        unsafe { inner.as_ptr().write(Inner { value, count }) };
        Ok(Shared {
            inner,
            owns: PhantomData,
        })
    }

    /// The address of the value, as native code sees it.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.inner.as_ptr().expose_provenance() as u64
    }

    /// Is this the only reference? Another one can then only come from this one.
    #[must_use]
    pub fn is_unique(&self) -> bool {
        // SAFETY: a live reference exists, so the allocation is alive.
        let count = unsafe { &(*self.inner.as_ptr()).count };
        count.load(Ordering::Acquire) == 1
    }

    /// Gives up the reference for an address that keeps the value alive.
    #[must_use]
    pub fn into_address(self) -> u64 {
        let address = self.address();
        core::mem::forget(self);
        address
    }

    /// Takes back a reference given up by [`Shared::into_address`].
    ///
    /// # Safety
    ///
    /// 1. `address` came from [`Shared::into_address`] of the same `T`.
    /// 2. Each such address is taken back at most once.
    #[must_use]
    pub unsafe fn from_address(address: u64) -> Shared<T> {
        let pointer = core::ptr::with_exposed_provenance_mut::<Inner<T>>(address as usize);
        // SAFETY: by obligation 1 it is the non-null address of a live `Inner<T>`.
        let inner = unsafe { NonNull::new_unchecked(pointer) };
        Shared {
            inner,
            owns: PhantomData,
        }
    }

    /// Borrows the value behind an address.
    ///
    /// # Safety
    ///
    /// `address` is that of a `Shared<T>` value that outlives `'a`.
    pub(crate) unsafe fn borrow_address<'a>(address: u64) -> &'a T {
        let pointer = core::ptr::with_exposed_provenance::<Inner<T>>(address as usize);
        // SAFETY: the caller says that the value lives long enough.
        unsafe { &(*pointer).value }
    }

    /// Another reference to the value at an address.
    ///
    /// # Safety
    ///
    /// `address` is that of a `Shared<T>` value that is alive during the call.
    #[must_use]
    pub unsafe fn clone_address(address: u64) -> Shared<T> {
        // SAFETY: the value is alive; the borrowed reference is forgotten, not dropped.
        let borrowed = core::mem::ManuallyDrop::new(unsafe { Self::from_address(address) });
        Shared::clone(&borrowed)
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        // SAFETY: a live reference exists, so the allocation is alive.
        let count = unsafe { &(*self.inner.as_ptr()).count };
        count.fetch_add(1, Ordering::Relaxed);
        Shared {
            inner: self.inner,
            owns: PhantomData,
        }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: a live reference exists, so the allocation is alive.
        unsafe { &(*self.inner.as_ptr()).value }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: a live reference exists, so the allocation is alive.
        let count = unsafe { &(*self.inner.as_ptr()).count };
        if count.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        fence(Ordering::Acquire);
        // SAFETY: this was the last reference; the value is dropped once and then freed with the
        // layout it was allocated with.
        unsafe {
            core::ptr::drop_in_place(self.inner.as_ptr());
            dealloc(self.inner.as_ptr().cast::<u8>(), Layout::new::<Inner<T>>());
        }
    }
}
