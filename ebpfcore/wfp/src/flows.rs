//! Flows that programs were told about, until they end.
//!
//! The platform keeps an address for each flow and gives it back when the flow is over. A table of
//! all of them lets the engine take the addresses back when it stops. Invariant: a flow is in the
//! table exactly while the platform has its address, so it is freed once.

use crate::{engine::Engine, values::pointer};
use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, Ordering},
};
use ebpfcore::{Platform, Shared, Status, hooks::flow::Flow};

/// What is kept of a flow.
pub(crate) struct Kept {
    pub(crate) flow: Flow,
    pub(crate) engine: *const Engine,
    /// The platform's numbers: flow, layer, callout.
    pub(crate) id: (u64, u16, u32),
}

/// A flow with its place in the list.
pub(crate) struct Tracked {
    kept: Kept,
    links: UnsafeCell<Links>,
}

impl Tracked {
    pub(crate) fn flow(&self) -> &Flow {
        &self.kept.flow
    }
}

/// The engine of a flow.
///
/// # Safety
///
/// The address came from [`Flows::add`] and was not taken out yet.
pub(crate) unsafe fn engine_of(address: u64) -> *const Engine {
    // SAFETY: the caller's obligation.
    unsafe { (*pointer::<Tracked>(address)).kept.engine }
}

/// Addresses of the neighbours, or 0.
#[derive(Clone, Copy, Default)]
struct Links {
    next: u64,
    previous: u64,
}

// SAFETY: the links are used under the lock of the table alone; the rest does not change.
unsafe impl Send for Tracked {}
// SAFETY: as above.
unsafe impl Sync for Tracked {}

/// All flows of an engine.
#[derive(Default)]
pub(crate) struct Flows {
    held: AtomicBool,
    first: UnsafeCell<u64>,
}

// SAFETY: the list is used under the lock alone.
unsafe impl Send for Flows {}
// SAFETY: as above.
unsafe impl Sync for Flows {}

impl Flows {
    /// Puts a flow into the table; gives the address for the platform.
    pub(crate) fn add(&self, platform: &dyn Platform, kept: Kept) -> Result<u64, Status> {
        let tracked = Shared::try_new(Tracked {
            kept,
            links: UnsafeCell::default(),
        })?;
        let address = tracked.into_address();
        self.locked(platform, |first| {
            // SAFETY: under the lock; addresses in the list are those of living flows.
            unsafe {
                *links(address) = Links {
                    next: *first,
                    previous: 0,
                };
                if *first != 0 {
                    (*links(*first)).previous = address;
                }
            }
            *first = address;
        });
        Ok(address)
    }

    /// Takes a flow out that the platform gave back.
    ///
    /// # Safety
    ///
    /// The address came from [`Flows::add`] and was not taken out yet.
    pub(crate) unsafe fn take(&self, platform: &dyn Platform, address: u64) -> Shared<Tracked> {
        self.locked(platform, |first| {
            // SAFETY: under the lock; the flow and its neighbours are in the list.
            unsafe {
                let Links { next, previous } = *links(address);
                match previous {
                    0 => *first = next,
                    previous => (*links(previous)).next = next,
                }
                if next != 0 {
                    (*links(next)).previous = previous;
                }
            }
        });
        // SAFETY: the caller's obligation; the list gave its reference up.
        unsafe { Shared::from_address(address) }
    }

    /// The platform's numbers of some flow, while there is one.
    pub(crate) fn any(&self, platform: &dyn Platform) -> Option<(u64, u16, u32)> {
        self.locked(platform, |first| {
            // SAFETY: under the lock, flows in the list are alive.
            unsafe { pointer::<Tracked>(*first).as_ref() }.map(|tracked| tracked.kept.id)
        })
    }

    /// Runs `work` on the head of the list while nobody else can.
    fn locked<T>(&self, platform: &dyn Platform, work: impl FnOnce(&mut u64) -> T) -> T {
        let level = platform.raise_irql();
        while self.held.swap(true, Ordering::Acquire) {
            core::hint::spin_loop();
        }
        // SAFETY: this caller holds the lock.
        let result = work(unsafe { &mut *self.first.get() });
        self.held.store(false, Ordering::Release);
        platform.lower_irql(level);
        result
    }
}

/// Safety: the address is that of a flow in the list, and the caller holds the lock.
unsafe fn links(address: u64) -> *mut Links {
    // SAFETY: the caller's obligation.
    unsafe { (*pointer::<Tracked>(address)).links.get() }
}
