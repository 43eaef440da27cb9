//! The device, and requests that are under way.
//!
//! Invariant: buffers and the block that the system writes to stay where they are until it has ended
//! the request; [`Pending`] waits for that when it is dropped.
#![expect(unsafe_code, reason = "calls the system with buffers that it keeps")]

use crate::Cause;
use abi::ioctl::CONTROL_CODE;
use abi::result::EbpfResult;
use std::cell::UnsafeCell;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::windows::fs::OpenOptionsExt as _;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use std::sync::Arc;
use std::time::Duration;
use windows_sys::Win32::Foundation::{
    ERROR_IO_INCOMPLETE, ERROR_IO_PENDING, GetLastError, STATUS_PENDING, WAIT_OBJECT_0,
};
use windows_sys::Win32::Storage::FileSystem::FILE_FLAG_OVERLAPPED;
use windows_sys::Win32::System::IO::{
    CancelIoEx, DeviceIoControl, GetOverlappedResult, OVERLAPPED,
};
use windows_sys::Win32::System::Threading::{
    ALL_PROCESSOR_GROUPS, CreateEventW, GetMaximumProcessorCount, INFINITE, WaitForSingleObject,
};

/// The name of the device for programs.
const NAME: &str = r"\\.\EbpfIoDevice";

/// The open device.
pub(super) struct Device(Arc<File>);

/// What the system uses while a request is under way.
struct Buffers {
    overlapped: UnsafeCell<OVERLAPPED>,
    input: Vec<u8>,
    output: UnsafeCell<Vec<u8>>,
}

/// A request that is under way or has ended.
pub(super) struct Pending {
    device: Arc<File>,
    event: OwnedHandle,
    buffers: Box<Buffers>,
}

// SAFETY: the system writes to the buffers until the event is set; this side reads them only then.
unsafe impl Send for Pending {}
// SAFETY: as above; all functions that take a reference may run at the same time.
unsafe impl Sync for Pending {}

/// Processors that the machine may have.
pub(super) fn cpu_count() -> u32 {
    // SAFETY: no obligation.
    unsafe { GetMaximumProcessorCount(ALL_PROCESSOR_GROUPS) }
}

/// What went wrong with a call of the system.
pub(super) fn last_error() -> u32 {
    // SAFETY: no obligation.
    unsafe { GetLastError() }
}

impl Device {
    pub(super) fn open() -> Result<Device, Cause> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .custom_flags(FILE_FLAG_OVERLAPPED);
        let file = options.open(NAME).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Cause::NotRunning,
            ErrorKind::PermissionDenied => Cause::Denied,
            _ => Cause::System {
                what: "open the device of the runtime",
                code: error.raw_os_error().unwrap_or(0) as u32,
            },
        })?;
        Ok(Device(Arc::new(file)))
    }

    /// Begins a request; the reply has at most `room` bytes.
    pub(super) fn begin(&self, message: &[u8], room: usize) -> Result<Pending, Cause> {
        let event = new_event()?;
        let buffers = Box::new(Buffers {
            overlapped: UnsafeCell::new(OVERLAPPED {
                hEvent: event.as_raw_handle(),
                ..OVERLAPPED::default()
            }),
            input: message.to_vec(),
            output: UnsafeCell::new(vec![0; room]),
        });
        buffers.start(&self.0)?;
        Ok(Pending {
            device: Arc::clone(&self.0),
            event,
            buffers,
        })
    }
}

/// An event that stays set until it is reset.
pub(crate) fn new_event() -> Result<OwnedHandle, Cause> {
    const MANUAL: i32 = 1;
    // SAFETY: no name and no security; the handle is new and owned by nobody else.
    let event = unsafe { CreateEventW(std::ptr::null(), MANUAL, 0, std::ptr::null()) };
    if event.is_null() {
        let (what, code) = ("make an event", last_error());
        return Err(Cause::System { what, code });
    }
    // SAFETY: as above.
    Ok(unsafe { OwnedHandle::from_raw_handle(event) })
}

impl Buffers {
    /// Hands them to the system; on failure it has none of them any more.
    fn start(&self, device: &File) -> Result<(), Cause> {
        // SAFETY: nobody uses the output before the request has ended.
        let output = unsafe { &mut *self.output.get() };
        // SAFETY: an open device; the buffers stay until the request has ended, by `Pending`.
        let done = unsafe {
            DeviceIoControl(
                device.as_raw_handle(),
                CONTROL_CODE,
                self.input.as_ptr().cast(),
                self.input.len() as u32,
                output.as_mut_ptr().cast(),
                output.len() as u32,
                std::ptr::null_mut(),
                self.overlapped.get(),
            )
        };
        match last_error() {
            _ if done != 0 => Ok(()),
            ERROR_IO_PENDING => Ok(()),
            code => Err(self.cause(code)),
        }
    }

    /// What an error means: the status that the system left, if it did, says it more exactly.
    fn cause(&self, code: u32) -> Cause {
        // SAFETY: the request has ended, so the system does not write any more.
        let status = unsafe { (*self.overlapped.get()).Internal } as u32;
        if status != 0 && status != STATUS_PENDING as u32 {
            return EbpfResult::from_ntstatus(status).into();
        }
        EbpfResult::from_win32(code).into()
    }
}

impl Pending {
    /// Waits for the reply; `None` when it did not come in time.
    pub(super) fn result(&self, timeout: Option<Duration>) -> Option<Result<Vec<u8>, Cause>> {
        let milliseconds = timeout.map_or(INFINITE, |timeout| {
            u32::try_from(timeout.as_millis()).unwrap_or(INFINITE - 1)
        });
        // SAFETY: a live event.
        let waited = unsafe { WaitForSingleObject(self.event.as_raw_handle(), milliseconds) };
        if waited != WAIT_OBJECT_0 {
            return None;
        }
        let mut bytes = 0;
        let (device, overlapped) = (self.device.as_raw_handle(), self.buffers.overlapped.get());
        // SAFETY: the block of a request that was begun on this device.
        let done = unsafe { GetOverlappedResult(device, overlapped, &raw mut bytes, 0) };
        match last_error() {
            _ if done != 0 => {
                // SAFETY: the request has ended: the system does not write any more.
                let output = unsafe { &*self.buffers.output.get() };
                Some(Ok(output.get(..bytes as usize).unwrap_or(output).to_vec()))
            }
            ERROR_IO_INCOMPLETE => None,
            code => Some(Err(self.buffers.cause(code))),
        }
    }

    /// Asks the system to end the request.
    pub(super) fn give_up(&self) {
        let (device, overlapped) = (self.device.as_raw_handle(), self.buffers.overlapped.get());
        // SAFETY: the block of a request on this device; nothing happens when it has ended.
        unsafe { CancelIoEx(device, overlapped) };
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.give_up();
        let mut bytes = 0;
        let (device, overlapped) = (self.device.as_raw_handle(), self.buffers.overlapped.get());
        // SAFETY: the block of a request on this device; afterwards nobody writes to the buffers.
        unsafe { GetOverlappedResult(device, overlapped, &raw mut bytes, 1) };
    }
}
