//! What files tell without being loaded: listings of programs, counts of their instructions, the bytes
//! of sections.
//!
//! The forms are those that eBPF for Windows shows. Left out: safety, which the verifier tells.

mod findings;
mod listing;
mod programs;
mod statistics;

pub use findings::{MapLookup, dead_instructions, map_lookups};
pub use listing::{instructions, listing, source};
pub use programs::{FileProgram, programs};
pub use statistics::statistics;

use crate::object::{ELF, MZ, NOT_AN_OBJECT, read_file};
use crate::{Cause, Error};
use image::read::Pe;
use std::path::Path;

/// The bytes of a section of an object file or of a driver; `None` when there is none of that name.
///
/// # Errors
/// The file cannot be read, or is neither.
pub fn section(path: impl AsRef<Path>, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let path = path.as_ref();
    let read = || -> Result<Option<Vec<u8>>, Cause> {
        let bytes = read_file(path)?;
        if bytes.starts_with(ELF) {
            return Ok(program::section(&bytes, name)?.map(<[u8]>::to_vec));
        }
        if !bytes.starts_with(MZ) {
            return Err(NOT_AN_OBJECT);
        }
        Ok(contents(&Pe::parse(&bytes)?, name))
    };
    read().map_err(|cause| Error::new(format!("read section {name} of {}", path.display()), cause))
}

/// The bytes of a section of a driver.
fn contents(pe: &Pe<'_>, name: &str) -> Option<Vec<u8>> {
    let section = pe.section(name)?;
    let bytes = pe.contents(section);
    // Behind what the section says of itself the file is padded.
    let size = bytes.len().min(section.virtual_size as usize);
    Some(bytes[..size].to_vec())
}
