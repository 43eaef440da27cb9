//! Loading: maps and programs of an object into a runtime, all or none.
//!
//! An object file goes to the interpreter. Each program is verified here first, because the message
//! can name source lines; the runtime verifies it again and trusts nobody. A driver goes the way of
//! [`crate::native`].

use crate::object::{Form, refuse_unsafe};
use crate::{Cause, Client, Error, Map, MapSpec, Object, ObjectMap, Program, ProgramSpec, Update};
use isa::{Imm64, Insn};
use program::{MapDef, MapId, ProgramId};

/// A loaded object: its programs and maps, by name.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub(crate) maps: Vec<(String, Map)>,
    pub(crate) programs: Vec<Program>,
}

impl Loaded {
    /// A program by its name, the C function.
    ///
    /// # Errors
    /// There is none; the message lists those there are.
    pub fn program(&self, name: &str) -> Result<&Program, Error> {
        let found = self.programs.iter().find(|program| program.name() == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.programs.iter().map(Program::name).collect();
            let problem = format!("there is none; there are: {}", names.join(", "));
            Error::input(format!("find program {name}"), problem)
        })
    }

    /// A map by the name it has in the object.
    ///
    /// # Errors
    /// There is none; the message lists those there are.
    pub fn map(&self, name: &str) -> Result<&Map, Error> {
        let found = self.maps.iter().find(|(known, _)| known == name);
        found.map(|(_, map)| map).ok_or_else(|| {
            let names: Vec<&str> = self.maps.iter().map(|(name, _)| name.as_str()).collect();
            let problem = format!("there is none; there are: {}", names.join(", "));
            Error::input(format!("find map {name}"), problem)
        })
    }

    /// All programs that were loaded, in the order of the object.
    #[must_use]
    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// Gives a program up; one of another name is left as it is. It goes when nobody uses it.
    pub fn unload(&mut self, name: &str) {
        self.programs.retain(|program| program.name() != name);
    }

    /// All maps with the names they have in the object, in its order.
    pub fn maps(&self) -> impl Iterator<Item = (&str, &Map)> {
        self.maps.iter().map(|(name, map)| (name.as_str(), map))
    }
}

impl Object {
    /// Loads programs and maps into a runtime. What was made is given up again when something fails.
    ///
    /// # Errors
    /// The verifier refuses a program, here or in the runtime; a map cannot be made; what is pinned
    /// is not like the definition; a driver does not start.
    pub fn load(&self, client: &Client) -> Result<Loaded, Error> {
        let loaded = match &self.form {
            Form::Bytecode(source) => load_bytecode(self, source, client),
            Form::Native(bytes) => crate::native::load(self, bytes, client),
        }?;
        for about in self.programs.iter().filter(|about| about.flags != 0) {
            if let Some(program) = loaded.programs.iter().find(|one| one.name() == about.name) {
                program.set_flags(about.flags)?;
            }
        }
        Ok(loaded)
    }
}

/// Pins that are taken away again when loading fails.
struct NewPins<'a> {
    client: &'a Client,
    paths: Vec<&'a str>,
}

impl Drop for NewPins<'_> {
    fn drop(&mut self) {
        for path in &self.paths {
            // It was pinned a moment ago; if somebody else unpinned it, it is gone as it should be.
            let _ = self.client.unpin(path);
        }
    }
}

fn load_bytecode(
    object: &Object,
    source: &program::Object,
    client: &Client,
) -> Result<Loaded, Error> {
    let wanted = |at: usize| object.programs.get(at).is_some_and(|one| one.autoload);
    let numbered = || (0u16..).zip(&source.programs);
    let checked = |at: &u16| wanted(usize::from(*at)) && !object.only_runtime_verifies;
    for (at, program) in numbered().filter(|(at, _)| checked(at)) {
        let doing = || format!("load program {}", program.name);
        refuse_unsafe(source, ProgramId(at)).map_err(|cause| Error::new(doing(), cause))?;
    }
    let mut pins = NewPins {
        client,
        paths: Vec::new(),
    };
    let maps = make_maps(object, source, &mut pins)?;
    for global in &source.globals {
        let map = &maps[usize::from(global.map.0)];
        map.update(&0u32.to_le_bytes(), &global.data, Update::Any)?;
    }
    let mut programs = Vec::new();
    for (at, program) in numbered().filter(|(at, _)| wanted(usize::from(*at))) {
        let spec = ProgramSpec {
            name: &program.name,
            file: &object.file_name,
            section: &object.programs[usize::from(at)].section,
            program_type: program.program_type,
        };
        let code = code_over(program, &maps);
        let code =
            code.map_err(|cause| Error::new(format!("load program {}", spec.name), cause))?;
        programs.push(client.load_program(&spec, &code)?);
    }
    fill_initial(source, &maps, &programs)?;
    pins.paths.clear();
    let names = object.maps.iter().map(|map| map.name.clone());
    Ok(Loaded {
        maps: names.zip(maps).collect(),
        programs,
    })
}

/// The maps of an object, templates of inner maps first.
fn make_maps<'a>(
    object: &'a Object,
    source: &program::Object,
    pins: &mut NewPins<'a>,
) -> Result<Vec<Map>, Error> {
    let mut maps: Vec<Option<Map>> = vec![None; source.maps.len()];
    for holds_maps in [false, true] {
        for (at, definition) in source.maps.iter().enumerate() {
            if definition.inner.is_some() != holds_maps {
                continue;
            }
            let inner = definition
                .inner
                .and_then(|MapId(inner)| maps.get(usize::from(inner)));
            let inner = inner.cloned().flatten();
            let map = &object.maps[at];
            maps[at] = Some(make_map(map, definition, inner.as_ref(), pins)?);
        }
    }
    // Invariant: each map is made in one of both rounds.
    Ok(maps.into_iter().flatten().collect())
}

/// One map: the given one, the pinned one, or a new one.
fn make_map<'a>(
    map: &'a ObjectMap,
    definition: &MapDef,
    inner: Option<&Map>,
    pins: &mut NewPins<'a>,
) -> Result<Map, Error> {
    if let Some(reuse) = &map.reuse {
        return same_shape(map, reuse).map(|()| reuse.clone());
    }
    let client = pins.client;
    if let Some(path) = &map.pin_path
        && let Some(pinned) = client.pinned_map(path)?
    {
        return same_shape(map, &pinned).map(|()| pinned);
    }
    let made = client.create_map(&MapSpec {
        name: &map.name,
        map_type: definition.type_number,
        key_size: map.key_size,
        value_size: map.value_size,
        max_entries: map.max_entries,
        inner,
    })?;
    if let Some(path) = &map.pin_path {
        made.pin(path)?;
        pins.paths.push(path);
    }
    Ok(made)
}

/// Whether a map that exists can take the place of a definition.
fn same_shape(wanted: &ObjectMap, found: &Map) -> Result<(), Error> {
    let info = found.definition();
    let shape = [
        ("type", wanted.map_type, info.map_type),
        ("bytes of a key", wanted.key_size, info.key_size),
        ("bytes of a value", wanted.value_size, info.value_size),
        ("entries", wanted.max_entries, info.max_entries),
    ];
    match shape.iter().find(|(_, wanted, found)| wanted != found) {
        None => Ok(()),
        Some((what, wanted_number, found_number)) => {
            let problem = format!(
                "{what}: the object has {wanted_number}, the map that exists (id {}) has \
                 {found_number}; unpin it, or change the definition",
                found.id()
            );
            Err(Error::input(format!("use map {}", wanted.name), problem))
        }
    }
}

/// Bytecode that names maps by handles.
fn code_over(program: &program::Program, maps: &[Map]) -> Result<Vec<u8>, Cause> {
    let handle = |index: i32| {
        let map = usize::try_from(index)
            .ok()
            .and_then(|index| maps.get(index));
        let map = map.ok_or(Cause::NotLoadable("an instruction names no map"))?;
        // The runtime reads the immediate as an unsigned number.
        let handle = u32::try_from(map.handle().0);
        let handle = handle.map_err(|_| Cause::NotLoadable("the handle of a map is too large"))?;
        Ok::<i32, Cause>(handle as i32)
    };
    let mut insns = program.insns.clone();
    for insn in &mut insns {
        let Insn::LoadImm64 { imm, .. } = insn else {
            continue;
        };
        *imm = match *imm {
            Imm64::MapFd(index) => Imm64::MapFd(handle(index)?),
            Imm64::MapValue { fd, offset } => Imm64::MapValue {
                fd: handle(fd)?,
                offset,
            },
            other => other,
        };
    }
    isa::encode::program(&insns).map_err(Cause::Bytecode)
}

/// Maps and programs in the slots that the object fills. Programs that are not loaded leave theirs
/// empty.
fn fill_initial(source: &program::Object, maps: &[Map], programs: &[Program]) -> Result<(), Error> {
    for (definition, map) in source.maps.iter().zip(maps) {
        for initial in &definition.initial {
            let key = initial.index.to_le_bytes();
            if definition.kind != abi::MapKind::ProgArray {
                let mut named = source.maps.iter().zip(maps);
                let inner = named.find(|(definition, _)| definition.name == initial.name);
                let (_, inner) = inner.ok_or_else(|| {
                    let problem = format!("there is no map {}", initial.name);
                    Error::input(format!("fill map {}", definition.name), problem)
                })?;
                map.set_map(&key, inner)?;
                continue;
            }
            let mut all = programs.iter();
            if let Some(program) = all.find(|program| program.name() == initial.name) {
                map.set_program(&key, program)?;
            }
        }
    }
    Ok(())
}
