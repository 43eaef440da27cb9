//! A typed, fully checked view of any 64-bit PE image: what `inspect`, the checker and the host
//! loader read.
//!
//! [`Pe::parse`] reads headers and section table; everything else is read on demand, so that one
//! broken directory does not hide the others. Addresses are RVAs; [`Pe::slice`] is the only way from
//! an RVA to bytes. Invariants: no panic, no unbounded allocation and no unbounded work on any
//! input. Left out: PE32, exports, delay imports, resources other than the version.

mod certificates;
mod debug;
mod guard;
mod imports;
mod relocations;
mod unwind;
mod version;

pub use certificates::{Certificate, PKCS_SIGNED_DATA};
pub use debug::DebugEntry;
pub use guard::LoadConfig;
pub use imports::{Import, ImportName};
pub use relocations::{Relocation, RelocationKind};
pub use unwind::{RuntimeFunction, Unwind, UnwindCode, UnwindOp};
pub use version::Version;

use crate::Error;
use object::pe::{
    IMAGE_DOS_SIGNATURE, IMAGE_NT_OPTIONAL_HDR64_MAGIC, IMAGE_NT_SIGNATURE, ImageDataDirectory,
    ImageDosHeader, ImageNtHeaders64, ImageSectionHeader,
};
use object::read::ReadRef;
use std::fmt;

/// The Windows loader takes at most this many sections (PE specification, COFF file header).
const SECTIONS: usize = 96;
/// Size of a page and of the smallest section alignment of a driver.
pub const PAGE: u32 = 0x1000;

/// Machine numbers that occur in 64-bit drivers.
pub mod machine {
    /// x64.
    pub const AMD64: u16 = 0x8664;
    /// ARM64.
    pub const ARM64: u16 = 0xAA64;
}

/// A structure of the image that cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// Which structure.
    pub what: &'static str,
    /// Where: an RVA, or a file offset for headers and certificates.
    pub at: u32,
    /// What is wrong.
    pub problem: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:#x}: {}", self.what, self.at, self.problem)
    }
}

/// The header fields that matter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Headers {
    /// File offset of the NT headers.
    pub nt_offset: u32,
    /// Target machine.
    pub machine: u16,
    /// Time stamp or hash.
    pub time_date_stamp: u32,
    /// COFF characteristics.
    pub characteristics: u16,
    /// RVA of the entry point.
    pub entry_point: u32,
    /// Preferred load address.
    pub image_base: u64,
    /// Alignment of sections in memory.
    pub section_alignment: u32,
    /// Alignment of raw data in the file.
    pub file_alignment: u32,
    /// Major and minor operating system version.
    pub os_version: (u16, u16),
    /// Major and minor subsystem version.
    pub subsystem_version: (u16, u16),
    /// Size in memory.
    pub size_of_image: u32,
    /// Size of all headers.
    pub size_of_headers: u32,
    /// Stored checksum.
    pub checksum: u32,
    /// Subsystem; drivers are NATIVE (1).
    pub subsystem: u16,
    /// DLL characteristics.
    pub dll_characteristics: u16,
}

/// One section header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Section {
    raw_name: [u8; 8],
    /// RVA of the first byte.
    pub rva: u32,
    /// Size in memory.
    pub virtual_size: u32,
    /// Offset of the raw data in the file.
    pub raw_offset: u32,
    /// Size of the raw data.
    pub raw_size: u32,
    /// Characteristics.
    pub characteristics: u32,
}

impl Section {
    /// The name, without the padding.
    #[must_use]
    pub fn name(&self) -> String {
        let len = self.raw_name.iter().position(|&b| b == 0).unwrap_or(8);
        String::from_utf8_lossy(&self.raw_name[..len]).into_owned()
    }

    /// Its code may run.
    #[must_use]
    pub fn is_executable(&self) -> bool {
        self.characteristics & 0x2000_0000 != 0
    }

    /// It may be written.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.characteristics & 0x8000_0000 != 0
    }

    /// The kernel frees it after `DriverEntry`.
    #[must_use]
    pub fn is_discardable(&self) -> bool {
        self.characteristics & 0x0200_0000 != 0
    }

    /// It is marked as containing code.
    #[must_use]
    pub fn is_code(&self) -> bool {
        self.characteristics & 0x20 != 0
    }

    /// Size in memory: the virtual size, or the raw size if that is zero.
    #[must_use]
    pub fn size_in_memory(&self) -> u32 {
        if self.virtual_size == 0 {
            self.raw_size
        } else {
            self.virtual_size
        }
    }

    /// One past the last RVA, rounded up to pages.
    #[must_use]
    pub fn end_rounded(&self) -> u64 {
        (u64::from(self.rva) + u64::from(self.size_in_memory())).next_multiple_of(u64::from(PAGE))
    }

    /// Whether the RVA lies in it.
    #[must_use]
    pub fn contains(&self, rva: u32) -> bool {
        rva >= self.rva && rva - self.rva < self.size_in_memory()
    }

    /// How many bytes of it the file holds and the loader maps.
    fn backed(&self) -> u32 {
        let pages = u64::from(self.size_in_memory()).next_multiple_of(u64::from(PAGE));
        self.raw_size.min(u32::try_from(pages).unwrap_or(u32::MAX))
    }
}

/// A data directory.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Directory {
    /// RVA (a file offset for the certificate table).
    pub rva: u32,
    /// Size.
    pub len: u32,
}

impl Directory {
    /// It is there.
    #[must_use]
    pub fn is_present(self) -> bool {
        self.rva != 0 && self.len != 0
    }
}

/// Data directory numbers of the PE specification.
pub mod directory {
    /// Import descriptors.
    pub const IMPORT: usize = 1;
    /// Resources.
    pub const RESOURCE: usize = 2;
    /// RUNTIME_FUNCTION table.
    pub const EXCEPTION: usize = 3;
    /// Certificate table.
    pub const SECURITY: usize = 4;
    /// Base relocations.
    pub const BASE_RELOCATION: usize = 5;
    /// Debug directory.
    pub const DEBUG: usize = 6;
    /// Thread-local storage.
    pub const TLS: usize = 9;
    /// Load configuration.
    pub const LOAD_CONFIG: usize = 10;
    /// Bound imports.
    pub const BOUND_IMPORT: usize = 11;
    /// Import address table.
    pub const IAT: usize = 12;
    /// Delay-load imports.
    pub const DELAY_IMPORT: usize = 13;
    /// CLR header.
    pub const CLR: usize = 14;
}

/// A parsed image.
#[derive(Clone, Debug)]
pub struct Pe<'a> {
    bytes: &'a [u8],
    /// Header fields.
    pub headers: Headers,
    /// Sections in file order.
    pub sections: Vec<Section>,
    directories: Vec<Directory>,
}

impl<'a> Pe<'a> {
    /// Reads headers and section table of a PE32+ file.
    ///
    /// # Errors
    /// Not a PE32+ file, or its headers or section table do not lie in the file.
    pub fn parse(bytes: &'a [u8]) -> Result<Pe<'a>, Error> {
        let dos: &ImageDosHeader = bytes.read_at(0).map_err(|()| not_pe(bytes))?;
        if dos.e_magic.get(object::LittleEndian) != IMAGE_DOS_SIGNATURE {
            return Err(not_pe(bytes));
        }
        let nt_offset = dos.e_lfanew.get(object::LittleEndian);
        let malformed = |problem| Malformed {
            what: "NT headers",
            at: nt_offset,
            problem,
        };
        let mut at = u64::from(nt_offset);
        let nt: &ImageNtHeaders64 = bytes
            .read(&mut at)
            .map_err(|()| malformed("they end after the file"))?;
        check_signatures(nt, bytes)?;
        let headers = headers(nt, nt_offset);
        let count = nt
            .optional_header
            .number_of_rva_and_sizes
            .get(object::LittleEndian);
        let directories: &[ImageDataDirectory] = bytes
            .read_slice(&mut at, count.min(16) as usize)
            .map_err(|()| malformed("the data directories end after the file"))?;
        let directories = directories.iter().map(|d| Directory {
            rva: d.virtual_address.get(object::LittleEndian),
            len: d.size.get(object::LittleEndian),
        });
        let sections = sections(nt, nt_offset, bytes)?;
        Ok(Pe {
            bytes,
            headers,
            sections,
            directories: directories.collect(),
        })
    }

    /// The whole file.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// A data directory; absent ones are zero.
    #[must_use]
    pub fn directory(&self, index: usize) -> Directory {
        self.directories.get(index).copied().unwrap_or_default()
    }

    /// The section in which an RVA lies.
    #[must_use]
    pub fn section_at(&self, rva: u32) -> Option<&Section> {
        self.sections.iter().find(|section| section.contains(rva))
    }

    /// The first section of this name.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name() == name)
    }

    /// The RVA of an address at the preferred base, as stored in the file.
    #[must_use]
    pub fn rva_of_address(&self, address: u64) -> Option<u32> {
        u32::try_from(address.checked_sub(self.headers.image_base)?).ok()
    }

    /// All bytes from an RVA to the end of the raw data of its section.
    #[must_use]
    pub fn tail(&self, rva: u32) -> Option<&'a [u8]> {
        let (at, len) = match self.sections.iter().find(|s| s.contains(rva)) {
            Some(section) => {
                let inside = rva - section.rva;
                (
                    section.raw_offset.checked_add(inside)?,
                    section.backed().checked_sub(inside)?,
                )
            }
            None => (rva, self.headers.size_of_headers.checked_sub(rva)?),
        };
        let tail = self.bytes.get(at as usize..)?;
        Some(&tail[..tail.len().min(len as usize)])
    }

    /// `len` bytes at an RVA, all of them in the file and in one section.
    #[must_use]
    pub fn slice(&self, rva: u32, len: u32) -> Option<&'a [u8]> {
        self.tail(rva)?.get(..len as usize)
    }

    /// A little-endian number at an RVA.
    #[must_use]
    pub fn u32(&self, rva: u32) -> Option<u32> {
        Some(u32::from_le_bytes(self.slice(rva, 4)?.try_into().ok()?))
    }

    /// A little-endian number at an RVA.
    #[must_use]
    pub fn u64(&self, rva: u32) -> Option<u64> {
        Some(u64::from_le_bytes(self.slice(rva, 8)?.try_into().ok()?))
    }

    /// A zero-terminated string at an RVA, at most `limit` bytes long.
    #[must_use]
    pub fn string(&self, rva: u32, limit: usize) -> Option<String> {
        let tail = self.tail(rva)?;
        let tail = &tail[..tail.len().min(limit.checked_add(1)?)];
        let len = tail.iter().position(|&b| b == 0)?;
        Some(String::from_utf8_lossy(&tail[..len]).into_owned())
    }

    /// The contents of a section as far as the file holds them.
    #[must_use]
    pub fn contents(&self, section: &Section) -> &'a [u8] {
        let len = section.backed().min(section.size_in_memory()) as usize;
        let tail = self
            .bytes
            .get(section.raw_offset as usize..)
            .unwrap_or_default();
        &tail[..tail.len().min(len)]
    }

    /// A directory's bytes.
    fn directory_bytes(
        &self,
        index: usize,
        what: &'static str,
    ) -> Result<Option<(u32, &'a [u8])>, Malformed> {
        let directory = self.directory(index);
        if !directory.is_present() {
            return Ok(None);
        }
        let problem = "it does not lie in one section of the file";
        let bytes = self.slice(directory.rva, directory.len);
        let bytes = bytes.ok_or(Malformed {
            what,
            at: directory.rva,
            problem,
        })?;
        Ok(Some((directory.rva, bytes)))
    }
}

fn not_pe(bytes: &[u8]) -> Error {
    let found = match bytes {
        [0x7F, b'E', b'L', b'F', ..] => "an ELF object",
        [] => "an empty file",
        [b'M', b'Z', ..] => "a truncated DOS header",
        _ => "something else",
    };
    Error::NotPe { found }
}

fn check_signatures(nt: &ImageNtHeaders64, bytes: &[u8]) -> Result<(), Error> {
    if nt.signature.get(object::LittleEndian) != IMAGE_NT_SIGNATURE {
        return Err(not_pe(&bytes[..2]));
    }
    if nt.optional_header.magic.get(object::LittleEndian) != IMAGE_NT_OPTIONAL_HDR64_MAGIC {
        return Err(Error::NotPe {
            found: "a 32-bit image",
        });
    }
    Ok(())
}

fn headers(nt: &ImageNtHeaders64, nt_offset: u32) -> Headers {
    let e = object::LittleEndian;
    let (file, optional) = (&nt.file_header, &nt.optional_header);
    Headers {
        nt_offset,
        machine: file.machine.get(e).0,
        time_date_stamp: file.time_date_stamp.get(e),
        characteristics: file.characteristics.get(e).0,
        entry_point: optional.address_of_entry_point.get(e),
        image_base: optional.image_base.get(e),
        section_alignment: optional.section_alignment.get(e),
        file_alignment: optional.file_alignment.get(e),
        os_version: (
            optional.major_operating_system_version.get(e),
            optional.minor_operating_system_version.get(e),
        ),
        subsystem_version: (
            optional.major_subsystem_version.get(e),
            optional.minor_subsystem_version.get(e),
        ),
        size_of_image: optional.size_of_image.get(e),
        size_of_headers: optional.size_of_headers.get(e),
        checksum: optional.check_sum.get(e),
        subsystem: optional.subsystem.get(e).0,
        dll_characteristics: optional.dll_characteristics.get(e).0,
    }
}

fn sections(nt: &ImageNtHeaders64, nt_offset: u32, bytes: &[u8]) -> Result<Vec<Section>, Error> {
    let e = object::LittleEndian;
    let optional = u64::from(nt.file_header.size_of_optional_header.get(e));
    let at = u64::from(nt_offset) + 24 + optional;
    let count = usize::from(nt.file_header.number_of_sections.get(e));
    let malformed = |problem| Malformed {
        what: "section table",
        at: at as u32,
        problem,
    };
    if count > SECTIONS {
        return Err(malformed("it has more than 96 sections").into());
    }
    let all = bytes.read_slice::<ImageSectionHeader>(&mut { at }, count);
    let all = all.map_err(|()| malformed("it ends after the file"))?;
    let section = |header: &ImageSectionHeader| Section {
        raw_name: header.name,
        rva: header.virtual_address.get(e),
        virtual_size: header.virtual_size.get(e),
        raw_offset: header.pointer_to_raw_data.get(e),
        raw_size: header.size_of_raw_data.get(e),
        characteristics: header.characteristics.get(e).0,
    };
    Ok(all.iter().map(section).collect())
}
