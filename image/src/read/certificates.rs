//! The attribute certificate table: WIN_CERTIFICATE entries at the end of the file.

use super::{Malformed, Pe, directory};
use std::ops::Range;

/// WIN_CERT_TYPE_PKCS_SIGNED_DATA.
pub const PKCS_SIGNED_DATA: u16 = 2;
const HEADER: usize = 8;

/// One entry of the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// 0x0200 for everything current.
    pub revision: u16,
    /// What the contents are.
    pub kind: u16,
    /// File range of the contents (DER and its padding).
    pub contents: Range<usize>,
}

impl Pe<'_> {
    /// The entries; none if the file is not signed.
    ///
    /// # Errors
    /// The table is not 8-aligned, does not lie in the file or an entry does not lie in the table.
    pub fn certificates(&self) -> Result<Vec<Certificate>, Malformed> {
        // The "RVA" of this directory is a file offset.
        let table = self.directory(directory::SECURITY);
        if !table.is_present() {
            return Ok(Vec::new());
        }
        let malformed = |problem| Malformed {
            what: "certificate table",
            at: table.rva,
            problem,
        };
        let mut at = table.rva as usize;
        let end = at
            .checked_add(table.len as usize)
            .filter(|&end| end <= self.bytes().len());
        let end = end.ok_or(malformed("it ends after the file"))?;
        if !at.is_multiple_of(8) {
            return Err(malformed("it is not aligned to 8 bytes"));
        }
        let mut all = Vec::new();
        while at < end {
            let header = self
                .bytes()
                .get(at..at + HEADER)
                .filter(|_| at + HEADER <= end);
            let header = header.ok_or(malformed("an entry is cut off"))?;
            let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
            let stop = at
                .checked_add(len)
                .filter(|&stop| len >= HEADER && stop <= end);
            let stop = stop.ok_or(malformed("the length of an entry is wrong"))?;
            all.push(Certificate {
                revision: u16::from_le_bytes([header[4], header[5]]),
                kind: u16::from_le_bytes([header[6], header[7]]),
                contents: at + HEADER..stop,
            });
            at = stop.next_multiple_of(8);
        }
        Ok(all)
    }
}
