//! All maps of a file: BTF `.maps`, legacy `maps` sections, global variables.
//!
//! The order of [`Maps::defs`] is part of the output and deterministic: `.maps` by symbol offset,
//! the anonymous inner maps they name, legacy maps by section and offset, then one array map for
//! each global data section, and one for the kernel's configuration.

mod btf_maps;
mod check;
mod globals;
mod initial;
mod legacy;
mod special;

pub(crate) use check::name_length;
pub(crate) use globals::is_global;

use crate::{
    btf::{Btf, TypeId},
    elf::{
        LoadOptions,
        externs::Externs,
        file::{ElfFile, Symbol, SymbolKind},
        functions::{FunctionId, Functions},
        notes::Notes,
    },
    error::LoadError,
    model::{GlobalSection, MapDef, MapId},
};
use abi::{MapKind, Platform, ProgramType, diagnostic, limits, map};
use std::collections::{BTreeMap, BTreeSet};

/// What is needed to read maps.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a, 'd> {
    /// The file.
    pub(crate) file: &'a ElfFile<'d>,
    /// Its type information.
    pub(crate) btf: Option<&'a Btf<'d>>,
    /// Its functions, for program array initialisers.
    pub(crate) functions: &'a Functions<'d>,
    /// Platform and object name.
    pub(crate) options: &'a LoadOptions,
    /// What it declares; of this the values of the kernel's configuration.
    pub(crate) externs: &'a Externs<'d>,
}

/// One initialiser of a program array, to be checked when the programs are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProgramSlot {
    map: MapId,
    index: u32,
    function: FunctionId,
}

/// The maps of a file and where their symbols are.
#[derive(Debug, Default)]
pub(crate) struct Maps {
    /// Definitions by id.
    pub(crate) defs: Vec<MapDef>,
    /// Global data sections.
    pub(crate) globals: Vec<GlobalSection>,
    /// Map that starts at an offset of a section.
    places: BTreeMap<(usize, u64), MapId>,
    /// Sections that hold map definitions.
    sections: BTreeSet<usize>,
    /// The map of a global data section.
    global_maps: BTreeMap<usize, MapId>,
    /// The map of the kernel's configuration.
    configuration: Option<MapId>,
    /// Program arrays' slots.
    program_slots: Vec<ProgramSlot>,
}

impl Maps {
    /// Reads every map of the file.
    pub(crate) fn read(source: Source<'_, '_>, notes: &mut Notes) -> Result<Maps, LoadError> {
        let mut maps = Maps::default();
        btf_maps::read(source, &mut maps, notes)?;
        legacy::read(source, &mut maps)?;
        globals::read(source, &mut maps)?;
        globals::read_configuration(source, &mut maps, notes)?;
        check::all_sizes(source.options.platform, &maps.defs, notes)?;
        check::names(source.options.platform, &maps.defs)?;
        Ok(maps)
    }

    /// The map that starts at an offset of a section.
    pub(crate) fn at(&self, section: usize, offset: u64) -> Option<MapId> {
        self.places.get(&(section, offset)).copied()
    }

    /// Whether a section holds map definitions.
    pub(crate) fn is_map_section(&self, section: usize) -> bool {
        self.sections.contains(&section)
    }

    /// The map behind a global data section.
    pub(crate) fn global(&self, section: usize) -> Option<MapId> {
        self.global_maps.get(&section).copied()
    }

    /// The map of the kernel's configuration.
    pub(crate) fn configuration(&self) -> Option<MapId> {
        self.configuration
    }

    /// Writes the names of programs into the slots of program arrays. All programs of one array
    /// must have the same type, because they run on the same context.
    pub(crate) fn fill_program_slots(
        &mut self,
        functions: &Functions<'_>,
        type_of: impl Fn(FunctionId) -> Option<&'static ProgramType>,
    ) -> Result<(), LoadError> {
        let mut types: BTreeMap<MapId, &'static ProgramType> = BTreeMap::new();
        for slot in &self.program_slots {
            let name = functions.get(slot.function).name;
            let def = &mut self.defs[usize::from(slot.map.0)];
            let refused = |text: String| {
                let text = format!("values[{}]: `{name}` {text}", slot.index);
                LoadError::new(diagnostic::MAP_INITIAL_INVALID, text).symbol(&def.name)
            };
            let Some(found) = type_of(slot.function) else {
                return Err(refused("is no program of this file".into()));
            };
            let first = *types.entry(slot.map).or_insert(found);
            if !std::ptr::eq(first, found) {
                let text = format!("is {}, earlier slots are {}", found.name, first.name);
                return Err(refused(text));
            }
            def.initial.push(crate::InitialValue {
                index: slot.index,
                name: name.into(),
            });
        }
        Ok(())
    }

    fn push(&mut self, def: MapDef) -> Result<MapId, LoadError> {
        let id = u16::try_from(self.defs.len())
            .ok()
            .filter(|_| self.defs.len() < limits::MAPS)
            .ok_or_else(|| {
                let text = format!("more than {} maps", limits::MAPS);
                LoadError::new(diagnostic::ELF_LIMIT, text)
            })?;
        self.defs.push(def);
        Ok(MapId(id))
    }
}

/// The symbols that name maps or variables in a section, ascending by offset; labels are left out.
fn symbols_in<'a, 'd>(file: &'a ElfFile<'d>, section: usize) -> Vec<&'a Symbol<'d>> {
    let mut symbols: Vec<_> = file
        .symbols_in(section)
        .filter(|symbol| match symbol.kind {
            SymbolKind::Object => true,
            // Compilers before LLVM 8 leave the type out.
            SymbolKind::None => symbol.global,
            _ => false,
        })
        .filter(|symbol| !symbol.name.is_empty())
        .collect();
    symbols.sort_by_key(|symbol| symbol.value);
    symbols
}

/// A definition with nothing but a name and type.
fn new_def(platform: Platform, name: &str, type_number: u32) -> Result<MapDef, LoadError> {
    let row = map::by_number(platform, type_number).ok_or_else(|| {
        let text = format!("map type {type_number} does not exist on {platform:?}");
        LoadError::new(diagnostic::MAP_TYPE_UNKNOWN, text).symbol(name)
    })?;
    Ok(MapDef {
        name: name.into(),
        type_number,
        kind: row.kind,
        key_size: 0,
        value_size: 0,
        max_entries: 0,
        flags: 0,
        pin_by_name: false,
        id: 0,
        inner: None,
        initial: Vec::new(),
        frozen: false,
        spin_lock: None,
        timer: None,
        reserved: Vec::new(),
    })
}

/// Maps that hold descriptors of maps or programs have 4-byte values, said or not.
fn default_sizes(def: &mut MapDef) {
    if def.kind.is_map_of_maps() || def.kind == MapKind::ProgArray {
        if def.value_size == 0 {
            def.value_size = 4;
        }
        if def.key_size == 0 && def.kind != MapKind::HashOfMaps {
            def.key_size = 4;
        }
    }
}

/// Notes lock, timer and what else programs must not touch in the value type.
fn find_special(btf: &Btf<'_>, value: TypeId, def: &mut MapDef) -> Result<(), LoadError> {
    let found = special::find(btf, value)?;
    def.spin_lock = found.spin_lock;
    def.timer = found.timer;
    def.reserved = found.reserved;
    Ok(())
}
