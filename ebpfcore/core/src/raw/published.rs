//! `Published`: a counted value that readers use without a lock while writers replace it.
//!
//! Readers hold a pinned epoch and borrow the value for as long. A writer swaps the value and waits
//! until every reader of the old one is done before it gives the old reference up. Invariant: the
//! address is 0 or came from [`Shared::into_address`] and is owned by this place.
#![expect(unsafe_code, reason = "borrows a counted value under an epoch")]

use super::shared::Shared;
use crate::atomic::{AtomicU64, Ordering};
use crate::{Core, Guard, epoch::FOLLOW};
use core::marker::PhantomData;

/// A place for a counted value.
pub struct Published<T> {
    address: AtomicU64,
    owns: PhantomData<Shared<T>>,
}

impl<T> Published<T> {
    /// A place that holds a value.
    #[must_use]
    pub fn new(value: Shared<T>) -> Published<T> {
        Published {
            address: AtomicU64::new(value.into_address()),
            owns: PhantomData,
        }
    }

    /// A place that holds nothing.
    #[must_use]
    pub const fn empty() -> Published<T> {
        Published {
            address: AtomicU64::new(0),
            owns: PhantomData,
        }
    }

    /// The value, valid while the epoch is pinned. IRQL: any.
    #[inline(always)]
    pub fn get<'g>(&'g self, _pinned: &'g Guard<'_>) -> Option<&'g T> {
        let address = self.address.load(FOLLOW);
        if address == 0 {
            return None;
        }
        // SAFETY: the place owned the value when the epoch was pinned or later, and `replace` drops
        // it only after every reader pinned by then is done.
        Some(unsafe { Shared::<T>::borrow_address(address) })
    }

    /// Another reference to the value. The caller must exclude [`Published::replace`] meanwhile or
    /// hold a pinned epoch; both are expressed by the guard.
    #[must_use]
    pub fn share(&self, _pinned: &Guard<'_>) -> Option<Shared<T>> {
        let address = self.address.load(FOLLOW);
        // SAFETY: alive as in `get`.
        (address != 0).then(|| unsafe { Shared::clone_address(address) })
    }

    /// Puts another value, waits for the readers of the old one, and gives it back.
    /// IRQL: PASSIVE; the caller must not have an epoch pinned.
    pub fn replace(&self, core: &Core, value: Option<Shared<T>>) -> Option<Shared<T>> {
        let new = value.map_or(0, Shared::into_address);
        let old = self.address.swap(new, Ordering::AcqRel);
        if old == 0 {
            return None;
        }
        core.epoch().synchronize(core.platform());
        // SAFETY: the address was owned by this place, is taken back once because the swap gave it
        // to this caller only, and no reader has it any more.
        Some(unsafe { Shared::from_address(old) })
    }
}

impl<T> Drop for Published<T> {
    fn drop(&mut self) {
        let address = *self.address.get_mut();
        if address != 0 {
            // SAFETY: owned by this place; an exclusive borrow means that there are no readers.
            drop(unsafe { Shared::<T>::from_address(address) });
        }
    }
}
