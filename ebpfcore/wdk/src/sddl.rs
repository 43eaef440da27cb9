//! Security descriptors from their text (SDDL), when the compiler runs.
//!
//! `ntoskrnl.exe` has no function for it. What is understood is what devices of this project say: a
//! protected list of entries that allow everything to some groups; the owner is the administrators. Anything else does not compile.

use crate::nt::FILE_ALL_ACCESS;

/// Room for a descriptor.
pub const BYTES: usize = 256;
/// Bytes of the descriptor's header (self-relative) and of that of its list.
const HEADER: usize = 20;
const LIST_HEADER: usize = 8;
/// Type, flags, size and mask of an entry.
const ENTRY_HEADER: usize = 8;
/// What an entry begins with.
const ALLOW_ALL: &[u8] = b"(A;;GA;;;";

/// The bytes of a self-relative `SECURITY_DESCRIPTOR` and how many there are.
///
/// # Panics
/// The text is not of the form that is understood; in a constant, that is a failed compilation.
#[must_use]
pub const fn descriptor(text: &str) -> ([u8; BYTES], usize) {
    let text = text.as_bytes();
    assert!(starts_with(text, 0, b"D:P"), "a protected list");
    let mut out = [0; BYTES];
    let (mut read, mut written, mut entries) = (3, HEADER + LIST_HEADER, 0);
    while read < text.len() {
        assert!(starts_with(text, read, ALLOW_ALL), "(A;;GA;;;sid)");
        let start = written;
        (read, written) = sid(text, read + ALLOW_ALL.len(), &mut out, start + ENTRY_HEADER);
        assert!(text[read] == b')', "the end of an entry");
        read += 1;
        out = put(out, start + 2, (written - start) as u64, 2);
        out = put(out, start + 4, FILE_ALL_ACCESS as u64, 4);
        entries += 1;
    }
    // Checks of access want an owner and a group: the administrators.
    let (_, end) = sid(b"BA", 0, &mut out, written);
    out = put(out, 4, written as u64, 4);
    out = put(out, 8, written as u64, 4);
    // Revision 1; list present, list protected, self-relative; where the list is.
    out[0] = 1;
    out = put(out, 2, 0x9004, 2);
    out = put(out, 16, HEADER as u64, 4);
    // Revision 2, bytes and number of entries of the list.
    out[HEADER] = 2;
    out = put(out, HEADER + 2, (written - HEADER) as u64, 2);
    out = put(out, HEADER + 4, entries, 2);
    (out, end)
}

const fn starts_with(text: &[u8], at: usize, prefix: &[u8]) -> bool {
    let mut index = 0;
    while index < prefix.len() {
        if at + index >= text.len() || text[at + index] != prefix[index] {
            return false;
        }
        index += 1;
    }
    true
}

const fn put(mut out: [u8; BYTES], at: usize, value: u64, bytes: usize) -> [u8; BYTES] {
    let value = value.to_le_bytes();
    let mut index = 0;
    while index < bytes {
        out[at + index] = value[index];
        index += 1;
    }
    out
}

/// Reads a group and writes it; returns what follows both.
const fn sid(text: &[u8], at: usize, out: &mut [u8; BYTES], to: usize) -> (usize, usize) {
    if starts_with(text, at, b"BA") {
        let (_, end) = sid(b"S-1-5-32-544)", 0, out, to);
        return (at + 2, end);
    }
    if starts_with(text, at, b"SY") {
        let (_, end) = sid(b"S-1-5-18)", 0, out, to);
        return (at + 2, end);
    }
    assert!(starts_with(text, at, b"S-1-5"), "a group");
    out[to] = 1;
    out[to + 7] = 5;
    let (mut read, mut written) = (at + 5, to + 8);
    while text[read] == b'-' {
        let mut value = 0;
        read += 1;
        while text[read].is_ascii_digit() {
            value = value * 10 + (text[read] - b'0') as u64;
            read += 1;
        }
        assert!(value <= u32::MAX as u64, "a number of 32 bits");
        *out = put(*out, written, value, 4);
        written += 4;
        out[to + 1] += 1;
    }
    (read, written)
}

#[cfg(test)]
mod tests {
    use super::descriptor;

    /// What `ConvertStringSecurityDescriptorToSecurityDescriptor` documents: header, list, entries.
    #[test]
    fn administrators_and_the_system() {
        const DESCRIPTOR: ([u8; super::BYTES], usize) = descriptor("D:P(A;;GA;;;BA)(A;;GA;;;SY)");
        let (bytes, length) = DESCRIPTOR;
        #[rustfmt::skip]
        let expected = [
            1, 0, 0x04, 0x90, 72, 0, 0, 0, 72, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0,
            2, 0, 52, 0, 2, 0, 0, 0,
            0, 0, 24, 0, 0xff, 0x01, 0x1f, 0, 1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0,
            0, 0, 20, 0, 0xff, 0x01, 0x1f, 0, 1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0,
            1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0,
        ];
        assert_eq!(bytes[..length], expected);
    }

    #[test]
    fn the_service_of_the_device() {
        let (bytes, length) = descriptor(abi::ioctl::SDDL);
        assert_eq!(length, 28 + 40 + 24 + 20 + 16);
        assert_eq!(bytes[28 + 8..28 + 16], [1, 6, 0, 0, 0, 0, 0, 5]);
        assert_eq!(bytes[28 + 16..28 + 20], 80u32.to_le_bytes());
        assert_eq!(bytes[28 + 36..28 + 40], 1_897_355_174u32.to_le_bytes());
    }

    #[test]
    #[should_panic(expected = "(A;;GA;;;sid)")]
    fn other_rights_are_refused() {
        let _ = descriptor("D:P(A;;GR;;;BA)");
    }
}
