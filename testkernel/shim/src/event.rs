//! Events of the processes that drivers serve: a driver runs in another process, so it gets handles of
//! its own for them.

const PROCESS_DUP_HANDLE: u32 = 0x0040;
/// `DUPLICATE_SAME_ACCESS`.
const SAME_ACCESS: u32 = 2;

#[link(name = "kernel32.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn OpenProcess(access: u32, inherit: i32, process: u32) -> usize;
    fn GetCurrentProcess() -> u64;
    fn CloseHandle(handle: usize) -> i32;
    fn SetEvent(event: usize) -> i32;
    fn DuplicateHandle(
        source: usize,
        handle: usize,
        target: usize,
        copy: *mut usize,
        access: u32,
        inherit: i32,
        options: u32,
    ) -> i32;
}

#[link(name = "ntdll.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn NtQueryEvent(
        event: usize,
        class: u32,
        information: *mut [u32; 2],
        bytes: u32,
        returned: *mut u32,
    ) -> i32;
}

/// A handle for the event of a process, or 0.
pub(crate) fn take(process: u64, handle: u64) -> u64 {
    let mut copy = 0;
    // SAFETY: open handles and live variables; numbers that are no handles are refused.
    let is_copied = unsafe {
        let source = OpenProcess(PROCESS_DUP_HANDLE, 0, process as u32);
        let target = GetCurrentProcess() as usize;
        let copied = source != 0
            && DuplicateHandle(
                source,
                handle as usize,
                target,
                &raw mut copy,
                0,
                0,
                SAME_ACCESS,
            ) != 0;
        CloseHandle(source);
        copied
    };
    let mut about = [0; 2];
    // SAFETY: the structure of class 0 has 8 bytes.
    let is_event =
        is_copied && unsafe { NtQueryEvent(copy, 0, &raw mut about, 8, std::ptr::null_mut()) } >= 0;
    if is_copied && !is_event {
        close(copy);
    }
    if is_event { copy as u64 } else { 0 }
}

/// Sets it.
pub(crate) fn set(event: u64) {
    // SAFETY: a handle of [`take`].
    unsafe { SetEvent(event as usize) };
}

/// Closes the handle.
pub(crate) fn give(event: u64) {
    close(event as usize);
}

fn close(handle: usize) {
    // SAFETY: a handle of [`take`], closed once.
    unsafe { CloseHandle(handle) };
}
