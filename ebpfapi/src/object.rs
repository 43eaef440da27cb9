//! Object files and drivers, opened but not yet loaded.
//!
//! Opening reads the file and asks no runtime, so that programs and maps can be looked at and changed
//! first: other types, fewer programs, maps that exist already.

use crate::{Cause, Error, Map, Refusal};
use abi::program_type::{self, AttachType};
use abi::{Guid, MapTypeRow, Platform, ProgramType};
use image::native::NativeModule;
use image::read::Pe;
use program::ProgramId;
use std::path::{Path, PathBuf};
use verifier::{Facts, render, verify};

/// Longest file that is read.
const FILE_BYTES: u64 = 256 << 20;
/// First bytes of an ELF file.
pub(crate) const ELF: &[u8] = b"\x7fELF";
/// First bytes of a driver.
pub(crate) const MZ: &[u8] = b"MZ";
/// What files are that begin otherwise.
pub(crate) const NOT_AN_OBJECT: Cause =
    Cause::NotLoadable("it is neither an eBPF object file nor a driver");

/// How a file is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Name of the object; without one, the file's stem.
    pub name: Option<String>,
    /// Type of the programs whose section says nothing about it.
    pub program_type: Option<&'static ProgramType>,
    /// Programs are verified by the runtime only: its report knows no source lines.
    pub only_runtime_verifies: bool,
}

/// An object file (`.o`) or a driver (`.sys`) with programs and maps.
#[derive(Clone, Debug)]
pub struct Object {
    pub(crate) name: String,
    /// Where it was read from.
    pub(crate) file: Option<PathBuf>,
    /// That, as it was named.
    pub(crate) file_name: String,
    pub(crate) form: Form,
    pub(crate) programs: Vec<ObjectProgram>,
    pub(crate) maps: Vec<ObjectMap>,
    pub(crate) only_runtime_verifies: bool,
}

/// In which form it has its code.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// Bytecode, for the interpreter.
    Bytecode(Box<program::Object>),
    /// Bytes of a driver.
    Native(Vec<u8>),
}

/// A program of an object.
#[derive(Clone, Debug)]
pub struct ObjectProgram {
    /// Its name: the C function.
    pub name: String,
    /// Its ELF section.
    pub section: String,
    /// Its type, when it is known here.
    pub program_type: Option<&'static ProgramType>,
    /// The hook that its section names.
    pub attach_type: Option<&'static AttachType>,
    /// Instruction slots of its bytecode.
    pub instructions: usize,
    /// Whether it is loaded with the object. Drivers always load all.
    pub autoload: bool,
    /// Flags for the hooks that it is attached to.
    pub flags: u64,
}

/// A map of an object.
#[derive(Clone, Debug)]
pub struct ObjectMap {
    /// Its name.
    pub name: String,
    /// Number of its type.
    pub map_type: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Most elements; bytes of a ring.
    pub max_entries: u32,
    /// Where it is pinned when the object is loaded; a map that is pinned there already is used
    /// instead of a new one. A driver's definition cannot be changed.
    pub pin_path: Option<String>,
    /// A map to use instead of a new one; not for drivers.
    pub reuse: Option<Map>,
}

impl ObjectMap {
    /// Its type, when it is known here.
    #[must_use]
    pub fn row(&self) -> Option<&'static MapTypeRow> {
        abi::map::by_number(Platform::Windows, self.map_type)
    }
}

impl Object {
    /// Opens an object file or a driver.
    ///
    /// # Errors
    /// The file cannot be read, or is neither.
    pub fn open(path: impl AsRef<Path>) -> Result<Object, Error> {
        Object::open_with(path, &OpenOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`Object::open`].
    pub fn open_with(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Object, Error> {
        let path = path.as_ref();
        let doing = || format!("open {}", path.display());
        let read = || -> Result<(Vec<u8>, PathBuf), Cause> {
            Ok((read_file(path)?, std::path::absolute(path)?))
        };
        let (bytes, absolute) = read().map_err(|cause| Error::new(doing(), cause))?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = options.name.clone().unwrap_or_else(|| stem.into_owned());
        let mut object =
            parse(&bytes, name, options).map_err(|cause| Error::new(doing(), cause))?;
        object.file = Some(absolute);
        object.file_name = path.to_string_lossy().into_owned();
        Ok(object)
    }

    /// Reads an object from memory. A driver from memory can be looked at but not loaded.
    ///
    /// # Errors
    /// The bytes are neither an object file nor a driver.
    pub fn parse(bytes: &[u8], options: &OpenOptions) -> Result<Object, Error> {
        let name = options.name.clone().unwrap_or_else(|| "object".to_owned());
        parse(bytes, name, options).map_err(|cause| Error::new("open an object", cause))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a driver.
    #[must_use]
    pub fn is_native(&self) -> bool {
        matches!(self.form, Form::Native(_))
    }

    /// Its programs, in the order of the file.
    #[must_use]
    pub fn programs(&self) -> &[ObjectProgram] {
        &self.programs
    }

    /// Its programs, to choose which are loaded.
    pub fn programs_mut(&mut self) -> &mut [ObjectProgram] {
        &mut self.programs
    }

    /// Its maps, in the order of the file.
    #[must_use]
    pub fn maps(&self) -> &[ObjectMap] {
        &self.maps
    }

    /// Its maps, to change them before they are made.
    pub fn maps_mut(&mut self) -> &mut [ObjectMap] {
        &mut self.maps
    }

    /// The decoded object file; `None` for a driver.
    #[must_use]
    pub fn bytecode(&self) -> Option<&program::Object> {
        match &self.form {
            Form::Bytecode(object) => Some(object),
            Form::Native(_) => None,
        }
    }

    /// Gives a program another type.
    ///
    /// # Errors
    /// There is no such program, or it is a driver's.
    pub fn set_program_type(
        &mut self,
        program: &str,
        program_type: &'static ProgramType,
    ) -> Result<(), Error> {
        let doing = || format!("set the type of program {program}");
        let Form::Bytecode(object) = &mut self.form else {
            return Err(Error::input(
                doing(),
                "a driver's programs have their types",
            ));
        };
        let found = self.programs.iter().position(|one| one.name == program);
        let Some(at) = found else {
            return Err(Error::input(doing(), "there is no such program"));
        };
        let of_section = program_type::by_section(Platform::Windows, &self.programs[at].section);
        let attach_type = of_section.filter(|row| row.program_type.guid == program_type.guid);
        self.programs[at].program_type = Some(program_type);
        self.programs[at].attach_type = attach_type;
        if let Some(source) = object.programs.get_mut(at) {
            source.program_type = program_type;
            source.attach_type = attach_type;
        }
        Ok(())
    }

    /// Verifies a program in this process, as the runtime does when it is loaded; gives what was found
    /// out about it.
    ///
    /// # Errors
    /// [`Cause::Refused`] with the report; there is no such program or it is a driver's.
    pub fn verify(&self, program: &str) -> Result<Facts, Error> {
        let doing = || format!("verify program {program}");
        let Form::Bytecode(object) = &self.form else {
            return Err(Error::input(doing(), "a driver has no bytecode"));
        };
        let Some((id, _)) = object.program(program) else {
            return Err(Error::input(doing(), "there is no such program"));
        };
        refuse_unsafe(object, id).map_err(|cause| Error::new(doing(), cause))
    }
}

/// Reads a file that may be an object.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Cause> {
    if std::fs::metadata(path)?.len() > FILE_BYTES {
        return Err(Cause::NotLoadable("it is too large for an eBPF object"));
    }
    Ok(std::fs::read(path)?)
}

/// Verifies one program.
pub(crate) fn refuse_unsafe(object: &program::Object, id: ProgramId) -> Result<Facts, Cause> {
    match verify(object, id, &verifier::Options::default()) {
        Ok(verified) => Ok(verified.facts().clone()),
        Err(rejected) => {
            let program = object.programs.get(usize::from(id.0));
            Err(Cause::Refused(Refusal {
                program: program.map_or_else(String::new, |program| program.name.clone()),
                report: render::text(object, &rejected),
            }))
        }
    }
}

fn parse(bytes: &[u8], name: String, options: &OpenOptions) -> Result<Object, Cause> {
    if bytes.starts_with(ELF) {
        return parse_elf(bytes, name, options);
    }
    if bytes.starts_with(MZ) {
        return parse_driver(bytes, name);
    }
    Err(NOT_AN_OBJECT)
}

fn parse_elf(bytes: &[u8], name: String, options: &OpenOptions) -> Result<Object, Cause> {
    let load = program::LoadOptions {
        platform: Platform::Windows,
        name: name.clone(),
        program_type: options.program_type,
        ..program::LoadOptions::default()
    };
    let object = program::load(bytes, &load)?;
    let programs = object.programs.iter().map(|program| ObjectProgram {
        name: program.name.clone(),
        section: program.section.clone(),
        program_type: Some(program.program_type),
        attach_type: program.attach_type,
        instructions: program.insns.len(),
        autoload: true,
        flags: 0,
    });
    let maps = object.maps.iter().map(|map| ObjectMap {
        name: map.name.clone(),
        map_type: map.type_number,
        key_size: map.key_size,
        value_size: map.value_size,
        max_entries: map.max_entries,
        pin_path: map.pin_by_name.then(|| map.name.clone()),
        reuse: None,
    });
    Ok(Object {
        name,
        file: None,
        file_name: String::new(),
        programs: programs.collect(),
        maps: maps.collect(),
        form: Form::Bytecode(Box::new(object)),
        only_runtime_verifies: options.only_runtime_verifies,
    })
}

fn parse_driver(bytes: &[u8], name: String) -> Result<Object, Cause> {
    let pe = Pe::parse(bytes)?;
    let module = image::native::read(&pe)?;
    let module = module.ok_or(Cause::NotLoadable("the driver is no native eBPF module"))?;
    let NativeModule { programs, maps, .. } = module;
    let programs = programs.into_iter().map(|program| ObjectProgram {
        program_type: program_type::by_guid(program.program_type),
        attach_type: hook(program.attach_type, &program.section),
        instructions: usize::try_from(program.instruction_count).unwrap_or(usize::MAX),
        name: program.name,
        section: program.section,
        autoload: true,
        flags: 0,
    });
    let maps = maps.into_iter().map(|map| ObjectMap {
        map_type: map.definition.map_type,
        key_size: map.definition.key_size,
        value_size: map.definition.value_size,
        max_entries: map.definition.max_entries,
        pin_path: (map.definition.pinning == abi::native::PIN_BY_NAME).then(|| map.name.clone()),
        name: map.name,
        reuse: None,
    });
    Ok(Object {
        name,
        file: None,
        file_name: String::new(),
        programs: programs.collect(),
        maps: maps.collect(),
        form: Form::Native(bytes.to_vec()),
        only_runtime_verifies: false,
    })
}

fn hook(attach_type: Guid, section: &str) -> Option<&'static AttachType> {
    let of_section = || program_type::by_section(Platform::Windows, section);
    program_type::attach_by_guid(attach_type).or_else(of_section)
}
