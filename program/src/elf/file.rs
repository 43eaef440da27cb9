//! The ELF file as plain lists: sections with their bytes, symbols, relocations by section.
//!
//! `object` reads the structures; this file adds what hostile input needs: limits on counts, names
//! of bounded length (a lookup never scans megabytes for a terminator) and errors that say where.
//! Only relocatable 64-bit little-endian files for BPF pass.

use crate::error::LoadError;
use abi::{diagnostic, limits};
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader as _, Rel as _, SectionHeader as _, Sym as _};
use object::{LittleEndian, SectionIndex};
use std::collections::BTreeMap;

type Header = FileHeader64<LittleEndian>;

/// `SHT_PROGBITS`, `SHT_NOBITS` and everything else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SectionKind {
    /// Bytes in the file.
    Data,
    /// Zeros that take no room in the file.
    Zero,
    /// Symbols, strings, relocations, notes.
    Table,
}

/// One section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section<'d> {
    /// Name.
    pub(crate) name: &'d str,
    /// What its bytes are.
    pub(crate) kind: SectionKind,
    /// `SHF_EXECINSTR`.
    pub(crate) executable: bool,
    /// `SHF_ALLOC`.
    pub(crate) allocated: bool,
    /// Bytes; empty for [`SectionKind::Zero`].
    pub(crate) data: &'d [u8],
    /// Size, also when there are no bytes.
    pub(crate) size: u64,
}

/// Where a symbol is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SymbolPlace {
    /// Nowhere: extern.
    Undefined,
    /// In the section of this index.
    Section(usize),
    /// Absolute or common.
    Other,
}

/// What a symbol names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SymbolKind {
    /// Untyped: labels, and functions and maps of old compilers.
    None,
    /// Variable or map.
    Object,
    /// Function.
    Function,
    /// The section itself.
    Section,
    /// Source file name and others.
    Other,
}

/// One symbol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbol<'d> {
    /// Name; empty for sections.
    pub(crate) name: &'d str,
    /// What it names.
    pub(crate) kind: SymbolKind,
    /// Where it is.
    pub(crate) place: SymbolPlace,
    /// Byte offset in its section.
    pub(crate) value: u64,
    /// Bytes, 0 when unknown.
    pub(crate) size: u64,
    /// Not `STB_LOCAL`.
    pub(crate) global: bool,
    /// `STV_HIDDEN` or `STV_INTERNAL`.
    pub(crate) hidden: bool,
    /// `STB_WEAK`.
    pub(crate) weak: bool,
}

/// One relocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relocation {
    /// Byte offset in the section it changes.
    pub(crate) offset: u64,
    /// `R_BPF_*`.
    pub(crate) kind: u32,
    /// Index into [`ElfFile::symbols`].
    pub(crate) symbol: usize,
}

/// A checked ELF file.
#[derive(Debug)]
pub(crate) struct ElfFile<'d> {
    /// All sections by index; the first is the null section.
    pub(crate) sections: Vec<Section<'d>>,
    /// All symbols by index.
    pub(crate) symbols: Vec<Symbol<'d>>,
    /// Relocations by the section they change, ascending by offset.
    relocations: BTreeMap<usize, Vec<Relocation>>,
    /// The first section of each name.
    names: BTreeMap<&'d str, usize>,
    /// Symbols by their section, in the order of the table.
    by_section: BTreeMap<usize, Vec<usize>>,
}

impl<'d> ElfFile<'d> {
    /// Reads the lists of a file.
    pub(crate) fn parse(bytes: &'d [u8]) -> Result<ElfFile<'d>, LoadError> {
        if bytes.len() as u64 > limits::ELF_BYTES {
            return Err(over("bytes", bytes.len(), limits::ELF_BYTES as usize));
        }
        check_identity(bytes)?;
        let header = Header::parse(bytes).map_err(malformed)?;
        let table = header.sections(LittleEndian, bytes).map_err(malformed)?;
        if table.len() > limits::ELF_SECTIONS {
            return Err(over("sections", table.len(), limits::ELF_SECTIONS));
        }
        let names = header.shstrndx(LittleEndian, bytes).map_err(malformed)?;
        let names = strings(bytes, &table, SectionIndex(names as usize))?;
        let sections = table
            .enumerate()
            .map(|(index, header)| read_section(bytes, header, names, index.0))
            .collect::<Result<Vec<_>, _>>()?;
        let symbols = read_symbols(bytes, &table)?;
        let mut file = ElfFile {
            names: first_of_name(&sections),
            by_section: group_by_section(&symbols),
            sections,
            symbols,
            relocations: BTreeMap::new(),
        };
        file.read_relocations(bytes, &table)?;
        Ok(file)
    }

    /// The section of an index.
    pub(crate) fn section(&self, index: usize) -> Option<&Section<'d>> {
        self.sections.get(index)
    }

    /// The sections with their indices.
    pub(crate) fn enumerate(&self) -> impl Iterator<Item = (usize, &Section<'d>)> {
        self.sections.iter().enumerate()
    }

    /// The first section of a name.
    pub(crate) fn by_name(&self, name: &str) -> Option<(usize, &Section<'d>)> {
        let &index = self.names.get(name)?;
        Some((index, &self.sections[index]))
    }

    /// The symbols in a section, in the order of the table.
    pub(crate) fn symbols_in(&self, section: usize) -> impl Iterator<Item = &Symbol<'d>> {
        let indices = self.by_section.get(&section).map_or(&[][..], Vec::as_slice);
        indices.iter().map(|&index| &self.symbols[index])
    }

    /// The relocations that change a section, ascending by offset.
    pub(crate) fn relocations(&self, section: usize) -> &[Relocation] {
        self.relocations.get(&section).map_or(&[], Vec::as_slice)
    }

    /// The symbol of a relocation.
    pub(crate) fn symbol_of(&self, relocation: &Relocation) -> Result<&Symbol<'d>, LoadError> {
        self.symbols.get(relocation.symbol).ok_or_else(|| {
            LoadError::new(
                diagnostic::RELOCATION_INVALID,
                format!(
                    "relocation names symbol {} of {}",
                    relocation.symbol,
                    self.symbols.len()
                ),
            )
            .offset(relocation.offset)
        })
    }

    /// What to call the target of a relocation: section symbols have no name of their own.
    pub(crate) fn target_name(&self, symbol: &Symbol<'d>) -> &'d str {
        match symbol.place {
            SymbolPlace::Section(section) if symbol.name.is_empty() => {
                self.section(section).map_or("", |section| section.name)
            }
            _ => symbol.name,
        }
    }

    fn read_relocations(&mut self, bytes: &'d [u8], table: &Table<'d>) -> Result<(), LoadError> {
        let mut count = 0usize;
        for (index, header) in table.enumerate() {
            let here = |error: LoadError| error.section(self.sections[index.0].name);
            let target = header.info_link(LittleEndian).0;
            if header.sh_type(LittleEndian) == elf::SHT_RELA && self.matters(target) {
                return Err(here(LoadError::new(
                    diagnostic::RELOCATION_UNSUPPORTED,
                    "relocations with addends (SHT_RELA) do not occur in eBPF objects",
                )));
            }
            let Some((entries, _)) = header
                .rel(LittleEndian, bytes)
                .map_err(malformed)
                .map_err(here)?
            else {
                continue;
            };
            if !self.matters(target) {
                continue;
            }
            // Sections may overlap in the file, so its size bounds nothing.
            count = count.saturating_add(entries.len());
            if count > limits::ELF_RELOCATIONS {
                return Err(over("relocations", count, limits::ELF_RELOCATIONS));
            }
            let list = self.relocations.entry(target).or_default();
            list.extend(entries.iter().map(|entry| Relocation {
                offset: entry.r_offset(LittleEndian),
                kind: entry.r_type(LittleEndian).0,
                symbol: entry.r_sym(LittleEndian) as usize,
            }));
        }
        for list in self.relocations.values_mut() {
            list.sort_by_key(|relocation| relocation.offset);
        }
        Ok(())
    }

    /// Whether relocations of the section are of interest: debug information and BTF are not.
    fn matters(&self, target: usize) -> bool {
        self.section(target).is_some_and(|section| {
            (section.allocated || section.executable) && section.name != ".eh_frame"
        })
    }
}

fn first_of_name<'d>(sections: &[Section<'d>]) -> BTreeMap<&'d str, usize> {
    let mut names = BTreeMap::new();
    for (index, section) in sections.iter().enumerate() {
        names.entry(section.name).or_insert(index);
    }
    names
}

fn group_by_section(symbols: &[Symbol<'_>]) -> BTreeMap<usize, Vec<usize>> {
    let mut by_section: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, symbol) in symbols.iter().enumerate() {
        if let SymbolPlace::Section(section) = symbol.place {
            by_section.entry(section).or_default().push(index);
        }
    }
    by_section
}

type Table<'d> = object::read::elf::SectionTable<'d, Header>;

fn check_identity(bytes: &[u8]) -> Result<(), LoadError> {
    let not_bpf = |text: String| Err(LoadError::new(diagnostic::ELF_NOT_BPF, text));
    let Some(header) = bytes.get(..64) else {
        let text = format!("{} bytes are too few for an ELF header (64)", bytes.len());
        return Err(LoadError::new(diagnostic::ELF_MALFORMED, text));
    };
    if header[..4] != elf::ELFMAG {
        return not_bpf("the file does not start with the ELF magic number".into());
    }
    if header[4] != 2 {
        return not_bpf(format!(
            "ELF class {} found, 64-bit (2) expected",
            header[4]
        ));
    }
    if header[5] != 1 {
        return not_bpf("big-endian file (compile for `bpfel`, not `bpfeb`)".into());
    }
    let kind = u16::from_le_bytes([header[16], header[17]]);
    let machine = u16::from_le_bytes([header[18], header[19]]);
    if machine != elf::EM_BPF.0 && machine != 0 {
        return not_bpf(format!("machine {machine} found, BPF (247) expected"));
    }
    if kind != elf::ET_REL.0 {
        return not_bpf(format!("ELF type {kind} found, relocatable (1) expected"));
    }
    Ok(())
}

fn read_section<'d>(
    bytes: &'d [u8],
    header: &'d elf::SectionHeader64<LittleEndian>,
    names: &'d [u8],
    index: usize,
) -> Result<Section<'d>, LoadError> {
    let flags = header.sh_flags(LittleEndian);
    let name = name_at(names, header.sh_name(LittleEndian))
        .map_err(|text| name_error("section", index, text))?;
    let kind = match header.sh_type(LittleEndian) {
        elf::SHT_PROGBITS => SectionKind::Data,
        elf::SHT_NOBITS => SectionKind::Zero,
        _ => SectionKind::Table,
    };
    let data = match header.sh_type(LittleEndian) {
        elf::SHT_NULL => &[],
        _ => header
            .data(LittleEndian, bytes)
            .map_err(malformed)
            .map_err(|error| error.section(name).offset(header.sh_offset(LittleEndian)))?,
    };
    Ok(Section {
        name,
        kind,
        executable: flags.contains(elf::SHF_EXECINSTR),
        allocated: flags.contains(elf::SHF_ALLOC),
        data,
        size: header.sh_size(LittleEndian),
    })
}

fn read_symbols<'d>(bytes: &'d [u8], table: &Table<'d>) -> Result<Vec<Symbol<'d>>, LoadError> {
    let list = table
        .symbols(LittleEndian, bytes, elf::SHT_SYMTAB)
        .map_err(malformed)?;
    if list.is_empty() {
        return Ok(Vec::new());
    }
    if list.len() > limits::ELF_SYMBOLS {
        return Err(over("symbols", list.len(), limits::ELF_SYMBOLS));
    }
    let names = strings(bytes, table, list.string_section())?;
    list.enumerate()
        .map(|(index, entry)| {
            let place = if entry.st_shndx(LittleEndian) == elf::SHN_UNDEF {
                SymbolPlace::Undefined
            } else {
                match list
                    .symbol_section(LittleEndian, entry, index)
                    .map_err(malformed)?
                {
                    Some(section) => SymbolPlace::Section(section.0),
                    None => SymbolPlace::Other,
                }
            };
            let name = name_at(names, entry.st_name(LittleEndian))
                .map_err(|text| name_error("symbol", index.0, text))?;
            Ok(symbol(entry, name, place))
        })
        .collect()
}

fn symbol<'d>(entry: &elf::Sym64<LittleEndian>, name: &'d str, place: SymbolPlace) -> Symbol<'d> {
    Symbol {
        name,
        kind: match entry.st_type() {
            elf::STT_NOTYPE => SymbolKind::None,
            elf::STT_OBJECT => SymbolKind::Object,
            elf::STT_FUNC => SymbolKind::Function,
            elf::STT_SECTION => SymbolKind::Section,
            _ => SymbolKind::Other,
        },
        place,
        value: entry.st_value(LittleEndian),
        size: entry.st_size(LittleEndian),
        global: entry.st_bind() != elf::STB_LOCAL,
        hidden: matches!(entry.st_visibility(), elf::STV_HIDDEN | elf::STV_INTERNAL),
        weak: entry.st_bind() == elf::STB_WEAK,
    }
}

fn strings<'d>(
    bytes: &'d [u8],
    table: &Table<'d>,
    index: SectionIndex,
) -> Result<&'d [u8], LoadError> {
    if index.0 == 0 {
        return Ok(&[]);
    }
    table
        .section(index)
        .and_then(|section| section.data(LittleEndian, bytes))
        .map_err(malformed)
}

/// A zero-terminated name of bounded length.
pub(crate) fn name_at(strings: &[u8], offset: u32) -> Result<&str, &'static str> {
    if offset == 0 {
        return Ok("");
    }
    let tail = strings
        .get(offset as usize..)
        .ok_or("name lies outside the string table")?;
    let window = &tail[..tail.len().min(limits::SYMBOL_NAME_BYTES + 1)];
    let end = window
        .iter()
        .position(|&byte| byte == 0)
        .ok_or("name is not terminated or too long")?;
    std::str::from_utf8(&window[..end]).map_err(|_| "name is not UTF-8")
}

fn name_error(what: &str, index: usize, text: &str) -> LoadError {
    LoadError::new(diagnostic::ELF_MALFORMED, format!("{what} {index}: {text}"))
}

fn malformed(error: object::read::Error) -> LoadError {
    LoadError::new(diagnostic::ELF_MALFORMED, error.to_string())
}

fn over(what: &str, found: usize, limit: usize) -> LoadError {
    LoadError::new(
        diagnostic::ELF_LIMIT,
        format!("{found} {what}, the limit is {limit}"),
    )
}
