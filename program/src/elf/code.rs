//! Decoded functions and what each of their instructions refers to.
//!
//! Relocations become [`Reference`]s beside the decoded instructions; the linker writes them into
//! the operands. A problem in a function is kept with it and reported only if a program reaches it,
//! so that dead library code cannot spoil an object.

use super::builtins::Builtin;
use super::externs::{Extern, Externs};
use super::file::{ElfFile, Relocation, Symbol, SymbolPlace};
use super::functions::{CodeFunction, FunctionId, Functions, is_code};
use crate::{
    error::LoadError,
    maps::Maps,
    model::MapId,
    relocate::{Poisoned, Relocator},
};
use abi::{Platform, diagnostic, limits};
use isa::{CallTarget, Imm64, Insn, InsnIdx, Slot};

/// A function that is linked into a program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Callee {
    /// Of the file.
    Own(FunctionId),
    /// Brought along.
    Builtin(Builtin),
}

/// What an instruction refers to, once linked.
#[derive(Clone, Debug)]
pub(crate) enum Reference {
    /// A map.
    Map(MapId),
    /// A byte of a global section's map value.
    Value(MapId, i32),
    /// A function: target of a call or its address.
    Function(Callee),
    /// A platform function: index into the externs.
    Platform(usize),
    /// A helper that was called by name.
    Helper(i32),
    /// A variable of the Linux kernel.
    Variable,
    /// A weak symbol that nobody defines: address zero.
    Null,
}

/// One decoded function.
#[derive(Debug)]
pub(crate) struct Body {
    /// Its instructions; offsets as in the section.
    pub(crate) insns: Vec<Insn>,
    /// References by slot within the function, ascending.
    pub(crate) references: Vec<(u32, Reference)>,
    /// Instructions that CO-RE relocation poisoned.
    pub(crate) poisoned: Vec<Poisoned>,
}

/// Everything a relocation may point to.
#[derive(Clone, Copy)]
pub(crate) struct Targets<'a, 'd> {
    /// The file.
    pub(crate) file: &'a ElfFile<'d>,
    /// Functions.
    pub(crate) functions: &'a Functions<'d>,
    /// Maps and globals.
    pub(crate) maps: &'a Maps,
    /// Platform functions and variables.
    pub(crate) externs: &'a Externs<'d>,
}

const R_BPF_NONE: u32 = 0;
const R_BPF_64_64: u32 = 1;
const R_BPF_64_32: u32 = 10;

/// Decodes every function; the result is parallel to the list of functions.
pub(crate) fn decode_all(
    targets: Targets<'_, '_>,
    relocator: &mut Relocator<'_, '_>,
) -> Result<Vec<Result<Body, LoadError>>, LoadError> {
    let mut budget = limits::OBJECT_SLOTS;
    targets
        .functions
        .enumerate()
        .map(|(_, function)| {
            budget = budget
                .checked_sub((function.end - function.start) as usize)
                .ok_or_else(|| {
                    let text = format!("more than {} instruction slots", limits::OBJECT_SLOTS);
                    LoadError::new(diagnostic::BYTECODE_LIMIT, text)
                })?;
            let section = targets.file.sections[function.section].name;
            Ok(body(targets, relocator, function)
                .map_err(|error| error.symbol(function.name).section(section)))
        })
        .collect()
}

fn body(
    targets: Targets<'_, '_>,
    relocator: &mut Relocator<'_, '_>,
    function: &CodeFunction<'_>,
) -> Result<Body, LoadError> {
    let mut insns = decode(targets, function)?;
    let section = targets.file.sections[function.section].name;
    let poisoned = relocator.apply(section, function.start, &mut insns)?;
    let references = references(targets, function, &insns)?;
    Ok(Body {
        insns,
        references,
        poisoned,
    })
}

/// What the instructions of a function refer to, by slot.
fn references(
    targets: Targets<'_, '_>,
    function: &CodeFunction<'_>,
    insns: &[Insn],
) -> Result<Vec<(u32, Reference)>, LoadError> {
    let start = u64::from(function.start) * Slot::BYTES as u64;
    let end = u64::from(function.end) * Slot::BYTES as u64;
    let relocations = targets.file.relocations(function.section);
    let from = relocations.partition_point(|relocation| relocation.offset < start);
    let to = relocations.partition_point(|relocation| relocation.offset < end);
    let mut references = Vec::new();
    for relocation in &relocations[from..to] {
        let symbol = targets.file.symbol_of(relocation)?;
        let reference =
            code_reference(targets, relocation, symbol, insns, start).map_err(|error| {
                error
                    .about(targets.file.target_name(symbol))
                    .offset(relocation.offset)
            })?;
        if let Some((slot, reference)) = reference {
            references.push((slot, reference));
        }
    }
    local_references(targets, function, insns, &mut references)?;
    references.sort_by_key(|(slot, _)| *slot);
    if let Some(pair) = references.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let at = start + u64::from(pair[0].0) * 8;
        let text = "two relocations change the same instruction";
        return Err(LoadError::new(diagnostic::RELOCATION_INVALID, text).offset(at));
    }
    Ok(references)
}

fn decode(targets: Targets<'_, '_>, function: &CodeFunction<'_>) -> Result<Vec<Insn>, LoadError> {
    let data = targets.file.sections[function.section].data;
    let range = function.start as usize * Slot::BYTES..function.end as usize * Slot::BYTES;
    let bytes = data.get(range).unwrap_or_default();
    isa::decode::program(bytes).map_err(|(at, error)| {
        let offset = (u64::from(function.start) + u64::from(at.0)) * Slot::BYTES as u64;
        LoadError::new(diagnostic::BYTECODE_MALFORMED, error.to_string()).offset(offset)
    })
}

/// The slot (within the function) and reference of one relocation.
fn code_reference(
    targets: Targets<'_, '_>,
    relocation: &Relocation,
    symbol: &Symbol<'_>,
    insns: &[Insn],
    start: u64,
) -> Result<Option<(u32, Reference)>, LoadError> {
    let invalid = |text: String| LoadError::new(diagnostic::RELOCATION_INVALID, text);
    if relocation.kind == R_BPF_NONE {
        return Ok(None);
    }
    let within = relocation.offset - start;
    let slot = u32::try_from(within / 8).map_err(|_| invalid("out of range".into()))?;
    if !within.is_multiple_of(8) {
        return Err(invalid("relocation inside an instruction slot".into()));
    }
    let reference = match (relocation.kind, insns.get(slot as usize)) {
        (R_BPF_64_64, Some(Insn::LoadImm64 { imm, .. })) => address(targets, symbol, *imm)?,
        (R_BPF_64_32, Some(Insn::Call(target))) => callee(targets, symbol, *target)?,
        (R_BPF_64_64 | R_BPF_64_32, Some(insn)) => {
            return Err(invalid(format!(
                "relocation type {} cannot change `{insn}`",
                relocation.kind
            )));
        }
        (kind, _) => {
            let text = format!("relocation type {kind} in code; 1 and 10 are supported");
            return Err(LoadError::new(diagnostic::RELOCATION_UNSUPPORTED, text));
        }
    };
    Ok(Some((slot, reference)))
}

/// What `lddw` loads; the addend stands in its immediate.
fn address(
    targets: Targets<'_, '_>,
    symbol: &Symbol<'_>,
    imm: Imm64,
) -> Result<Reference, LoadError> {
    let section = match symbol.place {
        SymbolPlace::Section(section) => section,
        SymbolPlace::Undefined => return variable(targets, symbol, imm),
        SymbolPlace::Other => {
            return Err(LoadError::new(
                diagnostic::SYMBOL_UNRESOLVED,
                "the symbol is common or absolute (compile with `-fno-common`)",
            ));
        }
    };
    let invalid = |text: String| LoadError::new(diagnostic::RELOCATION_INVALID, text);
    let offset = symbol.value.wrapping_add(addend(imm)) & 0xffff_ffff;
    if let Some(map) = targets.maps.global(section) {
        let size = targets.file.sections[section].size;
        let inside = i32::try_from(offset).ok().filter(|_| offset <= size);
        return inside
            .map(|offset| Reference::Value(map, offset))
            .ok_or_else(|| {
                invalid(format!(
                    "offset {offset:#x} is outside of the section's {size} bytes"
                ))
            });
    }
    if targets.maps.is_map_section(section) {
        let map = targets.maps.at(section, offset).map(Reference::Map);
        return map.ok_or_else(|| invalid(format!("no map starts at offset {offset:#x}")));
    }
    if targets.file.section(section).is_some_and(is_code) {
        return function_at(targets, section, offset);
    }
    Err(invalid(
        "the address of something that is no map, global variable or function".into(),
    ))
}

/// The addend of a relocated `lddw`; it is 32 bits wide, the upper half stays zero.
fn addend(imm: Imm64) -> u64 {
    match imm {
        Imm64::Const(value) => u64::from(value as u32),
        Imm64::Code(value) => u64::from(value as u32),
        Imm64::MapValue { offset, .. } | Imm64::MapIdxValue { offset, .. } => {
            u64::from(offset as u32)
        }
        Imm64::MapFd(_) | Imm64::MapIdx(_) | Imm64::Var(_) => 0,
    }
}

/// A variable that is declared but not defined.
fn variable(
    targets: Targets<'_, '_>,
    symbol: &Symbol<'_>,
    imm: Imm64,
) -> Result<Reference, LoadError> {
    let found = targets.externs.lookup(symbol.name)?;
    if let (Some(Extern::Kconfig(at)), Some(map)) = (found, targets.maps.configuration()) {
        let offset = u64::from(at).saturating_add(addend(imm));
        let end = u64::from(targets.externs.configuration_bytes());
        let offset = i32::try_from(offset).ok().filter(|_| offset <= end);
        let outside = || LoadError::new(diagnostic::RELOCATION_INVALID, "outside of the value");
        let inside = offset.map(|offset| Reference::Value(map, offset));
        return inside.ok_or_else(outside);
    }
    match found {
        // A weak one may be there or not.
        Some(Extern::Variable) if targets.externs.platform() == Platform::Linux => {
            Ok(Reference::Variable)
        }
        _ if symbol.weak => Ok(Reference::Null),
        Some(Extern::Kconfig(_)) => Err(LoadError::new(
            diagnostic::EXTERN_UNSUPPORTED,
            "extern from `.kconfig`: kernel configuration is not known when a driver is made",
        )),
        Some(Extern::Variable) => Err(LoadError::new(
            diagnostic::EXTERN_UNSUPPORTED,
            "address of a kernel variable (`__ksym`)",
        )),
        Some(Extern::Function(_)) => Err(LoadError::new(
            diagnostic::EXTERN_UNSUPPORTED,
            "address of a platform function; such functions can only be called",
        )),
        None => Err(LoadError::new(
            diagnostic::SYMBOL_UNRESOLVED,
            "variable is neither defined in this file nor declared `__ksym`",
        )),
    }
}

/// What a call reaches; the immediate counts slots from the symbol, minus one.
fn callee(
    targets: Targets<'_, '_>,
    symbol: &Symbol<'_>,
    target: CallTarget,
) -> Result<Reference, LoadError> {
    let section = match symbol.place {
        SymbolPlace::Section(section) => section,
        SymbolPlace::Undefined => return extern_callee(targets.externs, symbol),
        SymbolPlace::Other => {
            let text = "call of an absolute or common symbol";
            return Err(LoadError::new(diagnostic::CALL_TARGET_INVALID, text));
        }
    };
    let imm = match target {
        CallTarget::Local(imm) | CallTarget::Helper(imm) | CallTarget::Btf(imm) => imm,
        CallTarget::Register(register) => {
            let text = format!("relocation of a call through {register}");
            return Err(LoadError::new(diagnostic::RELOCATION_INVALID, text));
        }
    };
    let bytes = i64::from(imm).wrapping_add(1).wrapping_mul(8);
    let offset = symbol.value.wrapping_add_signed(bytes);
    function_at(targets, section, offset)
}

fn extern_callee(externs: &Externs<'_>, symbol: &Symbol<'_>) -> Result<Reference, LoadError> {
    if let Some(Extern::Function(index)) = externs.lookup(symbol.name)? {
        return Ok(Reference::Platform(index));
    }
    let builtin = || Builtin::by_name(symbol.name).map(Callee::Builtin);
    externs
        .helper(symbol.name)
        .map(Reference::Helper)
        .or_else(|| builtin().map(Reference::Function))
        .ok_or_else(|| {
            LoadError::new(
                diagnostic::SYMBOL_UNRESOLVED,
                "function is neither defined in this file, nor declared `__ksym`, nor a helper's name",
            )
        })
}

fn function_at(
    targets: Targets<'_, '_>,
    section: usize,
    offset: u64,
) -> Result<Reference, LoadError> {
    let slot = u32::try_from(offset / 8).ok();
    slot.filter(|_| offset.is_multiple_of(8))
        .and_then(|slot| targets.functions.starting_at(section, slot))
        .map(|id| Reference::Function(Callee::Own(id)))
        .ok_or_else(|| {
            let name = targets
                .file
                .section(section)
                .map_or("", |section| section.name);
            let text = format!("no function starts at offset {offset:#x} of section `{name}`");
            LoadError::new(diagnostic::CALL_TARGET_INVALID, text)
        })
}

/// References without relocation: calls and function addresses inside the section.
fn local_references(
    targets: Targets<'_, '_>,
    function: &CodeFunction<'_>,
    insns: &[Insn],
    references: &mut Vec<(u32, Reference)>,
) -> Result<(), LoadError> {
    let relocated = references.len();
    for (slot, insn) in (0u32..).zip(insns) {
        let offset = match *insn {
            Insn::Call(CallTarget::Local(offset)) => offset,
            Insn::LoadImm64 { imm, .. } => match imm {
                Imm64::Code(offset) => offset,
                Imm64::Const(_) | Imm64::Var(_) => continue,
                _ if is_relocated(&references[..relocated], slot) => continue,
                _ => return Err(unrelocated(function, slot)),
            },
            _ => continue,
        };
        if is_relocated(&references[..relocated], slot) {
            continue;
        }
        let here = InsnIdx(function.start + slot);
        let reference = here
            .jump(offset)
            .and_then(|to| targets.functions.starting_at(function.section, to.0))
            .map(|id| Reference::Function(Callee::Own(id)))
            .ok_or_else(|| {
                let text = format!("offset {offset} does not lead to the start of a function");
                LoadError::new(diagnostic::CALL_TARGET_INVALID, text).offset(u64::from(here.0) * 8)
            })?;
        references.push((slot, reference));
    }
    Ok(())
}

fn unrelocated(function: &CodeFunction<'_>, slot: u32) -> LoadError {
    let text = "map reference without a relocation that says which map";
    LoadError::new(diagnostic::RELOCATION_INVALID, text)
        .offset(u64::from(function.start + slot) * 8)
}

/// Relocations arrive in ascending order, so the prefix is sorted.
fn is_relocated(references: &[(u32, Reference)], slot: u32) -> bool {
    references
        .binary_search_by_key(&slot, |(slot, _)| *slot)
        .is_ok()
}
