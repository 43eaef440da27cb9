//! Objects and requests of the I/O manager (`wdm.h`), with what drivers touch of them.
//!
//! Addresses are numbers, as everywhere in this crate. Fields that no driver of this project uses
//! are padding. Sources: the public documentation and Microsoft's published symbols.

use crate::layout;

/// `STATUS_SUCCESS`.
pub const STATUS_SUCCESS: i32 = 0;
/// `STATUS_PENDING`.
pub const STATUS_PENDING: i32 = 0x103;

const fn error(value: u32) -> i32 {
    value as i32
}
macro_rules! errors {
    ($($name:ident = $value:literal;)*) => {
        $(#[doc = concat!("`", stringify!($name), "`.")] pub const $name: i32 = error($value);)*
    };
}
errors! {
    STATUS_BUFFER_OVERFLOW = 0x8000_0005;
    STATUS_UNSUCCESSFUL = 0xc000_0001;
    STATUS_INVALID_HANDLE = 0xc000_0008;
    STATUS_INVALID_PARAMETER = 0xc000_000d;
    STATUS_END_OF_FILE = 0xc000_0011;
    STATUS_INVALID_DEVICE_REQUEST = 0xc000_0010;
    STATUS_NO_MEMORY = 0xc000_0017;
    STATUS_ACCESS_DENIED = 0xc000_0022;
    STATUS_OBJECT_PATH_NOT_FOUND = 0xc000_003a;
    STATUS_INTEGER_OVERFLOW = 0xc000_0095;
    STATUS_INSUFFICIENT_RESOURCES = 0xc000_009a;
    STATUS_NOT_SUPPORTED = 0xc000_00bb;
    STATUS_INTERNAL_ERROR = 0xc000_00e5;
    STATUS_CANCELLED = 0xc000_0120;
    STATUS_TOO_MANY_NODES = 0xc000_020e;
    STATUS_NOT_FOUND = 0xc000_0225;
    STATUS_OBJECTID_EXISTS = 0xc000_022b;
    STATUS_DRIVER_UNABLE_TO_LOAD = 0xc000_026c;
    STATUS_NO_MORE_MATCHES = 0xc000_0273;
    STATUS_VERIFIER_STOP = 0xc000_0421;
    STATUS_ALREADY_REGISTERED = 0xc000_0718;
    STATUS_CONTENT_BLOCKED = 0xc000_0804;
    STATUS_INVALID_STATE_TRANSITION = 0xc000_a003;
}

/// `IRP_MJ_CREATE`.
pub const MAJOR_CREATE: usize = 0;
/// `IRP_MJ_CLOSE`.
pub const MAJOR_CLOSE: usize = 2;
/// `IRP_MJ_DEVICE_CONTROL`.
pub const MAJOR_DEVICE_CONTROL: usize = 14;
/// `IRP_MJ_CLEANUP`.
pub const MAJOR_CLEANUP: usize = 18;
/// Entries of the dispatch table.
pub const MAJORS: usize = 28;
/// `SL_PENDING_RETURNED`, in [`StackLocation::control`].
pub const PENDING_RETURNED: u8 = 1;
/// `FILE_DEVICE_NETWORK`.
pub const FILE_DEVICE_NETWORK: u32 = 0x12;
/// `FILE_DEVICE_SECURE_OPEN`: the device's security also holds for paths below it.
pub const FILE_DEVICE_SECURE_OPEN: u32 = 0x100;
/// `DO_DEVICE_INITIALIZING`, in [`DeviceObject::flags`].
pub const DEVICE_INITIALIZING: u32 = 0x80;
/// `POOL_FLAG_NON_PAGED`.
pub const POOL_FLAG_NON_PAGED: u64 = 0x40;
/// `POOL_FLAG_UNINITIALIZED`.
pub const POOL_FLAG_UNINITIALIZED: u64 = 0x02;
/// `NonPagedPoolNx`.
pub const NON_PAGED_POOL_NX: u32 = 512;
/// `DISPATCH_LEVEL`.
pub const DISPATCH_LEVEL: u8 = 2;
/// `OBJ_CASE_INSENSITIVE`.
pub const OBJ_CASE_INSENSITIVE: u32 = 0x40;
/// `OBJ_KERNEL_HANDLE`.
pub const OBJ_KERNEL_HANDLE: u32 = 0x200;
/// `WRITE_DAC`.
pub const WRITE_DAC: u32 = 0x0004_0000;
/// `DACL_SECURITY_INFORMATION` with `PROTECTED_DACL_SECURITY_INFORMATION`.
pub const PROTECTED_DACL: u32 = 0x8000_0004;
/// `FILE_ALL_ACCESS`: what `GENERIC_ALL` means for a device.
pub const FILE_ALL_ACCESS: u32 = 0x001f_01ff;
/// `GENERIC_READ` with `GENERIC_WRITE`.
pub const GENERIC_READ_WRITE: u32 = 0xc000_0000;

/// `UNICODE_STRING`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct UnicodeString {
    /// Bytes in use.
    pub length: u16,
    /// Bytes there are.
    pub capacity: u16,
    /// Padding.
    pub reserved: u32,
    /// Address of the UTF-16 units.
    pub buffer: u64,
}
layout!(UnicodeString, 16, buffer @ 8);

/// `OBJECT_ATTRIBUTES`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct ObjectAttributes {
    /// Bytes of this structure: 48.
    pub length: u32,
    /// Padding.
    pub reserved: u32,
    /// Handle of the folder, or 0.
    pub root: u64,
    /// Address of the name.
    pub name: u64,
    /// `OBJ_...`.
    pub attributes: u32,
    /// Padding.
    pub reserved2: u32,
    /// Security descriptor, or null.
    pub security: u64,
    /// Quality of service, or null.
    pub quality: u64,
}
layout!(ObjectAttributes, 48, root @ 8, name @ 16, attributes @ 24, security @ 32);

/// `IO_STATUS_BLOCK`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct IoStatus {
    /// How it ended.
    pub status: i32,
    /// Padding.
    pub reserved: u32,
    /// Bytes that were transferred.
    pub information: u64,
}
layout!(IoStatus, 16, information @ 8);

/// `DRIVER_OBJECT`.
#[derive(Debug)]
#[repr(C)]
pub struct DriverObject {
    reserved: [u64; 1],
    /// The first device.
    pub device: u64,
    reserved2: [u64; 11],
    /// Called when the driver stops.
    pub unload: u64,
    /// Called for requests.
    pub major: [u64; MAJORS],
}
layout!(DriverObject, 0x150, device @ 8, unload @ 0x68, major @ 0x70);

/// `DEVICE_OBJECT`, its beginning.
#[derive(Debug)]
#[repr(C)]
pub struct DeviceObject {
    reserved: [u64; 6],
    /// `DO_...`.
    pub flags: u32,
    /// `FILE_DEVICE_...` characteristics.
    pub characteristics: u32,
}
layout!(DeviceObject, 0x38, flags @ 0x30);

/// `FILE_OBJECT`, its beginning.
#[derive(Debug)]
#[repr(C)]
pub struct FileObject {
    reserved: u64,
    /// The device that was opened.
    pub device: u64,
    reserved2: u64,
    /// For the driver.
    pub context: u64,
    /// For the driver.
    pub context2: u64,
}
layout!(FileObject, 0x28, device @ 8, context @ 0x18, context2 @ 0x20);

/// `IRP`.
#[derive(Debug)]
#[repr(C)]
pub struct Irp {
    reserved: [u64; 3],
    /// Buffer of input and output.
    pub system_buffer: u64,
    reserved2: [u64; 2],
    /// How it ended.
    pub status: IoStatus,
    reserved3: [u8; 4],
    /// Whether it was cancelled.
    pub cancel: u8,
    /// The level to return to in a cancel routine.
    pub cancel_irql: u8,
    reserved4: [u8; 2],
    reserved5: [u64; 4],
    /// Called when it is cancelled.
    pub cancel_routine: u64,
    reserved6: u64,
    /// For the driver that holds it.
    pub driver_context: [u64; 4],
    reserved7: [u64; 4],
    /// Where its current [`StackLocation`] is.
    pub stack_location: u64,
    reserved8: [u64; 2],
}
layout!(Irp, 0xd0, system_buffer @ 0x18, status @ 0x30, cancel @ 0x44, cancel_irql @ 0x45,
    cancel_routine @ 0x68, driver_context @ 0x78, stack_location @ 0xb8);

/// `IO_STACK_LOCATION` with the parameters of a control request.
#[derive(Debug)]
#[repr(C)]
pub struct StackLocation {
    /// `IRP_MJ_...`.
    pub major: u8,
    minor: u8,
    flags: u8,
    /// `SL_...`.
    pub control: u8,
    reserved: u32,
    /// Bytes for the output.
    pub output_bytes: u32,
    reserved2: u32,
    /// Bytes of the input.
    pub input_bytes: u32,
    reserved3: u32,
    /// What to do.
    pub code: u32,
    reserved4: u32,
    reserved5: u64,
    /// The device.
    pub device: u64,
    /// The file that the request came through.
    pub file: u64,
    reserved6: [u64; 2],
}
layout!(StackLocation, 0x48, control @ 3, output_bytes @ 8, input_bytes @ 0x10, code @ 0x18,
    device @ 0x28, file @ 0x30);
