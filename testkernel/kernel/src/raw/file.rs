//! Devices, and files that drivers open for the processes they serve.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::{exports, get, put, unicode_string};
use crate::files::Event;
use crate::irql;
use crate::machine::{current, violation};
use crate::platform::installed;
use crate::process;
use crate::status;
use std::sync::atomic::{AtomicU64, Ordering};

const MAJOR_CREATE: u64 = 0;
const MAJOR_CLOSE: u64 = 2;
const MAJOR_DEVICE_CONTROL: u64 = 14;
const MAJOR_CLEANUP: u64 = 18;
/// Offsets: of the driver in a device object, of the dispatch table in a driver object.
const DRIVER_AT: u64 = 8;
const MAJOR_AT: u64 = 0x70;
/// `IRP` and its one `IO_STACK_LOCATION`, in words; where what is used stands.
const IRP_WORDS: usize = 26;
const STACK_WORDS: usize = 9;
const TYPE_AND_SIZE: u64 = 6 | ((IRP_WORDS + STACK_WORDS) as u64 * 8) << 16;
const STACK_POINTER: usize = 0xb8 / 8;
const SYSTEM_BUFFER: usize = 0x18 / 8;
const STATUS: usize = 0x30 / 8;
const INFORMATION: usize = 0x38 / 8;
const CANCEL_ROUTINE: usize = 0x68 / 8;
const STACK_PARAMETERS: usize = IRP_WORDS + 1;
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

/// A request packet with its one stack location, which drivers write by its address.
#[derive(Debug)]
pub(super) struct Packet([AtomicU64; IRP_WORDS + STACK_WORDS]);

impl Packet {
    fn new(major: u64, (device, file): (u64, u64)) -> Box<Packet> {
        let packet = Box::new(Packet(
            [const { AtomicU64::new(0) }; IRP_WORDS + STACK_WORDS],
        ));
        let stack = packet.address() + IRP_WORDS as u64 * 8;
        for (index, value) in [
            (0, TYPE_AND_SIZE),
            (STACK_POINTER, stack),
            (IRP_WORDS, major),
            (STACK_DEVICE, device),
            (STACK_FILE, file),
        ] {
            packet.set(index, value);
        }
        packet
    }

    /// A control request with a buffer and the lengths of input and output.
    pub(super) fn control(
        place: (u64, u64),
        (code, buffer): (u32, u64),
        (input, output): (u32, u32),
    ) -> Box<Packet> {
        let packet = Packet::new(MAJOR_DEVICE_CONTROL, place);
        packet.set(SYSTEM_BUFFER, buffer);
        packet.set(STACK_PARAMETERS, u64::from(output));
        packet.set(STACK_PARAMETERS + 1, u64::from(input));
        packet.set(STACK_PARAMETERS + 2, u64::from(code));
        packet
    }

    pub(super) fn address(&self) -> u64 {
        (&raw const self.0).expose_provenance() as u64
    }

    fn set(&self, index: usize, value: u64) {
        self.0[index].store(value, Ordering::Release);
    }

    fn word(&self, index: usize) -> u64 {
        self.0[index].load(Ordering::Acquire)
    }

    /// Status and length, as the driver set them.
    pub(super) fn result(&self) -> (u32, u64) {
        (self.word(STATUS) as u32, self.word(INFORMATION))
    }

    pub(super) fn device(&self) -> u64 {
        self.word(STACK_DEVICE)
    }

    /// Takes the cancel routine out; 0 when there is none.
    pub(super) fn take_cancel_routine(&self) -> u64 {
        self.0[CANCEL_ROUTINE].swap(0, Ordering::AcqRel)
    }

    /// Calls the dispatch routine of the device's driver; the result is what it says.
    pub(super) fn dispatch(&self, device: u64) -> u32 {
        let major = self.word(IRP_WORDS) & 0xff;
        // SAFETY: a live device and its driver.
        let function = unsafe {
            get::<u64>(device + DRIVER_AT)
                .and_then(|driver| get::<u64>(driver + MAJOR_AT + major * 8))
        };
        let Ok(function @ 1..) = function else {
            return status::INVALID_DEVICE_REQUEST;
        };
        let function = std::ptr::with_exposed_provenance::<()>(function as usize);
        // SAFETY: the type of every dispatch routine.
        let function: extern "win64" fn(u64, u64) -> u32 = unsafe { std::mem::transmute(function) };
        current().files.begin_request(self.address());
        irql::run_at(irql::PASSIVE, "dispatch routine", || {
            function(device, self.address())
        })
    }
}

/// Sends a request about a file to its driver, which has to complete it at once.
fn send(major: u64, event: Event) {
    let packet = Packet::new(major, (event.device, event.file));
    packet.dispatch(event.device);
    if current().files.complete_request(packet.address()) {
        violation(|| format!("a request of major code {major} is not completed at once"));
        // The driver may still write to it.
        Box::leak(packet);
    }
}

/// Gives a reference to a file up; false when it is none of ours.
pub(super) fn release(file: u64) -> bool {
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
    let Some((file, event)) = current().files.close(handle, process) else {
        return false;
    };
    if let Some(event) = event {
        send(MAJOR_CLEANUP, event);
    }
    release(file)
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
    open_device(current().files.device(&name)?)
}

/// Opens a file of a device for the calling process; gives handle and object.
pub(super) fn open_device(device: u64) -> Option<(u64, u64)> {
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
        let made = match installed() {
            Some(_) => under("IoCreateDevice", &arguments).unwrap_or(u64::from(status::NOT_SUPPORTED)),
            // SAFETY: the driver's object and variable.
            None => u64::from(super::answer(unsafe {
                super::device::create(driver, characteristics).and_then(|made| put(device, made))
            })),
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
        if under("IoDeleteDevice", &[device]).is_none() {
            // SAFETY: the driver's device.
            let _ = unsafe { super::device::delete(device) };
        }
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
        if let Some(event) = current().events.reference(handle) {
            // SAFETY: the driver's variable.
            return super::answer(unsafe { put(object, event) });
        }
        if let Some(section) = current().sections.reference(handle) {
            // SAFETY: the driver's variable.
            return super::answer(unsafe { put(object, section) });
        }
        let arguments = [handle, u64::from(access), kind, mode as u64, object, information];
        let found = under("ObReferenceObjectByHandle", &arguments);
        found.map_or(status::INVALID_HANDLE, |found| found as u32)
    }

    fn KeSetEvent(event: u64, increment: i32, wait: u8) -> i32 {
        irql::at_most(if wait == 0 { irql::DISPATCH } else { irql::APC }, "KeSetEvent");
        if installed().is_none() || current().events.holds(event) {
            return i32::from(current().events.set(event));
        }
        let arguments = [event, increment as u64, u64::from(wait)];
        under("KeSetEvent", &arguments).map_or(0, |former| former as i32)
    }

    fn ObfDereferenceObject(object: u64) -> u64 {
        irql::at_most(irql::DISPATCH, "ObfDereferenceObject");
        match release(object) || current().events.release(object) || super::mm::release(object) {
            true => 0,
            false => under("ObfDereferenceObject", &[object]).unwrap_or(0),
        }
    }
}
