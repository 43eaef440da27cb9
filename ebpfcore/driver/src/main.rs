//! `ebpfcore.sys`: the runtime as a Windows driver.
//!
//! It makes the device, hands messages to `ebpfcore::control`, offers native modules their provider,
//! looks for extensions, and gives the runtime what it needs of the kernel. All policy is in `ebpfcore`; here is only what
//! touches Windows. Starting goes pool, runtime, device, link, clients, provider; stopping goes backwards
//! and ends with an empty pool. Left out: what drivers of this kind often have and this one does not
//! need: power, plug and play, paging.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "calls the kernel and is called by it")]

extern crate alloc;

mod client;
mod deep;
mod device;
mod extension;
mod filtering;
mod import;
mod level;
mod module;
mod origin;
mod panic;
mod platform;
mod pool;
mod request;
mod reserve;
mod runtime;
mod sections;
mod shell;
mod spin;
mod status;
mod text;

use level::Passive;
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
    // SAFETY: the kernel starts drivers at PASSIVE_LEVEL.
    let passive = unsafe { Passive::assume() };
    pool::start();
    // SAFETY: obligation 1 of the caller.
    let started = unsafe { start(&passive, driver) };
    match started {
        Ok(()) => STATUS_SUCCESS,
        Err(status) => status,
    }
}

/// # Safety
/// 1. `driver` is the object of this driver.
unsafe fn start(passive: &Passive, driver: *mut DriverObject) -> Result<(), i32> {
    runtime::start(passive)?;
    // SAFETY: obligation 1 of the caller.
    let device = unsafe { device::start(passive, driver) };
    device.inspect_err(|_| runtime::stop(passive))?;
    filtering::start(passive).inspect_err(|_| {
        device::stop(passive);
        runtime::stop(passive);
    })?;
    extension::start(passive).inspect_err(|_| {
        filtering::stop(passive);
        device::stop(passive);
        runtime::stop(passive);
    })?;
    module::start(passive).inspect_err(|_| {
        extension::stop(passive);
        filtering::stop(passive);
        device::stop(passive);
        runtime::stop(passive);
    })?;
    // SAFETY: obligation 1 of the caller.
    unsafe { (*driver).unload = (unload as *const ()).expose_provenance() as u64 };
    platform::print(b"started");
    Ok(())
}

/// Called by the kernel when the driver stops: no handle to the device is open.
extern "system" fn unload(_driver: *mut DriverObject) {
    // SAFETY: the kernel stops drivers at PASSIVE_LEVEL.
    let passive = unsafe { Passive::assume() };
    module::stop(&passive);
    runtime::shut_down(&passive);
    extension::stop(&passive);
    filtering::stop(&passive);
    device::stop(&passive);
    request::stop(&passive);
    runtime::stop(&passive);
    match pool::blocks() {
        0 => platform::print(b"stopped"),
        _ => platform::print(b"stopped; memory is left"),
    }
}
