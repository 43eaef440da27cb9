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

mod loading;

use super::reserve::Reserve;
use super::{
    Control, Session,
    objects::{Object, State},
};
use crate::{
    Shared, Status,
    native::{Error, Item, Module, ModuleMemory, Problem, Usage},
    pin::ObjectKind,
};
use abi::{Guid, native::is_module_id_of_hash};
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
}

impl Control {
    /// Memory for what cannot fail while a module attaches.
    pub(crate) fn reserve_for_module(&self) -> Result<Reserve<'_>, Error> {
        Reserve::for_module(self.core.platform()).map_err(failed)
    }

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

    /// Takes the programs over some code from all hooks and program arrays. At hooks of extensions
    /// their links stay, without a program: this may run because the extension goes, and the system
    /// cannot take more away from it meanwhile.
    pub(super) fn silence(&self, usage: &Shared<Usage>) {
        let mut after = 0;
        while let Ok(id) = self.next_id(after, ObjectKind::Link) {
            after = id;
            let link = match self.lock().get(id).map(|entry| &entry.object) {
                Ok(Object::Link(link)) => link.clone(),
                _ => continue,
            };
            let program = link.share_program(&self.core);
            if program.is_some_and(|program| program.uses(usage)) {
                // Somebody else may have detached it meanwhile.
                if self.mute(&link).is_none() {
                    let _ = self.detach(&link);
                }
            }
        }
        after = 0;
        while let Ok(id) = self.next_id(after, ObjectKind::Map) {
            after = id;
            let map = match self.lock().get(id).map(|entry| &entry.object) {
                Ok(Object::Map(map)) => map.clone(),
                _ => continue,
            };
            map.remove_programs(&|program| program.uses(usage));
        }
        self.finish(None);
    }

    /// Does what is left to do for modules that nobody uses any more.
    pub(super) fn settle_modules(&self) {
        loop {
            let gone = self.lock().providers.take_gone();
            if let Some(binding) = gone {
                self.shell.provider_gone(binding);
                continue;
            }
            let settlement = self.lock().settle();
            match settlement {
                Some(Settlement::Gone(binding)) => self.shell.module_gone(binding),
                Some(Settlement::Stop(service)) => self.shell.unload_driver(&service),
                None => return,
            }
        }
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
}

fn failed(status: Status) -> Error {
    Error::new(Item::Table, Problem::Status(status))
}
