//! From an ELF file to an [`Object`].
//!
//! [`load`] is the whole story: lists out of the file, maps, functions, what instructions refer to,
//! which functions are programs, and one linked program per entry.

mod builtins;
mod code;
mod contracts;
mod entries;
pub(crate) mod externs;
pub(crate) mod file;
pub(crate) mod functions;
mod lines;
mod link;
pub(crate) mod notes;
mod sections;

use crate::{
    btf::{Btf, ext::BtfExt},
    configuration::Configuration,
    error::LoadError,
    form,
    kernel::KernelTypes,
    maps::{Maps, Source},
    model::{Object, Program},
    relocate::{Attachment, Layouts, Relocator, TargetBtf},
};
use abi::{Platform, ProgramType};
use externs::Externs;
use file::ElfFile;
use functions::Functions;
use notes::Notes;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// How to read a file.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Whose numbering the bytecode uses.
    pub platform: Platform,
    /// Name of the object: the file's stem.
    pub name: String,
    /// Type of the programs whose section says nothing about it.
    pub program_type: Option<&'static ProgramType>,
    /// Types of the programs in single sections, by full section name; wins over what the name says.
    pub section_types: Vec<(String, &'static ProgramType)>,
    /// What functions in `.text` are.
    pub text: TextFunctions,
    /// What happens to programs that cannot be linked.
    pub unlinkable: Unlinkable,
    /// Types of the system that CO-RE relocations are resolved against; without them, the object's
    /// own.
    pub btf: Option<TargetBtf>,
    /// What programs are attached to whose section does not say it.
    pub attach_target: Option<String>,
    /// What single programs are attached to, by name; wins over what the section says.
    pub program_targets: Vec<(String, String)>,
    /// What is known of the kernel's configuration (`.kconfig`).
    pub configuration: Configuration,
}

/// What happens to a program that cannot be linked, because it (or a subprogram it reaches) has an
/// undefined symbol or an instruction that does not decode.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Unlinkable {
    /// The file is refused.
    #[default]
    Refuse,
    /// The program is left out with a note, the others are loaded (for looking at the rest).
    LeaveOut,
}

/// What functions in section `.text` are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum TextFunctions {
    /// Subprograms, unless no other section has a program.
    #[default]
    Subprograms,
    /// Programs too, each by itself (for checking objects made of test functions).
    Programs,
}

/// The bytes of a section of an ELF object file, the first one of that name; `None` when there is none.
///
/// # Errors
/// The file is malformed.
pub fn section<'d>(bytes: &'d [u8], name: &str) -> Result<Option<&'d [u8]>, LoadError> {
    let file = ElfFile::parse(bytes)?;
    Ok(file.by_name(name).map(|(_, section)| section.data))
}

/// Reads an ELF object file.
///
/// # Errors
/// Whatever is malformed, unknown or over a limit, with the place in the file.
pub fn load(bytes: &[u8], options: &LoadOptions) -> Result<Object, LoadError> {
    let file = ElfFile::parse(bytes)?;
    let mut notes = Notes::default();
    notes.extend(sections::survey(&file));
    let btf = sections::btf(&file)?;
    let ext = sections::btf_ext(&file, btf.as_ref())?;
    let target = target_btf(&ext, options, &mut notes)?;
    let functions = Functions::find(&file, &mut notes)?;
    let externs = Externs::read(btf.as_ref(), options.platform)?;
    let source = Source {
        file: &file,
        btf: btf.as_ref(),
        functions: &functions,
        options,
        externs: &externs,
    };
    let mut maps = Maps::read(source, &mut notes)?;
    let targets = code::Targets {
        file: &file,
        functions: &functions,
        maps: &maps,
        externs: &externs,
    };
    let mut relocator = Relocator::new(btf.as_ref(), target.as_ref(), &ext.relocations)?;
    let bodies = code::decode_all(targets, &mut relocator)?;
    let entries = entries::choose(&file, &functions, &bodies, options, &mut notes)?;
    maps.fill_program_slots(&functions, |id| entries::type_of(&entries, id))?;
    let mut lines = lines::Lines::new(&file, btf.as_ref(), &ext);
    lines.check_functions(&functions)?;
    let contracts = contracts::Contracts {
        btf: btf.as_ref(),
        ext: &ext,
    };
    let linker = link::Linker::new((&file, contracts), &functions, &bodies, &externs);
    let linked = linker.link(&entries, options.unlinkable, &mut lines, &mut notes)?;
    let mut programs = linked.programs;
    let kernel = kernel_types(options, &mut programs, &mut notes)?;
    let object = Object {
        kernel,
        platform: options.platform,
        name: options.name.clone(),
        maps: maps.defs,
        globals: maps.globals,
        btf_functions: linked.btf_functions,
        programs,
        unlinked: linked.unlinked,
        license: sections::license(&file)?,
        version: sections::version(&file)?,
        sha256: Sha256::digest(bytes).into(),
        notes: notes.into_list(),
    };
    check_form(&object)?;
    Ok(object)
}

/// The BTF that CO-RE relocations are resolved against, when the object has any.
fn target_btf<'o>(
    ext: &BtfExt<'_>,
    options: &'o LoadOptions,
    notes: &mut Notes,
) -> Result<MaybeBtf<'o>, LoadError> {
    let records: usize = ext.relocations.values().map(Vec::len).sum();
    match &options.btf {
        _ if records == 0 => Ok(None),
        Some(given) => given.btf().map(Some),
        None => {
            notes.push(format!(
                "{records} CO-RE relocations resolved against the object's own BTF: offsets and \
                 sizes are those of the types it was compiled with"
            ));
            Ok(None)
        }
    }
}

/// The types of the kernel, and with them the arguments of programs that are called like a function
/// of the kernel.
fn kernel_types(
    options: &LoadOptions,
    programs: &mut [Program],
    notes: &mut Notes,
) -> Result<Option<Arc<dyn KernelTypes>>, LoadError> {
    let is_linux = options.platform == Platform::Linux;
    let Some(target) = options.btf.as_ref().filter(|_| is_linux) else {
        let mut attached = programs
            .iter()
            .filter(|program| attachment(options, program).is_some());
        if let Some(first) = attached.next() {
            let more = attached.count();
            let others = if more == 0 {
                String::new()
            } else {
                format!(" and {more} others")
            };
            notes.push(format!(
                "the types of the arguments of `{}`{others} are in the kernel's BTF, which is not \
                 given (--btf): its pointers are only numbers",
                first.name
            ));
        }
        return Ok(None);
    };
    let attachments = programs.iter();
    let attachments = attachments.filter_map(|program| attachment(options, program));
    let layouts = Layouts::new(target, attachments)?;
    for program in programs {
        let Some(attachment) = attachment(options, program) else {
            continue;
        };
        let arguments = layouts.arguments(attachment);
        if arguments.is_none() {
            notes.push(format!(
                "the BTF given does not have `{}`, which `{}` in section `{}` is attached to: its \
                 arguments are only numbers",
                attachment.target(),
                program.name,
                program.section
            ));
        }
        program.arguments = arguments;
    }
    Ok(Some(Arc::new(layouts)))
}

/// What a program is attached to: as the options name it, or else as its section does.
fn attachment<'a>(options: &'a LoadOptions, program: &'a Program) -> Option<Attachment<'a>> {
    let mut named = options.program_targets.iter();
    let named = named.find(|(name, _)| *name == program.name);
    let section = program.section.split_once('/').map(|(_, target)| target);
    let target = named.map(|(_, target)| &**target).or(section);
    Attachment::of(
        program.attach_type,
        target.or(options.attach_target.as_deref())?,
    )
}

/// The linker keeps the form; a mistake of ours must not reach the code generator.
fn check_form(object: &Object) -> Result<(), LoadError> {
    let tables = form::Tables {
        maps: object.maps.len(),
        btf_functions: object.btf_functions.len(),
    };
    object
        .programs
        .iter()
        .try_for_each(|program| form::check(program, tables))
}

/// BTF of a file, if any.
type MaybeBtf<'d> = Option<Btf<'d>>;
