//! Strings for the kernel: counted UTF-16, made on the stack.

use wdk::nt::UnicodeString;

/// Longest name that this driver has, in units.
const UNITS: usize = 64;

/// Calls `action` with a short name as the kernel takes it.
pub(crate) fn with_string<T>(name: &str, action: impl FnOnce(*const UnicodeString) -> T) -> T {
    let mut units = [0u16; UNITS];
    let mut length = 0;
    for (place, unit) in units.iter_mut().zip(name.encode_utf16()) {
        *place = unit;
        length += 1;
    }
    let string = string(&units[..length]);
    action(&raw const string)
}

/// Counted text over units that the caller keeps.
pub(crate) fn string(units: &[u16]) -> UnicodeString {
    let bytes = size_of_val(units).min(0xfffe) as u16;
    UnicodeString {
        length: bytes,
        capacity: bytes,
        reserved: 0,
        buffer: units.as_ptr().expose_provenance() as u64,
    }
}

/// Counted text over units that end with a zero, which does not count.
pub(crate) fn counted(units: &[u16]) -> UnicodeString {
    string(units.split_last().map_or(units, |(_, text)| text))
}
