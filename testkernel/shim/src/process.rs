//! Processes that drivers serve: which one calls, and when one ends.

use testkernel::raw;

const SYNCHRONIZE: u32 = 0x0010_0000;
const INFINITE: u32 = u32::MAX;
/// `WT_EXECUTEONLYONCE`.
const ONCE: u32 = 8;

#[link(name = "ntosreal.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn PsGetCurrentProcessId() -> u64;
}

#[link(name = "kernel32.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn OpenProcess(access: u32, inherit: i32, process: u32) -> usize;
    fn CloseHandle(handle: usize) -> i32;
    fn RegisterWaitForSingleObject(
        wait: *mut usize,
        object: usize,
        callback: extern "system" fn(usize, u8),
        context: usize,
        milliseconds: u32,
        flags: u32,
    ) -> i32;
}

/// The process whose request is dispatched.
pub(crate) fn current() -> u64 {
    // SAFETY: no obligation.
    unsafe { PsGetCurrentProcessId() }
}

/// Asks to be told of the end of a process; false when it has ended.
pub(crate) fn watch(process: u64) -> bool {
    // SAFETY: no obligation; the handle is closed below or stays with the wait.
    let handle = unsafe { OpenProcess(SYNCHRONIZE, 0, process as u32) };
    if handle == 0 {
        return false;
    }
    let mut wait = 0;
    let (variable, context) = (&raw mut wait, process as usize);
    // SAFETY: a live variable and a function that stays; the wait keeps the process's handle, a few
    // bytes for each client of a test.
    let waits = unsafe {
        RegisterWaitForSingleObject(variable, handle, ended, context, INFINITE, ONCE) != 0
    };
    if !waits {
        // SAFETY: opened above.
        unsafe { CloseHandle(handle) };
    }
    waits
}

extern "system" fn ended(process: usize, _is_timeout: u8) {
    raw::process_ended(&testkernel::machine::current(), process as u64);
}
