//! The objects of a runtime by id, and who uses them.
//!
//! An object has *users*: handles, pins, and a link that was detached from its handle on purpose.
//! Other objects may refer to it as well (a link to its program, a program to its maps); it is gone
//! when neither is left. What must happen when the last user goes (a link is detached, a map of
//! programs is emptied, so that cycles end) is told to the caller, who does it without the lock.
//!
//! Invariants: entries ascend by id, which is only given once; the registry holds one reference to
//! each object.

use super::{modules::Modules, providers::Providers};
use crate::{
    Link, Map, Program, Shared, Status,
    pin::{ObjectKind, Pins},
};
use abi::{Guid, ProgramType};
use alloc::{string::String, vec::Vec};

/// Most objects of a runtime.
pub(super) const OBJECTS: usize = 1 << 16;

/// A program whose code has not come yet.
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) program_type: &'static ProgramType,
}

/// An object.
pub(super) enum Object {
    Map(Shared<Map>),
    Program(Shared<Program>),
    Draft(Draft),
    Link(Shared<Link>),
    /// A module that was loaded through a message.
    Module,
}

/// An object and who uses it.
pub(super) struct Entry {
    pub(super) id: u32,
    pub(super) object: Object,
    /// Handles, pins, and legacy links themselves.
    users: u32,
    /// File that a program comes from, as whoever loaded it named it.
    pub(super) file: String,
    /// ELF section of a program.
    pub(super) section: String,
    /// Attach type that a program expects.
    pub(super) attach_type: Guid,
    /// Flags of a program.
    pub(super) flags: u64,
    /// Maps that a program keeps alive though its code does not name them.
    pub(super) bound: Vec<Shared<Map>>,
    /// What the verifier said last.
    pub(super) log: String,
    /// How long a link stays.
    keeping: Keeping,
}

/// How long a link stays attached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    /// As long as it has a handle or a pin.
    WithUsers,
    /// Until it is detached (legacy mode): the link counts as its own user.
    Always,
}

/// Everything that the control lock protects.
#[derive(Default)]
pub(super) struct State {
    entries: Vec<Entry>,
    pub(super) pins: Pins,
    pub(super) modules: Modules,
    pub(super) providers: Providers,
}

/// What the last user of an object leaves to do, without the lock.
pub(super) enum Farewell {
    /// Detach it.
    Link(Shared<Link>),
    /// Empty it.
    Map(Shared<Map>),
}

impl Object {
    pub(super) fn kind(&self) -> ObjectKind {
        match self {
            Object::Map(_) => ObjectKind::Map,
            Object::Program(_) | Object::Draft(_) => ObjectKind::Program,
            Object::Link(_) => ObjectKind::Link,
            Object::Module => ObjectKind::Module,
        }
    }

    /// Does nobody but the registry refer to it?
    fn is_alone(&self) -> bool {
        match self {
            Object::Map(map) => map.is_unique(),
            Object::Program(program) => program.is_unique(),
            Object::Link(link) => link.is_unique(),
            Object::Draft(_) | Object::Module => true,
        }
    }
}

impl Entry {
    pub(super) fn new(id: u32, object: Object) -> Entry {
        Entry {
            id,
            object,
            users: 0,
            file: String::new(),
            section: String::new(),
            attach_type: Guid::default(),
            flags: 0,
            bound: Vec::new(),
            log: String::new(),
            keeping: Keeping::WithUsers,
        }
    }
}

impl State {
    /// Adds an object. Ids ascend, except when two callers made objects at the same time.
    pub(super) fn insert(&mut self, entry: Entry) -> Result<(), Status> {
        if self.entries.len() >= OBJECTS {
            return Err(Status::OutOfSpace);
        }
        self.entries.try_reserve(1).map_err(|_| Status::NoMemory)?;
        let position = self.entries.partition_point(|other| other.id < entry.id);
        self.entries.insert(position, entry);
        Ok(())
    }

    fn position(&self, id: u32) -> Result<usize, Status> {
        let found = self.entries.binary_search_by_key(&id, |entry| entry.id);
        found.map_err(|_| Status::ObjectNotFound)
    }

    pub(super) fn get(&self, id: u32) -> Result<&Entry, Status> {
        let position = self.position(id)?;
        self.entries.get(position).ok_or(Status::ObjectNotFound)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Result<&mut Entry, Status> {
        let position = self.position(id)?;
        self.entries.get_mut(position).ok_or(Status::ObjectNotFound)
    }

    /// The first object of a kind after an id.
    pub(super) fn next_id(&self, after: u32, kind: ObjectKind) -> Result<u32, Status> {
        let start = self.entries.partition_point(|entry| entry.id <= after);
        let mut rest = self.entries.iter().skip(start);
        let next = rest.find(|entry| entry.object.kind() == kind);
        next.map(|entry| entry.id).ok_or(Status::NoMoreKeys)
    }

    /// One more user.
    pub(super) fn retain(&mut self, id: u32) -> Result<(), Status> {
        let entry = self.get_mut(id)?;
        entry.users = entry.users.checked_add(1).ok_or(Status::OutOfSpace)?;
        Ok(())
    }

    /// One user less; what to do when it was the last one.
    pub(super) fn release(&mut self, id: u32) -> Option<Farewell> {
        let entry = self.get_mut(id).ok()?;
        entry.users = entry.users.saturating_sub(1);
        if entry.users > 0 {
            return None;
        }
        match &entry.object {
            Object::Link(link) => Some(Farewell::Link(link.clone())),
            Object::Map(map) => Some(Farewell::Map(map.clone())),
            Object::Program(_) | Object::Draft(_) | Object::Module => None,
        }
    }

    /// Decides how long a link stays.
    pub(super) fn keep_link(&mut self, id: u32, keeping: Keeping) -> Option<Farewell> {
        let entry = self.get_mut(id).ok()?;
        if entry.keeping == keeping {
            return None;
        }
        entry.keeping = keeping;
        match keeping {
            Keeping::WithUsers => self.release(id),
            Keeping::Always => {
                entry.users = entry.users.saturating_add(1);
                None
            }
        }
    }

    /// Takes out one object that nobody uses or refers to. Dropping it may leave others alone.
    pub(super) fn take_unused(&mut self) -> Option<Entry> {
        let is_unused = |entry: &Entry| entry.users == 0 && entry.object.is_alone();
        let position = self.entries.iter().position(is_unused)?;
        Some(self.entries.remove(position))
    }

    /// All objects, to count what refers to what.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}
