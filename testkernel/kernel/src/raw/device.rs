//! Devices as objects, and requests of user mode, in the simulator: the I/O manager.
//!
//! A [`Caller`] is a process that opens devices and sends control requests, with a buffer of its own
//! for each, as the method of buffered requests has it. A request that pends is a [`Pending`], which
//! can be waited for and cancelled. What is left out: several requests on the way through one
//! device's stack, other methods of passing buffers.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::file::{self, Packet};
use super::{exports, get, mm, put};
use crate::irql;
use crate::machine::{Machine, current, violation};
use crate::process;
use crate::report::lock;
use crate::sections::Access;
use crate::status;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use wdk::nt::{DeviceObject, DriverObject, Irp};

/// Tag and bytes of `DEVICE_OBJECT`, and where the next device of its driver stands.
const TAG: u32 = u32::from_le_bytes(*b"Devi");
const DEVICE_BYTES: u64 = 0x150;
const NEXT_AT: u64 = 0x10;
const DRIVER_AT: u64 = 8;
const FLAGS_AT: u64 = std::mem::offset_of!(DeviceObject, flags) as u64;
const FIRST_AT: u64 = std::mem::offset_of!(DriverObject, device) as u64;
/// Handles to device objects; clear of all others.
const FIRST_HANDLE: u64 = 0xffff_ffff_8800_0000;
/// What system buffers hold before the input is copied.
const FRESH: u64 = 0xcdcd_cdcd_cdcd_cdcd;
/// After this time a request that should have ended is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whom the lock that cancelling takes belongs to.
static CANCEL: AtomicBool = AtomicBool::new(false);

/// Types of objects: drivers only hand their addresses back.
static FILE_TYPE: u64 = 0xffff_9600_0000_0010;
static EVENT_TYPE: u64 = 0xffff_9600_0000_0020;

/// Variables of the kernel that drivers import.
pub(super) static VARIABLES: &[super::Row] = &[
    super::Row {
        module: "ntoskrnl.exe",
        name: "IoFileObjectType",
        users: super::Users::Simulator,
        address: || (&raw const FILE_TYPE).expose_provenance() as u64,
    },
    super::Row {
        module: "ntoskrnl.exe",
        name: "ExEventObjectType",
        users: super::Users::Simulator,
        address: || (&raw const EVENT_TYPE).expose_provenance() as u64,
    },
];

/// Makes a device object and puts it first in its driver's list.
///
/// # Safety
/// 1. The driver's object.
pub(super) unsafe fn create(driver: u64, traits: u32) -> Result<u64, u32> {
    /// `Type` and `Size`.
    const TYPE_AND_SIZE: u64 = 3 | DEVICE_BYTES << 16;
    let device = super::ex::system_block(DEVICE_BYTES, TAG);
    if device == 0 {
        return Err(status::INSUFFICIENT_RESOURCES);
    }
    let flags = wdk::nt::DEVICE_INITIALIZING;
    // SAFETY: a fresh block; obligation 1.
    unsafe {
        put(device, [TYPE_AND_SIZE, driver, get(driver + FIRST_AT)?])?;
        put(device + FLAGS_AT, [flags, traits])?;
        put(driver + FIRST_AT, device)?;
    }
    Ok(device)
}

/// Takes a device object out of its driver's list.
///
/// # Safety
/// 1. A device of [`create`].
pub(super) unsafe fn delete(device: u64) -> Result<(), u32> {
    // SAFETY: obligation 1: a list of live objects.
    unsafe {
        let mut link = get::<u64>(device + DRIVER_AT)? + FIRST_AT;
        loop {
            match get::<u64>(link)? {
                0 => {
                    violation(|| "IoDeleteDevice of a device that is not its driver's".to_owned());
                    break;
                }
                next if next == device => {
                    put(link, get::<u64>(device + NEXT_AT)?)?;
                    break;
                }
                next => link = next + NEXT_AT,
            }
        }
    }
    lock(&current().devices).remove(&device);
    super::ex::ExFreePoolWithTag(device, TAG);
    Ok(())
}

/// Closes a handle to a device object; false when it is none.
pub(super) fn close(handle: u64) -> bool {
    let device = handle ^ FIRST_HANDLE;
    let machine = current();
    let mut devices = lock(&machine.devices);
    let state = devices.values_mut().find(|state| state.handle == device);
    state.is_some_and(|state| {
        state.handle = 0;
        true
    })
}

/// A handle to a device of a host.
pub(super) fn open(device: u64) -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed) * 4;
    lock(&current().devices).entry(device).or_default().handle = number;
    FIRST_HANDLE ^ number
}

exports! { "ntoskrnl.exe", Simulator:
    fn ZwSetSecurityObject(handle: u64, _information: u32, descriptor: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "ZwSetSecurityObject");
        let machine = current();
        let mut devices = lock(&machine.devices);
        let mut devices = devices.values_mut();
        match devices.find(|state| FIRST_HANDLE ^ state.handle == handle) {
            Some(state) => {
                state.security = descriptor;
                status::SUCCESS
            }
            None => status::INVALID_HANDLE,
        }
    }

    /// Objects that drivers refer to here live as long as the machine.
    fn ObfReferenceObject(_object: u64) -> u64 {
        irql::at_most(irql::DISPATCH, "ObfReferenceObject");
        1
    }

    fn IoReleaseCancelSpinLock(level: u8) {
        irql::at_least(irql::DISPATCH, "IoReleaseCancelSpinLock");
        if !CANCEL.swap(false, Ordering::Release) {
            violation(|| "IoReleaseCancelSpinLock without the lock".to_owned());
        }
        irql::lower(level);
    }
}

/// A process of user mode.
#[derive(Clone, Debug)]
pub struct Caller {
    machine: Arc<Machine>,
    process: u64,
}

/// How a request ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// `NTSTATUS`.
    pub status: u32,
    /// What was written.
    pub bytes: Vec<u8>,
}

/// A request that has not ended yet.
#[derive(Debug)]
pub struct Pending {
    caller: Caller,
    packet: Box<Packet>,
    buffer: Vec<u64>,
    file: u64,
}

impl Caller {
    /// A process with an id.
    #[must_use]
    pub fn new(machine: &Arc<Machine>, process: u64) -> Caller {
        Caller {
            machine: Arc::clone(machine),
            process,
        }
    }

    fn run<T>(&self, action: impl FnOnce() -> T) -> T {
        self.machine.enter(|| process::run_as(self.process, action))
    }

    /// Opens a device by the name of its link, `\DosDevices\Name`.
    ///
    /// # Errors
    /// `NTSTATUS`: there is none, or its security keeps this process out.
    pub fn open(&self, link: &str) -> Result<u64, u32> {
        let target = lock(&self.machine.links).get(link).cloned();
        let device = target.and_then(|target| self.machine.files.device(&target));
        let device = device.ok_or(status::OBJECT_NAME_NOT_FOUND)?;
        // SAFETY: a live device.
        let flags: u32 = unsafe { get(device + FLAGS_AT) }?;
        if flags & wdk::nt::DEVICE_INITIALIZING != 0 {
            return Err(status::OBJECT_NAME_NOT_FOUND);
        }
        let security = lock(&self.machine.devices)
            .get(&device)
            .map_or(0, |state| state.security);
        self.run(|| {
            // SAFETY: the descriptor that the driver gave its device.
            if security != 0 && !unsafe { super::se::may_open(security) } {
                return Err(status::ACCESS_DENIED);
            }
            file::open_device(device)
                .map(|(handle, _)| handle)
                .ok_or(status::INSUFFICIENT_RESOURCES)
        })
    }

    /// Closes a handle; false when it is none.
    pub fn close(&self, handle: u64) -> bool {
        self.run(|| file::close(handle) || mm::close(handle))
    }

    /// Maps a section by a handle, as `MapViewOfFile` does.
    ///
    /// # Errors
    /// `NTSTATUS`: it is no handle to a section, or the handle does not allow it.
    pub fn map_view(&self, handle: u64, access: Access) -> Result<u64, u32> {
        self.run(|| mm::map_view(handle, access))
    }

    /// Takes a view away; false when there is none.
    pub fn unmap_view(&self, address: u64) -> bool {
        self.run(|| mm::unmap_view(address))
    }

    /// Gives another process a handle to what a handle of this one means.
    #[must_use]
    pub fn duplicate(&self, handle: u64, to: &Caller) -> Option<u64> {
        if self.machine.files.watch(to.process) {
            // On a host the end of a process is said by who plays it.
            process::watch(to.process);
        }
        let files = &self.machine.files;
        files.duplicate(handle, self.process, to.process)
    }

    /// The process ends.
    pub fn end(&self) {
        super::process_ended(&self.machine, self.process);
    }

    /// Sends a control request and waits for its end.
    ///
    /// # Errors
    /// `STATUS_INVALID_HANDLE`.
    pub fn control(&self, handle: u64, code: u32, io: (&[u8], usize)) -> Result<Reply, u32> {
        match self.start(handle, code, io)? {
            Ok(reply) => Ok(reply),
            Err(pending) => Ok(pending.wait()),
        }
    }

    /// Sends a control request: input, and room for so many bytes of output.
    ///
    /// # Errors
    /// `STATUS_INVALID_HANDLE`.
    pub fn start(
        &self,
        handle: u64,
        code: u32,
        (input, room): (&[u8], usize),
    ) -> Result<Result<Reply, Pending>, u32> {
        let file = self.machine.files.reference(handle, self.process);
        let file = file.ok_or(status::INVALID_HANDLE)?;
        // SAFETY: a live file of a live device.
        let device = unsafe { get::<u64>(file + 8) }?;
        let mut buffer = vec![FRESH; input.len().max(room).div_ceil(8).max(1)];
        for (word, bytes) in buffer.iter_mut().zip(input.chunks(8)) {
            let mut whole = word.to_le_bytes();
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(whole);
        }
        let place = buffer.as_mut_ptr().expose_provenance() as u64;
        let lengths = (input.len() as u32, room as u32);
        let packet = Packet::control((device, file), (code, place), lengths);
        let pending = Pending {
            caller: self.clone(),
            packet,
            buffer,
            file,
        };
        let status = self.run(|| pending.packet.dispatch(device));
        if status == status::PENDING {
            return Ok(Err(pending));
        }
        Ok(Ok(pending.finish(Some(status))))
    }
}

impl Pending {
    fn is_done(&self) -> bool {
        !self.caller.machine.files.has_request(self.packet.address())
    }

    /// The reply, when there is one now.
    ///
    /// # Errors
    /// The request, when there is none.
    pub fn poll(self) -> Result<Reply, Pending> {
        match self.is_done() {
            true => Ok(self.finish(None)),
            false => Err(self),
        }
    }

    /// Waits for the end.
    #[must_use]
    pub fn wait(self) -> Reply {
        let since = Instant::now();
        while !self.is_done() && since.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_micros(100));
        }
        self.finish(None)
    }

    /// Asks the driver to end it; the driver decides when.
    pub fn cancel(&self) {
        const CANCEL_AT: u64 = std::mem::offset_of!(Irp, cancel) as u64;
        const LEVEL_AT: u64 = std::mem::offset_of!(Irp, cancel_irql) as u64;
        let irp = self.packet.address();
        self.caller.run(|| {
            let old = irql::raise(irql::DISPATCH);
            while CANCEL.swap(true, Ordering::Acquire) {
                std::thread::yield_now();
            }
            // SAFETY: the request lives as long as this value; its flag is a byte.
            let _ = unsafe { put(irp + CANCEL_AT, 1u8).and_then(|()| put(irp + LEVEL_AT, old)) };
            match self.packet.take_cancel_routine() {
                0 => {
                    CANCEL.store(false, Ordering::Release);
                    irql::lower(old);
                }
                routine => {
                    let routine = std::ptr::with_exposed_provenance::<()>(routine as usize);
                    // SAFETY: the type of every cancel routine.
                    let routine: extern "win64" fn(u64, u64) =
                        unsafe { std::mem::transmute(routine) };
                    routine(self.packet.device(), irp);
                }
            }
            if irql::level() != old {
                violation(|| "a cancel routine does not release its lock".to_owned());
                irql::raise(irql::HIGH);
                irql::lower(old);
            }
        });
    }

    /// Takes the result out. `returned` is what the dispatch routine said when it did not pend.
    fn finish(self, returned: Option<u32>) -> Reply {
        let Pending {
            caller,
            packet,
            buffer,
            file,
        } = self;
        if caller.machine.files.complete_request(packet.address()) {
            caller.run(|| violation(|| "a control request does not end".to_owned()));
            // The driver may still write to both.
            Box::leak(packet);
            buffer.leak();
            return Reply {
                status: status::TIMEOUT,
                bytes: Vec::new(),
            };
        }
        let (status, length) = packet.result();
        if returned.is_some_and(|returned| returned != status) {
            caller
                .run(|| violation(|| format!("a request ends with {status:#x} and {returned:x?}")));
        }
        caller.run(|| file::release(file));
        let bytes = buffer.iter().flat_map(|word| word.to_le_bytes());
        let bytes = match status::is_error(status) {
            true => Vec::new(),
            false => bytes.take(length as usize).collect(),
        };
        Reply { status, bytes }
    }
}
