//! The one runtime of this driver.
//!
//! It is made when the driver starts and dropped when it stops; in between everybody borrows it.
//! Nobody can be in it while it is dropped: the device and the provider are gone by then.

use crate::level::Passive;
use crate::platform::Kernel;
use crate::shell::System;
use crate::status;
use alloc::boxed::Box;
use core::sync::atomic::{AtomicPtr, Ordering};
use ebpfcore::control::Control;
use ebpfcore::hooks::{self, HookHelpers};
use ebpfcore::{Core, Status};

static KERNEL: Kernel = Kernel;
static SYSTEM: System = System;
static HELPERS: HookHelpers = HookHelpers;
static CONTROL: AtomicPtr<Control> = AtomicPtr::new(core::ptr::null_mut());

/// Makes it.
pub(crate) fn start(_: &Passive) -> Result<(), i32> {
    let control = make().map_err(status::of)?;
    CONTROL.store(Box::into_raw(control), Ordering::Release);
    Ok(())
}

fn make() -> Result<Box<Control>, Status> {
    let core = Core::new(&KERNEL)?;
    let control = Control::new(core, hooks::make()?, &HELPERS).with_shell(&SYSTEM);
    let mut memory: Box<[_]> = {
        let mut one = alloc::vec::Vec::new();
        one.try_reserve_exact(1).map_err(|_| Status::NoMemory)?;
        one.push(control);
        one.into_boxed_slice()
    };
    let first: *mut Control = memory.as_mut_ptr();
    core::mem::forget(memory);
    // SAFETY: a boxed slice of one element is laid out and allocated as a box of it.
    Ok(unsafe { Box::from_raw(first) })
}

/// The runtime, while the driver runs.
pub(crate) fn control() -> Option<&'static Control> {
    // SAFETY: null, or from `start` and not dropped before `stop`, which runs when nobody can call.
    unsafe { CONTROL.load(Ordering::Acquire).as_ref() }
}

/// Gives up pins and links.
pub(crate) fn shut_down(_: &Passive) {
    if let Some(control) = control() {
        control.shut_down();
        let core = control.core();
        core.epoch().synchronize(core.platform());
    }
}

/// Drops it.
pub(crate) fn stop(_: &Passive) {
    let control = CONTROL.swap(core::ptr::null_mut(), Ordering::AcqRel);
    if !control.is_null() {
        // SAFETY: from `start`; taken out once.
        let control = unsafe { Box::from_raw(control) };
        let rows = control.take_rows();
        drop(control);
        // SAFETY: the runtime is gone, and with it all programs and links.
        unsafe { rows.free() };
    }
}
