//! Calls that hooks of extensions make: the functions of [`InvokeDispatch`].
//!
//! A batch pins the epoch for each of its calls, not once: the state that an extension keeps for it
//! holds nothing, so an extension that forgets to end a batch blocks nobody.
#![expect(unsafe_code, reason = "is called by extensions, with addresses")]

use super::{addresses::pointer, shared::Shared};
use crate::{Status, extension::Outlet};
use abi::native::extension::{ExecutionContextState, InvokeDispatch};

/// Version and number of the functions.
const VERSION: u16 = 1;
const COUNT: u16 = 4;

/// Defines functions in the calling convention of the kernel.
macro_rules! system_abi {
    ($($(#[$meta:meta])* fn $name:ident($($arg:ident: $type:ty),*) -> i32 $body:block)*) => {
        $(
            $(#[$meta])*
            #[cfg(target_arch = "x86_64")]
            unsafe extern "win64" fn $name($($arg: $type),*) -> i32 $body
            $(#[$meta])*
            #[cfg(not(target_arch = "x86_64"))]
            unsafe extern "C" fn $name($($arg: $type),*) -> i32 $body
        )*
    };
}

/// The functions that every outlet offers.
pub(crate) fn dispatch() -> InvokeDispatch {
    let address = |function: *const ()| function.expose_provenance() as u64;
    InvokeDispatch {
        version: VERSION,
        count: COUNT,
        reserved: 0,
        invoke: address(invoke as *const ()),
        batch_begin: address(batch_begin as *const ()),
        batch_invoke: address(batch_invoke as *const ()),
        batch_end: address(batch_end as *const ()),
    }
}

/// Runs the program of an outlet.
///
/// # Safety
///
/// 1. `outlet` is the address of an [`Outlet`] that a hook is attached to.
/// 2. `context` is a context of the program type of the hook, as [`crate::Run::invoke`] wants it.
/// 3. `result` is writable.
unsafe fn run(outlet: u64, context: u64, result: *mut u32) -> i32 {
    // SAFETY: obligation 1.
    let outlet = unsafe { Shared::<Outlet>::borrow_address(outlet) };
    let mut run = outlet.core().enter();
    // SAFETY: obligation 2; programs are checked against the type of the hook when they are attached.
    match unsafe { run.invoke_linked(outlet.link(), context) } {
        Some(Ok(value)) => {
            // SAFETY: obligation 3. The result is the low half.
            unsafe { result.write(value as u32) };
            0
        }
        Some(Err(_)) => Status::Failed.number(),
        None => Status::ExtensionFailedToLoad.number(),
    }
}

system_abi! {
    fn invoke(outlet: u64, context: u64, result: *mut u32) -> i32 {
        // SAFETY: the extension calls it as the interface says.
        unsafe { run(outlet, context, result) }
    }

    fn batch_begin(bytes: usize, state: u64) -> i32 {
        if bytes < size_of::<ExecutionContextState>() || state == 0 {
            return Status::InvalidArgument.number();
        }
        // SAFETY: the extension gives a state of at least this size.
        unsafe { pointer(state).write_bytes(0, size_of::<ExecutionContextState>()) };
        0
    }

    fn batch_invoke(outlet: u64, context: u64, result: *mut u32, _state: u64) -> i32 {
        // SAFETY: the extension calls it as the interface says.
        unsafe { run(outlet, context, result) }
    }

    fn batch_end(_state: u64) -> i32 {
        0
    }
}
