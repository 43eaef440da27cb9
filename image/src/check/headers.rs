//! Rules about the headers.

use super::Finding;
use crate::checksum as sum;
use crate::read::{PAGE, Pe, machine as known};

const RELOCS_STRIPPED: u16 = 0x1;
const EXECUTABLE_IMAGE: u16 = 0x2;
const NATIVE: u16 = 1;
const HIGH_ENTROPY_VA: u16 = 0x20;
const DYNAMIC_BASE: u16 = 0x40;
const FORCE_INTEGRITY: u16 = 0x80;
const NX_COMPAT: u16 = 0x100;

pub(super) fn machine(pe: &Pe<'_>) -> Finding {
    match pe.headers.machine {
        known::AMD64 => Finding::pass("x64"),
        known::ARM64 => Finding::pass("ARM64"),
        other => Finding::fail(format!("machine {other:#06x}")),
    }
}

pub(super) fn characteristics(pe: &Pe<'_>) -> Finding {
    let flags = pe.headers.characteristics;
    if flags & EXECUTABLE_IMAGE == 0 {
        return Finding::fail("EXECUTABLE_IMAGE is not set");
    }
    if flags & RELOCS_STRIPPED != 0 {
        return Finding::fail("relocations are stripped; the kernel always moves drivers");
    }
    Finding::pass(format!("{flags:#06x}"))
}

pub(super) fn subsystem(pe: &Pe<'_>) -> Finding {
    match pe.headers.subsystem {
        NATIVE => Finding::pass("NATIVE"),
        other => Finding::fail(format!("subsystem {other}")),
    }
}

pub(super) fn os_version(pe: &Pe<'_>) -> Finding {
    let (major, minor) = pe.headers.subsystem_version;
    let text = format!("{major}.{minor}");
    match (major, minor) {
        (5, 2) | (6, 0..=3) | (10, 0) => Finding::pass(text),
        _ => Finding::fail(format!("subsystem version {text}")),
    }
}

pub(super) fn nx_compat(pe: &Pe<'_>) -> Finding {
    match pe.headers.dll_characteristics & NX_COMPAT {
        0 => Finding::fail("not set"),
        _ => Finding::pass("set"),
    }
}

pub(super) fn dynamic_base(pe: &Pe<'_>) -> Finding {
    let both = DYNAMIC_BASE | HIGH_ENTROPY_VA;
    match pe.headers.dll_characteristics & both {
        found if found == both => Finding::pass("set"),
        found => Finding::warn(format!("missing {:#06x}", both & !found)),
    }
}

pub(super) fn force_integrity(pe: &Pe<'_>) -> Finding {
    match pe.headers.dll_characteristics & FORCE_INTEGRITY {
        0 => Finding::warn("not set; some callbacks (process, object) cannot be registered"),
        _ => Finding::pass("set"),
    }
}

pub(super) fn headers_size(pe: &Pe<'_>) -> Finding {
    let size = pe.headers.size_of_headers;
    let first = pe
        .sections
        .iter()
        .map(|section| section.rva)
        .min()
        .unwrap_or(PAGE);
    let raw = pe
        .sections
        .iter()
        .filter(|s| s.raw_size != 0)
        .map(|s| s.raw_offset)
        .min();
    if size as usize > pe.bytes().len() || size > first || raw.is_some_and(|raw| size > raw) {
        return Finding::fail(format!(
            "{size:#x} bytes of headers reach into the first section"
        ));
    }
    if !size.is_multiple_of(pe.headers.file_alignment.max(1)) {
        return Finding::fail(format!("{size:#x} is not a multiple of the file alignment"));
    }
    Finding::pass(format!("{size:#x}"))
}

pub(super) fn image_size(pe: &Pe<'_>) -> Finding {
    let end = pe
        .sections
        .iter()
        .map(super::super::read::Section::end_rounded)
        .max()
        .unwrap_or(0);
    let size = pe.headers.size_of_image;
    if u64::from(size) == end {
        return Finding::pass(format!("{size:#x}"));
    }
    Finding::fail(format!("SizeOfImage {size:#x}, sections end at {end:#x}"))
}

pub(super) fn checksum(pe: &Pe<'_>) -> Finding {
    let Some(field) = sum::field(pe.bytes()) else {
        return Finding::fail("there is no checksum field");
    };
    let (found, expected) = (pe.headers.checksum, sum::compute(pe.bytes(), field));
    if found == expected {
        return Finding::pass(format!("{found:#x}"));
    }
    Finding::fail(format!("{found:#x}, expected {expected:#x}"))
}
