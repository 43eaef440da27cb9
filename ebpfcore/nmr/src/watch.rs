//! Clients that stay: whatever provides program types or functions attaches to them.
//!
//! The context of a binding is its number, by which the runtime knows the provider.

use super::{System, callbacks, characteristics, provider};
use abi::Guid;
use abi::native::nmr::{
    Characteristics, MODULE_ID_EBPFCORE, ModuleId, NPI_BTF_FUNCTION, NPI_PROGRAM_INFORMATION,
    RegistrationInstance,
};
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering};
use ebpfcore::control::Detached;
use ebpfcore::extension::Offer;
use wdk::nt::{STATUS_INVALID_PARAMETER, STATUS_PENDING, STATUS_SUCCESS};

/// Interfaces that are watched.
static NPIS: [Guid; 2] = [NPI_PROGRAM_INFORMATION, NPI_BTF_FUNCTION];
static MODULE: ModuleId = ModuleId::new(MODULE_ID_EBPFCORE);
/// The clients offer no functions, but the address must be one.
static NO_FUNCTIONS: u64 = 0;

/// The clients; in a `static`, because the registrar keeps their addresses.
pub struct Watches<S> {
    clients: UnsafeCell<[Characteristics; 2]>,
    handles: [AtomicU64; 2],
    system: PhantomData<fn() -> S>,
}

// SAFETY: the clients are written by `start` alone, before the registrar knows them.
unsafe impl<S> Sync for Watches<S> {}

impl<S: System> Default for Watches<S> {
    fn default() -> Self {
        Watches::new()
    }
}

impl<S: System> Watches<S> {
    /// Clients that are not registered.
    #[must_use]
    pub const fn new() -> Watches<S> {
        const NONE: Characteristics = Characteristics {
            version: 0,
            length: 0,
            reserved: 0,
            attach: 0,
            detach: 0,
            cleanup: 0,
            instance: RegistrationInstance {
                version: 0,
                size: 0,
                reserved: 0,
                npi_id: 0,
                module_id: 0,
                number: 0,
                reserved2: 0,
                npi_specific_characteristics: 0,
            },
        };
        Watches {
            clients: UnsafeCell::new([NONE; 2]),
            handles: [const { AtomicU64::new(0) }; 2],
            system: PhantomData,
        }
    }

    /// Registers them; providers that are there attach at once.
    ///
    /// # Safety
    ///
    /// 1. One caller at a time, not again before [`Watches::stop`].
    ///
    /// # Errors
    ///
    /// What the registrar answers.
    pub unsafe fn start(&'static self) -> Result<(), i32> {
        // SAFETY: obligation 1: the registrar has no address of these yet.
        let clients = unsafe { &mut *self.clients.get() };
        for (client, npi) in clients.iter_mut().zip(&NPIS) {
            *client = Characteristics {
                attach: (attach::<S> as *const ()).expose_provenance() as u64,
                detach: (detach::<S> as *const ()).expose_provenance() as u64,
                ..characteristics(npi, &MODULE, 0)
            };
        }
        // SAFETY: only shared from here on.
        let clients = unsafe { &*self.clients.get() };
        for ((client, handle), index) in clients.iter().zip(&self.handles).zip(0u64..) {
            let mut number = 0;
            // SAFETY: the client and what it refers to are static.
            let status = unsafe { S::register(client, index, &mut number) };
            if status < 0 {
                self.stop();
                return Err(status);
            }
            handle.store(number, Ordering::Release);
        }
        Ok(())
    }

    /// Deregisters them and waits until no provider is attached, which is when no program uses one.
    pub fn stop(&self) {
        for handle in &self.handles {
            let handle = handle.swap(0, Ordering::AcqRel);
            if handle != 0 {
                // SAFETY: from `start`, taken out once.
                unsafe { S::deregister(handle) };
            }
        }
    }
}

callbacks! {
    /// `ClientAttachProvider`; the context says which client.
    fn attach<S: System>(binding: u64, context: u64, instance: *const RegistrationInstance) -> i32 {
        // SAFETY: the registrar's structure.
        let provider = unsafe { provider(instance) };
        let (Some(control), Some((module, data)), Some(npi)) =
            (S::control(), provider, NPIS.get(context as usize))
        else {
            return STATUS_INVALID_PARAMETER;
        };
        let offered = S::image(data, |memory| {
            let offer = Offer {
                binding,
                npi: *npi,
                module_id: module.guid,
                data,
                memory,
            };
            // SAFETY: the image of a driver that the system loaded and that stays until detaching
            // completes; it registered as an extension.
            unsafe { control.offer(&offer) }.is_ok()
        });
        if offered != Some(true) {
            return STATUS_INVALID_PARAMETER;
        }
        // SAFETY: inside the callback for the binding; the address is static.
        let status = unsafe { S::attach(binding, binding, super::address(&NO_FUNCTIONS)) };
        if status < 0 {
            // Nobody knew it.
            let _ = control.withdraw(binding);
        } else {
            control.accept(binding);
        }
        status
    }

    /// `ClientDetachProvider`; the context is the binding.
    fn detach<S: System>(binding: u64) -> i32 {
        match S::control().map_or(Detached::Now, |control| control.withdraw(binding)) {
            Detached::Now => STATUS_SUCCESS,
            Detached::Later => STATUS_PENDING,
        }
    }
}
