//! `sample.sys`: the sample extension as a driver, for tests under Wine and in the simulator.
//!
//! It registers the providers of `sample_extension` and makes a device: a control request is the
//! event that the hook waits for. Its input is the number of the context; its output the number
//! afterwards, how many programs ran, and for each the runtime's answer and the program's result.
//! What is left out: security of the device; this driver is for tests.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "calls the kernel and is called by it")]

mod device;
mod hook;
mod import;

use wdk::nt::{DriverObject, STATUS_SUCCESS, UnicodeString};

/// Called by the kernel when the driver starts.
///
/// # Safety
/// 1. `driver` is the object of this driver; PASSIVE_LEVEL.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn DriverEntry(
    driver: *mut DriverObject,
    _service: *const UnicodeString,
) -> i32 {
    // SAFETY: obligation 1 of the caller.
    let made = unsafe { device::start(driver) };
    let started = made.and_then(|()| hook::start().inspect_err(|_| device::stop()));
    if let Err(status) = started {
        return status;
    }
    // SAFETY: obligation 1 of the caller.
    unsafe { (*driver).unload = (unload as *const ()).expose_provenance() as u64 };
    STATUS_SUCCESS
}

/// Called by the kernel when the driver stops; waits until the runtime uses it no more.
extern "system" fn unload(_driver: *mut DriverObject) {
    hook::stop();
    device::stop();
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    const CODE: u32 = 0xebfc_0002;
    // SAFETY: no obligation; it does not return.
    unsafe { import::KeBugCheckEx(CODE, 0, 0, 0, 0) }
}

/// Named by the unwind tables of precompiled libraries; panics do not unwind, so it never runs.
#[unsafe(no_mangle)]
extern "system" fn __CxxFrameHandler3() -> i32 {
    1
}

/// The linker looks for it when code uses floating-point registers.
#[unsafe(no_mangle)]
static _fltused: i32 = 0;
