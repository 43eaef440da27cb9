//! What compiled code calls by itself, debug output, and the end of the system.
//!
//! Under Wine all of it comes from Wine. Debug output knows the conversions that drivers of this
//! project use; others are shown as they are written. What is left out: numbers with a fraction.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::{Row, Users, exports, get, put};
use crate::machine::current;

/// Longest text of one conversion.
const TEXT_BYTES: u64 = 4096;
/// Lines that are shown when the system ends.
const LAST_LINES: usize = 20;

/// The functions that the table of [`exports`] cannot express.
pub(super) static OWN_ROWS: &[Row] = &[Row {
    module: "ntoskrnl.exe",
    name: "__chkstk",
    users: Users::Simulator,
    address: || (check_stack as *const ()).expose_provenance() as u64,
}];

/// Touches each page of the stack that the caller is about to take; `rax` is its size in bytes. All
/// registers keep their values.
#[unsafe(naked)]
extern "C" fn check_stack() {
    core::arch::naked_asm!(
        "push rcx",
        "push rax",
        "lea rcx, [rsp + 24]",
        "2:",
        "cmp rax, 0x1000",
        "jb 3f",
        "sub rcx, 0x1000",
        "test byte ptr [rcx], cl",
        "sub rax, 0x1000",
        "jmp 2b",
        "3:",
        "sub rcx, rax",
        "test byte ptr [rcx], cl",
        "pop rax",
        "pop rcx",
        "ret",
    )
}

fn pointer(address: u64) -> *mut u8 {
    std::ptr::with_exposed_provenance_mut(address as usize)
}

exports! { "ntoskrnl.exe", Simulator:
    fn memcpy(to: u64, from: u64, bytes: u64) -> u64 {
        // SAFETY: the compiler's code passes two ranges that do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(pointer(from), pointer(to), bytes as usize) };
        to
    }

    fn memmove(to: u64, from: u64, bytes: u64) -> u64 {
        // SAFETY: the compiler's code passes two ranges.
        unsafe { std::ptr::copy(pointer(from), pointer(to), bytes as usize) };
        to
    }

    fn memset(to: u64, value: i32, bytes: u64) -> u64 {
        // SAFETY: the compiler's code passes a range.
        unsafe { pointer(to).write_bytes(value as u8, bytes as usize) };
        to
    }

    fn memcmp(left: u64, right: u64, bytes: u64) -> i32 {
        if bytes == 0 {
            return 0;
        }
        // SAFETY: the compiler's code passes two ranges, here not empty.
        let (left, right) = unsafe {
            (
                std::slice::from_raw_parts(pointer(left), bytes as usize),
                std::slice::from_raw_parts(pointer(right), bytes as usize),
            )
        };
        left.cmp(right) as i32
    }

    /// More arguments than were passed read the caller's stack, and no conversion asks for them.
    fn DbgPrintEx(_component: u32, _level: u32, format: u64, a: u64, b: u64, c: u64, d: u64) -> u32 {
        // SAFETY: the driver's format, with the arguments that it asks for.
        let line = unsafe { formatted(format, &[a, b, c, d]) };
        current().reports.say(line.trim_end().to_owned());
        crate::status::SUCCESS
    }

    fn RtlPcToFileHeader(address: u64, base: u64) -> u64 {
        let images = current().images.list();
        let inside = |image: &&crate::images::Image| {
            (image.base..image.base + u64::from(image.size)).contains(&address)
        };
        let found = images.iter().find(inside).map_or(0, |image| image.base);
        // SAFETY: the driver's variable.
        let _ = unsafe { put(base, found) };
        found
    }

    /// Looks for who handles an exception of a driver; here nothing raises one.
    fn __C_specific_handler(_record: u64, _frame: u64, _context: u64, _dispatcher: u64) -> u32 {
        const CONTINUE_SEARCH: u32 = 1;
        CONTINUE_SEARCH
    }

    /// The system ends, and with it this process.
    fn KeBugCheckEx(code: u32, p1: u64, p2: u64, p3: u64, p4: u64) {
        let lines = current().reports.lines();
        for line in &lines[lines.len().saturating_sub(LAST_LINES)..] {
            eprintln!("{line}");
        }
        eprintln!("bugcheck {code:#010x} ({p1:#x}, {p2:#x}, {p3:#x}, {p4:#x})");
        std::process::abort();
    }
}

/// Up to so many bytes of text that ends with a zero.
///
/// # Safety
/// 1. Readable up to the zero or the limit.
unsafe fn text(address: u64, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for at in 0..limit.min(TEXT_BYTES) {
        // SAFETY: the caller's obligation.
        match unsafe { get::<u8>(address + at) } {
            Ok(byte @ 1..) => bytes.push(byte),
            _ => break,
        }
    }
    bytes
}

/// What a format means.
///
/// # Safety
/// 1. A format that ends with a zero; its arguments have the types that it asks for.
unsafe fn formatted(format: u64, arguments: &[u64]) -> String {
    // SAFETY: obligation 1.
    let format = unsafe { text(format, TEXT_BYTES) };
    let format = String::from_utf8_lossy(&format);
    let mut arguments = arguments.iter().copied();
    let mut pieces = format.split('%');
    let mut line = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        // SAFETY: obligation 1.
        line += &unsafe { converted(piece, &mut arguments) };
    }
    line
}

/// One conversion, without its `%`, and the text behind it.
///
/// # Safety
/// 1. As for [`formatted`].
unsafe fn converted(piece: &str, arguments: &mut impl Iterator<Item = u64>) -> String {
    let (limit, rest) = match piece.strip_prefix(".*") {
        Some(rest) => (arguments.next().unwrap_or(0) & 0xffff_ffff, rest),
        None => (TEXT_BYTES, piece),
    };
    let mut rest = rest.chars();
    let value = match rest.next() {
        Some('s') => {
            let address = arguments.next().unwrap_or(0);
            // SAFETY: obligation 1: text, of the length that came before it.
            let bytes = unsafe { text(address, limit) };
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Some('u') => (arguments.next().unwrap_or(0) as u32).to_string(),
        Some('d') => (arguments.next().unwrap_or(0) as i32).to_string(),
        Some('x') => format!("{:x}", arguments.next().unwrap_or(0) as u32),
        Some('p') => format!("{:016x}", arguments.next().unwrap_or(0)),
        _ => return format!("%{piece}"),
    };
    value + rest.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<T: ?Sized>(value: &T) -> u64 {
        (&raw const *value).cast::<u8>().expose_provenance() as u64
    }

    #[test]
    fn formats_mean_what_they_say() {
        let (text, other) = (b"four and more", c"end");
        let format = c"%.*s|%s|%x%";
        // SAFETY: a format with arguments of its types.
        let line = unsafe { formatted(at(format), &[4, at(text), at(other), 0x1_0000_00ff]) };
        assert_eq!(line, "four|end|ff%");
    }

    #[test]
    fn memory_functions_are_those_of_c() {
        let mut bytes = *b"abcdef";
        let place = (&raw mut bytes).expose_provenance() as u64;
        memmove(place + 1, place, 5);
        assert_eq!(&bytes, b"aabcde");
        memset(place, 0x178, 2);
        assert_eq!(&bytes, b"xxbcde");
        let same = *b"xxbcdf";
        assert!(memcmp(place, at(&same), 6) < 0);
        assert_eq!(memcmp(place, at(&same), 5), 0);
    }
}
