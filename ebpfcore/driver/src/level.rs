//! Interrupt request levels as types: a function that may wait asks for a [`Passive`].
//!
//! A witness is neither sent to other threads nor kept: it is made where the kernel calls the driver
//! at a documented level and lent to what is called from there.

use crate::import::{KeLowerIrql, KfRaiseIrql};
use core::marker::PhantomData;
use wdk::nt::DISPATCH_LEVEL;

/// The thread runs at PASSIVE_LEVEL: it may wait, page and ask the system for everything.
pub(crate) struct Passive(PhantomData<*const ()>);

impl Passive {
    /// The level by the word of the caller.
    ///
    /// # Safety
    /// 1. This runs at PASSIVE_LEVEL, and the witness is dropped before that changes.
    pub(crate) unsafe fn assume() -> Passive {
        Passive(PhantomData)
    }
}

/// The processor is not taken from the thread.
pub(crate) struct Dispatch {
    former: u8,
    here: PhantomData<*const ()>,
}

impl Dispatch {
    /// Raises the level until the witness is dropped.
    pub(crate) fn raise() -> Dispatch {
        Dispatch {
            former: raise(),
            here: PhantomData,
        }
    }
}

impl Drop for Dispatch {
    fn drop(&mut self) {
        lower(self.former);
    }
}

/// Raises the level and returns the former one; for the runtime, which pairs the calls itself.
pub(crate) fn raise() -> u8 {
    // SAFETY: the runtime never runs above DISPATCH_LEVEL.
    unsafe { KfRaiseIrql(DISPATCH_LEVEL) }
}

/// Returns to a former level.
pub(crate) fn lower(former: u8) {
    // SAFETY: `former` is what `raise` returned on this thread.
    unsafe { KeLowerIrql(former) };
}
