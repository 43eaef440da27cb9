//! Initialisers of `values`: relocations in section `.maps`.

use super::{Maps, ProgramSlot, Source};
use crate::{
    elf::file::{Relocation, Symbol, SymbolPlace},
    error::LoadError,
    model::{InitialValue, MapDef, MapId},
};
use abi::{MapKind, Platform, diagnostic};
use isa::Slot;
use std::ops::Bound;

/// A map with `values`, by place in the section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values {
    /// The map.
    pub(super) map: MapId,
    /// Byte offset of the variable.
    pub(super) start: u64,
    /// Byte offset of `values` in the variable.
    pub(super) values_at: u64,
}

const POINTER_BYTES: u64 = 8;
/// `R_BPF_64_ABS64`; compilers before LLVM 13 write `R_BPF_64_64`.
const KINDS: [u32; 2] = [2, 1];

/// Reads all initialisers; `values` ascends by place.
pub(super) fn read(
    source: Source<'_, '_>,
    maps: &mut Maps,
    section: usize,
    values: &[Values],
) -> Result<(), LoadError> {
    let list = source.file.relocations(section);
    if let Some(pair) = list
        .windows(2)
        .find(|pair| pair[0].offset == pair[1].offset)
    {
        let text = "an element of `values` is initialised twice";
        let error = LoadError::new(diagnostic::MAP_INITIAL_INVALID, text);
        return Err(error.offset(pair[0].offset));
    }
    for relocation in list {
        let symbol = source.file.symbol_of(relocation)?;
        one(source, maps, section, relocation, (symbol, values))
            .map_err(|error| error.offset(relocation.offset))?;
    }
    Ok(())
}

/// One initialised element.
#[derive(Clone, Copy)]
struct Element {
    map: MapId,
    index: u32,
    /// What it points to.
    section: usize,
    offset: u64,
}

fn one(
    source: Source<'_, '_>,
    maps: &mut Maps,
    section: usize,
    relocation: &Relocation,
    (symbol, values): (&Symbol<'_>, &[Values]),
) -> Result<(), LoadError> {
    if !KINDS.contains(&relocation.kind) {
        let text = format!("relocation type {} in a map definition", relocation.kind);
        return Err(LoadError::new(diagnostic::RELOCATION_UNSUPPORTED, text));
    }
    let (map, index) = slot(maps, section, relocation.offset, values)
        .ok_or_else(|| invalid("the initialised bytes are no element of `values`".into()))?;
    let def = &maps.defs[usize::from(map.0)];
    let (name, kind, max_entries) = (def.name.clone(), def.kind, def.max_entries);
    let here = |error: LoadError| error.symbol(&name);
    if index >= max_entries {
        let text = format!("values[{index}] of a map of {max_entries} entries");
        return Err(here(invalid(text)));
    }
    let SymbolPlace::Section(target) = symbol.place else {
        let name = symbol.name;
        let text = format!("values[{index}] is `{name}`, which this file does not define");
        return Err(here(invalid(text)));
    };
    let addend = addend(source, section, relocation.offset);
    let element = Element {
        map,
        index,
        section: target,
        offset: symbol.value.wrapping_add(addend),
    };
    match kind {
        MapKind::ProgArray => program(source, maps, element),
        _ => inner_map(source, maps, element),
    }
    .map_err(here)
}

fn program(source: Source<'_, '_>, maps: &mut Maps, element: Element) -> Result<(), LoadError> {
    let Element { map, index, .. } = element;
    let function = u32::try_from(element.offset / Slot::BYTES as u64)
        .ok()
        .and_then(|slot| source.functions.starting_at(element.section, slot))
        .ok_or_else(|| invalid(format!("values[{index}] is no function")))?;
    maps.program_slots.push(ProgramSlot {
        map,
        index,
        function,
    });
    Ok(())
}

fn inner_map(source: Source<'_, '_>, maps: &mut Maps, element: Element) -> Result<(), LoadError> {
    let index = element.index;
    let inner = maps
        .at(element.section, element.offset)
        .ok_or_else(|| invalid(format!("values[{index}] is no map")))?;
    let outer = usize::from(element.map.0);
    let template = maps.defs[outer].inner;
    let inner = &maps.defs[usize::from(inner.0)];
    let fits = template.is_some_and(|template| alike(&maps.defs[usize::from(template.0)], inner));
    let name = inner.name.clone();
    // Linux compares less, by type of map and flags.
    if source.options.platform == Platform::Windows && !fits {
        let text = format!("values[{index}] is `{name}`, which differs from the template");
        return Err(invalid(text));
    }
    maps.defs[outer].initial.push(InitialValue { index, name });
    Ok(())
}

fn invalid(text: String) -> LoadError {
    LoadError::new(diagnostic::MAP_INITIAL_INVALID, text)
}

/// What the runtime compares before it stores an inner map.
fn alike(template: &MapDef, inner: &MapDef) -> bool {
    let shape = |def: &MapDef| {
        (
            def.type_number,
            def.key_size,
            def.value_size,
            def.max_entries,
        )
    };
    shape(template) == shape(inner)
}

/// The map and element that a place in the section belongs to.
fn slot(maps: &Maps, section: usize, at: u64, values: &[Values]) -> Option<(MapId, u32)> {
    let before = values.partition_point(|values| values.start <= at);
    let found = values.get(before.checked_sub(1)?)?;
    // The variable ends where the next map starts.
    let after = (Bound::Excluded((section, found.start)), Bound::Unbounded);
    let next = maps.places.range(after).next();
    if next.is_some_and(|((in_section, start), _)| *in_section == section && *start <= at) {
        return None;
    }
    let bytes = at.checked_sub(found.start)?.checked_sub(found.values_at)?;
    let index = u32::try_from(bytes / POINTER_BYTES).ok()?;
    bytes
        .is_multiple_of(POINTER_BYTES)
        .then_some((found.map, index))
}

/// The addend stands in the initialised bytes.
fn addend(source: Source<'_, '_>, section: usize, at: u64) -> u64 {
    let bytes = source.file.section(section).and_then(|section| {
        let at = usize::try_from(at).ok()?;
        section.data.get(at..)?.first_chunk::<8>()
    });
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
