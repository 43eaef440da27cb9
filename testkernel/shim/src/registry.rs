//! The registry, through the system calls underneath.

use testkernel::registry::Value;

#[repr(C)]
struct UnicodeString {
    length: u16,
    capacity: u16,
    buffer: *const u16,
}

#[repr(C)]
struct ObjectAttributes {
    length: u32,
    root: usize,
    name: *const UnicodeString,
    attributes: u32,
    security: usize,
    quality: usize,
}

#[link(name = "ntdll.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn NtOpenKey(handle: *mut usize, access: u32, attributes: *const ObjectAttributes) -> i32;
    fn NtQueryValueKey(
        key: usize,
        name: *const UnicodeString,
        class: u32,
        buffer: *mut u8,
        length: u32,
        needed: *mut u32,
    ) -> i32;
    fn NtClose(handle: usize) -> i32;
}

const KEY_READ: u32 = 0x2_0019;
const CASE_INSENSITIVE: u32 = 0x40;
/// `KeyValuePartialInformation`.
const PARTIAL: u32 = 2;
const FIXED_BYTES: usize = 12;
/// Largest value read.
const VALUE_BYTES: usize = 64 << 10;

/// An open key.
pub(crate) struct Key(usize);

impl Key {
    pub(crate) fn open(path: &str) -> Option<Key> {
        let units: Vec<u16> = path.encode_utf16().collect();
        let name = unicode(&units)?;
        let attributes = ObjectAttributes {
            length: size_of::<ObjectAttributes>() as u32,
            root: 0,
            name: &raw const name,
            attributes: CASE_INSENSITIVE,
            security: 0,
            quality: 0,
        };
        let mut handle = 0;
        // SAFETY: live structures of the documented layout.
        let status = unsafe { NtOpenKey(&raw mut handle, KEY_READ, &raw const attributes) };
        (status >= 0).then_some(Key(handle))
    }

    pub(crate) fn value(&self, name: &str) -> Option<Value> {
        let units: Vec<u16> = name.encode_utf16().collect();
        let name = unicode(&units)?;
        let mut buffer = vec![0u8; FIXED_BYTES + VALUE_BYTES];
        let (target, length) = (buffer.as_mut_ptr(), buffer.len() as u32);
        let mut needed = 0;
        // SAFETY: live structures; the buffer has `length` bytes.
        let status = unsafe {
            NtQueryValueKey(
                self.0,
                &raw const name,
                PARTIAL,
                target,
                length,
                &raw mut needed,
            )
        };
        let number = |at: usize| Some(u32::from_le_bytes(buffer[at..at + 4].try_into().ok()?));
        let len = number(8)? as usize;
        (status >= 0).then_some(Value {
            kind: number(4)?,
            data: buffer[FIXED_BYTES..].get(..len)?.to_vec(),
        })
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: this value owns the handle.
        unsafe { NtClose(self.0) };
    }
}

fn unicode(units: &[u16]) -> Option<UnicodeString> {
    let length = u16::try_from(units.len() * 2).ok()?;
    Some(UnicodeString {
        length,
        capacity: length,
        buffer: units.as_ptr(),
    })
}
