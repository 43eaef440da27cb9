//! Driver images as services: each is started, attaches to the control side of a runtime, and is
//! stopped again, beside others.
//!
//! Invariant: a service is unmapped only after the runtime said that nobody uses its code. What is
//! left out: the service manager, whose part the caller plays.

use crate::platform::{Environment, HostPlatform};
use crate::raw::extensions::HostExtensions;
use crate::{Driver, Error};
use ebpfcore::control::{Control, Detached, Settings, Shell};
use ebpfcore::{Core, Hook};
use testkernel::registry::ModuleIdValue;

/// The control side of a runtime on this host.
///
/// # Errors
/// Memory is exhausted.
pub fn control(
    environment: Environment,
    hooks: Vec<Hook>,
    shell: &'static dyn Shell,
) -> Result<Control, Error> {
    let core = Core::new(HostPlatform::leaked(environment));
    let core = core.map_err(|_| Error::Memory(std::io::ErrorKind::OutOfMemory.into()))?;
    Ok(Control::new(core, hooks, &HostExtensions).with_shell(shell))
}

/// What is known of a service before it starts.
pub struct ServiceOptions<'a> {
    /// Its name.
    pub name: &'a str,
    /// What its registry key says about the module id.
    pub module_id: ModuleIdValue,
    /// Hash of its file, as an authorisation has it.
    pub file_hash: Option<[u8; 32]>,
    /// Numbers below its registry key.
    pub settings: &'a dyn Settings,
}

/// A started driver that is attached to a runtime.
pub struct Service {
    binding: u64,
    driver: Driver,
}

impl Service {
    /// Starts a driver and lets it attach. `binding` names it in what the shell is told.
    ///
    /// # Errors
    /// As [`crate::Host::from_image`]; the runtime refuses the module.
    pub fn start(
        control: &Control,
        bytes: &[u8],
        (binding, options): (u64, &ServiceOptions<'_>),
    ) -> Result<Service, Error> {
        let driver = Driver::start(bytes, options.name, &options.module_id)?;
        driver.attach_to(control, (binding, options))?;
        Ok(Service { binding, driver })
    }

    /// Takes the driver from the runtime: its programs are not called any more.
    #[must_use]
    pub fn detach(&self, control: &Control) -> Detached {
        control.detach_module(self.binding)
    }

    /// Unloads a driver that was detached and is not used any more.
    ///
    /// # Errors
    /// The driver has no unload routine, or does not deregister there.
    pub fn unload(mut self) -> Result<(), Error> {
        self.driver.stop()
    }

    /// First byte of the image, and its size.
    #[must_use]
    pub fn image_range(&self) -> (u64, u64) {
        self.driver.image_range()
    }
}
