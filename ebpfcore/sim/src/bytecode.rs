//! Verified bytecode over the maps of a host, for the interpreter.

use crate::Error;
use crate::raw::extensions::HostExtensions;
use ebpfcore::object::{Checking, LoadError, code_over};
use ebpfcore::{Core, Map, Program, Shared, Status};
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
        let code = code_over(object, maps, verified, &HostExtensions, checking);
        let code = code.map_err(Error::Object)?;
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
