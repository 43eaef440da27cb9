//! The runtime in this process, for hosts that have no driver: tests and tools.
//!
//! It is the same runtime with the same messages; what is missing is the network stack that calls
//! programs, so attached programs wait in vain, and test runs are how programs run. It ends with the
//! process, and other processes do not see it.

use crate::{Answer, Cause, Client, Error, Mapped, NewService, Section, Transport, Waiting};
use abi::ioctl::{Handle, Request};
use abi::result::EbpfResult;
use ebpfcore::Status;
use ebpfcore_sim::device::services::ServiceError;
use ebpfcore_sim::device::{self, Device, Process};
use ebpfcore_sim::{Clock, Environment, Random};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Processors of the simulated machine: several, so that nobody forgets that there are.
const CPUS: u32 = 4;

/// A runtime in this process.
#[derive(Clone)]
pub struct Simulator {
    process: Arc<Process>,
}

impl Simulator {
    /// A new runtime, without programs.
    ///
    /// # Errors
    /// Memory is exhausted.
    pub fn new() -> Result<Simulator, Error> {
        let environment = Environment {
            cpus: CPUS,
            clock: Clock::Host,
            random: Random::Host,
            pid_tid: (std::process::id(), std::process::id()),
        };
        let device = Device::new(environment);
        let device = device.map_err(|_| Error::new("start a runtime", EbpfResult::NoMemory))?;
        Ok(Simulator {
            process: device.open(),
        })
    }

    /// The runtime that everybody in this process shares.
    ///
    /// # Errors
    /// Memory is exhausted.
    pub fn of_this_process() -> Result<Simulator, Error> {
        static SHARED: OnceLock<Simulator> = OnceLock::new();
        if let Some(simulator) = SHARED.get() {
            return Ok(simulator.clone());
        }
        let new = Simulator::new()?;
        Ok(SHARED.get_or_init(|| new).clone())
    }

    /// Another process of the same runtime: it has its own handles.
    #[must_use]
    pub fn another_process(&self) -> Simulator {
        Simulator {
            process: self.process.device().open(),
        }
    }

    /// A client of it.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::over(Arc::new(self.clone()))
    }

    /// The device, for what only its host can do: services, trace output, open handles.
    #[must_use]
    pub fn device(&self) -> &Arc<Device> {
        self.process.device()
    }

    /// Handles that are open.
    #[must_use]
    pub fn handle_count(&self) -> usize {
        self.process.handle_count()
    }

    fn service(what: &'static str, done: Result<(), ServiceError>) -> Result<(), Cause> {
        done.map_err(|_| Cause::Service { what, code: 0 })
    }
}

impl Transport for Simulator {
    fn send(&self, message: &[u8], room: usize) -> Result<Answer, Cause> {
        match self.process.send(message, room) {
            Ok(device::Answer::Done(reply)) => Ok(Answer::Done(reply)),
            Ok(device::Answer::Later(waiting)) => Ok(Answer::Later(Box::new(Pended(waiting)))),
            Err(status) => Err(cause(status)),
        }
    }

    fn close(&self, handle: Handle) {
        let mut message = [0; 16];
        let request = Request::CloseHandle { handle };
        if request.encode(&mut message).is_ok() {
            // The process may have closed it itself.
            let _ = self.process.send(&message, 8);
        }
    }

    /// The runtime is a part of this process, and its handles to sections are addresses. Its own
    /// records go on where the ring ends, so they are there once.
    fn map(&self, section: Section) -> Result<Box<dyn Mapped>, Cause> {
        Ok(Box::new(Own(section)))
    }

    fn cpu_count(&self) -> u32 {
        self.process.device().cpu_count()
    }

    fn create_service(&self, service: &NewService<'_>) -> Result<(), Cause> {
        let bytes = std::fs::read(service.file)?;
        let device = self.process.device();
        let made = device.create_service(service.name, &bytes, Some(service.module_id));
        Simulator::service("make a service", made)
    }

    fn retire_service(&self, name: &str) -> Result<(), Cause> {
        Simulator::service(
            "delete a service",
            self.process.device().delete_service(name),
        )
    }

    fn remove_service(&self, name: &str) -> Result<(), Cause> {
        let device = self.process.device();
        match device.stop_service(name) {
            Ok(()) | Err(ServiceError::Stopped | ServiceError::Missing) => {}
            stopped => Simulator::service("stop a service", stopped)?,
        }
        match device.delete_service(name) {
            Ok(()) | Err(ServiceError::Missing) => Ok(()),
            deleted => Simulator::service("delete a service", deleted),
        }
    }
}

/// A request that ends later.
struct Pended(device::Waiting);

impl Waiting for Pended {
    fn wait(&self, timeout: Option<Duration>) -> Option<Result<Vec<u8>, Cause>> {
        Some(self.0.wait(timeout)?.map_err(cause))
    }

    fn cancel(&self) {
        self.0.cancel();
    }
}

/// Memory of the runtime.
struct Own(Section);

impl Mapped for Own {
    fn address(&self) -> usize {
        self.0.handle as usize
    }

    fn len_bytes(&self) -> usize {
        self.0.len_bytes as usize
    }
}

/// What a status of the runtime is outside.
fn cause(status: Status) -> Cause {
    EbpfResult::from_number(status.number())
        .unwrap_or(EbpfResult::Failed)
        .into()
}
