//! The programs of a file, with their code.

use super::statistics;
use crate::object::{ELF, MZ, NOT_AN_OBJECT, read_file};
use crate::{Cause, Error};
use abi::{Guid, Platform};
use image::read::Pe;
use program::{LoadOptions, Program, Unlinkable, Unlinked};
use std::path::Path;

/// A program of an object file or of a driver.
#[derive(Clone, Debug, Default)]
pub struct FileProgram {
    /// Its name: the C function.
    pub name: String,
    /// Its ELF section.
    pub section: String,
    /// Its type; zero when its section does not say it.
    pub program_type: Guid,
    /// The hook that its section names; zero when it names none.
    pub attach_type: Guid,
    /// Its bytecode, or the code section of a driver. Empty when the program cannot be linked.
    pub code: Vec<u8>,
    /// Byte of its section that it begins with.
    pub offset: u64,
    /// Counts of its instructions; none for drivers.
    pub statistics: Vec<(&'static str, usize)>,
}

/// The programs of an object file or of a driver, in the order of the file.
///
/// # Errors
/// The file cannot be read, or is neither.
pub fn programs(path: impl AsRef<Path>) -> Result<Vec<FileProgram>, Error> {
    let path = path.as_ref();
    let read = || {
        let bytes = read_file(path)?;
        match (bytes.starts_with(ELF), bytes.starts_with(MZ)) {
            (true, _) => of_object(&bytes),
            (_, true) => of_driver(&bytes),
            _ => Err(NOT_AN_OBJECT),
        }
    };
    read().map_err(|cause| Error::new(format!("list the programs of {}", path.display()), cause))
}

fn of_object(bytes: &[u8]) -> Result<Vec<FileProgram>, Cause> {
    let options = LoadOptions {
        platform: Platform::Windows,
        // What cannot be linked does not hide the rest.
        unlinkable: Unlinkable::LeaveOut,
        ..LoadOptions::default()
    };
    let object = program::load(bytes, &options)?;
    let linked = object.programs.iter().map(|program: &Program| {
        Ok(FileProgram {
            name: program.name.clone(),
            section: program.section.clone(),
            program_type: program.program_type.guid,
            attach_type: program.attach_type.map_or(Guid::default(), |row| row.guid),
            code: isa::encode::program(&program.insns).map_err(Cause::Bytecode)?,
            offset: u64::from(program.place) * isa::Slot::BYTES as u64,
            statistics: statistics(&object, program),
        })
    });
    let unlinked = object.unlinked.iter().map(|program: &Unlinked| {
        Ok(FileProgram {
            name: program.name.clone(),
            section: program.section.clone(),
            ..FileProgram::default()
        })
    });
    linked.chain(unlinked).collect()
}

fn of_driver(bytes: &[u8]) -> Result<Vec<FileProgram>, Cause> {
    let pe = Pe::parse(bytes)?;
    let module = image::native::read(&pe)?;
    let module = module.ok_or(Cause::NotLoadable("the driver is no native eBPF module"))?;
    let programs = module.programs.into_iter().map(|program| FileProgram {
        program_type: program.program_type,
        attach_type: program.attach_type,
        code: super::contents(&pe, &program.pe_section).unwrap_or_default(),
        name: program.name,
        section: program.section,
        offset: 0,
        statistics: Vec::new(),
    });
    Ok(programs.collect())
}
