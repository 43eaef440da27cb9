//! The runtime as a client of the Network Module Registrar: it finds extensions.
//!
//! [`Watches`] are two clients that stay: for providers of program information and of functions.
//! For each program at the hook of an extension there is one more ([`open_hook`]), with the
//! parameter of the attachment as its data and the outlet as its context. Callbacks pass what they
//! see to `ebpfcore::control`, which decides.
//!
//! Invariants: `no_std`; functions of the registrar come from a [`System`], so that all of it runs
//! and is tested on any host; a client's structures stay where they are until it is deregistered.
//! Left out: policy, which is the portable runtime's.
#![no_std]
#![expect(unsafe_code, reason = "is called by the registrar, with addresses")]

mod hook;
mod watch;

pub use hook::{close_hook, open_hook};
pub use watch::Watches;

use abi::native::nmr::{Characteristics, ModuleId, RegistrationInstance};
use ebpfcore::{control::Control, native::ModuleMemory};

/// `STATUS_NOINTERFACE`: this provider is not meant.
const NO_INTERFACE: i32 = 0xc000_02b9_u32.cast_signed();

/// The registrar, and what surrounds the runtime. All at PASSIVE_LEVEL.
pub trait System: 'static {
    /// The runtime, while it runs.
    fn control() -> Option<&'static Control>;

    /// Shows the image of the driver that an address lies in; `None` when there is none.
    fn image<T>(address: u64, look: impl FnOnce(&dyn ModuleMemory) -> T) -> Option<T>;

    /// `NmrRegisterClient`: characteristics, context, handle.
    ///
    /// # Safety
    ///
    /// As the system's function: what the characteristics refer to stays until the client is
    /// deregistered, its callbacks have the types of the registrar.
    unsafe fn register(client: &Characteristics, context: u64, handle: &mut u64) -> i32;

    /// `NmrDeregisterClient`, and the wait for its completion when that is pending.
    ///
    /// # Safety
    ///
    /// A handle that was registered, once.
    unsafe fn deregister(handle: u64);

    /// `NmrClientAttachProvider`: binding, own context, own functions; what the provider gives is
    /// not used.
    ///
    /// # Safety
    ///
    /// Inside the attach callback for the binding; context and functions stay until it has
    /// detached.
    unsafe fn attach(binding: u64, context: u64, dispatch: u64) -> i32;
}

/// Makes callbacks in the calling convention of the kernel.
macro_rules! callbacks {
    ($($(#[$meta:meta])* fn $name:ident$(<$system:ident: System>)?($($arg:ident: $type:ty),*) -> i32 $body:block)*) => {
        $(
            $(#[$meta])*
            #[cfg(all(target_arch = "x86_64", not(windows)))]
            unsafe extern "win64" fn $name$(<$system: $crate::System>)?($($arg: $type),*) -> i32 $body
            $(#[$meta])*
            #[cfg(any(windows, not(target_arch = "x86_64")))]
            unsafe extern "system" fn $name$(<$system: $crate::System>)?($($arg: $type),*) -> i32 $body
        )*
    };
}
use callbacks;

/// What a provider says of itself: who it is, and the address of its data.
///
/// # Safety
///
/// The registrar's structure for a provider, or null.
unsafe fn provider(instance: *const RegistrationInstance) -> Option<(ModuleId, u64)> {
    // SAFETY: the caller's obligation.
    let instance = unsafe { instance.as_ref() }?;
    let id = core::ptr::with_exposed_provenance::<ModuleId>(instance.module_id as usize);
    // SAFETY: null, or the id that the provider registered with.
    let id = unsafe { id.as_ref() }?;
    Some((*id, instance.npi_specific_characteristics))
}

/// The address of a value that stays.
fn address<T>(value: &T) -> u64 {
    core::ptr::from_ref(value).expose_provenance() as u64
}

/// A registration without callbacks.
fn characteristics(npi: &'static abi::Guid, module: &ModuleId, data: u64) -> Characteristics {
    Characteristics {
        length: size_of::<Characteristics>() as u16,
        instance: RegistrationInstance {
            size: size_of::<RegistrationInstance>() as u16,
            npi_id: address(npi),
            module_id: address(module),
            npi_specific_characteristics: data,
            ..RegistrationInstance::default()
        },
        ..Characteristics::default()
    }
}
