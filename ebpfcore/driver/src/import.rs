//! Functions of the kernel, as it exports them.
//!
//! Every name here is a documented export of the module that is named; `cargo xtask dist` refuses an
//! image that imports anything else. Addresses of kernel objects are numbers. Newer functions are
//! looked up when the driver starts (see [`crate::pool`]).

use abi::native::nmr::Characteristics;
use core::ffi::{c_char, c_void};
use wdk::nt::{DriverObject, IoStatus, Irp, ObjectAttributes, UnicodeString};

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    pub(crate) fn ExAllocatePoolWithTag(kind: u32, size: usize, tag: u32) -> *mut u8;
    pub(crate) fn ExFreePoolWithTag(address: *mut u8, tag: u32);
    pub(crate) fn MmGetSystemRoutineAddress(name: *const UnicodeString) -> u64;
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
    pub(crate) fn IoReleaseCancelSpinLock(level: u8);
    pub(crate) fn IoAllocateWorkItem(device: u64) -> u64;
    pub(crate) fn IoFreeWorkItem(item: u64);
    pub(crate) fn IoQueueWorkItem(
        item: u64,
        routine: extern "system" fn(u64, u64),
        queue: u32,
        context: u64,
    );

    pub(crate) fn ObOpenObjectByPointer(
        object: u64,
        attributes: u32,
        state: u64,
        access: u32,
        kind: u64,
        mode: i8,
        handle: *mut u64,
    ) -> i32;
    pub(crate) fn ObReferenceObjectByHandle(
        handle: u64,
        access: u32,
        kind: u64,
        mode: i8,
        object: *mut u64,
        information: u64,
    ) -> i32;
    pub(crate) fn ObfDereferenceObject(object: u64) -> i64;
    pub(crate) fn ObCloseHandle(handle: u64, mode: i8) -> i32;
    pub(crate) fn ZwClose(handle: u64) -> i32;
    pub(crate) fn ZwSetSecurityObject(handle: u64, information: u32, descriptor: *const u8) -> i32;
    pub(crate) fn ZwCreateFile(
        handle: *mut u64,
        access: u32,
        attributes: *const ObjectAttributes,
        status: *mut IoStatus,
        allocation: u64,
        file_attributes: u32,
        share: u32,
        disposition: u32,
        options: u32,
        extended: u64,
        extended_bytes: u32,
    ) -> i32;
    pub(crate) fn ZwReadFile(
        file: u64,
        event: u64,
        routine: u64,
        context: u64,
        status: *mut IoStatus,
        buffer: *mut u8,
        bytes: u32,
        offset: *const i64,
        key: u64,
    ) -> i32;
    pub(crate) fn ZwOpenKey(
        handle: *mut u64,
        access: u32,
        attributes: *const ObjectAttributes,
    ) -> i32;
    pub(crate) fn ZwEnumerateKey(
        key: u64,
        index: u32,
        class: u32,
        information: *mut u8,
        bytes: u32,
        needed: *mut u32,
    ) -> i32;
    pub(crate) fn ZwQueryValueKey(
        key: u64,
        name: *const UnicodeString,
        class: u32,
        information: *mut u8,
        bytes: u32,
        needed: *mut u32,
    ) -> i32;
    pub(crate) fn RtlMultiByteToUnicodeN(
        units: *mut u16,
        bytes: u32,
        written: *mut u32,
        text: *const u8,
        length: u32,
    ) -> i32;
    pub(crate) fn IoAllocateMdl(
        address: u64,
        bytes: u32,
        is_secondary: u8,
        charges_quota: u8,
        irp: u64,
    ) -> u64;
    pub(crate) fn IoFreeMdl(list: u64);
    pub(crate) fn ZwCreateSection(
        handle: *mut u64,
        access: u32,
        attributes: *const ObjectAttributes,
        bytes: *const u64,
        protection: u32,
        kind: u32,
        file: u64,
    ) -> i32;
    pub(crate) fn MmMapViewInSystemSpace(section: u64, view: *mut u64, bytes: *mut usize) -> i32;
    pub(crate) fn MmUnmapViewInSystemSpace(view: u64) -> i32;
    pub(crate) fn MmProbeAndLockPages(list: u64, mode: i8, operation: u32);
    pub(crate) fn MmUnlockPages(list: u64);
    pub(crate) fn MmMapLockedPagesSpecifyCache(
        list: u64,
        mode: i8,
        cache: u32,
        wanted: u64,
        bugcheck: u32,
        priority: u32,
    ) -> u64;
    pub(crate) fn MmUnmapLockedPages(address: u64, list: u64);
    pub(crate) fn ZwLoadDriver(service: *const UnicodeString) -> i32;
    pub(crate) fn ZwUnloadDriver(service: *const UnicodeString) -> i32;
    pub(crate) fn ZwQuerySystemInformation(
        class: u32,
        information: *mut c_void,
        bytes: u32,
        returned: *mut u32,
    ) -> i32;

    pub(crate) fn SeCaptureSubjectContext(context: *mut [u64; 4]);
    pub(crate) fn SeReleaseSubjectContext(context: *mut [u64; 4]);
    pub(crate) fn SeAccessCheck(
        descriptor: *const u8,
        context: *mut [u64; 4],
        is_locked: u8,
        desired: u32,
        granted_before: u32,
        privileges: u64,
        mapping: *const [u32; 4],
        mode: i8,
        granted: *mut u32,
        status: *mut i32,
    ) -> u8;
    pub(crate) fn PsReferencePrimaryToken(process: u64) -> u64;
    pub(crate) fn PsDereferencePrimaryToken(token: u64);
    pub(crate) fn SeQueryAuthenticationIdToken(token: u64, id: *mut u64) -> i32;
    pub(crate) fn SeTokenIsAdmin(token: u64) -> u8;

    pub(crate) fn KeGetCurrentIrql() -> u8;
    pub(crate) fn KfRaiseIrql(level: u8) -> u8;
    pub(crate) fn KeLowerIrql(level: u8);
    pub(crate) fn KeDelayExecutionThread(mode: i8, alertable: u8, interval: *const i64) -> i32;
    pub(crate) fn KeSetEvent(event: u64, increment: i32, wait: u8) -> i32;
    pub(crate) fn KeQueryMaximumProcessorCountEx(group: u16) -> u32;
    pub(crate) fn KeGetCurrentProcessorNumberEx(number: u64) -> u32;
    pub(crate) fn KeSetSystemAffinityThreadEx(affinity: u64) -> u64;
    pub(crate) fn KeRevertToUserAffinityThreadEx(affinity: u64);
    pub(crate) fn KeQueryInterruptTimePrecise(counter: *mut u64) -> u64;
    pub(crate) fn KeQueryUnbiasedInterruptTimePrecise(counter: *mut u64) -> u64;
    pub(crate) fn KeExpandKernelStackAndCalloutEx(
        callout: extern "system" fn(u64),
        parameter: u64,
        bytes: usize,
        wait: u8,
        context: u64,
    ) -> i32;
    pub(crate) fn PsGetCurrentProcess() -> u64;
    pub(crate) fn PsGetCurrentProcessId() -> u64;
    pub(crate) fn PsGetCurrentThreadId() -> u64;
    pub(crate) fn PsGetCurrentThread() -> u64;
    pub(crate) fn PsGetThreadCreateTime(thread: u64) -> i64;
    pub(crate) fn PsGetProcessCreateTimeQuadPart(process: u64) -> i64;
    pub(crate) fn RtlPcToFileHeader(address: u64, base: *mut u64) -> u64;

    // The types of files and events, by the addresses of variables of the kernel.
    pub(crate) static IoFileObjectType: u64;
    pub(crate) static ExEventObjectType: u64;
}

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    pub(crate) fn DbgPrintEx(component: u32, level: u32, format: *const c_char, ...) -> i32;
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
    fn __C_specific_handler();
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
    pub(crate) fn NmrProviderDetachClientComplete(binding: u64);
    pub(crate) fn NmrRegisterClient(
        characteristics: *const Characteristics,
        context: u64,
        handle: *mut u64,
    ) -> i32;
    pub(crate) fn NmrDeregisterClient(handle: u64) -> i32;
    pub(crate) fn NmrWaitForClientDeregisterComplete(handle: u64) -> i32;
    pub(crate) fn NmrClientAttachProvider(
        binding: u64,
        context: u64,
        dispatch: u64,
        provider_context: *mut u64,
        provider_dispatch: *mut u64,
    ) -> i32;
    pub(crate) fn NmrClientDetachProviderComplete(binding: u64);
}
