//! The system around the runtime, as control operations need it.
//!
//! The runtime decides, the shell acts: it loads and unloads drivers, references events. All methods are
//! called at PASSIVE_LEVEL and without a lock of the runtime; what is needed where programs run is in
//! [`crate::Platform`]. Left out: files and the registry, which are
//! read by the shell before it asks (see [`super::Arrival`]).

use crate::{Shared, Status, extension::Outlet};
use abi::ioctl::Handle;

/// What the kernel says about code that it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CodeIntegrity {
    /// The hypervisor enforces that no page is writable and executable.
    pub hypervisor: bool,
    /// Drivers signed by test certificates are accepted.
    pub test_signing: bool,
}

/// Parts of a ring that a process can be given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Section {
    /// The position of the consumer, which writes it.
    Consumer = 0,
    /// The position of the producers.
    Producer = 1,
    /// The records.
    Data = 2,
}

/// A part of a ring, whole pages, for a process to map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pages {
    /// Which part; the process may write to [`Section::Consumer`] only.
    pub section: Section,
    /// What the host calls the memory of the ring; `None` when it is the runtime's own.
    pub memory: Option<u64>,
    /// Address of the first byte in the kernel.
    pub address: u64,
    /// Bytes: memory of the host that is mapped twice counts once.
    pub bytes: u64,
}

/// What the runtime needs from the system to answer control messages.
///
/// All methods have a default: a shell without that part of a system, for tests and hosts.
pub trait Shell: Sync {
    /// Starts the driver of a service; `service` is the path of its registry key, UTF-16
    /// little-endian. It attaches ([`super::Control::attach_module`]) before this returns.
    /// IRQL: PASSIVE.
    ///
    /// # Errors
    ///
    /// Why the driver did not start.
    fn load_driver(&self, service: &[u8]) -> Result<(), Status> {
        let _ = service;
        Err(Status::OperationNotSupported)
    }

    /// Programs were attached or detached: hooks that have some must be called from now on.
    /// IRQL: PASSIVE.
    ///
    /// # Errors
    ///
    /// Why the system cannot call a hook; what was attached is detached again.
    fn links_changed(&self, control: &super::Control) -> Result<(), Status> {
        let _ = control;
        Ok(())
    }

    /// Nobody uses the module of this service any more: its driver may be stopped, from another
    /// thread. IRQL: PASSIVE.
    fn unload_driver(&self, service: &[u8]) {
        let _ = service;
    }

    /// A module whose detaching was pending is not used any more: its code never runs again.
    /// `binding` is the number given in [`super::Arrival`]. IRQL: PASSIVE.
    fn module_gone(&self, binding: u64) {
        let _ = binding;
    }

    /// Registers a client of the hook of an extension for an outlet, and keeps the outlet until
    /// [`Shell::close_hook`]; gives a number for it. The providers that are there have attached, or
    /// not, when this returns. IRQL: PASSIVE.
    ///
    /// # Errors
    ///
    /// [`Status::ExtensionFailedToLoad`] when no provider of the hook attached.
    fn open_hook(&self, outlet: &Shared<Outlet>) -> Result<u64, Status> {
        let _ = outlet;
        Err(Status::ExtensionFailedToLoad)
    }

    /// Deregisters a client of a hook: when this returns the extension does not use its outlet any
    /// more. IRQL: PASSIVE.
    fn close_hook(&self, registration: u64) {
        let _ = registration;
    }

    /// A provider whose withdrawal was pending is not used any more. `binding` is the number given
    /// in [`crate::extension::Offer`]. IRQL: PASSIVE.
    fn provider_gone(&self, binding: u64) {
        let _ = binding;
    }

    /// References the event of a handle of the calling process. IRQL: PASSIVE.
    ///
    /// # Errors
    ///
    /// [`Status::InvalidFd`] when it is no event.
    fn event(&self, handle: Handle) -> Result<u64, Status> {
        let _ = handle;
        Err(Status::OperationNotSupported)
    }

    /// Keeps the calling thread on a processor, or lets it go again. IRQL: PASSIVE.
    ///
    /// # Errors
    ///
    /// [`Status::InvalidArgument`] when there is no such processor.
    fn stay_on(&self, cpu: Option<u32>) -> Result<(), Status> {
        match cpu {
            None => Ok(()),
            Some(_) => Err(Status::OperationNotSupported),
        }
    }

    /// What the kernel says about code that it runs. IRQL: PASSIVE.
    fn code_integrity(&self) -> CodeIntegrity {
        CodeIntegrity::default()
    }
}

/// A shell without a system.
pub struct NoShell;

impl Shell for NoShell {}
