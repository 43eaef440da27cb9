//! Object files and drivers that commands look at.

use crate::Arguments;
use crate::answer::Failure;
use crate::table::tag;
use abi::{Platform, ProgramType, program_type};
use image::native::NativeModule;
use image::read::Pe;
use program::{LoadOptions, Object, Program, ProgramId, Unlinkable};
use std::io::ErrorKind;
use std::path::Path;

/// First bytes of a driver.
const MZ: &[u8] = b"MZ";

/// A file that was read.
pub(crate) enum File {
    /// Bytecode.
    Object(Box<Object>),
    /// A driver.
    Driver(Box<NativeModule>),
}

/// Reads the bytes of a file.
pub(crate) fn bytes(name: &str) -> Result<Vec<u8>, Failure> {
    let problem = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => {
            Failure::error(format_args!("No such file or directory opening {name}"))
        }
        _ => Failure::error(format_args!("{error} opening {name}")),
    };
    let length = std::fs::metadata(name).map_err(problem)?.len();
    if length > abi::limits::ELF_BYTES {
        let what = format_args!("{name} is too large for an eBPF object or driver");
        return Err(Failure::error(what));
    }
    std::fs::read(name).map_err(problem)
}

/// Reads an object file or a driver; `type` is for sections that do not say theirs.
pub(crate) fn open(arguments: &Arguments) -> Result<File, Failure> {
    let name = arguments.required(&tag::FILENAME);
    let bytes = bytes(name)?;
    if bytes.starts_with(MZ) {
        return driver(name, &bytes).map(|module| File::Driver(Box::new(module)));
    }
    let given = arguments.text(&tag::TYPE).map(type_of).transpose()?;
    let section = arguments
        .text(&tag::SECTION)
        .filter(|text| !text.is_empty());
    let stem = Path::new(name).file_stem().unwrap_or_default();
    let options = LoadOptions {
        platform: Platform::Windows,
        name: stem.to_string_lossy().into_owned(),
        program_type: given,
        section_types: section.map(str::to_owned).into_iter().zip(given).collect(),
        // What cannot be linked does not hide the rest.
        unlinkable: Unlinkable::LeaveOut,
        ..LoadOptions::default()
    };
    let object = program::load(&bytes, &options);
    let object = object.map_err(|error| Failure::error(format_args!("{name}: {error}")))?;
    Ok(File::Object(Box::new(object)))
}

/// Reads an object file for a command that needs bytecode.
pub(crate) fn object(arguments: &Arguments) -> Result<Box<Object>, Failure> {
    match open(arguments)? {
        File::Object(object) => Ok(object),
        File::Driver(_) => {
            let name = arguments.required(&tag::FILENAME);
            let what =
                "is a driver, which has no bytecode; give the object file (.o) it was made of";
            Err(Failure::error(format_args!("{name} {what}")))
        }
    }
}

/// The metadata of a driver.
pub(crate) fn driver(name: &str, bytes: &[u8]) -> Result<NativeModule, Failure> {
    let read = Pe::parse(bytes).and_then(|pe| image::native::read(&pe));
    let module = read.map_err(|error| Failure::error(format_args!("{name}: {error}")))?;
    let what = "is no driver made of an eBPF object";
    module.ok_or_else(|| Failure::error(format_args!("{name} {what}")))
}

/// A program type by its name.
pub(crate) fn type_of(name: &str) -> Result<&'static ProgramType, Failure> {
    let of_section = || program_type::by_section(Platform::Windows, name);
    let row = program_type::by_name(Platform::Windows, name);
    let row = row.or_else(|| of_section().map(|hook| hook.program_type));
    row.ok_or_else(|| {
        let all = program_type::types(Platform::Windows);
        let names: Vec<&str> = all.iter().map(|row| row.name).collect();
        let names = names.join(", ");
        Failure::error(format_args!("type `{name}` is none of {names}"))
    })
}

/// The programs that `section` and `program` choose; all without them.
pub(crate) fn programs<'o>(
    object: &'o Object,
    arguments: &Arguments,
) -> Result<Vec<(ProgramId, &'o Program)>, Failure> {
    let is = |tag, found: &str| match arguments.text(tag) {
        None | Some("") => true,
        Some(wanted) => wanted == found,
    };
    let numbered = (0..).map(ProgramId).zip(&object.programs);
    let of_section: Vec<_> = numbered
        .filter(|(_, program)| is(&tag::SECTION, &program.section))
        .collect();
    if of_section.is_empty() {
        return Err(not_found("Section", object));
    }
    let of_section = of_section.into_iter();
    let chosen: Vec<_> = of_section
        .filter(|(_, one)| is(&tag::PROGRAM, &one.name))
        .collect();
    match chosen.is_empty() {
        true => Err(not_found("Program", object)),
        false => Ok(chosen),
    }
}

fn not_found(what: &str, object: &Object) -> Failure {
    let programs = object.programs.iter();
    let mut there: Vec<String> = programs
        .map(|program| format!("{} in section {}", program.name, program.section))
        .collect();
    let unlinked = object.unlinked.iter();
    there
        .extend(unlinked.map(|one| format!("{}, which cannot be linked: {}", one.name, one.error)));
    let there = match there.is_empty() {
        true => "the file has no programs".to_owned(),
        false => format!("there are: {}", there.join("; ")),
    };
    Failure(format!("error: {what} not found\n{there}\n"))
}
