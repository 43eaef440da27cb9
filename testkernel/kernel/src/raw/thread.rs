//! Threads, processors, work items, and the larger stack, for the simulator.
//!
//! A thread that asks for its processor keeps the number it gets until it ends, so nobody else has
//! it while the thread is at DISPATCH_LEVEL, which is what per-processor data relies on. What is left
//! out: moving to a chosen processor; the affinity of a thread is only checked.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::{answer, exports, get, put};
use crate::irql;
use crate::machine::{current, violation};
use crate::process;
use crate::report::lock;
use crate::status;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Processors of the machine.
const PROCESSORS: u32 = 64;
/// Largest stack that a driver may ask for (`MAXIMUM_EXPANSION_SIZE`).
const STACK_BYTES: u64 = 0x1_2000 - 0x800;
/// Addresses that stand for the objects of the thread and its process.
const THREAD_OBJECT: u64 = 0xffff_9300_0000_0000;
const PROCESS_OBJECT: u64 = 0xffff_9400_0000_0000;
const OBJECT_STEP: u64 = 0x1000;
/// Tag and bytes of work items.
const TAG: u32 = u32::from_le_bytes(*b"IoWi");
const ITEM_BYTES: u64 = 32;

/// Processors that no thread has, the next one last.
static FREE: Mutex<Vec<u32>> = Mutex::new(Vec::new());
static GIVEN: Mutex<u32> = Mutex::new(0);

/// The processor of a thread, given back when the thread ends.
struct Processor(u32);

impl Processor {
    fn take() -> Processor {
        loop {
            if let Some(number) = lock(&FREE).pop() {
                return Processor(number);
            }
            let mut given = lock(&GIVEN);
            if *given < PROCESSORS {
                *given += 1;
                return Processor(*given - 1);
            }
            drop(given);
            // Every processor is busy: this thread is not scheduled.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        lock(&FREE).push(self.0);
    }
}

thread_local! {
    static PROCESSOR: Processor = Processor::take();
}

fn function(address: u64) -> *const () {
    std::ptr::with_exposed_provenance(address as usize)
}

/// A work item: the driver of its device.
unsafe fn driver_of(device: u64) -> u64 {
    const DRIVER_AT: u64 = 8;
    // SAFETY: a device of a driver.
    unsafe { get(device + DRIVER_AT) }.unwrap_or(0)
}

/// Runs a work item on a thread of the system.
fn run(device: u64, routine: u64, context: u64) {
    // SAFETY: the type of the routine by the interface of the function.
    let routine: extern "win64" fn(u64, u64) = unsafe { std::mem::transmute(function(routine)) };
    // SAFETY: the device of the item.
    let driver = unsafe { driver_of(device) };
    let machine = current();
    machine.work.begin(driver);
    std::thread::spawn(move || {
        let own = Arc::clone(&machine);
        own.enter(|| {
            process::run_as(process::SYSTEM, || {
                irql::run_at(irql::PASSIVE, "work item", || routine(device, context));
            });
        });
        machine.work.end(driver);
    });
}

exports! { "ntoskrnl.exe", Simulator:
    fn KeQueryMaximumProcessorCountEx(_group: u16) -> u32 {
        PROCESSORS
    }

    fn KeGetCurrentProcessorNumberEx(number: u64) -> u32 {
        let processor = PROCESSOR.with(|processor| processor.0);
        if number != 0 {
            // SAFETY: the driver's `PROCESSOR_NUMBER`: group, number, reserved.
            let _ = unsafe { put(number, processor << 16) };
        }
        processor
    }

    fn KeSetSystemAffinityThreadEx(affinity: u64) -> u64 {
        irql::at_most(irql::APC, "KeSetSystemAffinityThreadEx");
        if affinity == 0 {
            violation(|| "KeSetSystemAffinityThreadEx to no processor".to_owned());
        }
        0
    }

    fn KeRevertToUserAffinityThreadEx(_affinity: u64) {
        irql::at_most(irql::APC, "KeRevertToUserAffinityThreadEx");
    }

    fn KeDelayExecutionThread(_mode: i8, _alertable: u8, interval: u64) -> u32 {
        irql::at_most(irql::APC, "KeDelayExecutionThread");
        // SAFETY: the driver's variable.
        let Ok(interval) = (unsafe { get::<i64>(interval) }) else {
            return status::INVALID_PARAMETER;
        };
        // Only times from now on are known; others are in the past.
        let units = interval.min(0).unsigned_abs();
        std::thread::sleep(Duration::from_nanos(units.saturating_mul(100)));
        status::SUCCESS
    }

    fn KeExpandKernelStackAndCalloutEx(
        callout: u64,
        parameter: u64,
        size: u64,
        _wait: u8,
        _context: u64,
    ) -> u32 {
        irql::at_most(irql::DISPATCH, "KeExpandKernelStackAndCalloutEx");
        if size > STACK_BYTES {
            violation(|| format!("KeExpandKernelStackAndCalloutEx for {size} bytes"));
            return status::INVALID_PARAMETER;
        }
        // SAFETY: the type of the routine by the interface of the function.
        let callout: extern "win64" fn(u64) = unsafe { std::mem::transmute(function(callout)) };
        callout(parameter);
        status::SUCCESS
    }

    fn PsGetCurrentThread() -> u64 {
        THREAD_OBJECT + super::ke::thread_number() * OBJECT_STEP
    }

    fn PsGetCurrentThreadId() -> u64 {
        super::ke::thread_number() * 4
    }

    fn PsGetCurrentProcess() -> u64 {
        PROCESS_OBJECT + process::current() * OBJECT_STEP
    }

    fn PsGetCurrentProcessId() -> u64 {
        process::current()
    }

    fn IoAllocateWorkItem(device: u64) -> u64 {
        irql::at_most(irql::DISPATCH, "IoAllocateWorkItem");
        let item = super::ex::system_block(ITEM_BYTES, TAG);
        if item != 0 {
            // SAFETY: a fresh block.
            let _ = unsafe { put(item, device) };
        }
        item
    }

    fn IoFreeWorkItem(item: u64) {
        irql::at_most(irql::DISPATCH, "IoFreeWorkItem");
        super::ex::ExFreePoolWithTag(item, TAG);
    }

    fn IoQueueWorkItem(item: u64, routine: u64, _queue: u32, context: u64) {
        irql::at_most(irql::DISPATCH, "IoQueueWorkItem");
        // SAFETY: an item of `IoAllocateWorkItem`.
        match unsafe { get::<u64>(item) } {
            Ok(device) => run(device, routine, context),
            Err(_) => violation(|| "IoQueueWorkItem of no item".to_owned()),
        }
    }

    fn ZwUnloadDriver(service: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "ZwUnloadDriver");
        // SAFETY: the driver's string.
        let name = unsafe { super::unicode_string(service) };
        name.map_or_else(|status| status, |name| with_manager(|manager| manager.unload(&name)))
    }
}

/// Does what the manager of drivers can.
pub(super) fn with_manager(action: impl FnOnce(&dyn crate::work::Manager) -> u32) -> u32 {
    let manager = current().work.manager();
    answer(manager.map_or(Err(status::NOT_SUPPORTED), |manager| {
        match action(&*manager) {
            status::SUCCESS => Ok(()),
            status => Err(status),
        }
    }))
}
