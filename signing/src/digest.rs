//! The Authenticode digest of a PE file.
//!
//! SHA-256 over the file without the checksum, without the certificate table's directory entry and
//! without the table itself; the file is padded to eight bytes first. For files whose sections lie in
//! order and are followed by nothing else this equals the specification's walk over sections.

use crate::Error;
use image::checksum;
use image::read::{Pe, directory};
use sha2::{Digest, Sha256};

/// The certificate table's entry: signature 4, file header 20, 112 to the directories, entry 4.
const ENTRY_IN_NT_HEADERS: usize = 4 + 20 + 112 + directory::SECURITY * 8;

/// Offsets that the digest needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    /// The checksum field.
    pub(crate) checksum: usize,
    /// The certificate table's directory entry.
    pub(crate) entry: usize,
    /// End of what is hashed: the certificate table or the end of the file.
    pub(crate) end: usize,
}

impl Places {
    /// Finds them.
    pub(crate) fn of(pe: &Pe<'_>) -> Result<Places, Error> {
        let nt = pe.headers.nt_offset as usize;
        let table = pe.directory(directory::SECURITY);
        let end = if table.is_present() {
            table.rva as usize
        } else {
            pe.bytes().len()
        };
        let places = Places {
            checksum: nt + checksum::OFFSET_IN_NT_HEADERS,
            entry: nt + ENTRY_IN_NT_HEADERS,
            end,
        };
        if places.entry + 8 > end || end > pe.bytes().len() {
            let problem = "the certificate table lies in the headers or after the file";
            let malformed = image::read::Malformed {
                what: "certificate table",
                at: table.rva,
                problem,
            };
            return Err(image::Error::Malformed(malformed).into());
        }
        Ok(places)
    }
}

/// The digest of a signed or unsigned file.
///
/// # Errors
/// Not a 64-bit PE file, or its certificate table is misplaced.
pub fn authenticode(file: &[u8]) -> Result<[u8; 32], Error> {
    let places = Places::of(&Pe::parse(file)?)?;
    let padding = places.end.next_multiple_of(8) - places.end;
    let hash = Sha256::new()
        .chain_update(&file[..places.checksum])
        .chain_update(&file[places.checksum + 4..places.entry])
        .chain_update(&file[places.entry + 8..places.end])
        .chain_update(&[0; 8][..padding]);
    Ok(hash.finalize().into())
}
