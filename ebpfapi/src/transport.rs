//! The way to a runtime: messages there, replies back, and services for native modules.

use crate::Cause;
use abi::Guid;
use abi::ioctl::Handle;
use std::time::Duration;

/// What became of a message.
pub enum Answer {
    /// The bytes of the reply.
    Done(Vec<u8>),
    /// It ends later.
    Later(Box<dyn Waiting>),
}

/// A request that ends later. Dropping it cancels it.
pub trait Waiting: Send + Sync {
    /// Waits for the reply; `None` when it did not come in time. Without a timeout it waits until the
    /// request ends.
    ///
    /// # Errors
    /// The inner result: what the runtime says; [`abi::result::EbpfResult::Canceled`] when it was
    /// given up.
    fn wait(&self, timeout: Option<Duration>) -> Option<Result<Vec<u8>, Cause>>;

    /// Gives the request up. It ends soon, perhaps with a reply that was on its way.
    fn cancel(&self);
}

/// A part of a ring that the runtime gave a handle to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Section {
    /// The handle.
    pub handle: u64,
    /// Bytes, whole pages.
    pub len_bytes: u64,
    /// Whether it is to be written.
    pub is_writable: bool,
    /// Whether it is to be mapped twice, one behind the other, if that is possible.
    pub is_twice: bool,
}

/// A section that is mapped into this process until the value is dropped.
pub trait Mapped: Send + Sync {
    /// Address of the first byte, at a multiple of a page.
    fn address(&self) -> usize;

    /// Bytes that can be read from there: all of the section, or twice that when it is mapped twice.
    fn len_bytes(&self) -> usize;
}

/// A service to make for a native module.
#[derive(Clone, Copy, Debug)]
pub struct NewService<'a> {
    /// Its name.
    pub name: &'a str,
    /// The driver file, an absolute path.
    pub file: &'a std::path::Path,
    /// What stands in `Parameters\NpiModuleId` of its registry key.
    pub module_id: Guid,
}

/// A runtime that can be reached.
pub trait Transport: Send + Sync {
    /// Sends a message; the reply has at most `room` bytes.
    ///
    /// # Errors
    /// The runtime cannot be reached, or refuses the request.
    fn send(&self, message: &[u8], room: usize) -> Result<Answer, Cause>;

    /// Closes a handle that the runtime gave.
    fn close(&self, handle: Handle);

    /// Maps a section and closes its handle, also when that fails.
    ///
    /// # Errors
    /// The system refuses.
    fn map(&self, section: Section) -> Result<Box<dyn Mapped>, Cause>;

    /// Number of processors that values of per-CPU maps have copies for.
    fn cpu_count(&self) -> u32;

    /// Makes a service of a driver file.
    ///
    /// # Errors
    /// The service manager refuses; nothing is left behind.
    fn create_service(&self, service: &NewService<'_>) -> Result<(), Cause>;

    /// Lets a service go away as soon as its driver stops.
    ///
    /// # Errors
    /// The service manager refuses.
    fn retire_service(&self, name: &str) -> Result<(), Cause>;

    /// Stops a service and deletes it: loading failed.
    ///
    /// # Errors
    /// The service manager refuses.
    fn remove_service(&self, name: &str) -> Result<(), Cause>;
}
