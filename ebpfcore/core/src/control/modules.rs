//! Native modules as they come and go: authorised, attached, loaded, detached.
//!
//! A module is a driver that attaches to the provider of native modules and offers its metadata
//! table. It is accepted in one of two ways. *By message*: its id and the hash of its file were
//! authorised shortly before; programs and maps are made when a message asks for them, and once
//! nobody uses them any more the shell stops the driver. *Plainly*: a driver that was started as a
//! service by hand registers under an id made from a hash ([`is_module_id_of_hash`]); its programs
//! and maps are made at once, and each program is attached to the hook that its section names,
//! except those that stand in a program array from the start, which are reached by tail calls.
//! [`Settings`] of the service choose the interface or compartment, or turn this off.
//!
//! When a module detaches, its programs are taken from all hooks and program arrays, so that
//! stopping the driver always stops its effect. Handles and pins of others may outlast that; then
//! detaching is pending until they are gone. Invariant: [`Detached::Now`] and
//! [`Shell::module_gone`] are said only when no [`Usage`] of the module but the record's own is
//! left, that is, when no program over its code exists. Left out: signatures, which the system
//! checked before the driver ran.
//!
//! [`Shell::module_gone`]: super::Shell::module_gone

use super::{
    Control, Session,
    maps::copy,
    objects::{Entry, Object, State},
};
use crate::{
    Map, Program, Shared, Status,
    native::{Error, Item, Loaded, Means, Module, ModuleMemory, Problem, Usage},
    pin::{ObjectKind, Path, Pinned},
};
use abi::{
    AttachType, Guid,
    ioctl::{Handle, Reply, Words},
    native::is_module_id_of_hash,
    program_type::{self, LinkType},
};
use alloc::vec::Vec;

/// How long an authorisation waits for its module.
const PERMIT_NS: u64 = 10_000_000_000;
/// Authorisations that wait at the same time.
const PERMITS: usize = 64;
/// Modules at the same time.
const MODULES: usize = 1024;
/// Longest registry path of a service, in bytes.
const SERVICE_BYTES: usize = 1024;

/// Setting: 1 loads and attaches the module by itself, 0 does not. By default it depends on the id.
pub const SETTING_ATTACH: &str = "Attach";
/// Setting: the interface that programs of interfaces are attached to; by default all.
pub const SETTING_INTERFACE: &str = "Interface";
/// Setting: the compartment that programs of compartments are attached to; by default all.
pub const SETTING_COMPARTMENT: &str = "Compartment";

/// The numbers (`REG_DWORD`) below `Parameters` in the registry key of a module's service.
pub trait Settings {
    /// The number of a name; `None` when there is none.
    fn number(&self, name: &str) -> Option<u32>;
}

/// A service without settings.
pub struct NoSettings;

impl Settings for NoSettings {
    fn number(&self, _: &str) -> Option<u32> {
        None
    }
}

/// A module that attaches, as the shell knows it.
pub struct Arrival<'a> {
    /// The shell's own number for it, unique while it is attached.
    pub binding: u64,
    /// The id it registered under.
    pub module_id: Guid,
    /// Address of its metadata table.
    pub table: u64,
    /// Its image.
    pub memory: &'a dyn ModuleMemory,
    /// SHA-256 of its file, when that could be read.
    pub file_hash: Option<[u8; 32]>,
    /// Settings of its service.
    pub settings: &'a dyn Settings,
}

/// Whether a module is still used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detached {
    /// Its code never runs again: the driver may go.
    Now,
    /// The shell is told later, with [`Shell::module_gone`](super::Shell::module_gone), which may
    /// even come before this is returned.
    Later,
}

/// In which way a module was accepted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Its programs are made when a message asks for them.
    Message,
    /// Its programs are made and attached at once.
    Plain,
}

/// What became of a module.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It offers programs; none is made.
    Attached,
    /// Programs are being made.
    Loading,
    /// Programs were made.
    Loaded,
    /// Nobody uses it; the shell was asked to stop it.
    Stopping,
    /// It is being detached.
    Detaching,
    /// It is detached, but still used.
    Leaving,
}

/// One module.
struct Record {
    binding: u64,
    id: Guid,
    description: Shared<Module>,
    usage: Shared<Usage>,
    stage: Stage,
    /// Object of the message that loaded it, and its service.
    loader: Option<(u32, Vec<u8>)>,
    /// Objects that the module itself uses, when it was started plainly.
    owned: Vec<u32>,
}

/// An authorisation.
struct Permit {
    id: Guid,
    hash: [u8; 32],
    until_ns: u64,
}

/// All modules, and authorisations for those to come.
#[derive(Default)]
pub(super) struct Modules {
    records: Vec<Record>,
    permits: Vec<Permit>,
}

/// What is left to do for a module, without the lock.
enum Settlement {
    /// Tell the shell that it is not used any more.
    Gone(u64),
    /// Ask the shell to stop this service.
    Stop(Vec<u8>),
}

/// Objects of a loaded module by id; each has one user, which the caller gives up.
struct Objects {
    maps: Vec<u32>,
    programs: Vec<u32>,
}

impl Modules {
    fn of_id(&mut self, id: Guid) -> Option<&mut Record> {
        self.records.iter_mut().find(|record| record.id == id)
    }

    fn of_binding(&mut self, binding: u64) -> Option<&mut Record> {
        let mut records = self.records.iter_mut();
        records.find(|record| record.binding == binding)
    }

    fn remove(&mut self, binding: u64) {
        self.records.retain(|record| record.binding != binding);
    }

    /// Takes the authorisation of a module out; `None` when there is none.
    fn take_permit(&mut self, id: Guid, now_ns: u64) -> Option<[u8; 32]> {
        self.permits.retain(|permit| permit.until_ns > now_ns);
        let position = self.permits.iter().position(|permit| permit.id == id)?;
        Some(self.permits.swap_remove(position).hash)
    }
}

impl State {
    /// A module whose state changed because nobody uses it.
    fn settle(&mut self) -> Option<Settlement> {
        let is_gone = |record: &Record| record.stage == Stage::Leaving && record.usage.is_unique();
        let records = &self.modules.records;
        if let Some(position) = records.iter().position(is_gone) {
            let record = self.modules.records.swap_remove(position);
            return Some(Settlement::Gone(record.binding));
        }
        let is_idle = |record: &Record| {
            let loaded = matches!(record.stage, Stage::Attached | Stage::Loaded);
            let closed = |(id, _): &(u32, Vec<u8>)| self.get(*id).is_err();
            loaded && record.loader.as_ref().is_some_and(closed) && record.usage.is_unique()
        };
        let position = records.iter().position(is_idle)?;
        let record = self.modules.records.get_mut(position)?;
        record.stage = Stage::Stopping;
        record.loader.take().map(|(_, path)| Settlement::Stop(path))
    }

    /// The map that is pinned under a name.
    fn pinned_map(&self, name: &str) -> Result<Option<Shared<Map>>, Status> {
        let Some(pinned) = self.pins.get(&Path::canonical(name.as_bytes())?) else {
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
    /// Whether a module may attach, and in which way.
    pub(crate) fn welcome(&self, arrival: &Arrival<'_>) -> Result<Origin, Error> {
        let now_ns = self.core.platform().boot_ns();
        let permit = self.lock().modules.take_permit(arrival.module_id, now_ns);
        let setting = arrival.settings.number(SETTING_ATTACH);
        match (permit, setting) {
            (Some(hash), _) if arrival.file_hash == Some(hash) => Ok(Origin::Message),
            (Some(_), _) => Err(failed(Status::VerificationFailed)),
            (None, Some(0)) if is_module_id_of_hash(arrival.module_id) => Ok(Origin::Message),
            (None, Some(1)) => Ok(Origin::Plain),
            (None, _) if is_module_id_of_hash(arrival.module_id) => Ok(Origin::Plain),
            (None, _) => Err(failed(Status::VerificationFailed)),
        }
    }

    /// Takes a validated module in; a plain one runs when this returns.
    pub(crate) fn admit(
        &self,
        arrival: &Arrival<'_>,
        module: Module,
        origin: Origin,
    ) -> Result<(), Error> {
        let binding = arrival.binding;
        let record = Record {
            binding,
            id: arrival.module_id,
            description: Shared::try_new(module).map_err(failed)?,
            usage: Usage::new().map_err(failed)?,
            stage: match origin {
                Origin::Message => Stage::Attached,
                Origin::Plain => Stage::Loading,
            },
            loader: None,
            owned: Vec::new(),
        };
        self.insert_module(record).map_err(failed)?;
        if origin == Origin::Message {
            return Ok(());
        }
        let started = self.start_module(binding, arrival.settings);
        started.inspect_err(|_| {
            // What was made is taken back; nobody else can have a module that never ran.
            let _ = self.detach_module(binding);
        })
    }

    fn insert_module(&self, record: Record) -> Result<(), Status> {
        let mut state = self.lock();
        let modules = &mut state.modules;
        let is_known = modules.of_id(record.id).is_some();
        if is_known || modules.of_binding(record.binding).is_some() {
            return Err(Status::ObjectAlreadyExists);
        }
        if modules.records.len() >= MODULES {
            return Err(Status::OutOfSpace);
        }
        let room = modules.records.try_reserve(1);
        room.map_err(|_| Status::NoMemory)?;
        modules.records.push(record);
        Ok(())
    }

    /// A module detaches: its programs are not called any more when this returns. The shell keeps
    /// the driver until it is told that nobody uses it. IRQL: PASSIVE.
    pub fn detach_module(&self, binding: u64) -> Detached {
        let (usage, owned) = {
            let mut state = self.lock();
            let Some(record) = state.modules.of_binding(binding) else {
                return Detached::Now;
            };
            record.stage = Stage::Detaching;
            let owned = core::mem::take(&mut record.owned);
            (record.usage.clone(), owned)
        };
        self.silence(&usage);
        drop(usage);
        for id in owned {
            self.handle_closed(id);
        }
        let mut state = self.lock();
        let Some(record) = state.modules.of_binding(binding) else {
            return Detached::Now;
        };
        if record.usage.is_unique() {
            state.modules.remove(binding);
            return Detached::Now;
        }
        record.stage = Stage::Leaving;
        Detached::Later
    }

    /// Takes the programs over some code from all hooks and program arrays.
    fn silence(&self, usage: &Shared<Usage>) {
        let mut after = 0;
        while let Ok(id) = self.next_id(after, ObjectKind::Link) {
            after = id;
            let link = match self.lock().get(id).map(|entry| &entry.object) {
                Ok(Object::Link(link)) => link.clone(),
                _ => continue,
            };
            let program = link.share_program(&self.core);
            if program.is_some_and(|program| uses(&program, usage))
                && let Some(hook) = self.hook(link.attach_type().guid)
            {
                // Somebody else may have detached it meanwhile.
                let _ = hook.detach(&self.core, &link);
            }
        }
        after = 0;
        while let Ok(id) = self.next_id(after, ObjectKind::Map) {
            after = id;
            let map = match self.lock().get(id).map(|entry| &entry.object) {
                Ok(Object::Map(map)) => map.clone(),
                _ => continue,
            };
            map.remove_programs(&|program| uses(program, usage));
        }
        self.finish(None);
    }

    /// Does what is left to do for modules that nobody uses any more.
    pub(super) fn settle_modules(&self) {
        loop {
            let settlement = self.lock().settle();
            match settlement {
                Some(Settlement::Gone(binding)) => self.shell.module_gone(binding),
                Some(Settlement::Stop(service)) => self.shell.unload_driver(&service),
                None => return,
            }
        }
    }

    /// Loads a plain module and attaches its programs.
    fn start_module(&self, binding: u64, settings: &dyn Settings) -> Result<(), Error> {
        let (description, objects) = self.make_objects(binding)?;
        let programs = copy_ids(&objects.programs).map_err(failed);
        let owned = self.own(binding, objects);
        let programs = programs.and_then(|programs| owned.map(|()| programs).map_err(failed))?;
        for (info, id) in description.programs.iter().zip(programs) {
            let is_called_by_others = description.initial.iter().any(|initial| {
                let names = initial.values.iter().flatten();
                names.into_iter().any(|name| *name == info.name)
            });
            let Some(row) = default_hook(info.attach_type, &info.section) else {
                continue;
            };
            if is_called_by_others || self.hook(row.guid).is_none() {
                continue;
            }
            self.attach_owned(binding, id, (row, settings))
                .map_err(|status| {
                    let item = Item::ProgramNamed(info.name.clone());
                    Error::new(item, Problem::Status(status))
                })?;
        }
        Ok(())
    }

    /// Attaches a program of a plain module; the link belongs to the module.
    fn attach_owned(
        &self,
        binding: u64,
        program: u32,
        (row, settings): (&'static AttachType, &dyn Settings),
    ) -> Result<(), Status> {
        let program = match &self.lock().get(program)?.object {
            Object::Program(program) => program.clone(),
            _ => return Err(Status::InvalidObject),
        };
        let chosen = match row.link {
            LinkType::Xdp => settings.number(SETTING_INTERFACE),
            LinkType::Cgroup => settings.number(SETTING_COMPARTMENT),
            LinkType::Plain | LinkType::Unspecified => None,
        };
        let number = chosen.map(u32::to_le_bytes);
        let parameter = number.as_ref().map_or(&[][..], |number| number);
        let link = self.attach(program, row.guid, parameter)?;
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

    fn release_all(&self, objects: &Objects) {
        let ids = objects.programs.iter().chain(&objects.maps);
        ids.for_each(|id| self.handle_closed(*id));
    }

    /// Makes maps and programs of a module that is in the stage of loading.
    fn make_objects(&self, binding: u64) -> Result<(Shared<Module>, Objects), Error> {
        let (description, usage) = {
            let mut state = self.lock();
            let record = state.modules.of_binding(binding);
            let record = record.ok_or_else(|| failed(Status::ObjectNotFound))?;
            (record.description.clone(), record.usage.clone())
        };
        let means = Means {
            extensions: self.extensions,
            usage,
            pinned: &|map| self.lock().pinned_map(&map.definition.name),
        };
        let loaded = crate::native::instantiate_with(&self.core, &description, &means)?;
        drop(means);
        let objects = self.enter_objects(&description, loaded);
        let objects = objects.map_err(failed);
        // A failure leaves objects behind that nobody uses.
        let objects = objects.inspect_err(|_| self.finish(None))?;
        Ok((description, objects))
    }

    /// Gives the objects of a module a place in the registry, and pins what is pinned by name.
    fn enter_objects(&self, module: &Module, loaded: Loaded) -> Result<Objects, Status> {
        let mut objects = Objects {
            maps: ids(loaded.maps.len())?,
            programs: ids(loaded.programs.len())?,
        };
        let entered = self.enter_all(module, loaded, &mut objects);
        entered.inspect_err(|_| self.release_all(&objects))?;
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
            entry.section = super::maps::text(info.section.as_bytes(), info.section.len())?;
            entry.attach_type = info.attach_type;
            objects.programs.push(state.adopt(entry)?);
        }
        pin_all(&mut state, module, &objects.maps)
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

    /// Changes the stage of a module from an expected one.
    fn set_stage(&self, id: Guid, from: Stage, to: Stage) -> Result<u64, Status> {
        let mut state = self.lock();
        let record = state.modules.of_id(id).ok_or(Status::ObjectNotFound)?;
        match record.stage {
            stage if stage == from => {
                record.stage = to;
                Ok(record.binding)
            }
            Stage::Loaded => Err(Status::ObjectAlreadyExists),
            _ => Err(Status::ExtensionFailedToLoad),
        }
    }
}

impl Session<'_> {
    /// Remembers for some seconds that a module with this file may attach.
    pub(super) fn authorize_module(self, id: Guid, hash: [u8; 32]) -> Result<usize, Status> {
        let now_ns = self.control.core.platform().boot_ns();
        {
            let mut state = self.control.lock();
            let modules = &mut state.modules;
            modules.take_permit(id, now_ns);
            if modules.permits.len() >= PERMITS {
                return Err(Status::OutOfSpace);
            }
            let room = modules.permits.try_reserve(1);
            room.map_err(|_| Status::NoMemory)?;
            let until_ns = now_ns.saturating_add(PERMIT_NS);
            modules.permits.push(Permit { id, hash, until_ns });
        }
        self.done()
    }

    /// Starts the driver of a service and gives a handle for the module that attached.
    pub(super) fn load_module(self, id: Guid, service: &[u8]) -> Result<usize, Status> {
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
    pub(super) fn load_module_programs(self, id: Guid) -> Result<usize, Status> {
        let control = self.control;
        let binding = control.set_stage(id, Stage::Attached, Stage::Loading)?;
        let made = control.make_objects(binding);
        let to = match made {
            Ok(_) => Stage::Loaded,
            Err(_) => Stage::Attached,
        };
        // Detaching meanwhile decides the stage by itself.
        let _ = control.set_stage(id, Stage::Loading, to);
        let (_, objects) = made.map_err(|error| error.status())?;
        let handles = self.open_all(&objects)?;
        let (maps, programs) = (objects.maps.len(), objects.programs.len());
        let client = self.client;
        let words = Words::new(&handles).ok_or(Status::Failed)?;
        self.reply(&Reply::LoadNativePrograms {
            program_handle_count: programs as u64,
            map_handle_count: maps as u64,
            handles: words,
        })
        .inspect_err(|_| {
            for handle in words.iter() {
                if let Some(id) = client.close(Handle(handle)) {
                    control.handle_closed(id);
                }
            }
        })
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
        for handle in Words::<8>::new(&handles).iter().flat_map(Words::iter) {
            if let Some(id) = self.client.close(Handle(handle)) {
                self.control.handle_closed(id);
            }
        }
        Err(status)
    }
}

fn failed(status: Status) -> Error {
    Error::new(Item::Table, Problem::Status(status))
}

fn uses(program: &Program, usage: &Shared<Usage>) -> bool {
    let own = program
        .instance()
        .map(|instance| instance.usage().address());
    own == Some(usage.address())
}

/// The hook that a program is attached to by default.
fn default_hook(attach_type: Guid, section: &str) -> Option<&'static AttachType> {
    let of_section = || program_type::by_section(abi::Platform::Windows, section);
    program_type::attach_by_guid(attach_type).or_else(of_section)
}

/// Pins the new ones among the maps that are to be pinned by name: all, or none.
fn pin_all(state: &mut State, module: &Module, maps: &[u32]) -> Result<(), Status> {
    let mut new = ids(maps.len())?;
    let named = module.maps.iter().zip(maps);
    for (info, id) in named.filter(|(info, _)| info.pin_by_name) {
        match pin(state, &info.definition.name, *id) {
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

/// Pins a map under its name; false when it is the one that is pinned there already.
fn pin(state: &mut State, name: &str, id: u32) -> Result<bool, Status> {
    let path = Path::canonical(name.as_bytes())?;
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
