//! The device whose control request is the event.

use crate::hook::{self, PROGRAMS};
use crate::import as nt;
use core::sync::atomic::{AtomicU64, Ordering};
use sample_extension::{CONTROL_CODE, Context, DEVICE, LINK};
use wdk::nt::{self as wdm, DeviceObject, DriverObject, Irp, StackLocation, UnicodeString};

/// `FILE_DEVICE_UNKNOWN`.
const KIND: u32 = 0x22;
/// Longest name, in units.
const UNITS: usize = 64;
/// Bytes of the input and of the longest output.
const INPUT: usize = 8;
const OUTPUT: usize = 8 + 8 + 8 * PROGRAMS;

static OBJECT: AtomicU64 = AtomicU64::new(0);

/// Calls `action` with a short name as the kernel takes it.
fn with_name<T>(name: &str, action: impl FnOnce(*const UnicodeString) -> T) -> T {
    let mut units = [0u16; UNITS];
    let mut count = 0;
    for (place, unit) in units.iter_mut().zip(name.encode_utf16()) {
        (*place, count) = (unit, count + 1);
    }
    let string = UnicodeString {
        length: count * 2,
        capacity: count * 2,
        reserved: 0,
        buffer: units.as_ptr().expose_provenance() as u64,
    };
    action(&raw const string)
}

/// Makes the device and its link.
///
/// # Safety
/// 1. `driver` is the object of this driver, which has no device yet.
pub(crate) unsafe fn start(driver: *mut DriverObject) -> Result<(), i32> {
    let mut device = 0;
    let variable = &raw mut device;
    // SAFETY: the driver's object, a live name and variable.
    let made = with_name(DEVICE, |name| unsafe {
        nt::IoCreateDevice(driver, 0, name, KIND, 0, 0, variable)
    });
    if made < 0 {
        return Err(made);
    }
    OBJECT.store(device, Ordering::Release);
    // SAFETY: live names.
    let linked = with_name(LINK, |link| {
        with_name(DEVICE, |target| unsafe {
            nt::IoCreateSymbolicLink(link, target)
        })
    });
    if linked < 0 {
        // SAFETY: made above.
        unsafe { nt::IoDeleteDevice(device) };
        return Err(linked);
    }
    let address = |function: extern "system" fn(u64, *mut Irp) -> i32| {
        (function as *const ()).expose_provenance() as u64
    };
    let device = core::ptr::with_exposed_provenance_mut::<DeviceObject>(device as usize);
    // SAFETY: obligation 1 of the caller; the device made above.
    unsafe {
        let major = &mut (*driver).major;
        major[wdm::MAJOR_CREATE] = address(nothing);
        major[wdm::MAJOR_CLEANUP] = address(nothing);
        major[wdm::MAJOR_CLOSE] = address(nothing);
        major[wdm::MAJOR_DEVICE_CONTROL] = address(control);
        (*device).flags &= !wdm::DEVICE_INITIALIZING;
    }
    Ok(())
}

/// Takes the device away.
pub(crate) fn stop() {
    // SAFETY: a live name; the device that `start` made, taken out once.
    unsafe {
        with_name(LINK, |link| nt::IoDeleteSymbolicLink(link));
        nt::IoDeleteDevice(OBJECT.swap(0, Ordering::AcqRel));
    }
}

/// # Safety
/// 1. A request that the kernel handed over and that is not completed.
unsafe fn complete(irp: *mut Irp, status: i32, bytes: usize) -> i32 {
    // SAFETY: obligation 1.
    unsafe {
        (*irp).status.status = status;
        (*irp).status.information = bytes as u64;
        nt::IofCompleteRequest(irp, 0);
    }
    status
}

extern "system" fn nothing(_device: u64, irp: *mut Irp) -> i32 {
    // SAFETY: a request that the kernel handed over.
    unsafe { complete(irp, wdm::STATUS_SUCCESS, 0) }
}

extern "system" fn control(_device: u64, irp: *mut Irp) -> i32 {
    // SAFETY: a request that the kernel handed over; its buffer has room for both lengths.
    unsafe {
        let place = (*irp).stack_location as usize;
        let place = &*core::ptr::with_exposed_provenance::<StackLocation>(place);
        let (input, output) = (place.input_bytes as usize, place.output_bytes as usize);
        let buffer = (*irp).system_buffer as usize;
        if place.code != CONTROL_CODE || buffer == 0 || input != INPUT || output < OUTPUT {
            return complete(irp, wdm::STATUS_INVALID_DEVICE_REQUEST, 0);
        }
        let buffer = core::ptr::with_exposed_provenance_mut::<u8>(buffer);
        let answer = answer(buffer.cast::<u64>().read_unaligned());
        core::ptr::copy_nonoverlapping(answer.as_ptr(), buffer, OUTPUT);
        complete(irp, wdm::STATUS_SUCCESS, OUTPUT)
    }
}

/// What happens when the number of the context is this one.
fn answer(number: u64) -> [u8; OUTPUT] {
    let mut context = Context {
        number,
        ..Context::default()
    };
    let (count, answers) = hook::fire(&mut context);
    let mut bytes = [0; OUTPUT];
    let mut put = |at: usize, value: [u8; 8]| bytes[at..at + 8].copy_from_slice(&value);
    put(0, context.number.to_le_bytes());
    put(8, (count as u64).to_le_bytes());
    for (at, (status, result)) in (16..).step_by(8).zip(answers) {
        let both = u64::from(status as u32) | u64::from(result) << 32;
        put(at, both.to_le_bytes());
    }
    bytes
}
