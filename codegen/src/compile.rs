//! The stage itself: plan, choose the ABI version, lower, compile, add metadata and skeleton.

use crate::builder::Builder;
use crate::error::{Error, Place};
use crate::lower::{self, Unit};
use crate::machine::{Compiled, Machine, Reference};
use crate::metadata::{Metadata, Placed};
use crate::module::{Module, Section, SectionId, SectionKind, SymbolId, Target};
use crate::names::{SectionNames, section_of};
use crate::options::{ElfHash, Options};
use crate::plan::Plan;
use crate::skeleton::{self, Skeleton};
use crate::stack::{MAX_PROGRAM_BYTES, StackUse};
use abi::native::{
    MapData, MapDataV1, ModuleVersion, VERSION_ARRAY_DATA, VERSION_BASE, VERSION_BTF_FUNCTIONS,
    VERSION_MIN,
};
use core::mem::size_of;
use cranelift_frontend::FunctionBuilderContext;
use program::Object;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use verifier::Verified;

/// Compiles programs of one object to a module.
///
/// The module holds all maps and globals of the object. Programs without a proof compile too, for
/// running on this host; the module says so ([`Module::proved`]). A program is a function
/// `u64 (context, program_runtime_context_t *)` in the Windows x64 convention; without a proof it has
/// a third argument, the initial value of r2. Its symbol is `bpf.NAME`.
///
/// # Errors
/// Programs of several objects, names the metadata cannot hold, instructions without native form,
/// an ABI cap below what the code needs, and functions beyond the code generator's limits.
pub fn compile(programs: &[Verified<'_>], options: &Options) -> Result<Module, Error> {
    compile_with(programs, options, &Skeleton::new())
}

/// [`compile`] with a skeleton that serves other modules too, or is being made on another thread:
/// it is needed only when the programs are compiled.
///
/// # Errors
/// As [`compile`].
pub fn compile_with(
    programs: &[Verified<'_>],
    options: &Options,
    skeleton: &Skeleton,
) -> Result<Module, Error> {
    let object = object_of(programs)?;
    let plans = plans(programs, options)?;
    let version = version_needed(&plans, options);
    let compiled = compile_programs(&plans, version)?;
    let skeleton = skeleton.parts()?;
    let mut builder = Builder::default();

    let text = builder.section(".text", SectionKind::Code)?;
    skeleton::place_code(&mut builder, text, &skeleton.resident)?;
    let placed = place_programs(&mut builder, &plans, &compiled)?;
    let code_hash = hash_sections(builder.sections());
    let rdata = builder.section(".rdata", SectionKind::ReadOnly)?;
    let data = builder.section(".data", SectionKind::Data)?;
    let elf_hash = elf_hash(object);
    skeleton::data(
        &mut builder,
        rdata,
        data,
        abi::native::module_id_of_hash(elf_hash.unwrap_or(code_hash)),
    )?;
    Metadata {
        builder: &mut builder,
        object,
        version,
        rdata,
        data,
    }
    .write(
        &placed,
        elf_hash.filter(|_| options.elf_hash == ElfHash::Sha256),
    )?;
    let init = builder.section("INIT", SectionKind::Init)?;
    skeleton::place_code(&mut builder, init, &skeleton.init)?;
    finish(builder, programs, object)
}

/// A program and what is known of it before code generation.
pub(crate) struct Planned<'a> {
    pub(crate) verified: &'a Verified<'a>,
    pub(crate) plan: Plan,
}

/// Plans all programs.
pub(crate) fn plans<'a>(
    programs: &'a [Verified<'a>],
    options: &Options,
) -> Result<Vec<Planned<'a>>, Error> {
    if let Some(cap) = options.abi.filter(|cap| *cap < VERSION_MIN) {
        return Err(Error::AbiUnknown { cap });
    }
    let plan = |verified| {
        Ok(Planned {
            verified,
            plan: Plan::new(verified, options)?,
        })
    };
    programs.iter().map(plan).collect()
}

/// The one object that all programs come from.
pub(crate) fn object_of<'a>(programs: &'a [Verified<'_>]) -> Result<&'a Object, Error> {
    let object = programs.first().ok_or(Error::NoPrograms)?.object();
    let mut names = BTreeSet::new();
    for program in programs {
        let name = &program.program().name;
        if !core::ptr::eq(program.object(), object) {
            return Err(Error::MixedObjects {
                program: name.clone(),
            });
        }
        if !names.insert(name.as_str()) {
            return Err(Error::DuplicateProgram {
                program: name.clone(),
            });
        }
    }
    Ok(object)
}

/// The oldest ABI version that has what the code uses.
pub(crate) fn version_needed(plans: &[Planned<'_>], options: &Options) -> ModuleVersion {
    let needs_btf = plans
        .iter()
        .any(|planned| !planned.plan.tables.btf_functions.is_empty());
    let needs_array_data = plans
        .iter()
        .any(|planned| planned.plan.tables.uses_array_data);
    if needs_btf {
        VERSION_BTF_FUNCTIONS
    } else if needs_array_data {
        VERSION_ARRAY_DATA
    } else {
        options.abi.unwrap_or(VERSION_BASE).min(VERSION_BASE)
    }
}

/// Distance of two entries in the map table that a runtime gives to modules of a version.
pub(crate) fn map_stride(version: ModuleVersion) -> usize {
    if version >= VERSION_ARRAY_DATA {
        size_of::<MapData>()
    } else {
        size_of::<MapDataV1>()
    }
}

/// The functions of a program by number; `None` where nothing reaches one.
type Functions = Vec<Option<Compiled>>;

/// Compiles the live functions of all programs.
fn compile_programs(
    plans: &[Planned<'_>],
    version: ModuleVersion,
) -> Result<Vec<Functions>, Error> {
    let mut machine = Machine::new()?;
    let mut memory = FunctionBuilderContext::new();
    let compile = |Planned { verified, plan }: &Planned<'_>| {
        let unit = Unit {
            verified,
            plan,
            map_stride: map_stride(version),
        };
        compile_program(&mut machine, &mut memory, unit)
    };
    plans.iter().map(compile).collect()
}

fn compile_program(
    machine: &mut Machine,
    memory: &mut FunctionBuilderContext,
    unit: Unit<'_>,
) -> Result<Functions, Error> {
    let program = unit.verified.program();
    let mut compiled = Vec::with_capacity(program.functions.len());
    for (index, function) in program.functions.iter().enumerate() {
        if unit.plan.function(index).is_none() {
            compiled.push(None);
            continue;
        }
        let clif = lower::function(unit, index, machine, memory)?;
        let code = machine.compile(clif)?.ok_or_else(|| Error::TooLarge {
            at: Place::new(program, function.start),
        })?;
        compiled.push(Some(code));
    }
    Ok(compiled)
}

/// Puts each program into the section named after its ELF section.
fn place_programs<'a>(
    builder: &mut Builder,
    plans: &'a [Planned<'a>],
    compiled: &[Functions],
) -> Result<Vec<Placed<'a>>, Error> {
    let mut names = SectionNames::default();
    let mut sections: BTreeMap<&str, (SectionId, String)> = BTreeMap::new();
    let mut placed = Vec::with_capacity(plans.len());
    for (Planned { verified, plan }, functions) in plans.iter().zip(compiled) {
        let program = verified.program();
        let elf_section = section_of(program);
        let (section, pe_section) = match sections.get(elf_section) {
            Some(known) => known.clone(),
            None => {
                let name = names.assign(elf_section);
                let id = builder.section(&name, SectionKind::Code)?;
                sections.insert(elf_section, (id, name.clone()));
                (id, name)
            }
        };
        placed.push(Placed {
            verified,
            tables: &plan.tables,
            entry: place_program(builder, verified, functions, section)?,
            pe_section,
        });
    }
    Ok(placed)
}

/// Puts the functions of one program into a section; yields the entry.
fn place_program(
    builder: &mut Builder,
    verified: &Verified<'_>,
    functions: &Functions,
    section: SectionId,
) -> Result<SymbolId, Error> {
    let program = verified.program();
    let mut symbols = Vec::with_capacity(functions.len());
    for (index, (code, function)) in functions.iter().zip(&program.functions).enumerate() {
        let symbol = code.as_ref().map(|_| {
            let wanted = match index {
                0 => format!("bpf.{}", program.name),
                _ => format!("bpf.{}.{}", program.name, function.name),
            };
            let name = builder.unused_name(&wanted, index);
            builder.symbol(&name)
        });
        symbols.push(symbol);
    }
    let symbol = |index: usize| {
        let symbol = symbols.get(index).copied().flatten();
        symbol.ok_or_else(|| Error::Internal(format!("function {index} is not compiled")))
    };
    let mut stack = StackUse::new(functions.len());
    for (index, code) in functions.iter().enumerate() {
        let Some(code) = code else { continue };
        stack.frame(index, code.frame_bytes());
        let resolve = &mut |_: &mut Builder, reference: Reference<'_>| match reference {
            Reference::Function(number) => {
                stack.call(index, number as usize);
                symbol(number as usize).map(Target::Symbol)
            }
            Reference::Name(name) => Err(Error::Internal(format!("a program refers to {name}"))),
        };
        code.place(builder, (section, symbol(index)?), resolve)?;
    }
    check_stack(verified, &stack)?;
    symbol(0)
}

/// Refuses a proved program that may run over the kernel stack. Others run on this host only.
fn check_stack(verified: &Verified<'_>, stack: &StackUse) -> Result<(), Error> {
    let found = stack.deepest();
    if found <= MAX_PROGRAM_BYTES || !verified.is_proved() {
        return Ok(());
    }
    Err(Error::StackTooLarge {
        program: verified.program().name.clone(),
        found,
        limit: MAX_PROGRAM_BYTES,
    })
}

/// SHA-256 of the file; `None` when the object did not come from one.
fn elf_hash(object: &Object) -> Option<[u8; 32]> {
    (object.sha256 != [0; 32]).then_some(object.sha256)
}

/// Hash over everything in some sections.
fn hash_sections(sections: &[Section]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(bytes);
    };
    for section in sections {
        add(section.name.as_bytes());
        add(&section.data);
        for reloc in &section.relocs {
            add(format!("{reloc:?}").as_bytes());
        }
    }
    hash.finalize().into()
}

fn finish(
    mut builder: Builder,
    programs: &[Verified<'_>],
    object: &Object,
) -> Result<Module, Error> {
    let entry = builder.symbol(skeleton::ENTRY);
    let parts = builder.finish()?;
    Ok(Module {
        name: object.name.clone(),
        content_hash: hash_sections(&parts.sections),
        sections: parts.sections,
        symbols: parts.symbols,
        imports: parts.imports,
        entry,
        proved: programs.iter().all(Verified::is_proved),
        platform: object.platform,
    })
}
