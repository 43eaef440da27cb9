//! The debug directory.

use super::{Malformed, Pe, directory};
use object::pe::ImageDebugDirectory;
use object::{LittleEndian, slice_from_all_bytes};

/// One entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DebugEntry {
    /// IMAGE_DEBUG_TYPE_*.
    pub kind: u32,
    /// Time stamp or hash.
    pub time_date_stamp: u32,
    /// RVA of the data.
    pub rva: u32,
    /// File offset of the data.
    pub raw_offset: u32,
    /// Size of the data.
    pub len: u32,
}

impl DebugEntry {
    /// IMAGE_DEBUG_TYPE_REPRO: time stamps are hashes.
    pub const REPRO: u32 = 16;
    /// IMAGE_DEBUG_TYPE_EX_DLLCHARACTERISTICS.
    pub const EX_DLL_CHARACTERISTICS: u32 = 20;
}

impl<'a> Pe<'a> {
    /// The entries of the debug directory.
    ///
    /// # Errors
    /// The directory does not lie in the file, or its size is no multiple of an entry's.
    pub fn debug(&self) -> Result<Vec<DebugEntry>, Malformed> {
        let what = "debug directory";
        let Some((at, bytes)) = self.directory_bytes(directory::DEBUG, what)? else {
            return Ok(Vec::new());
        };
        let problem = "its size is not a multiple of 28";
        let entries: &[ImageDebugDirectory] =
            slice_from_all_bytes(bytes).map_err(|()| Malformed { what, at, problem })?;
        let entry = |entry: &ImageDebugDirectory| DebugEntry {
            kind: entry.typ.get(LittleEndian).0,
            time_date_stamp: entry.time_date_stamp.get(LittleEndian),
            rva: entry.address_of_raw_data.get(LittleEndian),
            raw_offset: entry.pointer_to_raw_data.get(LittleEndian),
            len: entry.size_of_data.get(LittleEndian),
        };
        Ok(entries.iter().map(entry).collect())
    }

    /// The data of an entry, by file offset.
    #[must_use]
    pub fn debug_data(&self, entry: &DebugEntry) -> Option<&'a [u8]> {
        let at = entry.raw_offset as usize;
        self.bytes().get(at..at.checked_add(entry.len as usize)?)
    }
}
