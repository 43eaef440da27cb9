//! A driver image in the memory of this process, protected as HVCI protects it.
//!
//! [`Mapping::new`] takes a parsed image, reserves its address range between two guard pages, copies
//! headers and sections, applies base relocations, binds imports to the addresses that a callback
//! gives, and only then sets each section's protection. Invariants: no page is ever writable and
//! executable; every write goes through `Region::write`, which checks its bounds; all memory is
//! given back on drop. The image is judged first by the rules of `image::check` that
//! mapping relies on. Left out: calling the code, and unwinding through it.
#![expect(unsafe_code, reason = "maps executable images")]

use abi::Code;
use abi::diagnostic as d;
use image::check::{Verdict, check_image};
use image::read::{Import, PAGE, Pe, RelocationKind, Section, machine};
use std::ffi::c_int;
use std::fmt;
use std::io;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU8, Ordering};

/// Largest image mapped.
const IMAGE_BYTES: u32 = 256 << 20;
const PAGE_BYTES: usize = PAGE as usize;

/// Rules that must not fail before an image is mapped.
const RELIED_ON: &[&str] = &[
    "headers-size",
    "image-size",
    "section-alignment",
    "section-addresses",
    "section-data",
    "section-wx",
    "entry-point",
    "iat-not-executable",
    "reloc-kinds",
    "imports-readable",
];

/// Why an image cannot be mapped.
#[derive(Debug)]
pub enum MapError {
    /// The image is malformed or its layout is refused.
    Unsuitable {
        /// Rule of the checker, or part of the image.
        rule: &'static str,
        /// What was found.
        detail: String,
    },
    /// The image or this host is not x64.
    Machine(u16),
    /// Imports that the host does not provide.
    Imports(Vec<String>),
    /// The system gives no memory or refuses a protection.
    Memory(io::Error),
}

impl MapError {
    /// The stable id.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            MapError::Unsuitable { .. } => d::MAP_UNSUITABLE,
            MapError::Machine(_) => d::MAP_MACHINE,
            MapError::Imports(_) => d::MAP_IMPORTS,
            MapError::Memory(_) => d::MAP_MEMORY,
        }
    }
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MapError::Unsuitable { rule, detail } => {
                write!(f, "the image cannot be mapped: {rule}: {detail}")
            }
            MapError::Machine(found) => {
                write!(
                    f,
                    "image for machine {found:#06x}; native code runs on x64 hosts only"
                )
            }
            MapError::Imports(names) => {
                write!(f, "imports without counterpart: {}", names.join(", "))
            }
            MapError::Memory(error) => write!(f, "memory for the image: {error}"),
        }
    }
}

impl std::error::Error for MapError {}

/// What may be done with a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protection {
    /// Nothing.
    None,
    /// Read.
    Read,
    /// Read and write.
    ReadWrite,
    /// Read and execute.
    ReadExecute,
}

impl Protection {
    fn of(section: &Section) -> Protection {
        match (section.is_writable(), section.is_executable()) {
            (false, false) => Protection::Read,
            (true, false) => Protection::ReadWrite,
            // Writable and executable is refused before; executable alone is the safe reading.
            (_, true) => Protection::ReadExecute,
        }
    }

    fn bits(self) -> c_int {
        match self {
            Protection::None => libc::PROT_NONE,
            Protection::Read => libc::PROT_READ,
            Protection::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
            Protection::ReadExecute => libc::PROT_READ | libc::PROT_EXEC,
        }
    }
}

/// Part of the mapping with one protection.
#[derive(Clone, Copy, Debug)]
struct Span {
    rva: u32,
    /// Whole pages.
    len: u32,
    protection: Protection,
    is_discardable: bool,
}

/// A mapped image.
#[derive(Debug)]
pub struct Mapping {
    region: Region,
    spans: Vec<Span>,
    entry: u32,
}

impl Mapping {
    /// Maps an image; `resolve` gives the address for each import.
    ///
    /// # Errors
    /// The image is not for this machine, its layout is refused, imports are missing (all are
    /// named), or the system refuses.
    pub fn new(
        pe: &Pe<'_>,
        resolve: impl FnMut(&Import) -> Option<u64>,
    ) -> Result<Mapping, MapError> {
        check_machine(pe)?;
        check_layout(pe)?;
        let mut region = Region::reserve(pe.headers.size_of_image)?;
        copy(pe, &mut region)?;
        relocate(pe, &mut region)?;
        bind(pe, &mut region, resolve)?;
        let spans = spans(pe);
        // Everything that belongs to no section becomes inaccessible.
        region.protect(0, region.len as u32, Protection::None)?;
        for span in &spans {
            region.protect(span.rva, span.len, span.protection)?;
        }
        Ok(Mapping {
            region,
            spans,
            entry: pe.headers.entry_point,
        })
    }

    /// Address of the first byte.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.region.address(0)
    }

    /// Size in memory.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.region.len
    }

    /// Address of the entry point.
    #[must_use]
    pub fn entry(&self) -> u64 {
        self.region.address(self.entry)
    }

    /// Address of an RVA; `None` outside the image.
    #[must_use]
    pub fn address(&self, rva: u32) -> Option<u64> {
        ((rva as usize) < self.region.len).then(|| self.region.address(rva))
    }

    /// RVA of an address; `None` outside the image.
    #[must_use]
    pub fn rva(&self, address: u64) -> Option<u32> {
        let offset = address.checked_sub(self.base())?;
        u32::try_from(offset)
            .ok()
            .filter(|&rva| (rva as usize) < self.region.len)
    }

    /// What may be done at an address.
    #[must_use]
    pub fn protection(&self, address: u64) -> Protection {
        let span = self.rva(address).and_then(|rva| {
            self.spans
                .iter()
                .find(|span| rva >= span.rva && rva - span.rva < span.len)
        });
        span.map_or(Protection::None, |span| span.protection)
    }

    /// Copies bytes out of the image; `None` if any of them cannot be read.
    #[must_use]
    pub fn read(&self, address: u64, len: usize) -> Option<Vec<u8>> {
        let start = self.rva(address)?;
        let end = (start as usize)
            .checked_add(len)
            .filter(|&end| end <= self.region.len)?;
        let pages = (start as usize / PAGE_BYTES * PAGE_BYTES..end).step_by(PAGE_BYTES);
        let readable = |rva| self.protection(self.region.address(rva as u32)) != Protection::None;
        // Checked before allocating: `len` may be anything that the image claims.
        pages
            .clone()
            .all(readable)
            .then(|| self.region.read(start as usize, end))
    }

    /// A little-endian number in the image.
    #[must_use]
    pub fn read_u64(&self, address: u64) -> Option<u64> {
        Some(u64::from_le_bytes(self.read(address, 8)?.try_into().ok()?))
    }

    /// A zero-terminated string in the image, at most `limit` bytes long.
    #[must_use]
    pub fn string(&self, address: u64, limit: usize) -> Option<String> {
        let mut bytes = Vec::new();
        for offset in 0..=limit as u64 {
            match self.read(address.checked_add(offset)?, 1)?.first() {
                Some(0) => return Some(String::from_utf8_lossy(&bytes).into_owned()),
                Some(&byte) => bytes.push(byte),
                None => return None,
            }
        }
        None
    }

    /// Takes away discardable sections, as the kernel does after `DriverEntry`: code or data there
    /// that is used later faults.
    ///
    /// # Errors
    /// The system refuses.
    pub fn discard(&mut self) -> Result<(), MapError> {
        for span in self.spans.iter_mut().filter(|span| span.is_discardable) {
            self.region.protect(span.rva, span.len, Protection::None)?;
            span.protection = Protection::None;
        }
        Ok(())
    }
}

fn check_machine(pe: &Pe<'_>) -> Result<(), MapError> {
    let found = pe.headers.machine;
    if found != machine::AMD64 || !cfg!(target_arch = "x86_64") {
        return Err(MapError::Machine(found));
    }
    Ok(())
}

fn check_layout(pe: &Pe<'_>) -> Result<(), MapError> {
    if pe.headers.size_of_image > IMAGE_BYTES {
        let detail = format!("{:#x}, at most {IMAGE_BYTES:#x}", pe.headers.size_of_image);
        return Err(MapError::Unsuitable {
            rule: "image-size",
            detail,
        });
    }
    let report = check_image(pe);
    let bad = report
        .with(Verdict::Fail)
        .find(|row| RELIED_ON.contains(&row.rule.id));
    bad.map_or(Ok(()), |row| {
        Err(MapError::Unsuitable {
            rule: row.rule.id,
            detail: row.detail.clone(),
        })
    })
}

fn spans(pe: &Pe<'_>) -> Vec<Span> {
    let headers = Span {
        rva: 0,
        len: pe.headers.size_of_headers.next_multiple_of(PAGE),
        protection: Protection::Read,
        is_discardable: false,
    };
    let section = |section: &Section| Span {
        rva: section.rva,
        len: (section.end_rounded() - u64::from(section.rva)) as u32,
        protection: Protection::of(section),
        is_discardable: section.is_discardable(),
    };
    std::iter::once(headers)
        .chain(pe.sections.iter().map(section))
        .collect()
}

fn copy(pe: &Pe<'_>, region: &mut Region) -> Result<(), MapError> {
    let headers = pe
        .bytes()
        .get(..pe.headers.size_of_headers as usize)
        .unwrap_or_default();
    region.write(0, headers, "headers")?;
    for section in &pe.sections {
        region.write(section.rva, pe.contents(section), "section")?;
    }
    Ok(())
}

fn relocate(pe: &Pe<'_>, region: &mut Region) -> Result<(), MapError> {
    let delta = region.address(0).wrapping_sub(pe.headers.image_base);
    let relocations = pe.relocations().map_err(malformed)?;
    for relocation in relocations
        .iter()
        .filter(|r| r.kind == RelocationKind::Dir64)
    {
        let preferred = pe.u64(relocation.rva).unwrap_or_default();
        let actual = preferred.wrapping_add(delta);
        region.write(relocation.rva, &actual.to_le_bytes(), "base relocation")?;
    }
    Ok(())
}

fn bind(
    pe: &Pe<'_>,
    region: &mut Region,
    mut resolve: impl FnMut(&Import) -> Option<u64>,
) -> Result<(), MapError> {
    let mut missing = Vec::new();
    for import in pe.imports().map_err(malformed)? {
        match resolve(&import) {
            Some(address) => region.write(import.slot, &address.to_le_bytes(), "import slot")?,
            None => missing.push(import.to_string()),
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(MapError::Imports(missing))
    }
}

fn malformed(error: image::read::Malformed) -> MapError {
    MapError::Unsuitable {
        rule: error.what,
        detail: error.to_string(),
    }
}

/// An owned range of pages with a guard page on each side.
#[derive(Debug)]
struct Region {
    /// The lower guard page.
    start: NonNull<u8>,
    /// Bytes between the guard pages, whole pages.
    len: usize,
}

// SAFETY: 1. The pages belong to this value alone and stay mapped until drop. 2. Through a shared
// reference they are only read, byte by byte with atomic loads, so code of the image that runs on
// another thread at that time cannot make a read undefined.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// Reserves zeroed pages, readable and writable.
    fn reserve(len: u32) -> Result<Region, MapError> {
        let len = (len as usize).next_multiple_of(PAGE_BYTES);
        let (flags, total) = (
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            len + 2 * PAGE_BYTES,
        );
        // SAFETY: a new private mapping at an address of the system's choice touches no existing
        // memory; the result is checked below.
        let start = unsafe { libc::mmap(null_mut(), total, libc::PROT_NONE, flags, -1, 0) };
        let start = NonNull::new(start.cast::<u8>());
        let failed = start.is_none_or(|start| start.as_ptr().cast() == libc::MAP_FAILED);
        let Some(start) = start.filter(|_| !failed) else {
            return Err(MapError::Memory(io::Error::last_os_error()));
        };
        let region = Region { start, len };
        region.protect(0, len as u32, Protection::ReadWrite)?;
        Ok(region)
    }

    /// Address of an RVA that lies in the region.
    fn address(&self, rva: u32) -> u64 {
        self.start.as_ptr().addr() as u64 + PAGE as u64 + u64::from(rva)
    }

    /// Writes to pages that are still writable.
    fn write(&mut self, rva: u32, bytes: &[u8], what: &'static str) -> Result<(), MapError> {
        let at = rva as usize;
        if at.checked_add(bytes.len()).is_none_or(|end| end > self.len) {
            let detail = format!("{} bytes at {rva:#x} lie outside the image", bytes.len());
            return Err(MapError::Unsuitable { rule: what, detail });
        }
        // SAFETY: the range was checked to lie between the guard pages, which this value owns; the
        // pages are writable until `protect` is called by `Mapping::new`, which writes nothing later.
        unsafe {
            let to = self.start.as_ptr().add(PAGE_BYTES + at);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
        Ok(())
    }

    /// Copies `start..end` out; the caller has checked bounds and protection.
    fn read(&self, start: usize, end: usize) -> Vec<u8> {
        debug_assert!(start <= end && end <= self.len);
        let byte = |at: usize| {
            // SAFETY: `at` is below `len`, so the byte is mapped and owned; `Mapping::read` has
            // checked that its page is readable. Atomic: see `Sync`.
            let byte = unsafe { AtomicU8::from_ptr(self.start.as_ptr().add(PAGE_BYTES + at)) };
            byte.load(Ordering::Relaxed)
        };
        (start..end).map(byte).collect()
    }

    /// Sets the protection of whole pages.
    fn protect(&self, rva: u32, len: u32, protection: Protection) -> Result<(), MapError> {
        let end = (rva as usize).checked_add((len as usize).next_multiple_of(PAGE_BYTES));
        if !rva.is_multiple_of(PAGE) || end.is_none_or(|end| end > self.len) {
            let detail = format!("{rva:#x}, {len:#x} bytes");
            return Err(MapError::Unsuitable {
                rule: "section",
                detail,
            });
        }
        // SAFETY: the pages were checked to lie between the guard pages and belong to this value;
        // no reference into them exists, since all access is by copy.
        let result = unsafe {
            let at = self.start.as_ptr().add(PAGE_BYTES + rva as usize);
            libc::mprotect(at.cast(), len as usize, protection.bits())
        };
        if result == 0 {
            Ok(())
        } else {
            Err(MapError::Memory(io::Error::last_os_error()))
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `reserve` got; nothing refers to it after this value.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len + 2 * PAGE_BYTES) };
    }
}

#[cfg(test)]
mod tests;
