//! `\\.\TestKernel`: the device through which test programs reach the stand-ins.
//!
//! `testkernel.sys` calls [`TestKernelEntry`] from its entry point. One control code carries
//! messages of `testkernel::control`; a request runs to its end before it is answered.

use testkernel::control;

/// Offsets in structures of the kernel (x64).
mod at {
    /// `DRIVER_OBJECT`: the device list, the unload routine, the dispatch table.
    pub(super) const DEVICE: u64 = 0x08;
    pub(super) const UNLOAD: u64 = 0x68;
    pub(super) const MAJOR: u64 = 0x70;
    /// `IRP`: the system buffer, status, information, the current stack location.
    pub(super) const BUFFER: u64 = 0x18;
    pub(super) const STATUS: u64 = 0x30;
    pub(super) const INFORMATION: u64 = 0x38;
    pub(super) const STACK: u64 = 0xb8;
    /// `IO_STACK_LOCATION`: lengths and code of a control request.
    pub(super) const OUT_BYTES: u64 = 0x08;
    pub(super) const IN_BYTES: u64 = 0x10;
    pub(super) const CODE: u64 = 0x18;
}

const MAJOR_CREATE: u64 = 0;
const MAJOR_CLOSE: u64 = 2;
const MAJOR_DEVICE_CONTROL: u64 = 14;
const FILE_DEVICE_UNKNOWN: u32 = 0x22;
const INVALID_DEVICE_REQUEST: i32 = 0xc000_0010_u32 as i32;

#[repr(C)]
struct UnicodeString {
    length: u16,
    capacity: u16,
    buffer: *const u16,
}

#[link(name = "ntosreal.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn IoCreateDevice(
        driver: u64,
        extension_bytes: u32,
        name: *const UnicodeString,
        kind: u32,
        characteristics: u32,
        exclusive: u8,
        device: *mut u64,
    ) -> i32;
    fn IoDeleteDevice(device: u64);
    fn IoCreateSymbolicLink(link: *const UnicodeString, target: *const UnicodeString) -> i32;
    fn IoDeleteSymbolicLink(link: *const UnicodeString) -> i32;
    fn IofCompleteRequest(irp: u64, boost: i8);
}

/// Calls `action` with the text as the kernel takes it.
fn with_text<T>(text: &str, action: impl FnOnce(*const UnicodeString) -> T) -> T {
    let units: Vec<u16> = text.encode_utf16().collect();
    let string = UnicodeString {
        length: units.len() as u16 * 2,
        capacity: units.len() as u16 * 2,
        buffer: units.as_ptr(),
    };
    action(&raw const string)
}

const DEVICE: &str = r"\Device\TestKernel";
const LINK: &str = r"\DosDevices\TestKernel";

/// Makes a symbolic link.
pub(crate) fn link(link: &str, target: &str) -> i32 {
    with_text(link, |link| {
        // SAFETY: live names.
        with_text(target, |target| unsafe {
            IoCreateSymbolicLink(link, target)
        })
    })
}

/// Removes a symbolic link.
pub(crate) fn unlink(link: &str) -> i32 {
    // SAFETY: a live name.
    with_text(link, |link| unsafe { IoDeleteSymbolicLink(link) })
}

/// Reads a field of a structure of the kernel.
fn read<T: Copy>(address: u64) -> T {
    // SAFETY: callers pass addresses of fields of live kernel structures.
    unsafe { std::ptr::with_exposed_provenance::<T>(address as usize).read_unaligned() }
}

/// Writes a field of a structure of the kernel.
fn write<T: Copy>(address: u64, value: T) {
    // SAFETY: callers pass addresses of fields of live kernel structures.
    unsafe { std::ptr::with_exposed_provenance_mut::<T>(address as usize).write_unaligned(value) };
}

/// What `testkernel.sys` does when it starts.
#[unsafe(no_mangle)]
pub extern "system" fn TestKernelEntry(driver: u64, _path: u64) -> i32 {
    let mut device = 0;
    // SAFETY: the driver object that the kernel passed; live names.
    let status = with_text(DEVICE, |name| unsafe {
        IoCreateDevice(driver, 0, name, FILE_DEVICE_UNKNOWN, 0, 0, &raw mut device)
    });
    if status < 0 {
        return status;
    }
    let status = link(LINK, DEVICE);
    if status < 0 {
        // SAFETY: the device made above.
        unsafe { IoDeleteDevice(device) };
        return status;
    }
    for major in [MAJOR_CREATE, MAJOR_CLOSE] {
        write(driver + at::MAJOR + major * 8, succeed as *const () as u64);
    }
    write(
        driver + at::MAJOR + MAJOR_DEVICE_CONTROL * 8,
        control as *const () as u64,
    );
    write(driver + at::UNLOAD, unload as *const () as u64);
    0
}

extern "system" fn unload(driver: u64) {
    unlink(LINK);
    // SAFETY: the only device of this driver.
    unsafe { IoDeleteDevice(read(driver + at::DEVICE)) };
}

fn complete(irp: u64, status: i32, information: u64) -> i32 {
    write(irp + at::STATUS, status);
    write(irp + at::INFORMATION, information);
    // SAFETY: the request that this driver was given and has not completed yet.
    unsafe { IofCompleteRequest(irp, 0) };
    status
}

extern "system" fn succeed(_device: u64, irp: u64) -> i32 {
    complete(irp, 0, 0)
}

extern "system" fn control(_device: u64, irp: u64) -> i32 {
    let stack: u64 = read(irp + at::STACK);
    let code: u32 = read(stack + at::CODE);
    let (input, output): (u32, u32) = (read(stack + at::IN_BYTES), read(stack + at::OUT_BYTES));
    let buffer: u64 = read(irp + at::BUFFER);
    if code != control::CONTROL_CODE || buffer == 0 {
        return complete(irp, INVALID_DEVICE_REQUEST, 0);
    }
    let buffer = std::ptr::with_exposed_provenance_mut::<u8>(buffer as usize);
    // SAFETY: the system buffer has room for the longer of input and output.
    let request = unsafe { std::slice::from_raw_parts(buffer, input as usize) }.to_vec();
    let reply = control::serve(&request);
    let len = reply.len().min(output as usize);
    // SAFETY: as above; the reply is another allocation.
    unsafe { std::ptr::copy_nonoverlapping(reply.as_ptr(), buffer, len) };
    complete(irp, 0, len as u64)
}
