//! Registry handles of the simulated kernel, and names of its functions.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::{address, answer, exports, get, put, unicode_string, wide_string};
use crate::irql;
use crate::machine::{Keys, Machine, current};
use crate::platform::installed;
use crate::registry::{Value, join};
use crate::report::lock;
use crate::status;

/// First registry handle; not a small number, so that mixed-up arguments are seen.
const FIRST_KEY: u64 = 0xffff_ffff_8000_1000;
const HANDLE_STEP: u64 = 4;

impl Keys {
    /// Opens a key by absolute name, or relative to an open one.
    fn open_key(&mut self, root: u64, name: &str) -> Result<u64, u32> {
        let path = match root {
            0 if name.starts_with('\\') => name.to_owned(),
            0 => return Err(status::OBJECT_PATH_SYNTAX_BAD),
            root => join(self.path(root)?, name),
        };
        if !self.registry.has_key(&path) {
            return Err(status::OBJECT_NAME_NOT_FOUND);
        }
        self.open.push(Some(path));
        Ok(FIRST_KEY + (self.open.len() as u64 - 1) * HANDLE_STEP)
    }

    fn query_value(&self, key: u64, name: &str) -> Result<Value, u32> {
        let value = self.registry.value(self.path(key)?, name);
        value.cloned().ok_or(status::OBJECT_NAME_NOT_FOUND)
    }

    fn name_below(&self, key: u64, index: u32) -> Result<String, u32> {
        let name = self.registry.below(self.path(key)?).nth(index as usize);
        name.ok_or(status::NO_MORE_ENTRIES)
    }

    fn close(&mut self, key: u64) -> u32 {
        let slot = index_of(key).and_then(|index| self.open.get_mut(index));
        match slot.and_then(Option::take) {
            Some(_) => status::SUCCESS,
            None => status::INVALID_HANDLE,
        }
    }

    fn path(&self, handle: u64) -> Result<&str, u32> {
        let slot = index_of(handle).and_then(|index| self.open.get(index));
        slot.and_then(Option::as_deref)
            .ok_or(status::INVALID_HANDLE)
    }
}

impl Machine {
    /// Registry keys that were opened and not closed.
    #[must_use]
    pub fn leaked_keys(&self) -> Vec<String> {
        lock(&self.keys).open.iter().flatten().cloned().collect()
    }
}

fn index_of(key: u64) -> Option<usize> {
    let offset = key.checked_sub(FIRST_KEY)?;
    let is_whole = offset.is_multiple_of(HANDLE_STEP);
    is_whole.then(|| usize::try_from(offset / HANDLE_STEP).ok())?
}

/// `KeyValuePartialInformation`: title index, type, length, data.
///
/// # Safety
/// 1. `length` bytes at `buffer` are writable, and so is `needed`.
unsafe fn put_partial(value: &Value, buffer: u64, length: u32, needed: u64) -> Result<(), u32> {
    const FIXED: u32 = 12;
    let total = FIXED + value.data.len() as u32;
    let fields = [0, value.kind, value.data.len() as u32];
    // SAFETY: the caller's obligation.
    unsafe {
        put(needed, total)?;
        if length < FIXED {
            return Err(status::BUFFER_TOO_SMALL);
        }
        for (at, field) in fields.into_iter().enumerate() {
            put(buffer + at as u64 * 4, field)?;
        }
        for (at, byte) in (FIXED..length).zip(&value.data) {
            put(buffer + u64::from(at), *byte)?;
        }
    }
    match total > length {
        true => Err(status::BUFFER_OVERFLOW),
        false => Ok(()),
    }
}

/// `KeyBasicInformation`.
///
/// # Safety
/// 1. `length` bytes at `buffer` are writable, and so is `needed`.
unsafe fn put_basic(name: &str, buffer: u64, length: u32, needed: u64) -> Result<(), u32> {
    const NAME: u32 = 16;
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let total = NAME + name.len() as u32;
    // SAFETY: the caller's obligation.
    unsafe {
        put(needed, total)?;
        if length < total {
            return Err(status::BUFFER_TOO_SMALL);
        }
        put(buffer, [0u32, 0, 0, name.len() as u32])?;
        for (at, byte) in (NAME..).zip(&name) {
            put(buffer + u64::from(at), *byte)?;
        }
    }
    Ok(())
}

exports! { "ntoskrnl.exe", Simulator:
    /// `OBJECT_ATTRIBUTES`: length at 0, root directory at 8, name at 16.
    fn ZwOpenKey(handle: u64, _access: u32, attributes: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "ZwOpenKey");
        // SAFETY: the driver passes addresses of its structures, or null.
        let opened = unsafe { get::<u32>(attributes) }.and_then(|length| {
            if length != 48 {
                return Err(status::INVALID_PARAMETER);
            }
            // SAFETY: as above.
            let (root, name) =
                unsafe { (get(attributes + 8)?, unicode_string(get(attributes + 16)?)?) };
            lock(&current().keys).open_key(root, &name)
        });
        // SAFETY: the driver's variable for the handle.
        answer(opened.and_then(|value| unsafe { put(handle, value) }))
    }

    fn ZwQueryValueKey(
        key: u64,
        name: u64,
        class: u32,
        buffer: u64,
        length: u32,
        needed: u64,
    ) -> u32 {
        const PARTIAL: u32 = 2;
        irql::at_most(irql::PASSIVE, "ZwQueryValueKey");
        if class != PARTIAL {
            return status::NOT_SUPPORTED;
        }
        // SAFETY: the driver passes the address of its structure.
        let value = unsafe { unicode_string(name) }
            .and_then(|name| lock(&current().keys).query_value(key, &name));
        // SAFETY: the driver's buffer has `length` bytes.
        answer(value.and_then(|value| unsafe { put_partial(&value, buffer, length, needed) }))
    }

    /// `KeyBasicInformation`: time, title index, length of the name at 12, name.
    fn ZwEnumerateKey(
        key: u64,
        index: u32,
        class: u32,
        buffer: u64,
        length: u32,
        needed: u64,
    ) -> u32 {
        const BASIC: u32 = 0;
        irql::at_most(irql::PASSIVE, "ZwEnumerateKey");
        if class != BASIC {
            return status::NOT_SUPPORTED;
        }
        let name = lock(&current().keys).name_below(key, index);
        // SAFETY: the driver's buffer has `length` bytes.
        answer(name.and_then(|name| unsafe { put_basic(&name, buffer, length, needed) }))
    }

    fn RtlInitUnicodeString(target: u64, source: u64) {
        // SAFETY: the driver passes the address of its structure and a terminated string, or null.
        let _ = unsafe {
            let bytes = wide_string(source).map_or(0, |units| units.len() as u16 * 2);
            let capacity = match source {
                0 => 0,
                _ => bytes.saturating_add(2),
            };
            put(target, bytes)
                .and_then(|()| put(target + 2, capacity))
                .and_then(|()| put(target + 8, source))
        };
    }

    fn MmGetSystemRoutineAddress(name: u64) -> u64 {
        irql::at_most(irql::PASSIVE, "MmGetSystemRoutineAddress");
        // SAFETY: the driver passes the address of its structure.
        let name = unsafe { unicode_string(name) }.unwrap_or_default();
        // The function looks in the kernel and in the HAL only.
        address("ntoskrnl.exe", &name).unwrap_or(0)
    }
}

/// Closes a handle: of a file of ours, of the kernel underneath, or a simulated one.
pub(super) fn close(handle: u64) -> u32 {
    if super::file::close(handle) || super::mm::close(handle) {
        return status::SUCCESS;
    }
    match installed() {
        Some(platform) => platform.close(handle),
        None if current().images.close(handle) || super::device::close(handle) => status::SUCCESS,
        None => lock(&current().keys).close(handle),
    }
}
