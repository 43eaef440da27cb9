//! A small writer of ELF files that does not care whether they make sense.

/// One section; relocation sections name symbols by position.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    /// Name.
    pub(crate) name: &'static str,
    /// `sh_type`.
    pub(crate) kind: u32,
    /// `sh_flags`.
    pub(crate) flags: u64,
    /// Bytes in the file.
    pub(crate) data: Vec<u8>,
    /// `sh_info`.
    pub(crate) info: u32,
    /// Uses the bytes of an earlier section instead of its own.
    pub(crate) overlaps: Option<usize>,
}

/// One symbol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbol {
    /// Name.
    pub(crate) name: &'static str,
    /// `st_info`.
    pub(crate) info: u8,
    /// Section number, counted from 1 in the order of `Elf::sections`.
    pub(crate) section: u16,
    /// Offset.
    pub(crate) value: u64,
    /// Bytes.
    pub(crate) size: u64,
}

/// `STB_GLOBAL`, `STT_FUNC`.
pub(crate) const FUNCTION: u8 = 0x12;
/// `STB_GLOBAL`, `STT_OBJECT`.
pub(crate) const OBJECT: u8 = 0x11;
/// `STB_GLOBAL`, `STT_NOTYPE`.
pub(crate) const UNTYPED: u8 = 0x10;

/// A file to be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Elf {
    /// Sections; symbol and string tables come behind.
    pub(crate) sections: Vec<Section>,
    /// Symbols; the null symbol comes before.
    pub(crate) symbols: Vec<Symbol>,
}

/// A code section.
pub(crate) fn code(name: &'static str, slots: &[u64]) -> Section {
    let data = slots.iter().flat_map(|slot| slot.to_be_bytes()).collect();
    section(name, 1, 6, data)
}

/// A section of data.
pub(crate) fn data(name: &'static str, bytes: &[u8]) -> Section {
    section(name, 1, 3, bytes.to_vec())
}

/// Relocations (offset, type, symbol number from 1) of a section (number from 1).
pub(crate) fn relocations(target: u32, entries: &[(u64, u32, u32)]) -> Section {
    let data = entries.iter().flat_map(|(offset, kind, symbol)| {
        let info = u64::from(*symbol) << 32 | u64::from(*kind);
        [offset.to_le_bytes(), info.to_le_bytes()].concat()
    });
    Section {
        info: target,
        ..section(".rel", 9, 0x40, data.collect())
    }
}

/// Any section.
pub(crate) fn section(name: &'static str, kind: u32, flags: u64, data: Vec<u8>) -> Section {
    Section {
        name,
        kind,
        flags,
        data,
        info: 0,
        overlaps: None,
    }
}

impl Elf {
    /// The bytes of the file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut strings = vec![0u8];
        let mut add = |name: &str| {
            let at = strings.len() as u32;
            strings.extend_from_slice(name.as_bytes());
            strings.push(0);
            at
        };
        let symbol_names: Vec<u32> = self.symbols.iter().map(|symbol| add(symbol.name)).collect();
        let mut sections = self.sections.clone();
        let table = self.symbol_table(&symbol_names);
        sections.push(section(".symtab", 2, 0, table));
        let mut names: Vec<u32> = sections.iter().map(|section| add(section.name)).collect();
        names.push(add(".strtab"));
        sections.push(section(".strtab", 3, 0, strings));
        write(&sections, &names)
    }

    fn symbol_table(&self, names: &[u32]) -> Vec<u8> {
        let mut table = vec![0u8; 24];
        for (symbol, name) in self.symbols.iter().zip(names) {
            table.extend_from_slice(&name.to_le_bytes());
            table.extend_from_slice(&[symbol.info, 0]);
            table.extend_from_slice(&symbol.section.to_le_bytes());
            table.extend_from_slice(&symbol.value.to_le_bytes());
            table.extend_from_slice(&symbol.size.to_le_bytes());
        }
        table
    }
}

fn write(sections: &[Section], names: &[u32]) -> Vec<u8> {
    let mut file = vec![0u8; 64];
    let mut places = Vec::new();
    for section in sections {
        file.resize(file.len().next_multiple_of(8), 0);
        let place = match section.overlaps {
            Some(other) => places[other],
            None => (file.len() as u64, section.data.len() as u64),
        };
        places.push(place);
        if section.overlaps.is_none() {
            file.extend_from_slice(&section.data);
        }
    }
    file.resize(file.len().next_multiple_of(8), 0);
    let headers = file.len() as u64;
    file.resize(file.len() + 64, 0);
    let strings = sections.len() as u32;
    for ((section, name), (offset, size)) in sections.iter().zip(names).zip(places) {
        let link = match section.kind {
            2 => strings,
            9 => strings - 1,
            _ => 0,
        };
        let entry = match section.kind {
            2 => 24u64,
            9 => 16,
            _ => 0,
        };
        file.extend_from_slice(&name.to_le_bytes());
        file.extend_from_slice(&section.kind.to_le_bytes());
        for word in [section.flags, 0, offset, size] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(&link.to_le_bytes());
        file.extend_from_slice(&section.info.to_le_bytes());
        file.extend_from_slice(&8u64.to_le_bytes());
        file.extend_from_slice(&entry.to_le_bytes());
    }
    file[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\xf7\0");
    file[20] = 1;
    file[40..48].copy_from_slice(&headers.to_le_bytes());
    file[52] = 64;
    file[58] = 64;
    file[60..62].copy_from_slice(&(sections.len() as u16 + 1).to_le_bytes());
    file[62..64].copy_from_slice(&(sections.len() as u16).to_le_bytes());
    file
}
