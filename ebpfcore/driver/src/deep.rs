//! Messages that need more stack than the kernel's threads have left.
//!
//! Verifying bytecode takes tens of kilobytes; a thread has 24. The kernel lends more, up to a
//! documented most, for the time of one call.

use crate::client::Caller;
use crate::import::KeExpandKernelStackAndCalloutEx;
use abi::ioctl::{HEADER_BYTES, Operation};
use ebpfcore::Status;
use ebpfcore::control::Control;

/// `MAXIMUM_EXPANSION_SIZE` on x64: 72 KiB less half a page.
const STACK_BYTES: usize = 0x1_2000 - 0x800;

/// A call to make on the larger stack.
struct Work<'a> {
    control: &'a Control,
    caller: &'a Caller<'a>,
    input: &'a [u8],
    output: &'a mut [u8],
    result: Result<usize, Status>,
}

/// Answers a message, on a larger stack where it needs one.
pub(crate) fn serve(
    control: &Control,
    caller: &Caller<'_>,
    input: &[u8],
    output: &mut [u8],
) -> Result<usize, Status> {
    if !is_deep(input) {
        return control.serve(caller, input, output);
    }
    let mut work = Work {
        control,
        caller,
        input,
        output,
        result: Err(Status::NoMemory),
    };
    let parameter = (&raw mut work).expose_provenance() as u64;
    // SAFETY: the parameter is what the callout expects and outlives the call; PASSIVE_LEVEL, as
    // the caller has a witness. On failure the callout did not run.
    unsafe { KeExpandKernelStackAndCalloutEx(run, parameter, STACK_BYTES, 1, 0) };
    work.result
}

fn is_deep(input: &[u8]) -> bool {
    let id = input.get(4..HEADER_BYTES);
    let id = id
        .and_then(|bytes| bytes.try_into().ok())
        .map(u32::from_le_bytes);
    id == Some(Operation::LoadCode as u32)
}

extern "system" fn run(parameter: u64) {
    let work = core::ptr::with_exposed_provenance_mut::<Work<'_>>(parameter as usize);
    // SAFETY: `serve` passes its own variable and waits.
    let work = unsafe { &mut *work };
    work.result = work.control.serve(work.caller, work.input, work.output);
}
