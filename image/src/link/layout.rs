//! Output sections: their order, characteristics, addresses.
//!
//! Order: the module's sections as they come, `.pdata`, then what the kernel may discard after
//! `DriverEntry` (INIT, `.rsrc`, and `.reloc`, which the writer adds). Discardable sections must be
//! last: the kernel frees them from the end of the section table backwards. Characteristics come
//! from the kind alone, so no section can be writable and executable. NOT_PAGED is set as the
//! driver kit's linker does; eBPF programs run at DISPATCH_LEVEL.

use crate::Error;
use codegen::{Module, RelocKind, SectionId, SectionKind};
use object::pe::{
    IMAGE_SCN_CNT_CODE as CODE, IMAGE_SCN_CNT_INITIALIZED_DATA as DATA,
    IMAGE_SCN_MEM_DISCARDABLE as DISCARDABLE, IMAGE_SCN_MEM_EXECUTE as EXECUTE,
    IMAGE_SCN_MEM_NOT_PAGED as NOT_PAGED, IMAGE_SCN_MEM_READ as READ, IMAGE_SCN_MEM_WRITE as WRITE,
    SectionFlags,
};

/// Section alignment in memory: a page, as HVCI demands.
pub(super) const PAGE: u32 = 0x1000;
/// Alignment of raw data in the file.
pub(super) const FILE_ALIGNMENT: u32 = 0x200;
/// Largest image; also keeps every distance within 32 bits.
const IMAGE_BYTES: usize = 64 << 20;
/// Most sections: the Windows loader's limit is 96 (PE specification, COFF file header).
const SECTIONS: usize = 90;

/// One section of the output.
#[derive(Clone, Debug)]
pub(super) struct OutSection {
    /// Zero-padded name.
    pub(super) name: [u8; 8],
    /// Characteristics.
    pub(super) flags: SectionFlags,
    /// Contents; the length is the VirtualSize.
    pub(super) data: Vec<u8>,
    /// Address relative to the image base, after [`Layout::assign_addresses`].
    pub(super) rva: u32,
    /// Offset of the raw data, after [`Layout::assign_addresses`].
    pub(super) file_offset: u32,
}

/// All output sections but `.reloc`.
#[derive(Debug)]
pub(super) struct Layout {
    /// In file order.
    pub(super) sections: Vec<OutSection>,
    /// Module section to output section; `None` for empty ones, which are left out.
    by_id: Vec<Option<usize>>,
    rdata: usize,
    pdata: usize,
    rsrc: usize,
    has_base_relocations: bool,
}

impl Layout {
    /// Orders the module's sections and adds the generated ones, still empty.
    pub(super) fn of(module: &Module) -> Result<Layout, Error> {
        if module.sections.len() > SECTIONS {
            let found = module.sections.len();
            return Err(Error::TooLarge {
                what: "sections",
                found,
                limit: SECTIONS,
            });
        }
        let mut layout = Layout {
            sections: Vec::new(),
            by_id: vec![None; module.sections.len()],
            rdata: usize::MAX,
            pdata: 0,
            rsrc: 0,
            has_base_relocations: has_absolute(module),
        };
        layout.add_module_sections(module, Pass::Resident)?;
        if layout.rdata == usize::MAX {
            layout.rdata = layout.add(".rdata", flags(SectionKind::ReadOnly), Vec::new())?;
        }
        layout.pdata = layout.add(".pdata", flags(SectionKind::ReadOnly), Vec::new())?;
        layout.add_module_sections(module, Pass::Discardable)?;
        layout.rsrc = layout.add(".rsrc", DATA | READ | DISCARDABLE, Vec::new())?;
        Ok(layout)
    }

    fn add_module_sections(&mut self, module: &Module, pass: Pass) -> Result<(), Error> {
        for (index, section) in module.sections.iter().enumerate() {
            let is_now = (section.kind == SectionKind::Init) == (pass == Pass::Discardable);
            // A `.rdata` must exist before the first writable section: readers of native modules
            // expect it before `maps`.
            if is_now && section.kind == SectionKind::Data && self.rdata == usize::MAX {
                self.reserve_rdata(module)?;
            }
            if !is_now || section.data.is_empty() || self.by_id[index].is_some() {
                continue;
            }
            if section.kind == SectionKind::Code && section.name.starts_with("PAGE") {
                let name = section.name.clone();
                return Err(Error::SectionName {
                    name,
                    problem: "would make its code pageable",
                });
            }
            let at = self.add(&section.name, flags(section.kind), section.data.clone())?;
            self.by_id[index] = Some(at);
            if self.rdata == usize::MAX && section.name == ".rdata" {
                self.rdata = at;
            }
        }
        Ok(())
    }

    /// Adds an empty `.rdata` unless the module brings its own later.
    fn reserve_rdata(&mut self, module: &Module) -> Result<(), Error> {
        let own = |s: &codegen::Section| s.name == ".rdata" && !s.data.is_empty();
        if !module.sections.iter().any(own) {
            self.rdata = self.add(".rdata", flags(SectionKind::ReadOnly), Vec::new())?;
        }
        Ok(())
    }

    fn add(&mut self, name: &str, flags: SectionFlags, data: Vec<u8>) -> Result<usize, Error> {
        let name = padded_name(name)?;
        self.sections.push(OutSection {
            name,
            flags,
            data,
            rva: 0,
            file_offset: 0,
        });
        Ok(self.sections.len() - 1)
    }

    /// Reserves `len` zero bytes at the end of `.rdata`, 16-aligned; returns their offset in it.
    pub(super) fn append_rdata(&mut self, len: usize) -> u32 {
        let data = &mut self.sections[self.rdata].data;
        data.resize(data.len().next_multiple_of(16), 0);
        let at = data.len();
        data.resize(at + len, 0);
        at as u32
    }

    /// Sets the size of `.pdata`.
    pub(super) fn set_exceptions(&mut self, len: usize) {
        self.sections[self.pdata].data.resize(len, 0);
    }

    /// Sets the contents of `.rsrc`.
    pub(super) fn set_resources(&mut self, bytes: &[u8]) {
        self.sections[self.rsrc].data = bytes.to_vec();
    }

    /// Drops generated sections that stayed empty and gives every section its address.
    pub(super) fn assign_addresses(&mut self) -> Result<(), Error> {
        if self.sections[self.pdata].data.is_empty() {
            self.remove_exceptions();
        }
        let total: usize = self
            .sections
            .iter()
            .map(|s| s.data.len() + PAGE as usize)
            .sum();
        if total > IMAGE_BYTES {
            return Err(Error::TooLarge {
                what: "image bytes",
                found: total,
                limit: IMAGE_BYTES,
            });
        }
        let headers = headers_len(self.sections.len() + usize::from(self.has_base_relocations));
        let (mut rva, mut offset) = (headers.next_multiple_of(PAGE), headers);
        for section in &mut self.sections {
            let len = section.data.len() as u32;
            (section.rva, section.file_offset) = (rva, offset);
            rva += len.next_multiple_of(PAGE);
            offset += len.next_multiple_of(FILE_ALIGNMENT);
        }
        Ok(())
    }

    fn remove_exceptions(&mut self) {
        self.sections.remove(self.pdata);
        let after = |index: &mut usize| *index -= usize::from(*index > self.pdata);
        self.by_id.iter_mut().flatten().for_each(after);
        after(&mut self.rsrc);
        self.pdata = usize::MAX;
    }

    /// RVA of an offset in a module section; `None` if there is no such section in the output.
    pub(super) fn rva(&self, section: SectionId, offset: u32) -> Option<u32> {
        let at = (*self.by_id.get(usize::from(section.0))?)?;
        self.sections[at].rva.checked_add(offset)
    }

    /// Contents of a module section in the output.
    pub(super) fn contents_mut(&mut self, section: SectionId) -> Option<&mut Vec<u8>> {
        let at = (*self.by_id.get(usize::from(section.0))?)?;
        Some(&mut self.sections[at].data)
    }

    /// RVA and length of a part of `.rdata`.
    pub(super) fn rdata_span(&self, at: u32, len: usize) -> (u32, u32) {
        (self.sections[self.rdata].rva + at, len as u32)
    }

    /// File offset of a part of `.rdata`.
    pub(super) fn rdata_file_offset(&self, at: u32) -> u32 {
        self.sections[self.rdata].file_offset + at
    }

    /// Overwrites a reserved part of `.rdata`.
    pub(super) fn write_rdata(&mut self, at: u32, bytes: &[u8]) {
        let at = at as usize;
        self.sections[self.rdata].data[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// The `.pdata` section, if there is one.
    pub(super) fn exceptions_mut(&mut self) -> Option<&mut OutSection> {
        self.sections.get_mut(self.pdata)
    }

    /// RVA and length of `.pdata`.
    pub(super) fn exceptions_span(&self) -> Option<(u32, u32)> {
        self.sections
            .get(self.pdata)
            .map(|s| (s.rva, s.data.len() as u32))
    }

    /// The `.rsrc` section.
    pub(super) fn resources_mut(&mut self) -> &mut OutSection {
        &mut self.sections[self.rsrc]
    }

    /// RVA and length of `.rsrc`.
    pub(super) fn resources_span(&self) -> (u32, u32) {
        let section = &self.sections[self.rsrc];
        (section.rva, section.data.len() as u32)
    }
}

fn has_absolute(module: &Module) -> bool {
    let mut relocs = module.sections.iter().flat_map(|section| &section.relocs);
    relocs.any(|reloc| reloc.kind == RelocKind::Abs64)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Resident,
    Discardable,
}

/// Size of all headers: DOS header, NT headers with 16 directories, section headers, aligned.
fn headers_len(sections: usize) -> u32 {
    (0x40 + 0x108 + 40 * sections as u32).next_multiple_of(FILE_ALIGNMENT)
}

fn flags(kind: SectionKind) -> SectionFlags {
    match kind {
        SectionKind::Code => CODE | EXECUTE | READ | NOT_PAGED,
        SectionKind::ReadOnly => DATA | READ | NOT_PAGED,
        SectionKind::Data => DATA | READ | WRITE | NOT_PAGED,
        SectionKind::Init => CODE | EXECUTE | READ | DISCARDABLE,
    }
}

fn padded_name(name: &str) -> Result<[u8; 8], Error> {
    let problem = if name.is_empty() {
        "is empty"
    } else if name.len() > 8 {
        "is longer than eight bytes"
    } else if !name.bytes().all(|b| (0x20..0x7F).contains(&b)) {
        "is not printable ASCII"
    } else {
        let mut padded = [0; 8];
        padded[..name.len()].copy_from_slice(name.as_bytes());
        return Ok(padded);
    };
    Err(Error::SectionName {
        name: name.to_owned(),
        problem,
    })
}
