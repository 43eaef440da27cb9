//! Making the maps and programs of a module, for a message or at once.
//!
//! Whatever is made is entered into the registry with one user for the caller; a failure gives all
//! of it up again, pins included.

use super::{SERVICE_BYTES, SETTING_COMPARTMENT, SETTING_INTERFACE, Settings, Stage, failed};
use crate::{
    Map, Shared, Status,
    control::{
        Client, Control, Session,
        maps::{copy, text},
        objects::{Entry, Object, State},
    },
    native::{Error, Item, Loaded, Means, Module, Problem, instantiate_with},
    pin::{ObjectKind, Path, Pinned},
};
use abi::{
    Guid,
    ioctl::{Handle, Reply, Words},
    program_type::{self, LinkType},
};
use alloc::vec::Vec;

/// Objects of a loaded module by id; each has one user, which the caller gives up.
struct Objects {
    maps: Vec<u32>,
    programs: Vec<u32>,
}

impl State {
    /// The map that is pinned under a path.
    fn pinned_map(&self, path: &Path) -> Result<Option<Shared<Map>>, Status> {
        let Some(pinned) = self.pins.get(path) else {
            return Ok(None);
        };
        match &self.get(pinned.id)?.object {
            Object::Map(map) => Ok(Some(map.clone())),
            _ => Err(Status::InvalidObject),
        }
    }

    /// Adds an object, or finds it, and gives it one more user.
    fn adopt(&mut self, entry: Entry) -> Result<u32, Status> {
        let id = entry.id;
        if self.get(id).is_err() {
            self.insert(entry)?;
        }
        self.retain(id)?;
        Ok(id)
    }
}

impl Control {
    /// Loads a plain module and attaches its programs.
    pub(super) fn start_module(&self, binding: u64, settings: &dyn Settings) -> Result<(), Error> {
        let (description, objects) = self.make_objects(binding, b"")?;
        let programs = copy_ids(&objects.programs).map_err(failed);
        let owned = self.own(binding, objects);
        let programs = programs.and_then(|programs| owned.map(|()| programs).map_err(failed))?;
        for (info, id) in description.programs.iter().zip(programs) {
            let is_called_by_others = description.initial.iter().any(|initial| {
                let names = initial.values.iter().flatten();
                names.into_iter().any(|name| *name == info.name)
            });
            let (guid, link) = default_hook(info.attach_type, &info.section);
            if is_called_by_others || guid == Guid::default() {
                continue;
            }
            match self.attach_owned(binding, id, (guid, link, settings)) {
                Ok(()) => {}
                // The hook of an extension that is not there.
                Err(Status::ExtensionFailedToLoad) if self.hook(guid).is_none() => {}
                Err(status) => {
                    let item = Item::ProgramNamed(info.name.clone());
                    return Err(Error::new(item, Problem::Status(status)));
                }
            }
        }
        Ok(())
    }

    /// Attaches a program of a plain module; the link belongs to the module.
    fn attach_owned(
        &self,
        binding: u64,
        program: u32,
        (hook, kind, settings): (Guid, LinkType, &dyn Settings),
    ) -> Result<(), Status> {
        let program = match &self.lock().get(program)?.object {
            Object::Program(program) => program.clone(),
            _ => return Err(Status::InvalidObject),
        };
        let chosen = match kind {
            LinkType::Xdp => settings.number(SETTING_INTERFACE),
            LinkType::Cgroup => settings.number(SETTING_COMPARTMENT),
            LinkType::Plain | LinkType::Unspecified => None,
        };
        let number = chosen.map(u32::to_le_bytes);
        let parameter = number.as_ref().map_or(&[][..], |number| number);
        let link = self.attach(program, hook, parameter)?;
        let mut objects = Vec::new();
        if objects.try_reserve_exact(1).is_err() {
            self.handle_closed(link);
            return Err(Status::NoMemory);
        }
        objects.push(link);
        let (maps, programs) = (objects, Vec::new());
        self.own(binding, Objects { maps, programs })
    }

    /// Hands objects to a plain module; they are released when that is not possible.
    fn own(&self, binding: u64, objects: Objects) -> Result<(), Status> {
        let result = {
            let mut state = self.lock();
            let record = state.modules.of_binding(binding);
            record.ok_or(Status::InvalidState).and_then(|record| {
                let more = objects.maps.len() + objects.programs.len();
                let room = record.owned.try_reserve(more);
                room.map_err(|_| Status::NoMemory)?;
                // In this order a link goes before its program, a program before its maps.
                record.owned.splice(0..0, objects.maps.iter().copied());
                record.owned.splice(0..0, objects.programs.iter().copied());
                record.stage = Stage::Loaded;
                Ok(())
            })
        };
        result.inspect_err(|_| self.release_all(&objects))
    }

    fn close_all(&self, client: &dyn Client, handles: Words<'_, 8>) {
        for handle in handles.iter() {
            if let Some(id) = client.close(Handle(handle)) {
                self.handle_closed(id);
            }
        }
    }

    fn release_all(&self, objects: &Objects) {
        let ids = objects.programs.iter().chain(&objects.maps);
        ids.for_each(|id| self.handle_closed(*id));
    }

    /// Makes maps and programs of a module that is in the stage of loading; maps that are pinned by
    /// name are pinned in the folder.
    fn make_objects(
        &self,
        binding: u64,
        folder: &[u8],
    ) -> Result<(Shared<Module>, Objects), Error> {
        let (description, usage) = {
            let mut state = self.lock();
            let record = state.modules.of_binding(binding);
            let record = record.ok_or_else(|| failed(Status::ObjectNotFound))?;
            (record.description.clone(), record.usage.clone())
        };
        let means = Means {
            extensions: &self.linked(),
            usage,
            pinned: &|map| {
                let path = Path::below(folder, &map.definition.name)?;
                self.lock().pinned_map(&path)
            },
        };
        let loaded = instantiate_with(&self.core, &description, &means)?;
        drop(means);
        let objects = self.enter_objects(&description, loaded, folder);
        let objects = objects.map_err(failed);
        // A failure leaves objects behind that nobody uses.
        let objects = objects.inspect_err(|_| self.finish(None))?;
        Ok((description, objects))
    }

    /// Gives the objects of a module a place in the registry, and pins what is pinned by name.
    fn enter_objects(
        &self,
        module: &Module,
        loaded: Loaded,
        folder: &[u8],
    ) -> Result<Objects, Status> {
        let mut objects = Objects {
            maps: ids(loaded.maps.len())?,
            programs: ids(loaded.programs.len())?,
        };
        let entered = self.enter_all(module, loaded, &mut objects);
        let pinned =
            entered.and_then(|()| pin_all(&mut self.lock(), module, &objects.maps, folder));
        pinned.inspect_err(|_| self.release_all(&objects))?;
        Ok(objects)
    }

    fn enter_all(
        &self,
        module: &Module,
        loaded: Loaded,
        objects: &mut Objects,
    ) -> Result<(), Status> {
        let mut state = self.lock();
        for map in loaded.maps {
            let id = state.adopt(Entry::new(map.id(), Object::Map(map)))?;
            objects.maps.push(id);
        }
        for (info, program) in module.programs.iter().zip(loaded.programs) {
            let mut entry = Entry::new(program.id(), Object::Program(program));
            entry.section = text(info.section.as_bytes(), info.section.len())?;
            entry.attach_type = info.attach_type;
            objects.programs.push(state.adopt(entry)?);
        }
        Ok(())
    }

    /// Makes an object, with one user, for a module that is loaded by message; gives the numbers
    /// of its maps and programs.
    fn enter_module(
        &self,
        id: Guid,
        object: u32,
        service: Vec<u8>,
    ) -> Result<(usize, usize), Status> {
        let mut state = self.lock();
        let record = state.modules.of_id(id).ok_or(Status::ObjectNotFound)?;
        if record.stage != Stage::Attached || record.loader.is_some() {
            return Err(Status::ObjectAlreadyExists);
        }
        let counts = (
            record.description.maps.len(),
            record.description.programs.len(),
        );
        state.insert(Entry::new(object, Object::Module))?;
        state.retain(object)?;
        if let Some(record) = state.modules.of_id(id) {
            record.loader = Some((object, service));
        }
        Ok(counts)
    }
}

impl Session<'_> {
    /// Starts the driver of a service and gives a handle for the module that attached.
    pub(in super::super) fn load_module(self, id: Guid, service: &[u8]) -> Result<usize, Status> {
        let is_text = service.len().is_multiple_of(2) && !service.is_empty();
        if !is_text || service.len() > SERVICE_BYTES {
            return Err(Status::InvalidArgument);
        }
        let service = copy(service)?;
        // It may be running already; what counts is whether its module is there.
        let _ = self.control.shell.load_driver(&service);
        let object = self.control.core.take_id();
        let (maps, programs) = self.control.enter_module(id, object, service)?;
        let opened = self.client.open(object);
        let handle = opened.inspect_err(|_| self.control.handle_closed(object))?;
        self.reply_handle(
            handle,
            &Reply::LoadNativeModule {
                native_module_handle: handle,
                count_of_maps: maps as u64,
                count_of_programs: programs as u64,
            },
        )
    }

    /// Makes the maps and programs of a module, once, and gives handles for all of them.
    pub(in super::super) fn load_module_programs(
        self,
        id: Guid,
        folder: &[u8],
    ) -> Result<usize, Status> {
        let control = self.control;
        let binding = control.set_stage(id, Stage::Attached, Stage::Loading)?;
        let done = self.give_programs(binding, folder);
        let to = match done {
            Ok(_) => Stage::Loaded,
            Err(_) => Stage::Attached,
        };
        // Detaching meanwhile decides the stage by itself.
        let _ = control.set_stage(id, Stage::Loading, to);
        // Its loader may have gone meanwhile.
        control.settle_modules();
        done
    }

    fn give_programs(self, binding: u64, folder: &[u8]) -> Result<usize, Status> {
        let (control, client) = (self.control, self.client);
        let (_, objects) = control
            .make_objects(binding, folder)
            .map_err(|error| error.status())?;
        let handles = self.open_all(&objects)?;
        let (maps, programs) = (objects.maps.len(), objects.programs.len());
        let words = Words::new(&handles).ok_or(Status::Failed)?;
        self.reply(&Reply::LoadNativePrograms {
            program_handle_count: programs as u64,
            map_handle_count: maps as u64,
            handles: words,
        })
        .inspect_err(|_| control.close_all(client, words))
    }

    /// Handles for maps, then programs; on failure there are none and the objects are released.
    fn open_all(&self, objects: &Objects) -> Result<Vec<u8>, Status> {
        let count = objects.maps.len() + objects.programs.len();
        let mut handles = Vec::new();
        if handles.try_reserve_exact(count * 8).is_err() {
            self.control.release_all(objects);
            return Err(Status::NoMemory);
        }
        let mut failure = None;
        for id in objects.maps.iter().chain(&objects.programs) {
            if failure.is_none() {
                match self.client.open(*id) {
                    Ok(handle) => handles.extend_from_slice(&handle.0.to_le_bytes()),
                    Err(status) => failure = Some(status),
                }
            }
            if failure.is_some() {
                self.control.handle_closed(*id);
            }
        }
        let Some(status) = failure else {
            return Ok(handles);
        };
        if let Some(words) = Words::new(&handles) {
            self.control.close_all(self.client, words);
        }
        Err(status)
    }
}

/// The hook that a program is attached to by default, and what its parameter is: as the program
/// says, else as its section does.
fn default_hook(attach_type: Guid, section: &str) -> (Guid, LinkType) {
    let row = match attach_type == Guid::default() {
        true => program_type::by_section(abi::Platform::Windows, section),
        false => program_type::attach_by_guid(attach_type),
    };
    row.map_or((attach_type, LinkType::Plain), |row| (row.guid, row.link))
}

/// Pins the new ones among the maps that are to be pinned by name: all, or none.
fn pin_all(state: &mut State, module: &Module, maps: &[u32], folder: &[u8]) -> Result<(), Status> {
    let mut new = ids(maps.len())?;
    let named = module.maps.iter().zip(maps);
    for (info, id) in named.filter(|(info, _)| info.pin_by_name) {
        let path = Path::below(folder, &info.definition.name);
        match path.and_then(|path| pin(state, path, *id)) {
            Ok(false) => {}
            Ok(true) => new.push(*id),
            Err(status) => {
                for id in new {
                    state.pins.forget(id);
                    // The module's own use of the map is still there.
                    let _ = state.release(id);
                }
                return Err(status);
            }
        }
    }
    Ok(())
}

/// Pins a map; false when it is the one that is pinned there already.
fn pin(state: &mut State, path: Path, id: u32) -> Result<bool, Status> {
    let kind = ObjectKind::Map;
    match state.pins.get(&path) {
        Some(pinned) if pinned.id == id => return Ok(false),
        Some(_) => return Err(Status::ObjectAlreadyExists),
        None => state.pins.insert(path, Pinned { id, kind })?,
    }
    state.retain(id).map(|()| true)
}

fn ids(count: usize) -> Result<Vec<u32>, Status> {
    let mut ids = Vec::new();
    let room = ids.try_reserve_exact(count);
    room.map_err(|_| Status::NoMemory)?;
    Ok(ids)
}

fn copy_ids(from: &[u32]) -> Result<Vec<u32>, Status> {
    let mut copy = ids(from.len())?;
    copy.extend_from_slice(from);
    Ok(copy)
}
