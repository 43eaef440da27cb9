//! Relocations: PC-relative ones are resolved, absolute ones become base relocations.
//!
//! Refused: absolute addresses in executable sections (HVCI images keep code free of base
//! relocations), fields that cross a page, and whatever does not fit.

use super::IMAGE_BASE;
use super::imports::Plan as Imports;
use super::layout::{Layout, PAGE};
use crate::{Error, RelocationProblem};
use codegen::{Module, Reloc, RelocKind, Section, SectionId, SectionKind, Target};

/// Applies all relocations; returns the RVAs of the absolute fields, ascending.
pub(super) fn apply(
    module: &Module,
    layout: &mut Layout,
    imports: &Imports,
    imports_at: u32,
) -> Result<Vec<u32>, Error> {
    let mut absolute = Vec::new();
    for (index, section) in module.sections.iter().enumerate() {
        let id = SectionId(index as u16);
        let mut free_from = 0;
        for reloc in &section.relocs {
            let target = match reloc.target {
                Target::Symbol(symbol) => symbol_rva(module, layout, symbol.0 as usize),
                Target::ImportSlot(slot) => imports.slot_rva(layout, imports_at, slot),
            };
            let place = Place { section, id, reloc };
            place
                .check_order(&mut free_from)
                .map_err(|problem| place.error(module, problem))?;
            let field = target
                .ok_or(RelocationProblem::UnknownTarget)
                .and_then(|target| place.apply(layout, target))
                .map_err(|problem| place.error(module, problem))?;
            absolute.extend(field);
        }
    }
    absolute.sort_unstable();
    Ok(absolute)
}

struct Place<'a> {
    section: &'a Section,
    id: SectionId,
    reloc: &'a Reloc,
}

impl Place<'_> {
    /// Writes the field; returns its RVA if it needs a base relocation.
    fn apply(&self, layout: &mut Layout, target: u32) -> Result<Option<u32>, RelocationProblem> {
        use RelocationProblem::{AbsoluteInCode, OutsideSection, Overflow, StraddlesPage};
        let field = layout
            .rva(self.id, self.reloc.offset)
            .ok_or(OutsideSection)?;
        let target = i64::from(target)
            .checked_add(self.reloc.addend)
            .ok_or(Overflow)?;
        match self.reloc.kind {
            RelocKind::Rel32 => {
                let distance = target.checked_sub(i64::from(field) + 4).ok_or(Overflow)?;
                let distance = i32::try_from(distance).map_err(|_| Overflow)?;
                self.store(layout, &distance.to_le_bytes())?;
                Ok(None)
            }
            RelocKind::Abs64 if self.is_code() => Err(AbsoluteInCode),
            RelocKind::Abs64 if field % PAGE > PAGE - 8 => Err(StraddlesPage),
            RelocKind::Abs64 => {
                let address = IMAGE_BASE.checked_add_signed(target).ok_or(Overflow)?;
                self.store(layout, &address.to_le_bytes())?;
                Ok(Some(field))
            }
        }
    }

    /// An address that two base relocations touch would be moved twice.
    fn check_order(&self, free_from: &mut u64) -> Result<(), RelocationProblem> {
        let offset = u64::from(self.reloc.offset);
        if offset < *free_from {
            return Err(RelocationProblem::Overlaps);
        }
        *free_from = offset
            + match self.reloc.kind {
                RelocKind::Abs64 => 8,
                RelocKind::Rel32 => 4,
            };
        Ok(())
    }

    fn is_code(&self) -> bool {
        matches!(self.section.kind, SectionKind::Code | SectionKind::Init)
    }

    fn store(&self, layout: &mut Layout, bytes: &[u8]) -> Result<(), RelocationProblem> {
        let at = self.reloc.offset as usize;
        // The module's own length: tables appended to `.rdata` are not the module's to patch.
        if at
            .checked_add(bytes.len())
            .is_none_or(|end| end > self.section.data.len())
        {
            return Err(RelocationProblem::OutsideSection);
        }
        let data = layout
            .contents_mut(self.id)
            .ok_or(RelocationProblem::OutsideSection)?;
        data[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn error(&self, module: &Module, problem: RelocationProblem) -> Error {
        let target = match self.reloc.target {
            Target::Symbol(id) => match module.symbols.get(id.0 as usize) {
                Some(symbol) => symbol.name.clone(),
                None => format!("symbol {}", id.0),
            },
            Target::ImportSlot(slot) => match module.imports.get(usize::from(slot)) {
                Some(import) => format!("{}!{}", import.module, import.name),
                None => format!("import {slot}"),
            },
        };
        let section = self.section.name.clone();
        Error::Relocation {
            section,
            offset: self.reloc.offset,
            target,
            problem,
        }
    }
}

/// RVA of a symbol; one past the end of its section is allowed.
fn symbol_rva(module: &Module, layout: &Layout, index: usize) -> Option<u32> {
    let symbol = module.symbols.get(index)?;
    let section = module.sections.get(usize::from(symbol.section.0))?;
    if symbol.offset as usize > section.data.len() {
        return None;
    }
    layout.rva(symbol.section, symbol.offset)
}
