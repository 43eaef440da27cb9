//! Keys of the registry.
#![expect(unsafe_code, reason = "calls the registry")]

use super::wide;
use crate::store::{self, PROVIDERS, Value};
use crate::{Cause, Error};
use std::ptr::{null, null_mut};
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_FILE_NOT_FOUND, ERROR_PATH_NOT_FOUND, ERROR_SUCCESS,
};
use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_CURRENT_USER, HKEY_LOCAL_MACHINE, KEY_WRITE, REG_BINARY, REG_DWORD, REG_SZ,
    RegCloseKey, RegCreateKeyExW, RegDeleteTreeW, RegSetValueExW,
};

/// Whose part of the registry.
#[derive(Clone, Copy)]
pub(super) enum Root {
    Machine,
    User,
}

impl Root {
    fn key(self) -> HKEY {
        match self {
            Root::Machine => HKEY_LOCAL_MACHINE,
            Root::User => HKEY_CURRENT_USER,
        }
    }
}

/// An open key. Errors are the system's codes.
pub(super) struct Key(HKEY);

impl Key {
    /// Opens a key to write it, after making it where there is none.
    pub(super) fn create(root: Root, path: &str) -> Result<Key, u32> {
        let path = wide(path.as_ref());
        let mut key: HKEY = null_mut();
        // SAFETY: text with its end and a live variable.
        let code = unsafe {
            let (variable, root) = (&raw mut key, root.key());
            RegCreateKeyExW(
                root,
                path.as_ptr(),
                0,
                null(),
                0,
                KEY_WRITE,
                null(),
                variable,
                null_mut(),
            )
        };
        done(code).map(|()| Key(key))
    }

    /// Writes bytes.
    pub(super) fn set(&self, name: &str, bytes: &[u8]) -> Result<(), u32> {
        self.set_as(REG_BINARY, name, bytes)
    }

    fn set_value(&self, name: &str, value: &Value) -> Result<(), u32> {
        match value {
            Value::Number(number) => self.set_as(REG_DWORD, name, &number.to_le_bytes()),
            Value::Bytes(bytes) => self.set(name, bytes),
            Value::Text(text) => {
                let units = wide(text.as_ref()).into_iter();
                let bytes: Vec<u8> = units.flat_map(u16::to_le_bytes).collect();
                self.set_as(REG_SZ, name, &bytes)
            }
        }
    }

    fn set_as(&self, kind: u32, name: &str, bytes: &[u8]) -> Result<(), u32> {
        let (name, length) = (wide(name.as_ref()), bytes.len() as u32);
        // SAFETY: an open key, text with its end, and bytes of this length.
        done(unsafe { RegSetValueExW(self.0, name.as_ptr(), 0, kind, bytes.as_ptr(), length) })
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: this value owns the key.
        unsafe { RegCloseKey(self.0) };
    }
}

fn done(code: u32) -> Result<(), u32> {
    match code {
        ERROR_SUCCESS => Ok(()),
        code => Err(code),
    }
}

fn delete(root: Root, path: &str) -> Result<(), u32> {
    let path = wide(path.as_ref());
    // SAFETY: a root that is always open, and text with its end.
    done(unsafe { RegDeleteTreeW(root.key(), path.as_ptr()) })
}

fn failed(doing: String, what: &'static str, code: u32) -> Error {
    Error::new(doing, Cause::System { what, code })
}

fn below(path: &str) -> String {
    format!(r"{PROVIDERS}\{path}")
}

/// Writes keys of the store: those of the machine, or those of the user who may not write these.
///
/// # Errors
/// The registry refuses.
pub fn write_stored(keys: &[store::Key]) -> Result<(), Error> {
    let root = match Key::create(Root::Machine, PROVIDERS) {
        Err(ERROR_ACCESS_DENIED) => Root::User,
        _ => Root::Machine,
    };
    for key in keys {
        let write = || -> Result<(), u32> {
            let open = Key::create(root, &below(&key.path))?;
            let mut values = key.values.iter();
            values.try_for_each(|(name, value)| open.set_value(name, value))
        };
        let failed = |code| failed(format!("store {}", key.path), "write the registry", code);
        write().map_err(failed)?;
    }
    Ok(())
}

/// Deletes a key of the store with all below it, of the machine and of the user.
///
/// # Errors
/// There is none, or the registry refuses.
pub fn delete_stored(path: &str) -> Result<(), Error> {
    let roots = [Root::Machine, Root::User];
    let results = roots.map(|root| delete(root, &below(path)));
    let is_missing = |code: u32| matches!(code, ERROR_FILE_NOT_FOUND | ERROR_PATH_NOT_FOUND);
    let code = match results {
        [Err(machine), Err(user)] if is_missing(machine) => user,
        [Err(machine), Err(_)] => machine,
        // It is gone where it was.
        _ => return Ok(()),
    };
    let doing = format!("delete {path} from the store");
    Err(failed(doing, "delete a key of the registry", code))
}
