//! Global variables: each `.data`, `.rodata` or `.bss` section becomes an array map of one entry.

use super::{Maps, Source, new_def, special, symbols_in};
use crate::configuration::Binding;
use crate::{
    btf::Btf,
    elf::{
        externs::KCONFIG,
        file::{ElfFile, Section, SectionKind, SymbolPlace},
        notes::Notes,
    },
    error::LoadError,
    model::{GlobalSection, MapDef},
};
use abi::{MapKind, Platform, diagnostic, limits, map};
use core::ops::Range;
use std::collections::BTreeSet;

/// Characters of the object's name in the map's name on Windows; Linux takes as many as fit into
/// 15 with the section's name, which is kept whole so that names stay different.
const PREFIX_CHARS: usize = 7;
const LINUX_NAME_CHARS: usize = 15;
/// `BPF_F_RDONLY_PROG`: programs may not write.
const LINUX_READ_ONLY: u32 = 1 << 7;

/// Adds a map for each section of global variables.
pub(super) fn read(source: Source<'_, '_>, maps: &mut Maps) -> Result<(), LoadError> {
    let used = referenced_sections(source.file);
    let mut budget = limits::GLOBAL_BYTES;
    for (index, section) in source
        .file
        .enumerate()
        .filter(|(_, section)| is_global(section))
    {
        // Compilers leave string sections behind after copying the strings to the stack: nothing is
        // lost that would have to be told.
        if section.name.starts_with(".rodata.str") && !used.contains(&index) {
            continue;
        }
        let here = |error: LoadError| error.section(section.name);
        let data = contents(source.file, source.btf, index, section).map_err(here)?;
        budget = budget.checked_sub(data.len()).ok_or_else(|| {
            let text = format!("over {} bytes of global variables", limits::GLOBAL_BYTES);
            here(LoadError::new(diagnostic::GLOBAL_INVALID, text))
        })?;
        let mut def = definition(source, section.name, data.len()).map_err(here)?;
        def.reserved = reserved(source, index).map_err(here)?;
        let map = maps.push(def)?;
        maps.global_maps.insert(index, map);
        maps.globals.push(GlobalSection {
            section: section.name.into(),
            map,
            data,
            assumed: Vec::new(),
        });
    }
    Ok(())
}

/// The variables of a section that hold what only the kernel may touch, each as a whole.
fn reserved(source: Source<'_, '_>, index: usize) -> Result<Vec<Range<u32>>, LoadError> {
    let Some(btf) = source.btf else {
        return Ok(Vec::new());
    };
    let section = source
        .file
        .section(index)
        .map_or("", |section| section.name);
    let Some((_, variables)) = btf.data_section(section)? else {
        return Ok(Vec::new());
    };
    let symbols = symbols_in(source.file, index);
    let mut found = Vec::new();
    for id in variables {
        let variable = btf.ty(id)?;
        if special::find(btf, variable.size_or_type)? == special::Offsets::default() {
            continue;
        }
        let name = btf.name(&variable)?;
        let symbol = symbols.iter().find(|symbol| symbol.name == name);
        let start = symbol.and_then(|symbol| u32::try_from(symbol.value).ok());
        found.push(match start {
            Some(start) => start..start.saturating_add(btf.size_of(id)?),
            // It could be anywhere.
            None => 0..u32::MAX,
        });
    }
    Ok(found)
}

/// Adds the map of the kernel's configuration, when the file declares any of it: only the system
/// that loads the programs knows the values that are not given.
pub(super) fn read_configuration(
    source: Source<'_, '_>,
    maps: &mut Maps,
    notes: &mut Notes,
) -> Result<(), LoadError> {
    let bytes = source.externs.configuration_bytes();
    if bytes == 0 {
        return Ok(());
    }
    if u64::from(bytes) > limits::GLOBAL_SECTION_BYTES {
        let text = format!("{bytes} bytes of kernel configuration");
        return Err(LoadError::new(diagnostic::GLOBAL_INVALID, text).section(KCONFIG));
    }
    let mut def = definition(source, KCONFIG, bytes as usize)?;
    (def.frozen, def.flags) = (true, LINUX_READ_ONLY);
    let map = maps.push(def)?;
    maps.configuration = Some(map);
    let mut section = GlobalSection {
        section: KCONFIG.into(),
        map,
        data: vec![0; bytes as usize],
        assumed: Vec::new(),
    };
    let unknown = configure(source, &mut section).map_err(|error| error.section(KCONFIG))?;
    if !unknown.is_empty() {
        notes.push(format!(
            "of the kernel's configuration (`.kconfig`), {} is not known: programs are judged for \
             all values, and run with zeros",
            unknown.join(", ")
        ));
    }
    maps.globals.push(section);
    Ok(())
}

/// Writes the values of the configuration that are known. The names of the others are the result.
fn configure<'d>(
    source: Source<'_, 'd>,
    section: &mut GlobalSection,
) -> Result<Vec<&'d str>, LoadError> {
    let mut unknown = Vec::new();
    let Some(btf) = source.btf else {
        return Ok(unknown);
    };
    for &(name, id, at) in source.externs.configuration() {
        let at = at as usize;
        let mut symbols = source.file.symbols.iter();
        let binding = match symbols.any(|symbol| symbol.weak && symbol.name == name) {
            true => Binding::Weak,
            false => Binding::Strong,
        };
        let known = &source.options.configuration;
        match known.bytes_of(btf, (name, id), binding)? {
            Some(bytes) => section.data[at..at + bytes.len()].copy_from_slice(&bytes),
            None => {
                section.assumed.push(at..at + btf.size_of(id)? as usize);
                unknown.push(name);
            }
        }
    }
    Ok(unknown)
}

/// Whether a section holds global variables.
pub(crate) fn is_global(section: &Section<'_>) -> bool {
    let family = [".data", ".rodata", ".bss"].iter().any(|family| {
        section
            .name
            .strip_prefix(family)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    family
        && section.allocated
        && !section.executable
        && section.kind != SectionKind::Table
        && section.size > 0
}

/// Sections that a relocation of code points into.
fn referenced_sections(file: &ElfFile<'_>) -> BTreeSet<usize> {
    file.enumerate()
        .filter(|(_, section)| section.executable)
        .flat_map(|(index, _)| file.relocations(index))
        .filter_map(
            |relocation| match file.symbols.get(relocation.symbol)?.place {
                SymbolPlace::Section(section) => Some(section),
                _ => None,
            },
        )
        .collect()
}

/// The initial bytes.
fn contents(
    file: &ElfFile<'_>,
    btf: Option<&Btf<'_>>,
    index: usize,
    section: &Section<'_>,
) -> Result<Vec<u8>, LoadError> {
    let invalid = |text: String| LoadError::new(diagnostic::GLOBAL_INVALID, text);
    if section.size > limits::GLOBAL_SECTION_BYTES {
        return Err(invalid(format!(
            "{} bytes of global variables, the limit is {}",
            section.size,
            limits::GLOBAL_SECTION_BYTES
        )));
    }
    if let Some(btf) = btf
        && let Some((described, _)) = btf.data_section(section.name)?
        // An unlinked object has 0 here.
        && described.size_or_type != 0
        && u64::from(described.size_or_type) != section.size
    {
        return Err(invalid(format!(
            "{} bytes, but BTF describes {}",
            section.size, described.size_or_type
        )));
    }
    if let Some(relocation) = file.relocations(index).first() {
        let name = file.target_name(file.symbol_of(relocation)?);
        let text = format!("a variable is initialised with the address of `{name}`");
        return Err(
            LoadError::new(diagnostic::RELOCATION_UNSUPPORTED, text).offset(relocation.offset)
        );
    }
    Ok(match section.kind {
        SectionKind::Zero => vec![0; usize::try_from(section.size).unwrap_or(0)],
        _ => section.data.to_vec(),
    })
}

fn definition(source: Source<'_, '_>, section: &str, bytes: usize) -> Result<MapDef, LoadError> {
    let platform = source.options.platform;
    let array = map::TABLE
        .iter()
        .find(|row| row.kind == MapKind::Array)
        .and_then(|row| row.number(platform));
    let mut def = new_def(
        platform,
        &map_name(platform, &source.options.name, section),
        array.unwrap_or_default(),
    )?;
    def.key_size = 4;
    def.value_size = u32::try_from(bytes).unwrap_or(u32::MAX);
    def.max_entries = 1;
    def.frozen = section.starts_with(".rodata");
    if def.frozen && platform == Platform::Linux {
        def.flags = LINUX_READ_ONLY;
    }
    Ok(def)
}

/// Name of the map: start of the object's name, then the section's.
fn map_name(platform: Platform, object: &str, section: &str) -> String {
    let clean = object.chars().map(|c| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c
        } else {
            '_'
        }
    });
    match platform {
        Platform::Windows => clean.take(PREFIX_CHARS).chain(section.chars()).collect(),
        Platform::Linux => {
            let prefix = LINUX_NAME_CHARS.saturating_sub(section.len().max(PREFIX_CHARS));
            clean.take(prefix).chain(section.chars()).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_start_with_the_object() {
        let windows = |object, section| map_name(Platform::Windows, object, section);
        assert_eq!(windows("global-vars", ".bss"), "global_.bss");
        assert_eq!(windows("a", ".rodata.config"), "a.rodata.config");
        let linux = |object, section| map_name(Platform::Linux, object, section);
        assert_eq!(linux("global_vars", ".bss"), "global_v.bss");
        assert_eq!(linux("global_vars", ".rodata"), "global_v.rodata");
        assert_eq!(linux("global_vars", ".rodata.str1.16"), ".rodata.str1.16");
    }
}
