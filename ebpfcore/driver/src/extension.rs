//! Extensions: the registrar's functions for `ebpfcore_nmr`, and the images of extensions.

use crate::import as nt;
use crate::level::Passive;
use crate::module::Image;
use crate::runtime;
use abi::native::nmr::Characteristics;
use ebpfcore::control::Control;
use ebpfcore::native::ModuleMemory;
use ebpfcore_nmr::{System, Watches};
use wdk::nt::STATUS_PENDING;

/// The system's registrar.
pub(crate) struct Registrar;

static WATCHES: Watches<Registrar> = Watches::new();

/// Registers the clients that find extensions; those that are there attach at once.
pub(crate) fn start(_: &Passive) -> Result<(), i32> {
    // SAFETY: called once, when the driver starts.
    unsafe { WATCHES.start() }
}

/// Takes them back and waits until no extension is attached.
pub(crate) fn stop(_: &Passive) {
    WATCHES.stop();
}

impl System for Registrar {
    fn control() -> Option<&'static Control> {
        runtime::control()
    }

    fn image<T>(address: u64, look: impl FnOnce(&dyn ModuleMemory) -> T) -> Option<T> {
        Image::of(address).map(|image| look(&image))
    }

    unsafe fn register(client: &Characteristics, context: u64, handle: &mut u64) -> i32 {
        // SAFETY: the caller's obligation.
        unsafe { nt::NmrRegisterClient(client, context, handle) }
    }

    unsafe fn deregister(handle: u64) {
        // SAFETY: the caller's obligation.
        unsafe {
            if nt::NmrDeregisterClient(handle) == STATUS_PENDING {
                nt::NmrWaitForClientDeregisterComplete(handle);
            }
        }
    }

    unsafe fn attach(binding: u64, context: u64, dispatch: u64) -> i32 {
        let (mut theirs, mut functions) = (0, 0);
        // SAFETY: the caller's obligation; live variables.
        unsafe {
            nt::NmrClientAttachProvider(
                binding,
                context,
                dispatch,
                &raw mut theirs,
                &raw mut functions,
            )
        }
    }
}
