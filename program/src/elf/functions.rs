//! The functions of the code sections: where each starts and ends.
//!
//! New compilers mark functions (`STT_FUNC`) and give their size. Old ones leave untyped symbols
//! without size; then global symbols start functions and each lasts until the next, while local
//! ones are labels of basic blocks.

use super::file::{ElfFile, Section, SectionKind, Symbol, SymbolKind};
use super::notes::Notes;
use crate::error::LoadError;
use abi::{diagnostic, limits};
use isa::Slot;

/// Index of a function in [`Functions`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct FunctionId(pub(crate) usize);

/// One function of a code section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CodeFunction<'d> {
    /// Name.
    pub(crate) name: &'d str,
    /// Index of its section.
    pub(crate) section: usize,
    /// First slot in the section.
    pub(crate) start: u32,
    /// One past the last slot.
    pub(crate) end: u32,
    /// Visible outside its file.
    pub(crate) global: bool,
    /// Alone in a section that marks no function.
    pub(crate) unmarked: bool,
}

/// All functions, ascending by section and place.
#[derive(Debug)]
pub(crate) struct Functions<'d> {
    list: Vec<CodeFunction<'d>>,
}

impl<'d> Functions<'d> {
    /// Finds the functions of every code section.
    pub(crate) fn find(file: &ElfFile<'d>, notes: &mut Notes) -> Result<Self, LoadError> {
        let mut list = Vec::new();
        for (index, section) in file.enumerate().filter(|(_, section)| is_code(section)) {
            let found = section_functions(index, section, starting_symbols(file, index))
                .map_err(|error| error.section(section.name))?;
            note_gaps(section, &found, notes);
            list.extend(found);
        }
        Ok(Functions { list })
    }

    /// All functions with their ids.
    pub(crate) fn enumerate(&self) -> impl Iterator<Item = (FunctionId, &CodeFunction<'d>)> {
        (0..).map(FunctionId).zip(&self.list)
    }

    /// A function.
    pub(crate) fn get(&self, id: FunctionId) -> &CodeFunction<'d> {
        &self.list[id.0]
    }

    /// The function that starts at a slot of a section.
    pub(crate) fn starting_at(&self, section: usize, slot: u32) -> Option<FunctionId> {
        self.list
            .binary_search_by_key(&(section, slot), |function| {
                (function.section, function.start)
            })
            .ok()
            .map(FunctionId)
    }
}

/// Whether a section holds instructions.
pub(crate) fn is_code(section: &Section<'_>) -> bool {
    section.kind == SectionKind::Data && section.executable && section.size > 0
}

/// The symbols of a section that may start functions.
fn starting_symbols<'d>(file: &ElfFile<'d>, section: usize) -> Vec<Symbol<'d>> {
    let starts = |symbol: &&Symbol<'_>| match symbol.kind {
        SymbolKind::Function => true,
        SymbolKind::None => symbol.global,
        _ => false,
    };
    file.symbols_in(section)
        .filter(starts)
        .filter(|symbol| !symbol.name.is_empty())
        .copied()
        .collect()
}

fn check_size(section: &Section<'_>) -> Result<(), LoadError> {
    let slot_bytes = Slot::BYTES as u64;
    if !section.size.is_multiple_of(slot_bytes) {
        let text = format!("{} bytes are not a number of 8-byte slots", section.size);
        return Err(LoadError::new(diagnostic::FUNCTION_MALFORMED, text));
    }
    if section.size / slot_bytes > u64::from(limits::PROGRAM_SLOTS) {
        let text = format!("{} slots in one section", section.size / slot_bytes);
        return Err(LoadError::new(diagnostic::BYTECODE_LIMIT, text));
    }
    Ok(())
}

fn section_functions<'d>(
    index: usize,
    section: &Section<'d>,
    mut symbols: Vec<Symbol<'d>>,
) -> Result<Vec<CodeFunction<'d>>, LoadError> {
    check_size(section)?;
    if symbols
        .iter()
        .any(|symbol| symbol.kind == SymbolKind::Function)
    {
        symbols.retain(|symbol| symbol.kind == SymbolKind::Function);
    }
    // Of two names for one place the global one is the function's name.
    symbols.sort_by_key(|symbol| (symbol.value, !symbol.global));
    symbols.dedup_by_key(|symbol| symbol.value);
    if symbols.is_empty() {
        return Err(LoadError::new(
            diagnostic::FUNCTION_MALFORMED,
            "no symbol names a function in this code section",
        ));
    }
    let unmarked = symbols.len() == 1 && symbols[0].kind != SymbolKind::Function;
    let ends: Vec<u64> = symbols.iter().skip(1).map(|symbol| symbol.value).collect();
    symbols
        .iter()
        .zip(ends.into_iter().chain([section.size]))
        .map(|(symbol, next)| {
            function(index, symbol, next)
                .map(|function| CodeFunction {
                    unmarked,
                    ..function
                })
                .map_err(|error| error.symbol(symbol.name).offset(symbol.value))
        })
        .collect()
}

fn function<'d>(
    section: usize,
    symbol: &Symbol<'d>,
    next: u64,
) -> Result<CodeFunction<'d>, LoadError> {
    let end = match symbol.size {
        0 => Some(next),
        size => symbol.value.checked_add(size),
    };
    let malformed = |text: String| LoadError::new(diagnostic::FUNCTION_MALFORMED, text);
    let end = end
        .filter(|&end| end <= next && symbol.value < end)
        .ok_or_else(|| {
            malformed(format!(
                "size {} at {:#x} does not fit before {next:#x}, where the next function or the end is",
                symbol.size, symbol.value
            ))
        })?;
    let slot = |bytes: u64| -> Result<u32, LoadError> {
        let slots = bytes / Slot::BYTES as u64;
        match u32::try_from(slots) {
            Ok(slots) if bytes.is_multiple_of(Slot::BYTES as u64) => Ok(slots),
            _ => Err(malformed(format!(
                "offset {bytes:#x} is not a multiple of 8"
            ))),
        }
    };
    Ok(CodeFunction {
        name: symbol.name,
        section,
        start: slot(symbol.value)?,
        end: slot(end)?,
        global: symbol.global && !symbol.hidden,
        unmarked: false,
    })
}

/// Code that no symbol names is left out of every program; say so.
fn note_gaps(section: &Section<'_>, functions: &[CodeFunction<'_>], notes: &mut Notes) {
    let named: u64 = functions
        .iter()
        .map(|function| u64::from(function.end - function.start))
        .sum();
    let slots = section.size / Slot::BYTES as u64;
    if named < slots {
        notes.push(format!(
            "section `{}`: {} of {slots} instruction slots belong to no function and are ignored",
            section.name,
            slots - named
        ));
    }
}
