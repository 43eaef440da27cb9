//! Services that a process made and did not live to delete.
//!
//! Beside a module's id its service says who made it: the number of the process and when it began, as
//! numbers are used again. Whoever makes the next service deletes those whose maker is gone; one whose
//! driver still runs goes when it stops, by which its programs stay if they are pinned. What is left
//! out: services that others made, with `sc` for instance.
#![expect(unsafe_code, reason = "asks the registry and about processes")]

use super::{service, wide};
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use std::ptr::{null, null_mut};
use windows_sys::Win32::Foundation::{
    ERROR_INVALID_PARAMETER, ERROR_SUCCESS, FILETIME, HANDLE, STILL_ACTIVE,
};
use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_LOCAL_MACHINE, KEY_READ, RRF_RT_REG_BINARY, RegCloseKey, RegEnumKeyExW,
    RegGetValueW, RegOpenKeyExW,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetExitCodeProcess, GetProcessTimes, OpenProcess,
    PROCESS_QUERY_LIMITED_INFORMATION,
};

/// The value below `Parameters`.
pub(super) const VALUE: &str = "EbpfMaker";
/// The number of a process and when it began.
const MARK_BYTES: usize = 12;
/// Longest name of a key, in units, and its end.
const NAME_UNITS: usize = 256;

type Mark = [u8; MARK_BYTES];

/// Who this process is.
pub(super) fn own_mark() -> Mark {
    // SAFETY: no obligation; the handle needs no closing.
    let began = began(unsafe { GetCurrentProcess() }).unwrap_or(0);
    mark(std::process::id(), began)
}

fn mark(process: u32, began: u64) -> Mark {
    let mut mark = [0; MARK_BYTES];
    mark[..4].copy_from_slice(&process.to_le_bytes());
    mark[4..].copy_from_slice(&began.to_le_bytes());
    mark
}

/// Deletes the services of processes that are gone. It helps others; who makes a service does not fail
/// for it.
pub(super) fn sweep() {
    let mut left = Vec::new();
    let Some(services) = Services::open() else {
        return;
    };
    // Deleting while listing would move what comes next.
    left.extend((0..).map_while(|index| services.name(index)));
    left.retain(|name| services.mark(name).is_some_and(|mark| is_gone(&mark)));
    for name in left {
        let name = name.to_string_lossy();
        // Somebody else may be deleting it too.
        let _ = service::retire(&name);
    }
}

/// Whether the process that a mark names has ended.
fn is_gone(found: &Mark) -> bool {
    let process = u32::from_le_bytes([found[0], found[1], found[2], found[3]]);
    // SAFETY: no obligation; the handle is owned below.
    let handle = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, process) };
    if handle.is_null() {
        // Any other error is that of a process that may not be asked, hence is there.
        return super::device::last_error() == ERROR_INVALID_PARAMETER;
    }
    // SAFETY: opened above and owned by nobody else.
    let handle = unsafe { OwnedHandle::from_raw_handle(handle) };
    let mut code = 0;
    // SAFETY: an open process and a live variable.
    let is_known = unsafe { GetExitCodeProcess(handle.as_raw_handle(), &raw mut code) } != 0;
    let has_ended = is_known && code != STILL_ACTIVE as u32;
    let began = began(handle.as_raw_handle());
    has_ended || began.is_some_and(|began| mark(process, began) != *found)
}

/// When a process began.
fn began(process: HANDLE) -> Option<u64> {
    let mut times = [FILETIME::default(); 4];
    let [began, ended, kernel, user] = times.each_mut().map(std::ptr::from_mut);
    // SAFETY: an open process and four live variables.
    let is_known = unsafe { GetProcessTimes(process, began, ended, kernel, user) } != 0;
    let [began, ..] = times;
    let time = u64::from(began.dwHighDateTime) << 32 | u64::from(began.dwLowDateTime);
    is_known.then_some(time)
}

/// The key of all services.
struct Services(HKEY);

impl Services {
    fn open() -> Option<Services> {
        let (path, mut key) = (wide(service::SERVICES.as_ref()), null_mut());
        // SAFETY: text with its end and a live variable.
        let code =
            unsafe { RegOpenKeyExW(HKEY_LOCAL_MACHINE, path.as_ptr(), 0, KEY_READ, &raw mut key) };
        (code == ERROR_SUCCESS).then_some(Services(key))
    }

    /// The name of one of them.
    fn name(&self, index: u32) -> Option<std::ffi::OsString> {
        use std::os::windows::ffi::OsStringExt as _;
        let mut name = [0; NAME_UNITS];
        let mut units = NAME_UNITS as u32;
        // SAFETY: an open key, a buffer of this length, live variables; the rest is not asked for.
        let code = unsafe {
            let (buffer, length) = (name.as_mut_ptr(), &raw mut units);
            RegEnumKeyExW(
                self.0,
                index,
                buffer,
                length,
                null(),
                null_mut(),
                null_mut(),
                null_mut(),
            )
        };
        let name = name.get(..units as usize)?;
        (code == ERROR_SUCCESS).then(|| std::ffi::OsString::from_wide(name))
    }

    /// Who made a service, if it says so.
    fn mark(&self, name: &std::ffi::OsStr) -> Option<Mark> {
        let mut path = name.to_owned();
        path.push(r"\Parameters");
        let (path, value) = (wide(&path), wide(VALUE.as_ref()));
        let (mut mark, mut bytes) = ([0; MARK_BYTES], MARK_BYTES as u32);
        // SAFETY: an open key, texts with their ends, a buffer of this length.
        let code = unsafe {
            let (buffer, length) = (mark.as_mut_ptr().cast(), &raw mut bytes);
            let (path, value) = (path.as_ptr(), value.as_ptr());
            RegGetValueW(
                self.0,
                path,
                value,
                RRF_RT_REG_BINARY,
                null_mut(),
                buffer,
                length,
            )
        };
        (code == ERROR_SUCCESS && bytes as usize == MARK_BYTES).then_some(mark)
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        // SAFETY: this value owns the key.
        unsafe { RegCloseKey(self.0) };
    }
}
