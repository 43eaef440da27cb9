//! Programs straight from a verified object, without a driver image: for the interpreter.

use crate::{
    Code, Core, Definition, Flags, Machine, Map, Program, Shared, Status,
    helper::{Extensions, resolve},
    interpreter,
    interpreter::{Callee, Links, TranslateError, translate},
};
use abi::ProgramType;
use alloc::{string::String, vec::Vec};
use core::fmt;
use program::{MapDef, Object};
use verifier::Verified;

/// Maps and programs of one object.
pub struct Loaded {
    /// Maps, in the order of the object.
    pub maps: Vec<Shared<Map>>,
    /// Programs, in the order they were given.
    pub programs: Vec<Shared<Program>>,
}

/// Whether memory accesses are checked while programs run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checking {
    /// Not for programs that were proved; always for the others.
    Unproved,
    /// For all.
    All,
}

/// Why an object cannot be loaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoadError {
    /// A map cannot be made.
    Map {
        /// Its name.
        name: String,
        /// Why.
        status: Status,
    },
    /// An initial value cannot be set.
    Initial {
        /// Name of the map.
        map: String,
        /// Index in it.
        index: u32,
        /// Name of the map or program that should be there.
        value: String,
        /// Why.
        status: Status,
    },
    /// A program cannot be translated.
    Program {
        /// Its name.
        name: String,
        /// Why.
        error: TranslateError,
    },
    /// Memory is exhausted.
    NoMemory,
}

impl LoadError {
    /// Its diagnostic id.
    #[must_use]
    pub const fn code(&self) -> abi::Code {
        match self {
            LoadError::Map { .. } => abi::diagnostic::RUN_MAP,
            LoadError::Initial { .. } => abi::diagnostic::RUN_TAIL_CALL,
            LoadError::Program { error, .. } => error.code(),
            LoadError::NoMemory => abi::diagnostic::RUN_MEMORY,
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Map { name, status } => write!(f, "map {name}: {status}"),
            LoadError::Initial {
                map,
                index,
                value,
                status,
            } => write!(f, "map {map}, index {index}: {value}: {status}"),
            LoadError::Program { name, error } => write!(f, "program {name}: {error}"),
            LoadError::NoMemory => f.write_str("out of memory"),
        }
    }
}

impl core::error::Error for LoadError {}

impl From<Status> for LoadError {
    fn from(_: Status) -> LoadError {
        LoadError::NoMemory
    }
}

/// Makes the maps of an object, fills globals and initial values, and translates its programs.
///
/// All programs must be of `object`.
///
/// # Errors
///
/// The first map or program that cannot be made.
pub fn load(
    core: &Shared<Core>,
    object: &Object,
    programs: &[Verified<'_>],
    extensions: &dyn Extensions,
    checking: Checking,
) -> Result<Loaded, LoadError> {
    let maps = make_maps(core, object)?;
    let mut loaded = Vec::new();
    reserve(&mut loaded, programs.len())?;
    for verified in programs {
        let source = verified.program();
        let code = code_over(object, &maps, verified, extensions, checking)?;
        loaded.push(Program::new(core, &source.name, source.program_type, code)?);
    }
    fill_initial(object, &maps, &loaded)?;
    Ok(Loaded {
        maps,
        programs: loaded,
    })
}

/// Translates a program over maps that stand at the indices of the object's.
///
/// # Errors
///
/// [`LoadError::Program`] when something that it refers to is missing.
pub fn code_over(
    object: &Object,
    maps: &[Shared<Map>],
    verified: &Verified<'_>,
    extensions: &dyn Extensions,
    checking: Checking,
) -> Result<Code, LoadError> {
    let source = verified.program();
    if source.arguments.is_some() {
        // Objects of the Linux kernel exist only there.
        return Err(LoadError::Program {
            name: source.name.clone(),
            error: TranslateError {
                at: isa::InsnIdx(0),
                kind: interpreter::TranslateErrorKind::KernelObjects,
            },
        });
    }
    let links = ObjectLinks {
        object,
        maps,
        program_type: source.program_type,
        extensions,
    };
    let code = translate(&source.insns, &links).map_err(|error| LoadError::Program {
        name: source.name.clone(),
        error,
    })?;
    let machine = Machine::new(code, clone_all(maps)?).for_type(source.program_type);
    Ok(if verified.is_proved() && checking == Checking::Unproved {
        Code::Interpreted(machine)
    } else {
        Code::Checked(machine)
    })
}

/// The maps of an object, with the initial bytes of globals.
///
/// # Errors
///
/// The first map that cannot be made.
pub fn make_maps(core: &Shared<Core>, object: &Object) -> Result<Vec<Shared<Map>>, LoadError> {
    let mut maps = Vec::new();
    reserve(&mut maps, object.maps.len())?;
    for definition in &object.maps {
        let inner = definition.inner.and_then(|inner| object.map(inner));
        let inner = inner.map(|inner| of_object(object, inner));
        let map = Map::new(core, of_object(object, definition), inner);
        let error = |status| LoadError::Map {
            name: definition.name.clone(),
            status,
        };
        maps.push(map.map_err(error)?);
    }
    for (definition, map) in object.maps.iter().zip(&maps) {
        let inner = definition.inner.map(|inner| usize::from(inner.0));
        if let Some(inner) = inner.and_then(|inner| maps.get(inner)) {
            map.note_template(inner);
        }
    }
    for global in &object.globals {
        let Some(map) = maps.get(usize::from(global.map.0)) else {
            continue;
        };
        let done = map.update(&0u32.to_ne_bytes(), &global.data, Flags::Any);
        done.map_err(|status| LoadError::Map {
            name: global.section.clone(),
            status,
        })?;
    }
    Ok(maps)
}

/// Sets the initial values of maps of maps and of programs.
fn fill_initial(
    object: &Object,
    maps: &[Shared<Map>],
    programs: &[Shared<Program>],
) -> Result<(), LoadError> {
    for (definition, map) in object.maps.iter().zip(maps) {
        for initial in &definition.initial {
            let done = set_initial(map, initial.index, &initial.name, (maps, programs));
            done.map_err(|status| LoadError::Initial {
                map: definition.name.clone(),
                index: initial.index,
                value: initial.name.clone(),
                status,
            })?;
        }
    }
    Ok(())
}

/// Sets one initial value by the name of a map or program. Programs that are not among the given
/// ones leave their slot empty.
pub(crate) fn set_initial(
    map: &Map,
    index: u32,
    name: &str,
    (maps, programs): (&[Shared<Map>], &[Shared<Program>]),
) -> Result<(), Status> {
    if map.definition().kind == abi::MapKind::ProgArray {
        return match programs.iter().find(|program| program.name() == name) {
            Some(program) => map.set_program(index, Some(Shared::clone(program))),
            None => Ok(()),
        };
    }
    let inner = maps.iter().find(|inner| inner.name() == name);
    let inner = inner.ok_or(Status::InvalidArgument)?;
    map.set_map(&index.to_ne_bytes(), Some(Shared::clone(inner)))
}

fn of_object(object: &Object, map: &MapDef) -> Definition {
    Definition {
        name: map.name.clone(),
        kind: map.kind,
        platform: object.platform,
        key_size: map.key_size,
        value_size: map.value_size,
        max_entries: map.max_entries,
    }
}

fn clone_all(maps: &[Shared<Map>]) -> Result<Vec<Shared<Map>>, LoadError> {
    let mut clones = Vec::new();
    reserve(&mut clones, maps.len())?;
    clones.extend(maps.iter().map(Shared::clone));
    Ok(clones)
}

fn reserve<T>(items: &mut Vec<T>, count: usize) -> Result<(), LoadError> {
    items
        .try_reserve_exact(count)
        .map_err(|_| LoadError::NoMemory)
}

/// Resolves references of an object's programs.
struct ObjectLinks<'a> {
    object: &'a Object,
    maps: &'a [Shared<Map>],
    program_type: &'static ProgramType,
    extensions: &'a dyn Extensions,
}

impl Links for ObjectLinks<'_> {
    fn map(&self, index: u32) -> Option<u64> {
        self.maps.get(index as usize).map(Shared::address)
    }

    fn map_value(&self, index: u32) -> Option<u64> {
        self.maps.get(index as usize)?.array_data()
    }

    fn helper(&self, id: i32) -> Option<Callee> {
        resolve(self.program_type, u32::try_from(id).ok()?, self.extensions)
    }

    fn btf_function(&self, index: i32) -> Option<Callee> {
        let index = usize::try_from(index).ok()?;
        let wanted = self.object.btf_functions.get(index)?;
        let function = self.extensions.btf_function(&wanted.name, wanted.module)?;
        Some(Callee {
            function,
            helper: None,
            tail_call: false,
        })
    }
}
