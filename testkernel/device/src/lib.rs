//! `testkernel.sys`: the service whose device lets test programs reach the stand-ins.
//!
//! All code is in `tkernel.dll`, which the drivers of the same process use too.
#![cfg(windows)]
#![no_std]
#![allow(unsafe_code, reason = "an entry point")]

#[link(name = "tkernel.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn TestKernelEntry(driver: usize, path: usize) -> i32;
}

/// Called by the kernel.
#[unsafe(no_mangle)]
pub extern "system" fn DriverEntry(driver: usize, path: usize) -> i32 {
    // SAFETY: the arguments of every driver's entry point, handed on.
    unsafe { TestKernelEntry(driver, path) }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
