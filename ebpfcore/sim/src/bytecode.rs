//! Verified bytecode over the maps of a host, for the interpreter.

use crate::Error;
use crate::raw::extensions::HostExtensions;
use ebpfcore::helper::{Extensions, resolve};
use ebpfcore::interpreter::{Callee, Links, translate};
use ebpfcore::object::{Checking, LoadError};
use ebpfcore::{Code, Core, Machine, Map, Program, Shared, Status};
use program::Object;
use verifier::Verified;

/// Translates programs over maps that were made from the same object in another way.
pub(crate) fn load(
    core: &Core,
    maps: &[Shared<Map>],
    (object, programs): (&Object, &[Verified<'_>]),
    checking: Checking,
) -> Result<Vec<Shared<Program>>, Error> {
    same_maps(maps, object)?;
    let mut loaded = Vec::with_capacity(programs.len());
    for verified in programs {
        let source = verified.program();
        let links = MapLinks {
            object,
            maps,
            program: source,
        };
        let code = translate(&source.insns, &links).map_err(|error| {
            Error::Object(LoadError::Program {
                name: source.name.clone(),
                error,
            })
        })?;
        let machine = Machine::new(code, maps.to_vec()).for_type(source.program_type);
        let code = if verified.is_proved() && checking == Checking::Unproved {
            Code::Interpreted(machine)
        } else {
            Code::Checked(machine)
        };
        let program = Program::new(core, &source.name, source.program_type, code);
        loaded.push(program.map_err(|_| Error::Object(LoadError::NoMemory))?);
    }
    Ok(loaded)
}

/// Map numbers in the bytecode are indices: the maps must be the object's, in its order.
fn same_maps(maps: &[Shared<Map>], object: &Object) -> Result<(), Error> {
    let different = |name: &str| Error::MapAccess {
        map: name.to_owned(),
        what: "comparing image and object",
        status: Status::InvalidObject,
    };
    for (at, wanted) in object.maps.iter().enumerate() {
        let definition = maps.get(at).map(|map| map.definition());
        let same = definition.is_some_and(|found| {
            found.name == wanted.name
                && found.kind == wanted.kind
                && found.key_size == wanted.key_size
                && found.value_size == wanted.value_size
                && found.max_entries == wanted.max_entries
        });
        if !same {
            return Err(different(&wanted.name));
        }
    }
    match maps.get(object.maps.len()) {
        Some(extra) => Err(different(extra.name())),
        None => Ok(()),
    }
}

/// References of one program.
struct MapLinks<'a> {
    object: &'a Object,
    maps: &'a [Shared<Map>],
    program: &'a program::Program,
}

impl Links for MapLinks<'_> {
    fn map(&self, index: u32) -> Option<u64> {
        self.maps.get(index as usize).map(Shared::address)
    }

    fn map_value(&self, index: u32) -> Option<u64> {
        self.maps.get(index as usize)?.array_data()
    }

    fn helper(&self, id: i32) -> Option<Callee> {
        let id = u32::try_from(id).ok()?;
        resolve(self.program.program_type, id, &HostExtensions)
    }

    fn btf_function(&self, index: i32) -> Option<Callee> {
        let index = usize::try_from(index).ok()?;
        let wanted = self.object.btf_functions.get(index)?;
        let function = HostExtensions.btf_function(&wanted.name, wanted.module)?;
        Some(Callee {
            function,
            helper: None,
            tail_call: false,
        })
    }
}
