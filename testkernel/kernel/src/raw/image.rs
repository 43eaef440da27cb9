//! The list of images.
//!
//! Wine lists one image, which is not there; here it is those that its loader has.
#![allow(non_snake_case, reason = "names of functions that drivers import")]

use super::file::under;
use super::{exports, put};
use crate::images::Image;
use crate::irql;
use crate::machine::current;
use crate::platform::{Platform, installed};
use crate::status;

/// `SystemModuleInformation`, and its rows (`RTL_PROCESS_MODULES`).
const MODULES: u32 = 11;
const FIRST: usize = 8;
const ROW: usize = 296;
const NAME_BYTES: usize = 256;

fn images() -> Vec<Image> {
    installed().map_or_else(|| current().images.list(), Platform::images)
}

/// The list as drivers get it.
fn list(images: &[Image]) -> Vec<u8> {
    let mut bytes = (images.len() as u64).to_le_bytes().to_vec();
    for image in images {
        let start = bytes.len();
        bytes.resize(start + ROW, 0);
        let row = &mut bytes[start..];
        row[16..24].copy_from_slice(&image.base.to_le_bytes());
        row[24..28].copy_from_slice(&image.size.to_le_bytes());
        let name = image.name.as_bytes();
        let name = &name[..name.len().min(NAME_BYTES - 1)];
        row[40..40 + name.len()].copy_from_slice(name);
    }
    debug_assert_eq!(bytes.len(), FIRST + images.len() * ROW);
    bytes
}

/// # Safety
/// 1. `length` bytes at `buffer` are writable.
pub(super) unsafe fn fill(buffer: u64, length: u32, bytes: &[u8]) -> Result<(), u32> {
    for (at, byte) in (0..u64::from(length)).zip(bytes) {
        // SAFETY: the caller's obligation.
        unsafe { put(buffer + at, *byte) }?;
    }
    Ok(())
}

exports! { "ntoskrnl.exe", All:
    fn ZwQuerySystemInformation(class: u32, buffer: u64, length: u32, returned: u64) -> u32 {
        irql::at_most(irql::PASSIVE, "ZwQuerySystemInformation");
        if class != MODULES {
            let arguments = [u64::from(class), buffer, u64::from(length), returned];
            let answer = under("ZwQuerySystemInformation", &arguments);
            return answer.map_or(status::NOT_SUPPORTED, |answer| answer as u32);
        }
        let bytes = list(&images());
        if returned != 0 {
            // SAFETY: the driver's variable.
            let _ = unsafe { put(returned, bytes.len() as u32) };
        }
        if (length as usize) < bytes.len() {
            return status::INFO_LENGTH_MISMATCH;
        }
        // SAFETY: the driver's buffer has `length` bytes.
        super::answer(unsafe { fill(buffer, length, &bytes) })
    }

    /// Every thread began with its process.
    fn PsGetThreadCreateTime(_thread: u64) -> u64 {
        super::se::PROCESS_TIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Machine;
    use std::sync::Arc;

    #[test]
    fn images_are_listed_and_their_files_are_read() {
        let machine: Arc<Machine> = Arc::default();
        let image = Image {
            base: 0x1234_0000,
            size: 0x2000,
            name: r"\??\C:\x.sys".to_owned(),
        };
        machine.images.add(image, b"bytes".to_vec());
        machine.enter(|| {
            let (mut list, mut length) = ([0u8; FIRST + ROW], 0u32);
            let place = (&raw mut list).expose_provenance() as u64;
            let variable = (&raw mut length).expose_provenance() as u64;
            let ask = |room| ZwQuerySystemInformation(MODULES, place, room, variable);
            assert_eq!(ask(0), status::INFO_LENGTH_MISMATCH);
            assert_eq!(length as usize, FIRST + ROW);
            assert_eq!(ask(length), status::SUCCESS);
            assert_eq!(list[FIRST + 16..FIRST + 24], 0x1234_0000u64.to_le_bytes());
            assert_eq!(list[FIRST + 40..FIRST + 53], *b"\\??\\C:\\x.sys\0");
        });
        let images = &machine.images;
        let file = images.open(r"\??\c:\X.sys").unwrap();
        assert_eq!(images.read(file, 3).unwrap(), b"byt");
        assert_eq!(images.read(file, 3).unwrap(), b"es");
        assert_eq!(images.read(file, 3).unwrap(), b"");
        assert!(images.close(file) && !images.close(file));
        assert_eq!(images.open_files(), 0);
    }
}
