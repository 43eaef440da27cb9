//! Which functions are programs, and of which type.
//!
//! Each global function in a section whose name selects a program type is a program. Functions in
//! `.text`, and in sections that other code calls into, are subprograms. A section that is neither
//! is an error when nothing else is a program, and a visible note otherwise.

use super::{
    LoadOptions, TextFunctions,
    code::{Body, Callee, Reference},
    file::ElfFile,
    functions::{FunctionId, Functions},
    notes::Notes,
};
use crate::{error::LoadError, maps::name_length};
use abi::{AttachType, Platform, ProgramType, diagnostic, limits, program_type};
use std::collections::{BTreeMap, BTreeSet};

/// One program to be linked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Its function.
    pub(super) function: FunctionId,
    /// Its type.
    pub(super) program_type: &'static ProgramType,
    /// Its attach type.
    pub(super) attach_type: Option<&'static AttachType>,
}

/// The type of the program that a function is, if it is one.
pub(super) fn type_of(entries: &[Entry], id: FunctionId) -> Option<&'static ProgramType> {
    let found = entries.binary_search_by_key(&id, |entry| entry.function);
    found.ok().map(|at| entries[at].program_type)
}

/// Chooses the programs, in file order.
pub(super) fn choose(
    file: &ElfFile<'_>,
    functions: &Functions<'_>,
    bodies: &[Result<Body, LoadError>],
    options: &LoadOptions,
    notes: &mut Notes,
) -> Result<Vec<Entry>, LoadError> {
    let by_section = group(functions);
    let called = called_functions(bodies);
    let mut entries = Vec::new();
    let mut unknown = Vec::new();
    for (&section, ids) in &by_section {
        let name = file.sections[section].name;
        if name == TEXT && options.text == TextFunctions::Subprograms {
            continue;
        }
        match section_type(options, name) {
            // Code that others call into is a library, unless the section's name says otherwise.
            _ if name != TEXT && !is_named(options, name) && is_library(ids, &called) => {}
            Some(types) => add(functions, ids, &called, types, &mut entries),
            None => unknown.push(name),
        }
    }
    if entries.is_empty() && unknown.is_empty() {
        let text = by_section
            .iter()
            .find(|(at, _)| file.sections[**at].name == TEXT);
        match (text, section_type(options, TEXT)) {
            (Some((_, ids)), Some(types)) => add(functions, ids, &called, types, &mut entries),
            (Some(_), None) => unknown.push(TEXT),
            (None, _) => {}
        }
    }
    report_unknown(options.platform, &entries, &unknown, notes)?;
    check(file, functions, options.platform, &mut entries)?;
    Ok(entries)
}

const TEXT: &str = ".text";

type Types = (&'static ProgramType, Option<&'static AttachType>);

/// Functions by section.
fn group(functions: &Functions<'_>) -> BTreeMap<usize, Vec<FunctionId>> {
    let mut by_section: BTreeMap<usize, Vec<FunctionId>> = BTreeMap::new();
    for (id, function) in functions.enumerate() {
        by_section.entry(function.section).or_default().push(id);
    }
    by_section
}

/// Functions that some other function calls or takes the address of.
fn called_functions(bodies: &[Result<Body, LoadError>]) -> BTreeSet<FunctionId> {
    bodies
        .iter()
        .flatten()
        .flat_map(|body| &body.references)
        .filter_map(|(_, reference)| match reference {
            Reference::Function(Callee::Own(id)) => Some(*id),
            _ => None,
        })
        .collect()
}

fn is_library(ids: &[FunctionId], called: &BTreeSet<FunctionId>) -> bool {
    ids.iter().all(|id| called.contains(id))
}

/// Whether something speaks of this very section: its prefix or an option.
fn is_named(options: &LoadOptions, section: &str) -> bool {
    attach_type(options.platform, section).is_some() || given_type(options, section).is_some()
}

fn given_type(options: &LoadOptions, section: &str) -> Option<&'static ProgramType> {
    let mut given = options.section_types.iter();
    given
        .find(|(name, _)| name == section)
        .map(|(_, given)| *given)
}

/// The attach type that a section's name selects. A `?` in front, which tells libbpf not to load
/// the program by itself, means nothing here.
fn attach_type(platform: Platform, section: &str) -> Option<&'static AttachType> {
    let name = section.strip_prefix('?').unwrap_or(section);
    program_type::by_section(platform, name)
}

/// The type of the programs in a section.
fn section_type(options: &LoadOptions, section: &str) -> Option<Types> {
    let attach = attach_type(options.platform, section);
    match (given_type(options, section), attach) {
        // The section may still say where to attach.
        (Some(given), attach) => {
            let fits = |attach: &&AttachType| std::ptr::eq(attach.program_type, given);
            Some((given, attach.filter(fits)))
        }
        (None, Some(attach)) => Some((attach.program_type, Some(attach))),
        (None, None) => options.program_type.map(|given| (given, None)),
    }
}

/// Adds the functions of one section; static ones that are called are subprograms.
fn add(
    functions: &Functions<'_>,
    ids: &[FunctionId],
    called: &BTreeSet<FunctionId>,
    (program_type, attach_type): Types,
    entries: &mut Vec<Entry>,
) {
    let is_program = |id: &&FunctionId| functions.get(**id).global || !called.contains(*id);
    entries.extend(ids.iter().filter(is_program).map(|&function| Entry {
        function,
        program_type,
        attach_type,
    }));
}

fn report_unknown(
    platform: Platform,
    entries: &[Entry],
    unknown: &[&str],
    notes: &mut Notes,
) -> Result<(), LoadError> {
    let Some(first) = unknown.first() else {
        return match entries {
            [] => Err(LoadError::new(
                diagnostic::ELF_NO_PROGRAM,
                "no section of the file holds a program",
            )),
            _ => Ok(()),
        };
    };
    if entries.is_empty() {
        if *first == TEXT {
            let text =
                "functions without `SEC(...)` have no program type (name the type with --type)";
            return Err(LoadError::new(diagnostic::SECTION_TYPE_UNKNOWN, text).section(first));
        }
        let text = format!(
            "the section name selects no program type of {platform:?}{} (name the type with --type)",
            suggestion(platform, first)
        );
        return Err(LoadError::new(diagnostic::SECTION_TYPE_UNKNOWN, text).section(first));
    }
    notes.extend(unknown.iter().map(|name| {
        format!(
            "section `{name}` ignored: its name selects no program type; name the type with --type"
        )
    }));
    Ok(())
}

/// Section prefixes of the platform, or the nearest one.
fn suggestion(platform: Platform, section: &str) -> String {
    let head = section.split(['/', '_', '.']).find(|part| !part.is_empty());
    let near = head.and_then(|head| {
        program_type::attach_types(platform)
            .iter()
            .find(|row| row.prefix.starts_with(head))
    });
    near.map_or(String::new(), |row| {
        format!("; did you mean `{}`?", row.prefix)
    })
}

/// Counts, names, order.
fn check(
    file: &ElfFile<'_>,
    functions: &Functions<'_>,
    platform: Platform,
    entries: &mut [Entry],
) -> Result<(), LoadError> {
    entries.sort_by_key(|entry| entry.function);
    if entries.len() > limits::PROGRAMS {
        let text = format!(
            "{} programs, the limit is {}",
            entries.len(),
            limits::PROGRAMS
        );
        return Err(LoadError::new(diagnostic::ELF_LIMIT, text));
    }
    let mut names = BTreeSet::new();
    for entry in entries {
        let function = functions.get(entry.function);
        let section = file.sections[function.section].name;
        if platform == Platform::Windows {
            name_length("program", function.name)
                .and_then(|()| name_length("section", section))
                .map_err(|error| error.section(section))?;
        }
        if !names.insert(function.name) {
            let text = "two programs have this name";
            return Err(LoadError::new(diagnostic::NAME_DUPLICATE, text)
                .symbol(function.name)
                .section(section));
        }
    }
    Ok(())
}
