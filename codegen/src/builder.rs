//! Puts a [`Module`] together: sections that grow, symbols that may be used before they are placed.
//!
//! Invariant: [`Builder::finish`] fails when a symbol was used and never placed, so a finished
//! module has no dangling reference. Everything is kept in order of creation; nothing depends on
//! hash iteration.

use crate::error::Error;
use crate::module::{
    FunctionRange, Import, Reloc, RelocKind, Section, SectionId, SectionKind, Symbol, SymbolId,
    Target,
};
use std::collections::BTreeMap;

/// Byte that fills gaps between functions: `int3`.
const CODE_PADDING: u8 = 0xcc;

/// Sections, symbols and imports under construction.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    sections: Vec<Section>,
    names: Vec<String>,
    places: Vec<Option<(SectionId, u32)>>,
    by_name: BTreeMap<String, SymbolId>,
    imports: Vec<Import>,
    strings: BTreeMap<String, SymbolId>,
}

/// What [`Builder::finish`] yields.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) sections: Vec<Section>,
    pub(crate) symbols: Vec<Symbol>,
    pub(crate) imports: Vec<Import>,
}

impl Builder {
    /// Adds an empty section.
    pub(crate) fn section(&mut self, name: &str, kind: SectionKind) -> Result<SectionId, Error> {
        let id = u16::try_from(self.sections.len()).map_err(|_| Error::TooMany {
            what: "sections",
            found: self.sections.len(),
            limit: usize::from(u16::MAX),
        })?;
        self.sections.push(Section {
            name: name.to_owned(),
            kind,
            data: Vec::new(),
            relocs: Vec::new(),
            functions: Vec::new(),
        });
        Ok(SectionId(id))
    }

    /// The symbol of this name, placed or not.
    pub(crate) fn symbol(&mut self, name: &str) -> SymbolId {
        if let Some(&id) = self.by_name.get(name) {
            return id;
        }
        let id = SymbolId(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        self.names.push(name.to_owned());
        self.places.push(None);
        self.by_name.insert(name.to_owned(), id);
        id
    }

    /// The symbol of this name, if it is placed.
    pub(crate) fn placed(&self, name: &str) -> Option<SymbolId> {
        let id = *self.by_name.get(name)?;
        self.places.get(id.0 as usize)?.map(|_| id)
    }

    /// A name that no symbol has yet: `wanted`, or `wanted` with a number from `first` on.
    pub(crate) fn unused_name(&self, wanted: &str, first: usize) -> String {
        let taken = |name: &str| self.by_name.contains_key(name);
        if !taken(wanted) {
            return wanted.to_owned();
        }
        let mut number = first;
        loop {
            let name = format!("{wanted}.{number}");
            if !taken(&name) {
                return name;
            }
            number += 1;
        }
    }

    /// The import of this function, added when it is new.
    pub(crate) fn import(&mut self, module: &str, name: &str) -> Target {
        let found = self.imports.iter().position(|i| i.name == name);
        let at = found.unwrap_or_else(|| {
            self.imports.push(Import {
                module: module.to_owned(),
                name: name.to_owned(),
            });
            self.imports.len() - 1
        });
        Target::ImportSlot(u16::try_from(at).unwrap_or(u16::MAX))
    }

    /// Appends data at an alignment and places a symbol at its start.
    pub(crate) fn place(
        &mut self,
        section: SectionId,
        symbol: SymbolId,
        record: Record,
    ) -> Result<(), Error> {
        let Some(out) = self.sections.get_mut(usize::from(section.0)) else {
            return Err(Error::Internal(format!("no section {section:?}")));
        };
        let padding = if out.kind == SectionKind::Code || out.kind == SectionKind::Init {
            CODE_PADDING
        } else {
            0
        };
        let start = out.data.len().next_multiple_of(record.align);
        out.data.resize(start, padding);
        out.data.extend_from_slice(&record.bytes);
        let base = section_offset(start)?;
        section_offset(out.data.len())?;
        out.relocs
            .extend(record.relocs.into_iter().map(|reloc| Reloc {
                offset: base + reloc.offset,
                ..reloc
            }));
        match self.places.get_mut(symbol.0 as usize) {
            Some(place @ None) => *place = Some((section, base)),
            _ => return Err(Error::Internal(format!("symbol placed twice: {symbol:?}"))),
        }
        Ok(())
    }

    /// Appends a function and records its range and unwind information.
    pub(crate) fn place_function(
        &mut self,
        section: SectionId,
        symbol: SymbolId,
        code: Record,
        unwind: Option<Vec<u8>>,
    ) -> Result<(), Error> {
        let length = section_offset(code.bytes.len())?;
        self.place(section, symbol, code)?;
        let start = self.places[symbol.0 as usize].map_or(0, |(_, offset)| offset);
        self.sections[usize::from(section.0)]
            .functions
            .push(FunctionRange {
                symbol,
                start,
                end: start + length,
                unwind,
            });
        Ok(())
    }

    /// A zero-terminated string in `section`; equal strings are stored once.
    pub(crate) fn string(&mut self, section: SectionId, text: &str) -> Result<SymbolId, Error> {
        if let Some(&id) = self.strings.get(text) {
            return Ok(id);
        }
        let id = self.symbol(&format!("str.{}", self.strings.len()));
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.place(section, id, Record::bytes(bytes, 1))?;
        self.strings.insert(text.to_owned(), id);
        Ok(id)
    }

    /// All sections with code of programs, for hashing and listings.
    pub(crate) fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The finished parts.
    pub(crate) fn finish(mut self) -> Result<Parts, Error> {
        let mut symbols = Vec::with_capacity(self.names.len());
        for (name, place) in self.names.into_iter().zip(self.places) {
            let Some((section, offset)) = place else {
                return Err(Error::Internal(format!(
                    "symbol {name} is used, not placed"
                )));
            };
            symbols.push(Symbol {
                name,
                section,
                offset,
            });
        }
        for section in &mut self.sections {
            section.relocs.sort_by_key(|reloc| reloc.offset);
        }
        Ok(Parts {
            sections: self.sections,
            symbols,
            imports: self.imports,
        })
    }
}

fn section_offset(value: usize) -> Result<u32, Error> {
    u32::try_from(value)
        .ok()
        .filter(|offset| *offset <= i32::MAX as u32)
        .ok_or(Error::TooMany {
            what: "bytes in a section",
            found: value,
            limit: i32::MAX as usize,
        })
}

/// A piece of a section: bytes, their alignment, and the addresses in them.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    bytes: Vec<u8>,
    align: usize,
    relocs: Vec<Reloc>,
}

impl Record {
    /// Ready bytes.
    pub(crate) fn bytes(bytes: Vec<u8>, align: usize) -> Record {
        Record {
            bytes,
            align: align.max(1),
            relocs: Vec::new(),
        }
    }

    /// `size` zero bytes at an alignment of 8, to be filled by offset.
    pub(crate) fn zeroed(size: usize) -> Record {
        Record::bytes(vec![0; size], 8)
    }

    /// Writes `value` at `offset`; the offsets come from `offset_of!`, so they are in range.
    pub(crate) fn put(mut self, offset: usize, value: &[u8]) -> Record {
        self.bytes[offset..offset + value.len()].copy_from_slice(value);
        self
    }

    /// Writes a 16-bit number.
    pub(crate) fn u16(self, offset: usize, value: u16) -> Record {
        self.put(offset, &value.to_le_bytes())
    }

    /// Writes a 32-bit number.
    pub(crate) fn u32(self, offset: usize, value: u32) -> Record {
        self.put(offset, &value.to_le_bytes())
    }

    /// Writes a 64-bit number.
    pub(crate) fn u64(self, offset: usize, value: u64) -> Record {
        self.put(offset, &value.to_le_bytes())
    }

    /// Writes the address of a symbol, or nothing (null) for `None`.
    pub(crate) fn address(mut self, offset: usize, target: Option<SymbolId>) -> Record {
        self.relocs.extend(target.map(|symbol| Reloc {
            offset: u32::try_from(offset).unwrap_or(u32::MAX),
            kind: RelocKind::Abs64,
            target: Target::Symbol(symbol),
            addend: 0,
        }));
        self
    }

    /// Adds a 32-bit PC-relative reference.
    pub(crate) fn relative(mut self, offset: u32, target: Target, addend: i64) -> Record {
        self.relocs.push(Reloc {
            offset,
            kind: RelocKind::Rel32,
            target,
            addend,
        });
        self
    }

    /// This record followed by another one of the same alignment; for arrays.
    pub(crate) fn then(mut self, next: Record) -> Record {
        let base = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&next.bytes);
        self.relocs
            .extend(next.relocs.into_iter().map(|reloc| Reloc {
                offset: base.saturating_add(reloc.offset),
                ..reloc
            }));
        self
    }
}
