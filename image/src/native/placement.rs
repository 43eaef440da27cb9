//! Where the metadata of a native module lies in the file.
//!
//! The pre-load parser of eBPF for Windows looks for strings in `.rdata` (or the section it reads)
//! and for GUIDs in `.data`, and computes the number of programs from the section's size. A module
//! that puts them elsewhere may load in the kernel and yet be refused, or misread, before that.

use super::{MAPS, PROGRAMS, map_entries, program_entries};
use crate::Error;
use crate::native::fields::Entry;
use crate::read::Pe;
use abi::native::{MapEntry, ProgramEntry};
use std::mem::offset_of;

const STRINGS: [(&str, usize); 4] = [
    ("pe_section_name", offset_of!(ProgramEntry, pe_section_name)),
    ("section_name", offset_of!(ProgramEntry, section_name)),
    ("program_name", offset_of!(ProgramEntry, program_name)),
    (
        "program_info_hash_type",
        offset_of!(ProgramEntry, program_info_hash_type),
    ),
];
const GUIDS: [(&str, usize); 2] = [
    ("program_type", offset_of!(ProgramEntry, program_type)),
    (
        "expected_attach_type",
        offset_of!(ProgramEntry, expected_attach_type),
    ),
];

/// Strings that lie where the parser does not look.
pub(crate) fn misplaced_strings(pe: &Pe<'_>) -> Result<Vec<String>, Error> {
    let mut all = Vec::new();
    for (index, entry) in program_entries(pe)?.iter().enumerate() {
        for (field, at) in STRINGS {
            let found = section_of(pe, entry, at)?;
            all.extend(
                found
                    .filter(|s| s != ".rdata" && s != PROGRAMS)
                    .map(|section| format!("{field} of program {index} is in {section}")),
            );
        }
    }
    for (index, entry) in map_entries(pe)?.iter().enumerate() {
        let found = section_of(pe, entry, offset_of!(MapEntry, name))?;
        all.extend(
            found
                .filter(|s| s != ".rdata" && s != MAPS)
                .map(|section| format!("the name of map {index} is in {section}")),
        );
    }
    Ok(all)
}

/// GUIDs that lie where the parser does not look.
pub(crate) fn misplaced_guids(pe: &Pe<'_>) -> Result<Vec<String>, Error> {
    let mut all = Vec::new();
    for (index, entry) in program_entries(pe)?.iter().enumerate() {
        for (field, at) in GUIDS {
            let found = section_of(pe, entry, at)?;
            all.extend(
                found
                    .filter(|section| section != ".data")
                    .map(|section| format!("{field} of program {index} is in {section}")),
            );
        }
    }
    Ok(all)
}

/// Entries found, and the number that the parser computes from the size of the section.
pub(crate) fn program_counts(pe: &Pe<'_>) -> Result<(u64, u64), Error> {
    let entries = program_entries(pe)?;
    let Some(first) = entries.first() else {
        return Ok((0, 0));
    };
    let size = pe
        .section(PROGRAMS)
        .map_or(0, |section| u64::from(section.virtual_size));
    let leading = first.leading;
    Ok((
        entries.len() as u64,
        size.saturating_sub(leading) / first.stride.max(1),
    ))
}

/// Name of the section that a field points into; `None` for null.
fn section_of(pe: &Pe<'_>, entry: &Entry<'_>, at: usize) -> Result<Option<String>, Error> {
    let address = entry.u64(at)?;
    if address == 0 {
        return Ok(None);
    }
    let section = pe
        .rva_of_address(address)
        .and_then(|rva| pe.section_at(rva));
    Ok(Some(section.map_or_else(
        || "no section".to_owned(),
        crate::read::Section::name,
    )))
}
