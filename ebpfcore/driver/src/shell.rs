//! What the runtime asks of the system beside the platform: drivers, events, processors.

use crate::extension::Registrar;
use crate::import as nt;
use crate::{device, text};
use abi::ioctl::Handle;
use alloc::boxed::Box;
use alloc::vec::Vec;
use ebpfcore::control::{CodeIntegrity, Control, Shell};
use ebpfcore::extension::Outlet;
use ebpfcore::{Shared, Status};

/// The system.
pub(crate) struct System;

/// A driver to stop, with the work item that does it.
struct Stop {
    item: u64,
    service: Vec<u16>,
}

/// Units of a path with a zero behind them, for kernels that look for the end instead of counting.
fn units(service: &[u8]) -> Result<Vec<u16>, Status> {
    let mut units = Vec::new();
    units
        .try_reserve_exact(service.len() / 2 + 1)
        .map_err(|_| Status::NoMemory)?;
    units.extend(
        service
            .as_chunks()
            .0
            .iter()
            .map(|pair| u16::from_le_bytes(*pair)),
    );
    units.push(0);
    Ok(units)
}

extern "system" fn stop_driver(_device: u64, context: u64) {
    let stop = core::ptr::with_exposed_provenance_mut::<Stop>(context as usize);
    // SAFETY: `unload_driver` made it for this call alone.
    let stop = unsafe { Box::from_raw(stop) };
    let service = text::counted(&stop.service);
    // SAFETY: a live string; the item is not queued any more.
    unsafe {
        nt::ZwUnloadDriver(&raw const service);
        nt::IoFreeWorkItem(stop.item);
    }
}

impl Shell for System {
    fn load_driver(&self, service: &[u8]) -> Result<(), Status> {
        let units = units(service)?;
        let service = text::counted(&units);
        // SAFETY: a live string.
        match unsafe { nt::ZwLoadDriver(&raw const service) } {
            0.. => Ok(()),
            _ => Err(Status::ExtensionFailedToLoad),
        }
    }

    /// Without memory the driver just stays.
    fn unload_driver(&self, service: &[u8]) {
        /// `DelayedWorkQueue`.
        const DELAYED: u32 = 1;
        let Ok(service) = units(service) else { return };
        // SAFETY: the device exists while the runtime does.
        let item = unsafe { nt::IoAllocateWorkItem(device::object()) };
        if item == 0 {
            return;
        }
        let stop = Box::into_raw(Box::new(Stop { item, service }));
        let context = stop.expose_provenance() as u64;
        // SAFETY: a fresh item; the system keeps the device until it has run.
        unsafe { nt::IoQueueWorkItem(item, stop_driver, DELAYED, context) };
    }

    fn links_changed(&self, _control: &Control) -> Result<(), Status> {
        crate::filtering::refresh()
    }

    fn module_gone(&self, binding: u64) {
        // SAFETY: the binding whose detaching was pending; told once.
        unsafe { nt::NmrProviderDetachClientComplete(binding) };
    }

    fn open_hook(&self, outlet: &Shared<Outlet>) -> Result<u64, Status> {
        ebpfcore_nmr::open_hook::<Registrar>(outlet)
    }

    fn close_hook(&self, registration: u64) {
        // SAFETY: from `open_hook`; the runtime gives it once.
        unsafe { ebpfcore_nmr::close_hook::<Registrar>(registration) };
    }

    fn provider_gone(&self, binding: u64) {
        // SAFETY: the binding whose detaching was pending; told once.
        unsafe { nt::NmrClientDetachProviderComplete(binding) };
    }

    fn event(&self, handle: Handle) -> Result<u64, Status> {
        const MODIFY_STATE: u32 = 2;
        const USER_MODE: i8 = 1;
        let mut event = 0;
        // SAFETY: a live variable; the type of events is a variable of the kernel.
        let found = unsafe {
            let kind = nt::ExEventObjectType;
            let variable = &raw mut event;
            nt::ObReferenceObjectByHandle(handle.0, MODIFY_STATE, kind, USER_MODE, variable, 0)
        };
        if found < 0 {
            Err(Status::InvalidFd)
        } else {
            Ok(event)
        }
    }

    fn stay_on(&self, cpu: Option<u32>) -> Result<(), Status> {
        match cpu {
            // SAFETY: 0 stands for what the thread had in user mode.
            None => unsafe { nt::KeRevertToUserAffinityThreadEx(0) },
            Some(cpu) => {
                let mask = 1u64.checked_shl(cpu).ok_or(Status::InvalidArgument)?;
                // SAFETY: a processor of the first group; others are refused.
                unsafe { nt::KeSetSystemAffinityThreadEx(mask) };
            }
        }
        Ok(())
    }

    fn code_integrity(&self) -> CodeIntegrity {
        const CODE_INTEGRITY: u32 = 103;
        const TEST_SIGNING: u32 = 0x02;
        const HYPERVISOR: u32 = 0x400;
        let mut answer = [8u32, 0];
        // SAFETY: the structure of this class: its length and the options.
        let status = unsafe {
            let (place, returned) = ((&raw mut answer).cast(), core::ptr::null_mut());
            nt::ZwQuerySystemInformation(CODE_INTEGRITY, place, 8, returned)
        };
        let options = if status < 0 { 0 } else { answer[1] };
        CodeIntegrity {
            hypervisor: options & HYPERVISOR != 0,
            test_signing: options & TEST_SIGNING != 0,
        }
    }
}
