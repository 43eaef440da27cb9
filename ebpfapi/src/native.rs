//! Loading a driver: authorisation, service, module, programs.
//!
//! The order is that of eBPF for Windows: the runtime is told the hash of the file and a new id, a
//! service with that id is made, the runtime starts it and gives the programs; in the end the service
//! is retired, so that it goes when the last user of its programs does. Invariant: whatever fails, the
//! handles are closed first and then the service is stopped and deleted, so nothing is left over.

use crate::encode::answer;
use crate::handle::OwnedHandle;
use crate::{Cause, Client, Error, Loaded, Map, NewService, Object, Program};
use abi::Guid;
use abi::ioctl::{Handle, Request};
use abi::result::EbpfResult;
use sha2::{Digest as _, Sha256};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// Below it lie the keys of services.
const SERVICES: &str = r"\Registry\Machine\System\CurrentControlSet\Services";

/// Loads all programs of a driver.
pub(crate) fn load(object: &Object, bytes: &[u8], client: &Client) -> Result<Loaded, Error> {
    let doing = || format!("load driver {}", object.name);
    let Some(file) = &object.file else {
        let problem = "a driver is loaded from its file, not from memory";
        return Err(Error::input(doing(), problem));
    };
    if object.maps.iter().any(|map| map.reuse.is_some()) {
        let problem = "the maps of a driver cannot be replaced; pin them by name instead";
        return Err(Error::input(doing(), problem));
    }
    refuse_changed(bytes).map_err(|cause| Error::new(doing(), cause))?;
    let (module_id, name) = (random_id(), random_id().to_string());
    authorize(client, module_id, bytes)?;
    let service = NewService {
        name: &name,
        file,
        module_id,
    };
    let transport = client.transport();
    let made = transport.create_service(&service);
    made.map_err(|cause| Error::new(doing(), cause))?;
    let loaded = load_module(object, client, (&name, module_id));
    let loaded = loaded.map_err(|error| {
        // The message about the failure matters more than one about cleaning up.
        let _ = transport.remove_service(&name);
        match error.is(EbpfResult::ObjectNotFound) {
            true => Error::new(doing(), Cause::Module(why_not_started(bytes))),
            false => error.while_doing(doing()),
        }
    })?;
    let retired = transport.retire_service(&name);
    if let Err(cause) = retired {
        drop(loaded);
        let _ = transport.remove_service(&name);
        return Err(Error::new(doing(), cause));
    }
    Ok(loaded)
}

/// Tells the runtime which file may come under an id.
fn authorize(client: &Client, module_id: Guid, bytes: &[u8]) -> Result<(), Error> {
    client.tell(&Request::AuthorizeNativeModule {
        module_id,
        module_hash: Sha256::digest(bytes).into(),
    })
}

fn load_module(
    object: &Object,
    client: &Client,
    (name, module_id): (&str, Guid),
) -> Result<Loaded, Error> {
    let path: Vec<u8> = format!(r"{SERVICES}\{name}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let request = Request::LoadNativeModule {
        module_id,
        data: &path,
    };
    let (module, maps, programs) = client.ask(&request, |reply| {
        answer!(reply, LoadNativeModule { native_module_handle, count_of_maps, count_of_programs }
            => (native_module_handle, count_of_maps, count_of_programs))
    })?;
    // Closed when this function ends: the module stays as long as its programs are used.
    let _module = OwnedHandle::new(client, module);
    let expected = (object.maps.len() as u64, object.programs.len() as u64);
    if (maps, programs) != expected {
        let problem = format!(
            "the running driver has {maps} maps and {programs} programs, the file {} and {}",
            expected.0, expected.1
        );
        return Err(Error::new("load a module", Cause::Module(problem)));
    }
    let (maps, programs) = load_programs(client, module_id)?;
    let maps = maps.into_iter().map(Map::of_handle);
    let programs = programs.into_iter().map(Program::of_handle);
    let maps = maps.collect::<Result<Vec<Map>, Error>>()?;
    let names = object.maps.iter().map(|map| map.name.clone());
    Ok(Loaded {
        maps: names.zip(maps).collect(),
        programs: programs.collect::<Result<Vec<Program>, Error>>()?,
    })
}

/// Handles of maps and of programs.
fn load_programs(
    client: &Client,
    module_id: Guid,
) -> Result<(Vec<OwnedHandle>, Vec<OwnedHandle>), Error> {
    let request = Request::LoadNativePrograms {
        module_id,
        pin_root_path: &[],
    };
    client.ask(&request, |reply| {
        let (maps, handles) = answer!(reply, LoadNativePrograms { map_handle_count, handles }
            => (map_handle_count, handles.iter().collect::<Vec<u64>>()))?;
        let own = |handle| OwnedHandle::new(client, Handle(handle));
        let mut handles: Vec<OwnedHandle> = handles.into_iter().map(own).collect();
        let maps = usize::try_from(maps).map_err(|_| Cause::OtherReply)?;
        if maps > handles.len() {
            return Err(Cause::OtherReply);
        }
        let programs = handles.split_off(maps);
        Ok((handles, programs))
    })
}

/// No machine starts a driver that was changed after it was signed; the caller hears it before
/// anything is made.
fn refuse_changed(bytes: &[u8]) -> Result<(), Cause> {
    match signing::inspect(bytes) {
        Ok(Some(signature)) if !signature.digest_matches => Err(Cause::Module(
            "the file was changed after it was signed; copy or compile it again".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// What is wrong with a driver that did not become a module, as far as its file tells.
fn why_not_started(bytes: &[u8]) -> String {
    let signature = match signing::inspect(bytes) {
        Ok(None) => "the file is not signed",
        Ok(Some(signature)) if !signature.is_good() => "its signature is broken",
        Ok(Some(_)) => {
            "this machine may not trust who signed it, or the runtime refused its metadata, or the \
             same file runs under another service"
        }
        Err(_) => "its signature cannot be read",
    };
    format!("the driver did not become a module of the runtime; {signature}")
}

/// A random GUID of version 4. The standard library seeds its hash tables from the system's random
/// numbers; an id has to be new, not secret.
fn random_id() -> Guid {
    let random = || u128::from(RandomState::new().build_hasher().finish());
    let bits = random() << 64 | random();
    let version = (bits & !(0xf << 76)) | 0x4 << 76;
    Guid::from_u128((version & !(0x3 << 62)) | 0x2 << 62)
}
