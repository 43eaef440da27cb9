//! The runtime as a driver of this machine: its device, and services for native modules.
//!
//! Messages go through the device's one control code, each with an event of its own, so several may
//! be under way; what the protocol lets end later is handed out as such. Handles of the runtime are
//! given back by message, which works wherever the number means something to the driver: under Wine
//! such handles are not the system's (see `testkernel`).

mod device;
mod leftover;
mod registry;
mod section;
mod service;

pub use registry::{delete_stored, write_stored};

use crate::{Answer, Cause, Mapped, NewService, Section, Transport, Waiting};
use abi::ioctl::{self, Completion, Handle, Request};
pub(crate) use device::new_event;
use device::{Device, Pending};
use std::time::Duration;

/// The driver.
pub struct Driver {
    device: Device,
}

impl Driver {
    /// Opens its device.
    ///
    /// # Errors
    /// It does not run, or the caller may not.
    pub fn open() -> Result<Driver, Cause> {
        Device::open().map(|device| Driver { device })
    }
}

/// Whether the protocol lets a request end later.
fn pends(message: &[u8]) -> bool {
    let number = message.get(4..8).and_then(|bytes| bytes.try_into().ok());
    let row = number.and_then(|bytes| ioctl::row(u32::from_le_bytes(bytes)));
    row.is_some_and(|row| row.completion == Completion::Pends)
}

impl Transport for Driver {
    fn send(&self, message: &[u8], room: usize) -> Result<Answer, Cause> {
        let pending = self.device.begin(message, room)?;
        if pends(message) {
            return Ok(Answer::Later(Box::new(pending)));
        }
        let reply = pending.wait(None);
        reply.unwrap_or(Err(Cause::OtherReply)).map(Answer::Done)
    }

    fn close(&self, handle: Handle) {
        let mut message = [0; 16];
        if let Ok(length) = (Request::CloseHandle { handle }).encode(&mut message) {
            // The process may have closed it itself.
            let _ = self.send(&message[..length], ioctl::HEADER_BYTES);
        }
    }

    fn map(&self, section: Section) -> Result<Box<dyn Mapped>, Cause> {
        Ok(Box::new(section::View::new(section)?))
    }

    fn cpu_count(&self) -> u32 {
        device::cpu_count()
    }

    fn create_service(&self, service: &NewService<'_>) -> Result<(), Cause> {
        service::create(service)
    }

    fn retire_service(&self, name: &str) -> Result<(), Cause> {
        service::retire(name)
    }

    fn remove_service(&self, name: &str) -> Result<(), Cause> {
        service::remove(name)
    }
}

impl Waiting for Pending {
    fn wait(&self, timeout: Option<Duration>) -> Option<Result<Vec<u8>, Cause>> {
        self.result(timeout)
    }

    fn cancel(&self) {
        self.give_up();
    }
}

/// Text with its end, as the system takes it.
fn wide(text: &std::ffi::OsStr) -> Vec<u16> {
    use std::os::windows::ffi::OsStrExt as _;
    text.encode_wide().chain([0]).collect()
}
