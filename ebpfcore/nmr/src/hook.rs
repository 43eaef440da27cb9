//! Clients of hooks: one for each program at the hook of an extension.
//!
//! The registrar offers a client every provider of hooks; it attaches to the one with the id of its
//! attach type. The context of its binding is the address of the outlet, which the extension hands
//! to the functions of the outlet.

use super::{NO_INTERFACE, System, address, callbacks, characteristics, provider};
use abi::Guid;
use abi::native::nmr::{Characteristics, NPI_HOOK, RegistrationInstance};
use core::sync::atomic::{AtomicU64, Ordering};
use ebpfcore::extension::Outlet;
use ebpfcore::{Shared, Status};
use wdk::nt::{STATUS_INVALID_PARAMETER, STATUS_SUCCESS};

static NPI: Guid = NPI_HOOK;

/// A client: what the registrar has addresses of.
struct HookClient {
    outlet: Shared<Outlet>,
    registration: Characteristics,
    handle: AtomicU64,
}

/// Registers a client for an outlet; gives a number for [`close_hook`].
///
/// # Errors
///
/// [`Status::ExtensionFailedToLoad`] when no provider of the hook attached, [`Status::NoMemory`].
pub fn open_hook<S: System>(outlet: &Shared<Outlet>) -> Result<u64, Status> {
    let registration = Characteristics {
        attach: (attach::<S> as *const ()).expose_provenance() as u64,
        detach: (detach as *const ()).expose_provenance() as u64,
        ..characteristics(&NPI, outlet.module(), address(outlet.data()))
    };
    let client = Shared::try_new(HookClient {
        outlet: Shared::clone(outlet),
        registration,
        handle: AtomicU64::new(0),
    })?;
    let mut handle = 0;
    let context = client.address();
    // SAFETY: the client is counted memory that stays until `close`; so does the outlet it holds.
    let status = unsafe { S::register(&client.registration, context, &mut handle) };
    if status < 0 {
        return Err(Status::ExtensionFailedToLoad);
    }
    client.handle.store(handle, Ordering::Release);
    if outlet.is_attached() {
        return Ok(client.into_address());
    }
    close::<S>(&client);
    Err(Status::ExtensionFailedToLoad)
}

/// Deregisters a client of [`open_hook`].
///
/// # Safety
///
/// 1. A number of [`open_hook`], once.
pub unsafe fn close_hook<S: System>(registration: u64) {
    // SAFETY: obligation 1.
    let client = unsafe { Shared::<HookClient>::from_address(registration) };
    close::<S>(&client);
}

fn close<S: System>(client: &HookClient) {
    let handle = client.handle.swap(0, Ordering::AcqRel);
    // SAFETY: the handle of this client, taken out once.
    unsafe { S::deregister(handle) };
}

callbacks! {
    /// `ClientAttachProvider`; the context is the client.
    fn attach<S: System>(binding: u64, context: u64, instance: *const RegistrationInstance) -> i32 {
        // SAFETY: the registrar's structure; the client stays while it is registered.
        let (provider, client) =
            unsafe { (provider(instance), Shared::<HookClient>::clone_address(context)) };
        let Some((module, data)) = provider else {
            return STATUS_INVALID_PARAMETER;
        };
        let outlet = &client.outlet;
        if module.guid != outlet.attach_type() {
            return NO_INTERFACE;
        }
        let admitted = S::image(data, |memory| outlet.admit(memory, data).is_ok());
        if admitted != Some(true) {
            return STATUS_INVALID_PARAMETER;
        }
        // SAFETY: inside the callback for the binding; the outlet stays while the client does.
        let status = unsafe { S::attach(binding, outlet.address(), address(outlet.dispatch())) };
        if status < 0 {
            outlet.leave();
        }
        status
    }

    /// `ClientDetachProvider`; the context is the outlet.
    fn detach(outlet: u64) -> i32 {
        // SAFETY: the outlet stays while its client is registered.
        let outlet = unsafe { Shared::<Outlet>::clone_address(outlet) };
        outlet.leave();
        STATUS_SUCCESS
    }
}
