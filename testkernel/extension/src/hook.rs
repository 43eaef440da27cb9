//! The providers, and the programs at the hook.
//!
//! Invariant: programs run under the lock of their table, and detaching takes it, so a program that
//! was detached is not running any more. Whoever waits for the lock spins.

use crate::import as nt;
use core::cell::UnsafeCell;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use sample_extension::{Callbacks, Context, HookClient, Tables, hook_client};
use wdk::nt::{STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};

/// Programs at the same time.
pub(crate) const PROGRAMS: usize = 8;

/// What the runtime reads, in this image; written before anybody knows it.
struct Image(UnsafeCell<Option<Tables>>);

// SAFETY: written by `start` alone, before the registrar knows its addresses.
unsafe impl Sync for Image {}

static IMAGE: Image = Image(UnsafeCell::new(None));
static HANDLES: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// Programs: the context of each client, and what runs it.
type Attached = [Option<(u64, HookClient)>; PROGRAMS];

struct Table {
    is_held: AtomicBool,
    attached: UnsafeCell<Attached>,
}

// SAFETY: `attached` is used under the lock only.
unsafe impl Sync for Table {}

static TABLE: Table = Table {
    is_held: AtomicBool::new(false),
    attached: UnsafeCell::new([None; PROGRAMS]),
};

impl Table {
    fn with<T>(&self, action: impl FnOnce(&mut Attached) -> T) -> T {
        while self.is_held.swap(true, Ordering::Acquire) {
            spin_loop();
        }
        // SAFETY: only one thread is here.
        let result = action(unsafe { &mut *self.attached.get() });
        self.is_held.store(false, Ordering::Release);
        result
    }
}

fn address(function: *const ()) -> u64 {
    function.expose_provenance() as u64
}

/// Registers the providers.
pub(crate) fn start() -> Result<(), i32> {
    // SAFETY: called once, when the driver starts.
    let tables = unsafe { &mut *IMAGE.0.get() }.insert(Tables::default());
    let data = Callbacks {
        attach: address(accept as *const ()),
        detach: address(forget as *const ()),
    };
    let hook = Callbacks {
        attach: address(attach as *const ()),
        detach: address(detach as *const ()),
    };
    tables.fill(data, hook);
    // Only read from here on.
    let tables = &*tables;
    for (provider, handle) in tables.providers.iter().zip(&HANDLES) {
        let mut number = 0;
        // SAFETY: static structures and a live variable.
        let status = unsafe { nt::NmrRegisterProvider(provider, 0, &raw mut number) };
        if status < 0 {
            stop();
            return Err(status);
        }
        handle.store(number, Ordering::Release);
    }
    Ok(())
}

/// Takes the providers back and waits until nobody is attached.
pub(crate) fn stop() {
    let handles = HANDLES.each_ref().map(|handle| handle.swap(0, Ordering::AcqRel));
    for handle in handles.into_iter().filter(|handle| *handle != 0) {
        // SAFETY: from `start`, taken out once.
        unsafe {
            nt::NmrDeregisterProvider(handle);
            nt::NmrWaitForProviderDeregisterComplete(handle);
        }
    }
}

/// Something happens: all programs run; gives how many, and what each answered.
pub(crate) fn fire(context: &mut Context) -> (usize, [(i32, u32); PROGRAMS]) {
    let mut answers = [(0, 0); PROGRAMS];
    let mut count = 0;
    TABLE.with(|attached| {
        for (answer, (client, hook)) in answers.iter_mut().zip(attached.iter().flatten()) {
            // SAFETY: the client is attached; detaching takes the lock.
            *answer = unsafe { sample_extension::run(hook.invoke, *client, context) };
            count += 1;
        }
    });
    (count, answers)
}

/// `ProviderAttachClient` of what is data alone.
extern "system" fn accept(
    _binding: u64,
    _context: u64,
    _client: u64,
    _client_context: u64,
    _dispatch: u64,
    own: &mut u64,
    own_dispatch: &mut u64,
) -> i32 {
    (*own, *own_dispatch) = (0, 0);
    STATUS_SUCCESS
}

/// `ProviderDetachClient` of what is data alone.
extern "system" fn forget(_: u64) -> i32 {
    STATUS_SUCCESS
}

/// `ProviderAttachClient` of the hook; the context of the binding is the place in the table.
extern "system" fn attach(
    _binding: u64,
    _context: u64,
    instance: u64,
    client: u64,
    dispatch: u64,
    own: &mut u64,
    own_dispatch: &mut u64,
) -> i32 {
    // SAFETY: the registrar's addresses.
    let Some(hook) = (unsafe { hook_client(instance, dispatch) }) else {
        return STATUS_INVALID_PARAMETER;
    };
    let place = TABLE.with(|attached| {
        let free = attached.iter().position(Option::is_none)?;
        attached[free] = Some((client, hook));
        Some(free)
    });
    let Some(place) = place else {
        return STATUS_INSUFFICIENT_RESOURCES;
    };
    (*own, *own_dispatch) = (place as u64, 0);
    STATUS_SUCCESS
}

/// `ProviderDetachClient` of the hook.
extern "system" fn detach(place: u64) -> i32 {
    TABLE.with(|attached| {
        if let Some(program) = attached.get_mut(place as usize) {
            *program = None;
        }
    });
    STATUS_SUCCESS
}
