//! An event to wait for: what the runtime sets when a ring has records ([`crate::Map::set_wait_handle`]).
//!
//! On Windows it is an event that stays set until it is reset; on Linux a descriptor of `eventfd`, which
//! can be read as long as it is set. Other hosts have none.
#![expect(unsafe_code, reason = "calls the system")]

use crate::{Cause, Error};
use abi::ioctl::Handle;
use std::time::Duration;

/// An event of this process. Clones are not needed: all functions take a reference.
#[derive(Debug)]
pub struct WaitEvent(system::Event);

impl WaitEvent {
    /// A new event, not set.
    ///
    /// # Errors
    /// The system has none left, or knows none.
    pub fn new() -> Result<WaitEvent, Error> {
        let made = system::Event::new();
        made.map(WaitEvent)
            .map_err(|cause| Error::new("make an event", cause))
    }

    /// What the system calls it: a handle on Windows, a descriptor on Linux. Valid as long as this
    /// value.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.0.handle()
    }

    /// Sets it.
    pub fn set(&self) {
        self.0.set();
    }

    /// Takes back that it was set.
    pub fn reset(&self) {
        self.0.reset();
    }

    /// Waits until it is set; false when it was not within this time. Without a timeout it waits as long
    /// as it takes.
    #[must_use]
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        self.0.wait(timeout)
    }
}

/// Milliseconds of a timeout, rounded up so that a wait does not end too early.
#[cfg(any(target_os = "linux", windows))]
fn milliseconds(timeout: Duration) -> u128 {
    timeout.as_nanos().div_ceil(1_000_000)
}

#[cfg(target_os = "linux")]
mod system {
    use super::{Cause, Duration, Handle, milliseconds};
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
    use std::time::Instant;

    #[derive(Debug)]
    pub(super) struct Event(File);

    impl Event {
        pub(super) fn new() -> Result<Event, Cause> {
            // SAFETY: no obligation; the descriptor is new and owned by nobody else.
            let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            if fd < 0 {
                let code = std::io::Error::last_os_error().raw_os_error();
                return Err(Cause::System {
                    what: "make an event",
                    code: code.unwrap_or(0) as u32,
                });
            }
            // SAFETY: as above.
            Ok(Event(unsafe { OwnedFd::from_raw_fd(fd) }.into()))
        }

        pub(super) fn handle(&self) -> Handle {
            Handle(self.0.as_raw_fd() as u64)
        }

        pub(super) fn set(&self) {
            // A counter that is full is set already.
            let _ = (&self.0).write_all(&1u64.to_ne_bytes());
        }

        pub(super) fn reset(&self) {
            // Nothing to read: it was not set.
            let _ = (&self.0).read_exact(&mut [0; 8]);
        }

        pub(super) fn wait(&self, timeout: Option<Duration>) -> bool {
            let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
            loop {
                let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                let limit = left.map_or(-1, |left| {
                    i32::try_from(milliseconds(left)).unwrap_or(i32::MAX)
                });
                let mut asked = libc::pollfd {
                    fd: self.0.as_raw_fd(),
                    events: libc::POLLIN,
                    revents: 0,
                };
                // SAFETY: one live structure.
                let ready = unsafe { libc::poll(&raw mut asked, 1, limit) };
                match ready {
                    1.. => return true,
                    // A signal, or a timeout longer than the system takes.
                    _ if left.is_none_or(|left| !left.is_zero()) => {}
                    _ => return false,
                }
            }
        }
    }
}

#[cfg(windows)]
mod system {
    use super::{Cause, Duration, Handle, milliseconds};
    use std::os::windows::io::{AsRawHandle as _, OwnedHandle};
    use windows_sys::Win32::Foundation::WAIT_OBJECT_0;
    use windows_sys::Win32::System::Threading::{
        INFINITE, ResetEvent, SetEvent, WaitForSingleObject,
    };

    #[derive(Debug)]
    pub(super) struct Event(OwnedHandle);

    impl Event {
        pub(super) fn new() -> Result<Event, Cause> {
            crate::windows::new_event().map(Event)
        }

        pub(super) fn handle(&self) -> Handle {
            Handle(self.0.as_raw_handle() as usize as u64)
        }

        pub(super) fn set(&self) {
            // SAFETY: a live event.
            unsafe { SetEvent(self.0.as_raw_handle()) };
        }

        pub(super) fn reset(&self) {
            // SAFETY: a live event.
            unsafe { ResetEvent(self.0.as_raw_handle()) };
        }

        pub(super) fn wait(&self, timeout: Option<Duration>) -> bool {
            let limit = timeout.map_or(INFINITE, |timeout| {
                u32::try_from(milliseconds(timeout)).unwrap_or(INFINITE - 1)
            });
            // SAFETY: a live event.
            unsafe { WaitForSingleObject(self.0.as_raw_handle(), limit) == WAIT_OBJECT_0 }
        }
    }
}

#[cfg(not(any(target_os = "linux", windows)))]
mod system {
    use super::{Cause, Duration, Handle};
    use abi::result::EbpfResult;
    use std::convert::Infallible;

    #[derive(Debug)]
    pub(super) struct Event(Infallible);

    impl Event {
        pub(super) fn new() -> Result<Event, Cause> {
            Err(Cause::Runtime(EbpfResult::OperationNotSupported))
        }

        pub(super) fn handle(&self) -> Handle {
            match self.0 {}
        }

        pub(super) fn set(&self) {
            match self.0 {}
        }

        pub(super) fn reset(&self) {
            match self.0 {}
        }

        pub(super) fn wait(&self, _: Option<Duration>) -> bool {
            match self.0 {}
        }
    }
}
