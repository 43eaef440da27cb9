//! The service manager of a simulated device: driver images by name, started and stopped.
//!
//! A service is made with the bytes of its driver and, perhaps, the module id in its registry key;
//! it is started by hand or by the runtime when a message asks for it. A service that is deleted while it
//! runs is gone when it stops, as on Windows.

use super::{Device, lock};
use crate::service::{Service, ServiceOptions};
use crate::{Error, ModuleIdValue};
use abi::Guid;
use abi::ioctl::Handle;
use ebpfcore::Status;
use ebpfcore::control::{Detached, NoSettings, Shell};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use testkernel::registry::SERVICES;

/// Why a service operation failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServiceError {
    /// There is none of this name.
    Missing,
    /// There is one of this name already.
    Exists,
    /// It runs already.
    Running,
    /// It does not run.
    Stopped,
    /// Its driver does not start.
    Driver(Error),
}

/// The services of one device, and what the runtime asked for while it served a message.
#[derive(Default)]
pub(super) struct System {
    device: OnceLock<Weak<Device>>,
    services: Mutex<BTreeMap<String, Entry>>,
    tasks: Mutex<Vec<Task>>,
    last_binding: Mutex<u64>,
}

struct Entry {
    bytes: Arc<[u8]>,
    module_id: Option<Guid>,
    running: Option<(u64, Service)>,
    /// Gone as soon as it does not run.
    deleted: bool,
}

/// What is done after a message was served.
enum Task {
    /// Stop a service, by its name.
    Stop(String),
    /// A driver that was detached is not used any more.
    Unload(u64),
}

impl Device {
    /// Makes a service of a driver image. `module_id` is what its registry key says.
    ///
    /// # Errors
    /// [`ServiceError::Exists`].
    pub fn create_service(
        &self,
        name: &str,
        bytes: &[u8],
        module_id: Option<Guid>,
    ) -> Result<(), ServiceError> {
        let mut services = lock(&self.system.services);
        if services.contains_key(name) {
            return Err(ServiceError::Exists);
        }
        let entry = Entry {
            bytes: bytes.into(),
            module_id,
            running: None,
            deleted: false,
        };
        services.insert(name.to_owned(), entry);
        Ok(())
    }

    /// Starts a service.
    ///
    /// # Errors
    /// It does not exist, runs already, or its driver does not start.
    pub fn start_service(&self, name: &str) -> Result<(), ServiceError> {
        let (bytes, module_id) = {
            let services = lock(&self.system.services);
            let entry = services.get(name).ok_or(ServiceError::Missing)?;
            if entry.running.is_some() {
                return Err(ServiceError::Running);
            }
            (Arc::clone(&entry.bytes), entry.module_id)
        };
        let binding = {
            let mut last = lock(&self.system.last_binding);
            *last += 1;
            *last
        };
        let options = ServiceOptions {
            name,
            module_id: module_id.map_or(ModuleIdValue::NoKey, ModuleIdValue::of),
            file_hash: Some(Sha256::digest(&bytes).into()),
            settings: &NoSettings,
        };
        let service = Service::start(&self.control, &bytes, (binding, &options));
        let service = service.map_err(ServiceError::Driver)?;
        if let Some(entry) = lock(&self.system.services).get_mut(name) {
            entry.running = Some((binding, service));
        }
        Ok(())
    }

    /// Stops a service: its programs are not called any more. The driver stays in memory as long as
    /// somebody holds one of its programs.
    ///
    /// # Errors
    /// It does not exist or run.
    pub fn stop_service(&self, name: &str) -> Result<(), ServiceError> {
        let (binding, service) = {
            let mut services = lock(&self.system.services);
            let entry = services.get_mut(name).ok_or(ServiceError::Missing)?;
            let running = entry.running.take().ok_or(ServiceError::Stopped)?;
            if entry.deleted {
                services.remove(name);
            }
            running
        };
        match service.detach(&self.control) {
            Detached::Now => service.unload().map_err(ServiceError::Driver),
            Detached::Later => {
                let mut leaving = lock(&self.system.services);
                let entry = Entry {
                    bytes: Arc::from([]),
                    module_id: None,
                    running: Some((binding, service)),
                    deleted: true,
                };
                leaving.insert(leaving_name(binding), entry);
                Ok(())
            }
        }
    }

    /// Deletes a service; at once when it does not run.
    ///
    /// # Errors
    /// It does not exist.
    pub fn delete_service(&self, name: &str) -> Result<(), ServiceError> {
        let mut services = lock(&self.system.services);
        let entry = services.get_mut(name).ok_or(ServiceError::Missing)?;
        entry.deleted = true;
        if entry.running.is_none() {
            services.remove(name);
        }
        Ok(())
    }

    /// Names of all services, those of drivers in memory that were stopped included.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        lock(&self.system.services).keys().cloned().collect()
    }

    /// Does what the runtime asked for while it served messages. No lock of the runtime is held.
    pub(super) fn stop_idle(&self) {
        loop {
            let task = lock(&self.system.tasks).pop();
            match task {
                // It may be stopped already.
                Some(Task::Stop(name)) => drop(self.stop_service(&name)),
                Some(Task::Unload(binding)) => {
                    let left = lock(&self.system.services).remove(&leaving_name(binding));
                    if let Some((_, service)) = left.and_then(|entry| entry.running) {
                        // Nobody is left who could be told.
                        let _ = service.unload();
                    }
                }
                None => return,
            }
        }
    }
}

/// Where a driver is kept that was stopped and is still used; no service has such a name.
fn leaving_name(binding: u64) -> String {
    format!("\\{binding}")
}

impl System {
    /// The runtime wants its shell for ever.
    pub(super) fn leaked() -> &'static System {
        Box::leak(Box::default())
    }

    pub(super) fn belongs_to(&self, device: &Arc<Device>) {
        // Set once, when the device is made.
        let _ = self.device.set(Arc::downgrade(device));
    }
}

impl Shell for System {
    fn load_driver(&self, service: &[u8]) -> Result<(), Status> {
        let name = service_name(service).ok_or(Status::InvalidArgument)?;
        let device = self.device.get().and_then(Weak::upgrade);
        let device = device.ok_or(Status::InvalidState)?;
        device.start_service(&name).map_err(|error| match error {
            ServiceError::Missing => Status::ObjectNotFound,
            _ => Status::Failed,
        })
    }

    fn unload_driver(&self, service: &[u8]) {
        if let Some(name) = service_name(service) {
            lock(&self.tasks).push(Task::Stop(name));
        }
    }

    fn module_gone(&self, binding: u64) {
        lock(&self.tasks).push(Task::Unload(binding));
    }

    fn event(&self, handle: Handle) -> Result<u64, Status> {
        let device = self.device.get().and_then(Weak::upgrade);
        let device = device.ok_or(Status::InvalidState)?;
        device.platform.events().reference(handle)
    }
}

/// The name of a service from the UTF-16 path of its registry key.
fn service_name(path: &[u8]) -> Option<String> {
    let units: Vec<u16> = path
        .chunks_exact(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
        .collect();
    let path = String::from_utf16(&units).ok()?;
    let rest = path.get(SERVICES.len()..)?;
    let below = path.get(..SERVICES.len())?.eq_ignore_ascii_case(SERVICES);
    let name = rest.strip_prefix('\\')?;
    (below && !name.is_empty()).then(|| name.to_owned())
}
