//! Functions of the kernel, as it exports them.

use abi::native::nmr::Characteristics;
use wdk::nt::{DriverObject, Irp, UnicodeString};

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    pub(crate) fn KeBugCheckEx(code: u32, p1: u64, p2: u64, p3: u64, p4: u64) -> !;
    pub(crate) fn IoCreateDevice(
        driver: *mut DriverObject,
        extension_bytes: u32,
        name: *const UnicodeString,
        kind: u32,
        characteristics: u32,
        exclusive: u8,
        device: *mut u64,
    ) -> i32;
    pub(crate) fn IoDeleteDevice(device: u64);
    pub(crate) fn IoCreateSymbolicLink(
        link: *const UnicodeString,
        target: *const UnicodeString,
    ) -> i32;
    pub(crate) fn IoDeleteSymbolicLink(link: *const UnicodeString) -> i32;
    pub(crate) fn IofCompleteRequest(irp: *mut Irp, boost: i8);
}

// What the compiler calls by itself.
#[expect(dead_code, reason = "called by compiled code, by name")]
#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    fn memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8;
    fn memmove(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8;
    fn memset(to: *mut u8, value: i32, bytes: usize) -> *mut u8;
    fn memcmp(left: *const u8, right: *const u8, bytes: usize) -> i32;
    fn __chkstk();
}

#[link(name = "NETIO.SYS", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    pub(crate) fn NmrRegisterProvider(
        characteristics: *const Characteristics,
        context: u64,
        handle: *mut u64,
    ) -> i32;
    pub(crate) fn NmrDeregisterProvider(handle: u64) -> i32;
    pub(crate) fn NmrWaitForProviderDeregisterComplete(handle: u64) -> i32;
}
