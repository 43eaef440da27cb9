//! Devices, and files that drivers open for the processes they serve.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::{exports, get, put, unicode_string};
use crate::files::Event;
use crate::irql;
use crate::machine::{current, violation};
use crate::platform::installed;
use crate::process;
use crate::status;

const MAJOR_CREATE: u64 = 0;
const MAJOR_CLOSE: u64 = 2;
const MAJOR_CLEANUP: u64 = 18;
/// Offsets: of the driver in a device object, of the dispatch table in a driver object.
const DRIVER_AT: u64 = 8;
const MAJOR_AT: u64 = 0x70;
/// `IRP` and its one `IO_STACK_LOCATION`, in words; where what is used stands.
const IRP_WORDS: usize = 26;
const STACK_WORDS: usize = 9;
const TYPE_AND_SIZE: u64 = 6 | ((IRP_WORDS + STACK_WORDS) as u64 * 8) << 16;
const STACK_POINTER: usize = 0xb8 / 8;
const STACK_DEVICE: usize = IRP_WORDS + 0x28 / 8;
const STACK_FILE: usize = IRP_WORDS + 0x30 / 8;

/// Calls the function of the kernel underneath, if there is one.
pub(super) fn under(name: &str, arguments: &[u64]) -> Option<u64> {
    type Function = extern "win64" fn(u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64) -> u64;
    let function = installed()?.function(name);
    if function == 0 {
        return None;
    }
    let function = std::ptr::with_exposed_provenance::<()>(function as usize);
    // SAFETY: numbers in registers and on the stack, as the convention has them; what a function
    // does not take it does not see.
    let function: Function = unsafe { std::mem::transmute(function) };
    let a = |at: usize| arguments.get(at).copied().unwrap_or(0);
    Some(function(
        a(0),
        a(1),
        a(2),
        a(3),
        a(4),
        a(5),
        a(6),
        a(7),
        a(8),
        a(9),
        a(10),
    ))
}

/// Sends a request about a file to its driver, which has to complete it at once.
fn send(major: u64, event: Event) {
    let mut request = Box::new([0u64; IRP_WORDS + STACK_WORDS]);
    let irp = (&raw mut *request).expose_provenance() as u64;
    request[0] = TYPE_AND_SIZE;
    request[STACK_POINTER] = irp + IRP_WORDS as u64 * 8;
    request[IRP_WORDS] = major;
    request[STACK_DEVICE] = event.device;
    request[STACK_FILE] = event.file;
    // SAFETY: a live device and its driver.
    let function = unsafe {
        get::<u64>(event.device + DRIVER_AT)
            .and_then(|driver| get::<u64>(driver + MAJOR_AT + major * 8))
    };
    let Ok(function @ 1..) = function else {
        return;
    };
    let function = std::ptr::with_exposed_provenance::<()>(function as usize);
    // SAFETY: the type of every dispatch routine.
    let function: extern "win64" fn(u64, u64) -> u32 = unsafe { std::mem::transmute(function) };
    let files = &current().files;
    files.begin_request(irp);
    irql::run_at(irql::PASSIVE, "dispatch routine", || {
        function(event.device, irp)
    });
    if files.complete_request(irp) {
        violation(|| format!("a request of major code {major} is not completed at once"));
        // The driver may still write to it.
        Box::leak(request);
    }
}

/// Gives a reference to a file up; false when it is none of ours.
fn release(file: u64) -> bool {
    match current().files.release(file) {
        None => false,
        Some(None) => true,
        Some(Some(event)) => {
            send(MAJOR_CLOSE, event);
            current().files.forget(file);
            true
        }
    }
}

/// Closes a handle of the calling process to a file; false when it is none of ours.
pub(super) fn close(handle: u64) -> bool {
    close_of(process::current(), handle)
}

fn close_of(process: u64, handle: u64) -> bool {
    let Some(event) = current().files.close(handle, process) else {
        return false;
    };
    send(MAJOR_CLEANUP, event);
    release(event.file)
}

/// Closes what a process had open: it ended.
pub(super) fn process_ended(process: u64) {
    for handle in current().files.handles_of(process) {
        close_of(process, handle);
    }
}

/// Opens a file of a device of our drivers.
fn open(attributes: u64) -> Option<(u64, u64)> {
    const NAME: u64 = 16;
    // SAFETY: the driver's structure.
    let name = unsafe { get(attributes + NAME).and_then(|name| unicode_string(name)) }.ok()?;
    let device = current().files.device(&name)?;
    let process = process::current();
    if current().files.watch(process) && !process::watch(process) {
        // It ends while it is served.
        current().files.handles_of(process);
        return None;
    }
    let (handle, file) = current().files.open(device, process);
    send(
        MAJOR_CREATE,
        Event {
            device,
            file,
            is_last: false,
        },
    );
    Some((handle, file))
}

exports! { "ntoskrnl.exe", All:
    fn IoCreateDevice(
        driver: u64,
        extension: u32,
        name: u64,
        kind: u32,
        characteristics: u32,
        exclusive: u8,
        device: u64,
    ) -> u32 {
        irql::at_most(irql::PASSIVE, "IoCreateDevice");
        let (extension, kind) = (u64::from(extension), u64::from(kind));
        let rest = (u64::from(characteristics), u64::from(exclusive));
        let arguments = [driver, extension, name, kind, rest.0, rest.1, device];
        let Some(made) = under("IoCreateDevice", &arguments) else {
            return status::NOT_SUPPORTED;
        };
        // SAFETY: the driver's string and variable.
        let named = unsafe { unicode_string(name).and_then(|name| Ok((name, get(device)?))) };
        if let (status::SUCCESS, Ok((name, device))) = (made as u32, named) {
            current().files.add_device(&name, device);
        }
        made as u32
    }

    fn IoDeleteDevice(device: u64) {
        irql::at_most(irql::APC, "IoDeleteDevice");
        current().files.remove_device(device);
        under("IoDeleteDevice", &[device]);
    }

    fn IofCompleteRequest(irp: u64, boost: i8) {
        irql::at_most(irql::DISPATCH, "IofCompleteRequest");
        if !current().files.complete_request(irp) {
            under("IofCompleteRequest", &[irp, boost as u64]);
        }
    }

    fn ZwCreateFile(
        handle: u64,
        access: u32,
        attributes: u64,
        block: u64,
        size: u64,
        file_attributes: u32,
        share: u32,
        disposition: u32,
        options: u32,
        extended: u64,
        extended_bytes: u32,
    ) -> u32 {
        irql::at_most(irql::PASSIVE, "ZwCreateFile");
        if let Some((opened, _)) = open(attributes) {
            // SAFETY: the driver's variables.
            let written = unsafe { put(handle, opened).and_then(|()| put(block, [0u64; 2])) };
            return super::answer(written);
        }
        if installed().is_none() {
            let Some(opened) = super::read::open(attributes) else {
                return status::OBJECT_NAME_NOT_FOUND;
            };
            // SAFETY: the driver's variables.
            let written = unsafe { put(handle, opened).and_then(|()| put(block, [0u64; 2])) };
            return super::answer(written);
        }
        let numbers = [file_attributes, share, disposition, options].map(u64::from);
        let [file_attributes, share, disposition, options] = numbers;
        let arguments = [
            handle, u64::from(access), attributes, block, size, file_attributes, share, disposition,
            options, extended, u64::from(extended_bytes),
        ];
        under("ZwCreateFile", &arguments).map_or(status::OBJECT_NAME_NOT_FOUND, |made| made as u32)
    }

    fn ObReferenceObjectByHandle(
        handle: u64,
        access: u32,
        kind: u64,
        mode: i8,
        object: u64,
        information: u64,
    ) -> u32 {
        irql::at_most(irql::PASSIVE, "ObReferenceObjectByHandle");
        if let Some(file) = current().files.reference(handle, process::current()) {
            // SAFETY: the driver's variable.
            return super::answer(unsafe { put(object, file) });
        }
        let arguments = [handle, u64::from(access), kind, mode as u64, object, information];
        let found = under("ObReferenceObjectByHandle", &arguments);
        found.map_or(status::INVALID_HANDLE, |found| found as u32)
    }

    fn ObfDereferenceObject(object: u64) -> u64 {
        irql::at_most(irql::DISPATCH, "ObfDereferenceObject");
        match release(object) {
            true => 0,
            false => under("ObfDereferenceObject", &[object]).unwrap_or(0),
        }
    }
}
