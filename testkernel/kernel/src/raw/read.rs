//! Files as drivers read them; under Wine its own system does this.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::image::fill;
use super::{exports, get, put, unicode_string};
use crate::irql;
use crate::machine::current;
use crate::status;

/// Opens the file of an image for `ZwCreateFile`.
pub(super) fn open(attributes: u64) -> Option<u64> {
    const NAME: u64 = 16;
    // SAFETY: the driver's structure.
    let name = unsafe { get(attributes + NAME).and_then(|name| unicode_string(name)) };
    current().images.open(&name.ok()?)
}

exports! { "ntoskrnl.exe", Simulator:
    fn ZwReadFile(
        file: u64,
        _event: u64,
        _routine: u64,
        _context: u64,
        block: u64,
        buffer: u64,
        length: u32,
        _offset: u64,
        _key: u64,
    ) -> u32 {
        irql::at_most(irql::PASSIVE, "ZwReadFile");
        let Some(bytes) = current().images.read(file, length as usize) else {
            return status::INVALID_HANDLE;
        };
        if bytes.is_empty() {
            return status::END_OF_FILE;
        }
        // SAFETY: the driver's buffer and structure.
        super::answer(unsafe {
            fill(buffer, length, &bytes).and_then(|()| put(block, [0, bytes.len() as u64]))
        })
    }

    fn RtlMultiByteToUnicodeN(units: u64, room: u32, written: u64, text: u64, length: u32) -> u32 {
        let count = length.min(room / 2);
        for at in 0..u64::from(count) {
            // SAFETY: the driver's text and buffer; file names of tests are ASCII.
            let copied = unsafe {
                get::<u8>(text + at).and_then(|byte| put(units + at * 2, u16::from(byte)))
            };
            if let Err(status) = copied {
                return status;
            }
        }
        // SAFETY: the driver's variable.
        super::answer(unsafe { put(written, count * 2) })
    }
}
