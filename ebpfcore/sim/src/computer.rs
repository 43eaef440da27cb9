//! A simulated computer on which driver files run as they are: `ebpfcore.sys` itself, and native
//! modules beside it.
//!
//! Each service's image is mapped with the protections of HVCI and bound to the functions of
//! `testkernel`, which are also those that the drivers meet under Wine; drivers find each other through its
//! registrar, hook its filtering platform, and serve requests of its I/O manager. A fault of a
//! driver ends the process with its name. What is left out: processors of the machine are threads of
//! this process, and nothing enforces the size of a kernel stack.

use crate::raw::loaded::{Loaded, file_name};
use crate::raw::mapping::Protection;
use crate::{Error, ModuleIdValue};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use testkernel::raw::device::Caller;
use testkernel::registry::{REG_DWORD, REG_SZ, Registry, SERVICES, Value, join, service_key};
use testkernel::work::Manager;
use testkernel::{Machine, status};

pub use testkernel::event;
pub use testkernel::raw::device::{Pending, Reply};
pub use testkernel::traffic;

/// The file of a service, and the driver while it runs.
struct Service {
    file: Arc<[u8]>,
    running: Option<Loaded>,
}

/// Services by name in the order in which they were started last.
#[derive(Default)]
struct Services {
    all: BTreeMap<String, Service>,
    started: Vec<String>,
}

struct Inner {
    machine: Arc<Machine>,
    services: Mutex<Services>,
}

/// The computer. Dropping it stops its services, the newest first.
pub struct Computer(Arc<Inner>);

impl fmt::Debug for Computer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services = lock(&self.0.services);
        f.debug_tuple("Computer").field(&services.started).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Computer {
    fn default() -> Computer {
        Computer::new()
    }
}

impl Computer {
    /// A computer without services.
    #[must_use]
    pub fn new() -> Computer {
        let mut registry = Registry::default();
        registry.make_key(SERVICES);
        let inner = Arc::new(Inner {
            machine: Machine::new(registry),
            services: Mutex::default(),
        });
        let own: Weak<Inner> = Arc::downgrade(&inner);
        inner.machine.work.set_manager(own);
        Computer(inner)
    }

    /// What its drivers share.
    #[must_use]
    pub fn machine(&self) -> &Arc<Machine> {
        &self.0.machine
    }

    /// Makes a service of a driver file: its registry key, with the module id if there is one.
    pub fn create(&self, name: &str, file: &[u8], module_id: &ModuleIdValue) {
        let key = service_key(name);
        let path: Vec<u8> = file_name(name)
            .encode_utf16()
            .chain([0])
            .flat_map(u16::to_le_bytes)
            .collect();
        self.0.machine.change_registry(|registry| {
            registry.add_service(name, module_id);
            let (kind, data) = (REG_SZ, path);
            registry.set(&key, "ImagePath", Value { kind, data });
        });
        let service = Service {
            file: file.into(),
            running: None,
        };
        lock(&self.0.services).all.insert(name.to_owned(), service);
    }

    /// Sets a number below `Parameters` of a service.
    pub fn set_number(&self, service: &str, name: &str, number: u32) {
        let key = join(&service_key(service), abi::native::nmr::PARAMETERS_SUBKEY);
        let (kind, data) = (REG_DWORD, number.to_le_bytes().to_vec());
        self.0.machine.change_registry(|registry| {
            registry.set(&key, name, Value { kind, data });
        });
    }

    /// Starts a service.
    ///
    /// # Errors
    /// There is none of this name, it runs already, or its driver does not start.
    pub fn start(&self, name: &str) -> Result<(), Error> {
        self.0.start(name)
    }

    /// Stops a service: its driver is unloaded and unmapped.
    ///
    /// # Errors
    /// It does not run, or its driver cannot be unloaded.
    pub fn stop(&self, name: &str) -> Result<(), Error> {
        self.0.stop(name)
    }

    /// A process of user mode.
    #[must_use]
    pub fn process(&self, id: u64) -> Caller {
        Caller::new(&self.0.machine, id)
    }

    /// Brings frames to the drivers' hooks; a fault is told by the name of a service.
    #[must_use]
    pub fn bring(&self, traffic: &traffic::Traffic) -> traffic::Outcome {
        traffic::run(&self.0.machine, traffic)
    }

    /// Asks the drivers' hooks about an operation of a socket.
    #[must_use]
    pub fn ask(&self, event: &event::Event) -> event::Answer {
        event::ask(&self.0.machine, event)
    }

    /// Ends a flow that an event began.
    pub fn end_flow(&self, flow: u64) {
        event::end_flow(&self.0.machine, flow);
    }

    /// Everything that is wrong or left, in words: broken rules, memory of the pool, registrations,
    /// objects of the platforms.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        testkernel::control::faults(&self.0.machine)
    }

    /// The first page of a running service's image that has a protection.
    #[must_use]
    pub fn page(&self, service: &str, protection: Protection) -> Option<u64> {
        let services = lock(&self.0.services);
        services
            .all
            .get(service)?
            .running
            .as_ref()?
            .page(protection)
    }
}

impl Inner {
    fn start(&self, name: &str) -> Result<(), Error> {
        let known = {
            let services = lock(&self.services);
            let service = services.all.get(name);
            service.map(|service| (Arc::clone(&service.file), service.running.is_some()))
        };
        let file = match known {
            Some((file, false)) => file,
            Some((_, true)) => return Err(running(name)),
            None => return Err(self.not_running(name)),
        };
        // The driver may ask the manager for others, so nothing is locked while it starts.
        let loaded = Loaded::start(&self.machine, &file, name)?;
        let mut services = lock(&self.services);
        services.started.push(name.to_owned());
        match services.all.get_mut(name) {
            Some(service) => service.running = Some(loaded),
            None => return Err(running(name)),
        }
        Ok(())
    }

    fn stop(&self, name: &str) -> Result<(), Error> {
        let mut services = lock(&self.services);
        services.started.retain(|other| other != name);
        let loaded = services.all.get_mut(name);
        let loaded = loaded.and_then(|service| service.running.take());
        drop(services);
        loaded.ok_or_else(|| self.not_running(name))?.stop()
    }

    fn not_running(&self, name: &str) -> Error {
        Error::NotRunning {
            service: name.to_owned(),
            running: lock(&self.services).started.clone(),
        }
    }
}

fn running(name: &str) -> Error {
    Error::Running {
        service: name.to_owned(),
    }
}

/// The name of a service by the path of its key.
fn name_of(key: &str) -> Option<&str> {
    key.rsplit('\\').next().filter(|name| !name.is_empty())
}

fn status_of(result: Result<(), Error>) -> u32 {
    match result {
        Ok(()) => status::SUCCESS,
        Err(Error::Entry { status }) => status,
        Err(_) => status::OBJECT_NAME_NOT_FOUND,
    }
}

impl Manager for Inner {
    fn load(&self, key: &str) -> u32 {
        name_of(key).map_or(status::INVALID_PARAMETER, |name| {
            status_of(self.start(name))
        })
    }

    fn unload(&self, key: &str) -> u32 {
        name_of(key).map_or(status::INVALID_PARAMETER, |name| status_of(self.stop(name)))
    }
}

impl Drop for Computer {
    fn drop(&mut self) {
        let started = lock(&self.0.services).started.clone();
        for name in started.iter().rev() {
            // What a driver left is told by `faults`, which comes before.
            let _ = self.0.stop(name);
        }
    }
}
