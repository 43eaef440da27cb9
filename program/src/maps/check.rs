//! Whether a map could be created: sizes against its type, names.
//!
//! Refusing here means that the driver cannot fail later, when the runtime creates its maps.

use crate::{elf::notes::Notes, error::LoadError, model::MapDef};
use abi::{MapKind, Platform, diagnostic, limits};
use std::collections::BTreeSet;

/// Checks the sizes of all maps. On Linux whoever loads an object may still change them, and many
/// objects leave the number of entries open; such maps get a note instead of an error.
pub(super) fn all_sizes(
    platform: Platform,
    defs: &[MapDef],
    notes: &mut Notes,
) -> Result<(), LoadError> {
    for def in defs {
        // Native modules have no field for flags, so the runtime would never see them.
        if platform == Platform::Windows && def.flags != 0 {
            let text = format!("map `{}`: map_flags {:#x} ignored", def.name, def.flags);
            notes.push(format!("{text}, Windows has none"));
        }
        match (sizes(platform, def), platform) {
            (Ok(()), _) => {}
            (Err(error), Platform::Windows) => return Err(error.symbol(&def.name)),
            (Err(error), Platform::Linux) => {
                notes.push(format!("map `{}`: {}", def.name, error.message()));
            }
        }
    }
    Ok(())
}

/// Checks key, value and entries against the rules of the map's type.
fn sizes(platform: Platform, def: &MapDef) -> Result<(), LoadError> {
    match def.kind {
        MapKind::Array | MapKind::PerCpuArray => {
            key_is(def, 4)?;
            value_some(def)?;
            entries_some(def)
        }
        MapKind::ProgArray | MapKind::ArrayOfMaps => {
            key_is(def, 4)?;
            value_is(def, 4)?;
            entries_some(def)
        }
        MapKind::HashOfMaps => {
            key_some(def)?;
            value_is(def, 4)?;
            entries_some(def)
        }
        MapKind::Hash | MapKind::PerCpuHash | MapKind::LruHash | MapKind::LruPerCpuHash => {
            key_some(def)?;
            value_some(def)?;
            entries_some(def)
        }
        MapKind::LpmTrie => {
            if def.key_size < 5 {
                return Err(wrong(format!(
                    "key_size {}, at least 5 expected (4 bytes prefix length, then data)",
                    def.key_size
                )));
            }
            value_some(def)?;
            entries_some(def)
        }
        MapKind::Queue | MapKind::Stack => {
            key_is(def, 0)?;
            value_some(def)?;
            entries_some(def)
        }
        MapKind::RingBuf => {
            key_is(def, 0)?;
            value_is(def, 0)?;
            ring(def)
        }
        MapKind::PerfEventArray => perf(platform, def),
        MapKind::Other => Ok(()),
    }
}

fn perf(platform: Platform, def: &MapDef) -> Result<(), LoadError> {
    match platform {
        // One ring of max_entries bytes per processor.
        Platform::Windows => {
            key_is(def, 0)?;
            value_is(def, 0)?;
            ring(def)
        }
        // One descriptor per processor; 0 entries means as many as there are.
        Platform::Linux => {
            key_is(def, 4)?;
            value_is(def, 4)
        }
    }
}

fn ring(def: &MapDef) -> Result<(), LoadError> {
    if def.max_entries < 4096 || !def.max_entries.is_power_of_two() {
        return Err(wrong(format!(
            "max_entries {}, a power of two of at least 4096 (bytes) expected",
            def.max_entries
        )));
    }
    Ok(())
}

fn key_is(def: &MapDef, size: u32) -> Result<(), LoadError> {
    is("key_size", def.key_size, size)
}

fn value_is(def: &MapDef, size: u32) -> Result<(), LoadError> {
    is("value_size", def.value_size, size)
}

fn key_some(def: &MapDef) -> Result<(), LoadError> {
    some("key_size", def.key_size)
}

fn value_some(def: &MapDef) -> Result<(), LoadError> {
    some("value_size", def.value_size)
}

fn entries_some(def: &MapDef) -> Result<(), LoadError> {
    some("max_entries", def.max_entries)
}

fn is(what: &str, found: u32, expected: u32) -> Result<(), LoadError> {
    if found != expected {
        return Err(wrong(format!("{what} {found}, {expected} expected")));
    }
    Ok(())
}

fn some(what: &str, found: u32) -> Result<(), LoadError> {
    if found == 0 {
        return Err(wrong(format!("{what} is 0")));
    }
    Ok(())
}

fn wrong(text: String) -> LoadError {
    LoadError::new(diagnostic::MAP_SIZE_INVALID, text)
}

/// Checks that names are unique and fit the native module's tables.
pub(super) fn names(platform: Platform, defs: &[MapDef]) -> Result<(), LoadError> {
    let mut seen = BTreeSet::new();
    for def in defs {
        if platform == Platform::Windows {
            name_length("map", &def.name)?;
        }
        if !seen.insert(def.name.as_str()) {
            let text = "two maps have this name";
            return Err(LoadError::new(diagnostic::NAME_DUPLICATE, text).symbol(&def.name));
        }
    }
    Ok(())
}

/// Checks the length of a name for the native module ABI.
pub(crate) fn name_length(what: &str, name: &str) -> Result<(), LoadError> {
    if (1..=limits::NAME_BYTES).contains(&name.len()) {
        return Ok(());
    }
    let text = format!(
        "{what} name of {} bytes, 1 to {}",
        name.len(),
        limits::NAME_BYTES
    );
    Err(LoadError::new(diagnostic::NAME_INVALID, text).symbol(name))
}
