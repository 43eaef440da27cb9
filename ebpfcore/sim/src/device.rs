//! The runtime's device on this host: what `\\.\EbpfIoDevice` is to processes on Windows.
//!
//! A [`Device`] is one runtime with the hooks of the driver; a [`Process`] has handles of its own and
//! sends messages of the device protocol. Requests that end later are waited for or cancelled.
//! [`services`] plays the service manager, so that driver images are loaded by the same messages as on
//! Windows.
//!
//! Invariants: handles are closed when their process is dropped; a driver is unmapped only after the
//! runtime said that nobody uses it; test runs follow each other, as on one processor. Left out: the
//! network stack that would call the hooks, access rights (every process is privileged).

pub mod services;

use crate::Error;
use crate::platform::{Environment, HostPlatform};
use abi::ioctl::{Handle, Operation, Request};
use ebpfcore::control::{Client, Control, Pages};
use ebpfcore::hooks::{self, HookHelpers};
use ebpfcore::{Core, Status};
use services::System;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// First handle of a process; handles are multiples of 4, as on Windows.
const FIRST_HANDLE: u64 = 0x40;

/// A runtime that processes can open.
pub struct Device {
    control: Control,
    platform: &'static HostPlatform,
    system: &'static System,
    /// Held by the test run that has the processor.
    processor: Mutex<()>,
}

/// A process that has the device open.
pub struct Process {
    device: Arc<Device>,
    handles: Mutex<Handles>,
}

#[derive(Default)]
struct Handles {
    objects: BTreeMap<u64, u32>,
    last: u64,
}

/// What became of a message.
pub enum Answer {
    /// The bytes of the reply.
    Done(Vec<u8>),
    /// It ends later.
    Later(Waiting),
}

/// A request that ends later. Dropping it cancels it.
pub struct Waiting {
    process: Arc<Process>,
    ticket: u64,
}

impl Device {
    /// A runtime without programs.
    ///
    /// # Errors
    /// Memory is exhausted.
    pub fn new(environment: Environment) -> Result<Arc<Device>, Error> {
        let no_memory = |_| Error::Memory(std::io::ErrorKind::OutOfMemory.into());
        let platform = HostPlatform::leaked(environment);
        let system = System::leaked();
        let core = Core::new(platform).map_err(no_memory)?;
        let hooks = hooks::make().map_err(no_memory)?;
        let device = Arc::new(Device {
            control: Control::new(core, hooks, &HookHelpers).with_shell(system),
            platform,
            system,
            processor: Mutex::new(()),
        });
        system.belongs_to(&device);
        Ok(device)
    }

    /// A new process that has it open.
    #[must_use]
    pub fn open(self: &Arc<Device>) -> Arc<Process> {
        Arc::new(Process {
            device: Arc::clone(self),
            handles: Mutex::default(),
        })
    }

    /// The control side, for those who call hooks.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Number of processors that values of per-CPU maps have copies for.
    #[must_use]
    pub fn cpu_count(&self) -> u32 {
        ebpfcore::Platform::cpu_count(self.platform)
    }

    /// Takes the trace output of programs so far.
    #[must_use]
    pub fn take_trace(&self) -> crate::Trace {
        self.platform.take_trace()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.control.shut_down();
        self.stop_idle();
    }
}

impl Process {
    /// Sends a message; the reply has at most `room` bytes.
    ///
    /// # Errors
    /// What the runtime says.
    pub fn send(self: &Arc<Process>, message: &[u8], room: usize) -> Result<Answer, Status> {
        let caller = Caller {
            process: self,
            ticket: Cell::new(None),
        };
        let mut output = vec![0; room];
        let served = {
            let is_run = matches!(
                Request::decode(message).map(|request| request.operation()),
                Ok(Operation::ProgramTestRun)
            );
            let _processor = is_run.then(|| lock(&self.device.processor));
            let control = &self.device.control;
            control.serve(&caller, message, &mut output)
        };
        self.device.stop_idle();
        let waiting = caller.ticket.take().map(|ticket| Waiting {
            process: Arc::clone(self),
            ticket,
        });
        match (served, waiting) {
            (Err(Status::Pending), Some(waiting)) => Ok(Answer::Later(waiting)),
            (Ok(length), _) => {
                output.truncate(length);
                Ok(Answer::Done(output))
            }
            (Err(status), _) => Err(status),
        }
    }

    /// The device that it has open.
    #[must_use]
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Handles that are open.
    #[must_use]
    pub fn handle_count(&self) -> usize {
        lock(&self.handles).objects.len()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let handles = std::mem::take(&mut lock(&self.handles).objects);
        for id in handles.into_values() {
            self.device.control.handle_closed(id);
        }
        self.device.stop_idle();
    }
}

impl Waiting {
    /// Waits for the reply; `None` when it did not come in time.
    #[must_use]
    pub fn wait(&self, timeout: Option<Duration>) -> Option<Result<Vec<u8>, Status>> {
        let platform = self.process.device.platform;
        platform.tickets().wait(self.ticket, timeout)
    }

    /// Gives the request up; it ends with [`Status::Canceled`] unless it ended already.
    pub fn cancel(&self) {
        let device = &self.process.device;
        if device.control.cancel(self.ticket) {
            let tickets = device.platform.tickets();
            tickets.complete(self.ticket, Err(Status::Canceled));
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.cancel();
        self.process.device.platform.tickets().forget(self.ticket);
    }
}

/// The caller of one message.
struct Caller<'a> {
    process: &'a Process,
    ticket: Cell<Option<u64>>,
}

impl Client for Caller<'_> {
    fn open(&self, id: u32) -> Result<Handle, Status> {
        let mut handles = lock(&self.process.handles);
        let handle = handles.last.max(FIRST_HANDLE - 4) + 4;
        // Bytecode names maps by the low half of a handle.
        if handle > u64::from(u32::MAX) {
            return Err(Status::NoMemory);
        }
        handles.last = handle;
        handles.objects.insert(handle, id);
        Ok(Handle(handle))
    }

    fn object(&self, handle: Handle) -> Option<u32> {
        lock(&self.process.handles).objects.get(&handle.0).copied()
    }

    fn close(&self, handle: Handle) -> Option<u32> {
        lock(&self.process.handles).objects.remove(&handle.0)
    }

    fn is_privileged(&self) -> bool {
        true
    }

    fn pend(&self) -> Option<u64> {
        if self.ticket.get().is_some() {
            return None;
        }
        let ticket = self.process.device.platform.tickets().take();
        self.ticket.set(Some(ticket));
        Some(ticket)
    }

    /// One address space: the address of a part serves as the handle to it. It stays valid as long as
    /// its map is there.
    fn share(&self, pages: Pages) -> Result<u64, Status> {
        Ok(pages.address)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
