//! What lies under the stand-ins: nothing on a host, Wine's own kernel in the shim.

use crate::images::Image;
use crate::registry::Value;
use crate::sections::Run;
use std::sync::OnceLock;

/// Services of the kernel underneath.
pub trait Platform: Sync {
    /// Whether a registry key exists.
    fn has_key(&self, path: &str) -> bool;
    /// A value of a registry key.
    fn value(&self, path: &str, name: &str) -> Option<Value>;
    /// Address of a function of the kernel underneath, or 0.
    fn function(&self, name: &str) -> u64;
    /// Makes a symbolic link.
    fn link(&self, link: &str, target: &str) -> u32;
    /// Removes one.
    fn unlink(&self, link: &str) -> u32;
    /// Closes a handle.
    fn close(&self, handle: u64) -> u32;
    /// Images in memory.
    fn images(&self) -> Vec<Image>;
    /// Id of the process that is served.
    fn process(&self) -> u64;
    /// Has [`crate::raw::process_ended`] called when a process ends; false when it has ended.
    fn watch_process(&self, process: u64) -> bool;
    /// Zeroed pages that processes can be given, mapped for drivers; their address, or 0.
    fn take_pages(&self, len_bytes: u64) -> u64;
    /// Gives back pages of [`Platform::take_pages`].
    fn give_pages(&self, address: u64);
    /// A handle of a process to such pages with these rights, or 0.
    fn share_pages(&self, process: u64, pages: u64, rights: u32) -> u64;
    /// Maps pieces of such pages one behind the other, for drivers; the address, or 0.
    fn join_pages(&self, runs: &[Run]) -> u64;
    /// Takes back what [`Platform::join_pages`] gave.
    fn part_pages(&self, address: u64);
    /// Refers to the event of a handle of a process; 0 when it is none.
    fn take_event(&self, process: u64, handle: u64) -> u64;
    /// Sets an event of [`Platform::take_event`].
    fn set_event(&self, event: u64);
    /// Gives an event of [`Platform::take_event`] back.
    fn give_event(&self, event: u64);
    /// Raises an exception in the driver that called.
    fn raise(&self, status: u32);
    /// Frees memory that the kernel underneath gave the driver.
    fn free_foreign(&self, address: u64, tag: u32);
}

static PLATFORM: OnceLock<&'static dyn Platform> = OnceLock::new();

/// Says what lies underneath; once, at the start.
pub fn install(platform: &'static dyn Platform) {
    // A second call finds the same value: there is one shim.
    let _ = PLATFORM.set(platform);
}

/// What lies underneath, if anything does.
#[must_use]
pub fn installed() -> Option<&'static dyn Platform> {
    PLATFORM.get().copied()
}
