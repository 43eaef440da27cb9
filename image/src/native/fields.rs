//! Checked access to arrays of entries in a native module, and to what they point at.

use crate::Error;
use crate::read::Pe;
use abi::Guid;
use abi::native::HEADER_VERSION;

/// What is read at most; each keeps hostile files from multiplying their own size.
pub(super) mod limits {
    /// Helpers, functions, map references and initial values of all programs together.
    pub(crate) const REFERENCES: usize = 1 << 18;
    /// Bytes of one hash (a runtime takes 32).
    pub(crate) const HASH_BYTES: usize = 64;
    /// Bytes of all sections of global variables.
    pub(crate) const GLOBAL_BYTES: usize = 64 << 20;
    /// Longest string.
    pub(crate) const STRING_BYTES: usize = 255;
}

/// An array of entries at the end of a section.
pub(super) struct Array<'a> {
    pe: &'a Pe<'a>,
    section: &'static str,
    bytes: &'a [u8],
    /// Zero bytes before the header of each entry.
    marker: usize,
    /// Bytes of the section before the first entry.
    leading: u64,
}

impl<'a> Array<'a> {
    /// Finds the first entry of a section: `marker` zero bytes and then something, at a multiple of
    /// `step`. `None` if there is no such section or it is empty or all zero.
    pub(super) fn find(
        pe: &'a Pe<'a>,
        section: &'static str,
        marker: usize,
        step: usize,
    ) -> Result<Option<Array<'a>>, Error> {
        let Some(header) = pe.section(section) else {
            return Ok(None);
        };
        if header.virtual_size > header.raw_size {
            return Err(error(
                section,
                0,
                "section",
                "it is longer than its data in the file",
            ));
        }
        let bytes = pe.contents(header);
        let is_zero = |bytes: &[u8]| bytes.iter().all(|&b| b == 0);
        for at in (0..bytes.len()).step_by(step) {
            let Some(first) = bytes.get(at..at + marker + 8) else {
                break;
            };
            if is_zero(&first[..marker]) && !is_zero(&first[marker..]) {
                return Ok(Some(Array {
                    pe,
                    section,
                    bytes: &bytes[at..],
                    marker,
                    leading: at as u64,
                }));
            }
        }
        if is_zero(bytes) {
            return Ok(None);
        }
        Err(error(
            section,
            0,
            "entry",
            "no entry begins with zero bytes as it must",
        ))
    }

    /// Splits it into entries of one of the `sizes`, at least `stride` bytes each.
    pub(super) fn entries(&self, sizes: &[u64], stride: u64) -> Result<Vec<Entry<'a>>, Error> {
        let mut all = Vec::new();
        let mut rest = self.bytes;
        while rest.len() >= stride as usize {
            if rest[..stride as usize].iter().all(|&b| b == 0) {
                break; // padding
            }
            let mut entry = Entry {
                pe: self.pe,
                section: self.section,
                index: all.len(),
                bytes: rest,
                size: 0,
                stride,
                leading: self.leading,
            };
            let whole = entry.check_header(self.marker, sizes, stride)?;
            entry.bytes = &rest[..whole];
            rest = &rest[whole..];
            all.push(entry);
        }
        Ok(all)
    }
}

/// One entry of an array.
pub(super) struct Entry<'a> {
    pub(super) pe: &'a Pe<'a>,
    section: &'static str,
    index: usize,
    bytes: &'a [u8],
    /// Size in its header.
    pub(super) size: u64,
    /// Distance to the next entry.
    pub(super) stride: u64,
    /// Bytes of the section before the first entry of its array.
    pub(super) leading: u64,
}

impl<'a> Entry<'a> {
    fn check_header(&mut self, at: usize, sizes: &[u64], least: u64) -> Result<usize, Error> {
        if self.u16(at)? != HEADER_VERSION {
            let problem =
                "it has no header; modules of before eBPF for Windows 0.21 cannot be read";
            return Err(self.error("header", problem));
        }
        (self.size, self.stride) = (self.u64(at + 8)?, self.u64(at + 16)?);
        if !sizes.contains(&self.size) {
            return Err(self.error("header", "unknown size"));
        }
        let in_section = usize::try_from(self.stride)
            .ok()
            .filter(|&s| s <= self.bytes.len());
        let whole = in_section.filter(|_| self.stride >= least && self.stride >= self.size);
        whole
            .filter(|whole| whole % 8 == 0)
            .ok_or_else(|| self.error("header", "wrong total size"))
    }

    pub(super) fn bytes<const N: usize>(&self, at: usize) -> Result<[u8; N], Error> {
        let bytes = self
            .bytes
            .get(at..)
            .and_then(|tail| tail.first_chunk::<N>());
        bytes
            .copied()
            .ok_or_else(|| self.error("entry", "it is cut off"))
    }

    pub(super) fn u16(&self, at: usize) -> Result<u16, Error> {
        self.bytes(at).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&self, at: usize) -> Result<u32, Error> {
        self.bytes(at).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&self, at: usize) -> Result<u64, Error> {
        self.bytes(at).map(u64::from_le_bytes)
    }

    /// The string that a field points at.
    pub(super) fn string(&self, at: usize, field: &'static str) -> Result<String, Error> {
        let found = self.optional_string(at, field)?;
        found.ok_or_else(|| self.error(field, "it is null"))
    }

    /// The string that a field points at, if it is not null.
    pub(super) fn optional_string(
        &self,
        at: usize,
        field: &'static str,
    ) -> Result<Option<String>, Error> {
        self.optional_string_at(self.u64(at)?, field)
    }

    /// The string at an address, if that is not null.
    pub(super) fn optional_string_at(
        &self,
        address: u64,
        field: &'static str,
    ) -> Result<Option<String>, Error> {
        if address == 0 {
            return Ok(None);
        }
        let rva = self.pe.rva_of_address(address);
        let text = rva.and_then(|rva| self.pe.string(rva, limits::STRING_BYTES));
        text.map(Some)
            .ok_or_else(|| self.error(field, "it does not point at a string of the file"))
    }

    /// The code that a field points at.
    pub(super) fn code(&self, at: usize, field: &'static str) -> Result<u32, Error> {
        let rva = self.pe.rva_of_address(self.u64(at)?);
        let is_code = |rva: &u32| {
            self.pe
                .section_at(*rva)
                .is_some_and(super::super::read::Section::is_executable)
        };
        rva.filter(is_code)
            .ok_or_else(|| self.error(field, "it does not point at code"))
    }

    /// The GUID that a field points at.
    pub(super) fn guid(&self, at: usize, field: &'static str) -> Result<Guid, Error> {
        let rva = self.pe.rva_of_address(self.u64(at)?);
        let bytes = rva
            .and_then(|rva| self.pe.slice(rva, 16))
            .and_then(|b| b.first_chunk());
        let problem = "it does not point at a GUID of the file";
        bytes
            .map(|b| Guid::from_bytes(*b))
            .ok_or_else(|| self.error(field, problem))
    }

    /// The array of `count` elements of `size` bytes that a field points at; null if and only if
    /// empty.
    pub(super) fn array(
        &self,
        at: usize,
        count: u64,
        size: u64,
        field: &'static str,
        budget: &mut usize,
    ) -> Result<&'a [u8], Error> {
        let address = self.u64(at)?;
        if count == 0 {
            return Ok(&[]);
        }
        let left = usize::try_from(count)
            .ok()
            .and_then(|count| budget.checked_sub(count));
        *budget = left.ok_or_else(|| self.error(field, "too many elements"))?;
        let len = count
            .checked_mul(size)
            .and_then(|len| u32::try_from(len).ok());
        let rva = self.pe.rva_of_address(address);
        let bytes = rva.zip(len).and_then(|(rva, len)| self.pe.slice(rva, len));
        bytes.ok_or_else(|| self.error(field, "it does not point into the file"))
    }

    /// The array of entries with headers that a field points at.
    pub(super) fn children(
        &self,
        at: usize,
        count: u64,
        (size, stride): (u64, u64),
        field: &'static str,
        budget: &mut usize,
    ) -> Result<Vec<Entry<'a>>, Error> {
        let bytes = self.array(at, count, stride, field, budget)?;
        let mut all = Vec::new();
        for (index, bytes) in bytes.chunks_exact(stride as usize).enumerate() {
            let mut child = Entry {
                pe: self.pe,
                section: field,
                index,
                bytes,
                size,
                stride,
                leading: 0,
            };
            child.check_header(0, &[size], stride)?;
            all.push(child);
        }
        Ok(all)
    }

    fn error(&self, field: &'static str, problem: &'static str) -> Error {
        error(self.section, self.index, field, problem)
    }
}

fn error(section: &'static str, index: usize, field: &'static str, problem: &'static str) -> Error {
    Error::Native {
        section,
        index,
        field,
        problem,
    }
}
