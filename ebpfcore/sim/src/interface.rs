//! Frames of an interface of this host on their way through the hooks: driver images come and go as
//! services, and what they decide happens to real traffic.
//!
//! The caller owns the interface and moves the frames. Invariant: a driver is unloaded only after the
//! runtime said that nobody uses its code. What is left out: sending a frame back to where it came
//! from ([`Action::Transmit`] is told, not done); services by message.

use crate::platform::Environment;
use crate::raw::gate;
use crate::service::{self, Service, ServiceOptions};
use crate::{Error, ModuleIdValue};
use ebpfcore::control::{Control, Detached, NoSettings, Shell};
use ebpfcore::hooks::{self, Action};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// An interface with the drivers that look at its frames.
pub struct Interface {
    control: Control,
    services: BTreeMap<String, (u64, Service)>,
    /// Stopped, but not yet free to go.
    leaving: Vec<(u64, Service)>,
    system: &'static System,
    next: u64,
    index: u32,
}

/// What the runtime tells of modules that were still used when they were stopped.
#[derive(Default)]
struct System {
    gone: Mutex<Vec<u64>>,
}

impl Shell for System {
    fn module_gone(&self, binding: u64) {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.push(binding);
    }
}

impl Interface {
    /// An interface without drivers. `index` is what programs see of it.
    ///
    /// # Errors
    /// Memory is exhausted.
    pub fn new(index: u32) -> Result<Interface, Error> {
        let no_memory = |_| Error::Memory(std::io::ErrorKind::OutOfMemory.into());
        let hooks = hooks::make().map_err(no_memory)?;
        // The runtime of a process stays until it ends.
        let system: &'static System = Box::leak(Box::default());
        let control = service::control(Environment::default(), hooks, system)?;
        Ok(Interface {
            control,
            services: BTreeMap::new(),
            leaving: Vec::new(),
            system,
            next: 1,
            index,
        })
    }

    /// Starts a driver as `sc start` does: its programs are at their hooks when this returns.
    ///
    /// # Errors
    /// As [`Service::start`]; a driver of this name runs already.
    pub fn start(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        if self.services.contains_key(name) {
            return Err(Error::Running {
                service: name.to_owned(),
            });
        }
        let options = ServiceOptions {
            name,
            module_id: ModuleIdValue::NoKey,
            file_hash: None,
            settings: &NoSettings,
        };
        let service = Service::start(&self.control, bytes, (self.next, &options))?;
        self.services.insert(name.to_owned(), (self.next, service));
        self.next += 1;
        Ok(())
    }

    /// Stops a driver: its programs have left their hooks when this returns.
    ///
    /// # Errors
    /// No driver of this name runs; as [`Service::unload`].
    pub fn stop(&mut self, name: &str) -> Result<(), Error> {
        let Some((binding, service)) = self.services.remove(name) else {
            return Err(Error::NotRunning {
                service: name.to_owned(),
                running: self.services.keys().cloned().collect(),
            });
        };
        match service.detach(&self.control) {
            Detached::Now => service.unload()?,
            Detached::Later => self.leaving.push((binding, service)),
        }
        self.unload_free()
    }

    /// Unloads the stopped drivers that nobody uses any more.
    fn unload_free(&mut self) -> Result<(), Error> {
        let gone = self.system.gone.lock();
        let gone = std::mem::take(&mut *gone.unwrap_or_else(PoisonError::into_inner));
        let is_free = |(binding, _): &mut (u64, Service)| gone.contains(binding);
        let free: Vec<_> = self.leaving.extract_if(.., is_free).collect();
        free.into_iter()
            .try_for_each(|(_, service)| service.unload())
    }

    /// What the programs decide about a frame that came in; they may change it.
    #[must_use]
    pub fn decide(&self, frame: &mut [u8]) -> Action {
        gate::frame(&self.control, frame, self.index)
    }
}
