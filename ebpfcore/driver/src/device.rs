//! The device: its security, its name for user mode, and the requests that arrive.

use crate::client::Caller;
use crate::import as nt;
use crate::level::Passive;
use crate::request::{self, Outcome};
use crate::status::check;
use crate::text::with_string;
use crate::{client, runtime};
use abi::ioctl::{CONTROL_CODE, DEVICE, LINK, SDDL};
use core::sync::atomic::{AtomicU64, Ordering};
use wdk::nt::{self as wdm, DeviceObject, DriverObject, Irp, StackLocation};
use wdk::sddl;

/// Who may open the device; also who may do privileged things.
static SECURITY: [u8; sddl::BYTES] = sddl::descriptor(SDDL).0;

static OBJECT: AtomicU64 = AtomicU64::new(0);

/// Address of the device object.
pub(crate) fn object() -> u64 {
    OBJECT.load(Ordering::Acquire)
}

/// The security descriptor of the device.
pub(crate) fn security() -> *const u8 {
    SECURITY.as_ptr()
}

/// Makes the device and its link.
///
/// # Safety
/// 1. `driver` is the object of this driver, which has no device yet.
pub(crate) unsafe fn start(_: &Passive, driver: *mut DriverObject) -> Result<(), i32> {
    let mut device = 0;
    // SAFETY: the driver's object and a live name.
    let made = with_string(DEVICE, |name| unsafe {
        let (kind, traits) = (wdm::FILE_DEVICE_NETWORK, wdm::FILE_DEVICE_SECURE_OPEN);
        nt::IoCreateDevice(driver, 0, name, kind, traits, 0, &raw mut device)
    });
    check(made)?;
    OBJECT.store(device, Ordering::Release);
    let address = |function: extern "system" fn(u64, *mut Irp) -> i32| {
        (function as *const ()).expose_provenance() as u64
    };
    // SAFETY: obligation 1 of the caller.
    unsafe {
        let major = &mut (*driver).major;
        major[wdm::MAJOR_CREATE] = address(create);
        major[wdm::MAJOR_CLEANUP] = address(cleanup);
        major[wdm::MAJOR_CLOSE] = address(close);
        major[wdm::MAJOR_DEVICE_CONTROL] = address(control);
    }
    let named = secure(device).and_then(|()| link());
    named.inspect_err(|_| delete())?;
    let device = core::ptr::with_exposed_provenance_mut::<DeviceObject>(device as usize);
    // SAFETY: the object made above.
    unsafe { (*device).flags &= !wdm::DEVICE_INITIALIZING };
    Ok(())
}

/// Gives the device its security, before anybody can open it by its link.
fn secure(device: u64) -> Result<(), i32> {
    let (flags, access) = (wdm::OBJ_KERNEL_HANDLE, wdm::WRITE_DAC);
    let mut handle = 0;
    // SAFETY: the device, a live variable; the descriptor is a constant.
    unsafe {
        check(nt::ObOpenObjectByPointer(
            device,
            flags,
            0,
            access,
            0,
            0,
            &raw mut handle,
        ))?;
        let secured = nt::ZwSetSecurityObject(handle, wdm::PROTECTED_DACL, security());
        nt::ZwClose(handle);
        check(secured)
    }
}

fn link() -> Result<(), i32> {
    check(with_string(LINK, |link| {
        // SAFETY: live names.
        with_string(DEVICE, |target| unsafe {
            nt::IoCreateSymbolicLink(link, target)
        })
    }))
}

/// Takes the device away.
pub(crate) fn stop(_: &Passive) {
    // SAFETY: a live name.
    with_string(LINK, |link| unsafe { nt::IoDeleteSymbolicLink(link) });
    delete();
}

fn delete() {
    let device = OBJECT.swap(0, Ordering::AcqRel);
    // SAFETY: made by `start`, taken out once.
    unsafe { nt::IoDeleteDevice(device) };
}

/// The parameters of a request.
fn stack(irp: *mut Irp) -> *mut StackLocation {
    // SAFETY: the kernel hands over live requests.
    core::ptr::with_exposed_provenance_mut(unsafe { (*irp).stack_location } as usize)
}

fn succeed(irp: *mut Irp) -> i32 {
    // SAFETY: a request that the kernel handed over and that is not completed yet.
    unsafe { request::complete(irp, wdm::STATUS_SUCCESS, 0) }
}

extern "system" fn create(_device: u64, irp: *mut Irp) -> i32 {
    succeed(irp)
}

/// The last handle of a file was closed, or its process ended.
extern "system" fn cleanup(_device: u64, irp: *mut Irp) -> i32 {
    // SAFETY: the kernel sends it at PASSIVE_LEVEL, for a live file.
    let passive = unsafe { Passive::assume() };
    // SAFETY: as above.
    let file = unsafe { (*stack(irp)).file };
    request::abandon(&passive, file);
    client::gone(&passive, file);
    succeed(irp)
}

/// Nothing uses the file any more. Not every system says [`cleanup`] before.
extern "system" fn close(device: u64, irp: *mut Irp) -> i32 {
    cleanup(device, irp)
}

extern "system" fn control(_device: u64, irp: *mut Irp) -> i32 {
    // SAFETY: control requests of user mode come at PASSIVE_LEVEL, as live requests.
    let (passive, place) = unsafe { (Passive::assume(), &*stack(irp)) };
    let meant = runtime::control().filter(|_| place.code == CONTROL_CODE);
    let Some(control) = meant else {
        // SAFETY: the request that the kernel handed over, not completed yet.
        return unsafe { request::complete(irp, wdm::STATUS_INVALID_DEVICE_REQUEST, 0) };
    };
    let lengths = (place.input_bytes, place.output_bytes);
    let caller = Caller::new(&passive, irp, place.file);
    // SAFETY: the system buffer has room for the longer of input and output.
    let outcome = unsafe { request::serve(control, &caller, (irp, lengths)) };
    match outcome {
        // SAFETY: the request that the kernel handed over, not completed yet.
        Outcome::Done(status, bytes) => unsafe { request::complete(irp, status, bytes) },
        Outcome::Later => wdm::STATUS_PENDING,
    }
}
