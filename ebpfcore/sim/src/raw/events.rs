//! Events of the host, in the place of Windows' events: descriptors of `eventfd`.
//!
//! A reference is a descriptor of its own, so the caller may close theirs at any time. What is left
//! out: other hosts than Linux, where there is nothing of the kind.
#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "duplicates a descriptor of the caller")
)]

use abi::ioctl::Handle;
use ebpfcore::Status;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Events that the runtime refers to.
#[derive(Debug, Default)]
pub(crate) struct Events {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    last: u64,
    files: BTreeMap<u64, File>,
}

impl Events {
    /// Refers to the event of a descriptor; the reference is never 0.
    ///
    /// # Errors
    /// [`Status::InvalidFd`] when it is no event.
    pub(crate) fn reference(&self, handle: Handle) -> Result<u64, Status> {
        let file = duplicate(handle).ok_or(Status::InvalidFd)?;
        let mut held = self.lock();
        held.last += 1;
        let event = held.last;
        held.files.insert(event, file);
        Ok(event)
    }

    /// Sets an event.
    pub(crate) fn set(&self, event: u64) {
        if let Some(mut file) = self.lock().files.get(&event) {
            // A counter that is full is set already.
            let _ = file.write_all(&1u64.to_ne_bytes());
        }
    }

    /// Gives a reference up.
    pub(crate) fn forget(&self, event: u64) {
        self.lock().files.remove(&event);
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(target_os = "linux")]
fn duplicate(handle: Handle) -> Option<File> {
    use std::os::fd::BorrowedFd;
    let number = i32::try_from(handle.0).ok()?;
    let about = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
    if !about.contains("eventfd-count:") {
        return None;
    }
    // SAFETY: not -1, and the caller of the runtime keeps it open until the request has ended; if
    // it does not, duplicating fails or gives a descriptor that is only written to.
    let file = unsafe { BorrowedFd::borrow_raw(number) };
    file.try_clone_to_owned().ok().map(File::from)
}

#[cfg(not(target_os = "linux"))]
fn duplicate(_: Handle) -> Option<File> {
    None
}
