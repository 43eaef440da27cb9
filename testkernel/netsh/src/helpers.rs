//! Helpers: the registry's list, and loading them.
#![expect(unsafe_code, reason = "asks Windows")]

use crate::interface::{CONTEXTS, Context, STARTS};
use std::ffi::c_void;
use std::path::Path;
use std::ptr::{null, null_mut};
use windows_sys::Win32::Foundation::{ERROR_SUCCESS, HMODULE};
use windows_sys::Win32::System::LibraryLoader::{GetProcAddress, LoadLibraryW};
use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_LOCAL_MACHINE, KEY_ALL_ACCESS, REG_SZ, RegCloseKey, RegCreateKeyExW,
    RegDeleteValueW, RegEnumValueW, RegSetValueExW,
};
use windows_sys::Win32::UI::WindowsAndMessaging::LoadStringW;

/// Where Windows keeps the list.
const LIST: &str = r"SOFTWARE\Microsoft\NetSh";
/// What a helper is asked for.
const VERSION: u32 = 1;
/// Longest text, in UTF-16 units.
const TEXT: usize = 1 << 15;

/// A library with what it registered.
pub(crate) struct Helper {
    pub(crate) path: String,
    module: HMODULE,
    pub(crate) contexts: Vec<Context>,
}

impl Helper {
    /// Loads a library and lets it register.
    pub(crate) fn load(path: &str) -> Result<Helper, String> {
        let fail = |what: &str| format!("{path}: {what}");
        // SAFETY: texts that end with 0; the function is the one that netsh.h documents.
        let module = unsafe {
            let module = LoadLibraryW(wide(path).as_ptr());
            if module.is_null() {
                return Err(fail("the library cannot be loaded"));
            }
            let init = GetProcAddress(module, c"InitHelperDll".as_ptr().cast());
            let Some(init) = init else {
                return Err(fail("no netsh helper: it has no InitHelperDll"));
            };
            type Init = unsafe extern "system" fn(u32, *mut c_void) -> u32;
            let init: Init = std::mem::transmute(init);
            match init(VERSION, null_mut()) {
                0 => module,
                error => return Err(fail(&format!("InitHelperDll answers {error}"))),
            }
        };
        let starts = STARTS.lock().map(|mut starts| std::mem::take(&mut *starts));
        for start in starts.unwrap_or_default() {
            // SAFETY: the function that the helper registered.
            let error = unsafe { start(null(), VERSION) };
            if error != 0 {
                return Err(fail(&format!("it does not start: {error}")));
            }
        }
        let contexts = CONTEXTS.lock().map(|mut all| std::mem::take(&mut *all));
        Ok(Helper {
            path: path.to_owned(),
            module,
            contexts: contexts.unwrap_or_default(),
        })
    }

    /// A text of the library's resources, with the inserts' `%%` as `%`.
    pub(crate) fn text(&self, number: u32) -> String {
        let mut text = vec![0; TEXT];
        // SAFETY: a buffer of the size that is told.
        let length = unsafe { LoadStringW(self.module, number, text.as_mut_ptr(), TEXT as i32) };
        let text = text.get(..length as usize).unwrap_or_default();
        String::from_utf16_lossy(text).replace("%%", "%")
    }
}

/// The list in the registry.
pub(crate) struct List(HKEY);

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: a key that nobody else closes.
        unsafe { RegCloseKey(self.0) };
    }
}

impl List {
    pub(crate) fn open() -> Result<List, String> {
        let mut key = null_mut();
        // SAFETY: a text that ends with 0, and a place for the answer.
        let error = unsafe {
            let name = wide(LIST);
            let (class, security, made) = (null(), null(), null_mut());
            RegCreateKeyExW(
                HKEY_LOCAL_MACHINE,
                name.as_ptr(),
                0,
                class,
                0,
                KEY_ALL_ACCESS,
                security,
                &raw mut key,
                made,
            )
        };
        match error {
            ERROR_SUCCESS => Ok(List(key)),
            error => Err(format!(r"HKLM\{LIST}: error {error}")),
        }
    }

    /// Adds a library under the name of its file.
    pub(crate) fn add(&self, path: &str) -> Result<(), String> {
        let data = wide(path);
        // SAFETY: texts that end with 0, of the size that is told.
        let error = unsafe {
            let size = (data.len() * 2) as u32;
            RegSetValueExW(
                self.0,
                wide(&name(path)).as_ptr(),
                0,
                REG_SZ,
                data.as_ptr().cast(),
                size,
            )
        };
        done(path, error)
    }

    /// Removes a library.
    pub(crate) fn remove(&self, path: &str) -> Result<(), String> {
        // SAFETY: a text that ends with 0.
        done(path, unsafe {
            RegDeleteValueW(self.0, wide(&name(path)).as_ptr())
        })
    }

    /// Paths of all libraries.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut all = Vec::new();
        for index in 0.. {
            let (mut name, mut data) = (vec![0u16; 256], vec![0u16; 1024]);
            let (mut name_size, mut data_size) = (256, 2048);
            // SAFETY: buffers of the sizes that are told.
            let error = unsafe {
                RegEnumValueW(
                    self.0,
                    index,
                    name.as_mut_ptr(),
                    &raw mut name_size,
                    null(),
                    null_mut(),
                    data.as_mut_ptr().cast(),
                    &raw mut data_size,
                )
            };
            if error != ERROR_SUCCESS {
                break;
            }
            let length = data
                .iter()
                .position(|unit| *unit == 0)
                .unwrap_or(data.len());
            all.push(String::from_utf16_lossy(&data[..length]));
        }
        all
    }
}

fn name(path: &str) -> String {
    let file = path.rsplit(['\\', '/']).next().unwrap_or(path);
    let stem = Path::new(file).file_stem();
    stem.map_or_else(
        || file.to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}

fn done(path: &str, error: u32) -> Result<(), String> {
    match error {
        ERROR_SUCCESS => Ok(()),
        error => Err(format!("{path}: error {error}")),
    }
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}
