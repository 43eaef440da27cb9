//! The process that asks: its handles and what it may do.
//!
//! A handle to an object is a handle to a file of the device. The file's second context is the id of
//! the object, 0 for a file that user mode opened; its first one coordinates closing by message with
//! the system's own report ([`gone`]), so that each object is given up exactly once.

use crate::device;
use crate::import as nt;
use crate::level::Passive;
use crate::request;
use crate::runtime;
use crate::sections;
use crate::text::with_string;
use abi::ioctl::{DEVICE, Handle};
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};
use ebpfcore::Status;
use ebpfcore::control::{Client, Pages};
use wdk::nt::{self as wdm, FileObject, IoStatus, Irp, ObjectAttributes};

/// Whose addresses and rights count.
const KERNEL_MODE: i8 = 0;
const USER_MODE: i8 = 1;
/// First context of a file: nothing special; a message closes a handle to it; meanwhile the last
/// handle went.
const OPEN: u64 = 0;
const CLOSING: u64 = 1;
const CLOSED: u64 = 2;
/// An id that no object has: the handle is gone, but others keep the object.
const NOBODY: u32 = 0;

/// The caller of one request.
pub(crate) struct Caller<'a> {
    passive: &'a Passive,
    irp: *mut Irp,
    file: u64,
    ticket: Cell<Option<u64>>,
}

impl<'a> Caller<'a> {
    /// The caller of a request that is being dispatched.
    pub(crate) fn new(passive: &'a Passive, irp: *mut Irp, file: u64) -> Caller<'a> {
        Caller {
            passive,
            irp,
            file,
            ticket: Cell::new(None),
        }
    }

    /// The ticket, when the request was pended.
    pub(crate) fn ticket(&self) -> Option<u64> {
        self.ticket.get()
    }

    /// Whether the request was pended.
    pub(crate) fn has_pended(&self) -> bool {
        self.ticket.get().is_some()
    }

    /// The level this runs at.
    pub(crate) fn passive(&self) -> &'a Passive {
        self.passive
    }
}

/// The contexts of a file.
///
/// # Safety
/// 1. The address of a file object that lives as long as the result is used.
unsafe fn contexts<'f>(file: u64) -> (&'f AtomicU64, &'f AtomicU64) {
    let file = core::ptr::with_exposed_provenance_mut::<FileObject>(file as usize);
    // SAFETY: obligation 1; both fields belong to the driver and are only used as atomics.
    unsafe {
        (
            AtomicU64::from_ptr(&raw mut (*file).context),
            AtomicU64::from_ptr(&raw mut (*file).context2),
        )
    }
}

/// Calls `action` with the file of a handle of the calling process, if it is a file of the device.
fn with_file<T>(handle: Handle, mode: i8, action: impl FnOnce(u64) -> T) -> Option<T> {
    let mut file = 0;
    // SAFETY: a live variable; the type of files is a variable of the kernel.
    let found = unsafe {
        let kind = nt::IoFileObjectType;
        nt::ObReferenceObjectByHandle(handle.0, 0, kind, mode, &raw mut file, 0)
    };
    if found < 0 {
        return None;
    }
    let place = core::ptr::with_exposed_provenance::<FileObject>(file as usize);
    // SAFETY: referenced above.
    let is_ours = unsafe { (*place).device } == device::object();
    let result = is_ours.then(|| action(file));
    // SAFETY: referenced above.
    unsafe { nt::ObfDereferenceObject(file) };
    result
}

/// Opens a file of the device for the calling process.
fn new_file() -> Result<Handle, Status> {
    /// `SYNCHRONIZE`; open what exists.
    const SYNCHRONIZE: u32 = 0x0010_0000;
    const FILE_OPEN: u32 = 1;
    let mut handle = 0;
    let mut status = IoStatus::default();
    let opened = with_string(DEVICE, |name| {
        let attributes = ObjectAttributes {
            length: size_of::<ObjectAttributes>() as u32,
            name: name.expose_provenance() as u64,
            attributes: wdm::OBJ_CASE_INSENSITIVE,
            ..ObjectAttributes::default()
        };
        let access = wdm::GENERIC_READ_WRITE | SYNCHRONIZE;
        let (handle, status) = (&raw mut handle, &raw mut status);
        // SAFETY: live variables and name.
        unsafe {
            let attributes = &raw const attributes;
            nt::ZwCreateFile(
                handle, access, attributes, status, 0, 0, 0, FILE_OPEN, 0, 0, 0,
            )
        }
    });
    if opened < 0 {
        return Err(Status::NoMemory);
    }
    Ok(Handle(handle))
}

/// The last handle of a file is gone.
pub(crate) fn gone(_: &Passive, file: u64) {
    if file == 0 {
        return;
    }
    // SAFETY: the kernel reports it for a live file.
    let (state, object) = unsafe { contexts(file) };
    let by_message = state.compare_exchange(CLOSING, CLOSED, Ordering::AcqRel, Ordering::Acquire);
    if by_message.is_ok() {
        return;
    }
    let id = forget(object);
    if let (1.., Some(control)) = (id, runtime::control()) {
        control.handle_closed(id);
    }
}

/// Takes the object of a file that nobody has open any more.
fn forget(object: &AtomicU64) -> u32 {
    object.swap(0, Ordering::AcqRel) as u32
}

impl Client for Caller<'_> {
    fn open(&self, id: u32) -> Result<Handle, Status> {
        let handle = new_file()?;
        let set = with_file(handle, KERNEL_MODE, |file| {
            // SAFETY: referenced while this runs.
            let (_, object) = unsafe { contexts(file) };
            object.store(u64::from(id), Ordering::Release);
        });
        // The process may have closed the number already.
        set.map(|()| handle).ok_or(Status::Failed)
    }

    fn object(&self, handle: Handle) -> Option<u32> {
        let id = with_file(handle, USER_MODE, |file| {
            // SAFETY: referenced while this runs.
            let (_, object) = unsafe { contexts(file) };
            object.load(Ordering::Acquire) as u32
        })?;
        (id != NOBODY).then_some(id)
    }

    fn close(&self, handle: Handle) -> Option<u32> {
        with_file(handle, USER_MODE, |file| {
            // SAFETY: referenced while this runs.
            let (state, object) = unsafe { contexts(file) };
            if object.load(Ordering::Acquire) == 0 {
                return None;
            }
            // Another thread may be closing a duplicate; then one of both sees the end.
            let _ = state.compare_exchange(OPEN, CLOSING, Ordering::AcqRel, Ordering::Acquire);
            // SAFETY: a handle of this process.
            let closed = unsafe { nt::ObCloseHandle(handle.0, USER_MODE) };
            if state.swap(OPEN, Ordering::AcqRel) == CLOSED {
                return Some(forget(object));
            }
            (closed >= 0).then_some(NOBODY)
        })
        .flatten()
    }

    fn share(&self, pages: Pages) -> Result<u64, Status> {
        sections::share(pages)
    }

    fn is_privileged(&self) -> bool {
        /// What generic rights mean for files.
        static MAPPING: [u32; 4] = [0x0012_0089, 0x0012_0116, 0x0012_00a0, wdm::FILE_ALL_ACCESS];
        let (mut context, mut granted, mut status) = ([0; 4], 0, 0);
        // SAFETY: live variables; the descriptor is a constant; the context is released.
        unsafe {
            nt::SeCaptureSubjectContext(&raw mut context);
            let allowed = nt::SeAccessCheck(
                device::security(),
                &raw mut context,
                0,
                wdm::FILE_ALL_ACCESS,
                0,
                0,
                &raw const MAPPING,
                USER_MODE,
                &raw mut granted,
                &raw mut status,
            );
            nt::SeReleaseSubjectContext(&raw mut context);
            allowed != 0
        }
    }

    fn pend(&self) -> Option<u64> {
        if self.has_pended() {
            return None;
        }
        let ticket = request::pend(self.irp, self.file)?;
        self.ticket.set(Some(ticket));
        Some(ticket)
    }

    fn is_cancelled(&self) -> bool {
        // SAFETY: the request stays until this dispatch completes it, even when it was pended; the
        // flag is written by the kernel at any time.
        unsafe { (&raw const (*self.irp).cancel).read_volatile() != 0 }
    }
}
