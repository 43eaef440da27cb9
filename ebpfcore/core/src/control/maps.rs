//! Operations on maps.

use super::{
    Session,
    objects::{Entry, Object},
};
use crate::{Definition, Flags, Map, Program, Shared, Status};
use abi::{
    MapKind, Platform,
    ioctl::{Handle, MESSAGE_BYTES, MapDefinition, Reply},
    limits, map,
};
use alloc::{string::String, vec::Vec};

/// Whether what is found stays in the map.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Taking {
    /// It stays.
    Copy,
    /// It is removed.
    Remove,
}

/// From `find_and_delete` of the protocol.
impl From<bool> for Taking {
    fn from(find_and_delete: bool) -> Taking {
        if find_and_delete {
            Taking::Remove
        } else {
            Taking::Copy
        }
    }
}

/// What a handle that is stored in a map names.
enum Stored {
    Map(Shared<Map>),
    Program(Shared<Program>),
}

impl Session<'_> {
    pub(super) fn create_map(
        self,
        definition: MapDefinition,
        inner: Handle,
        name: &[u8],
    ) -> Result<usize, Status> {
        let inner = match inner {
            Handle::INVALID => None,
            handle => Some(self.map(handle)?),
        };
        let template = inner.as_ref().map(|inner| inner.definition().clone());
        let definition = local_definition(&definition, name)?;
        let map = Map::new(&self.control.core, definition, template)?;
        if let Some(inner) = inner.filter(|_| map.template().is_some()) {
            map.note_template(&inner);
        }
        let entry = Entry::new(map.id(), Object::Map(map));
        let handle = self.control.publish(self.client, entry)?;
        self.reply_handle(handle, &Reply::CreateMap { handle })
    }

    pub(super) fn find_element(
        self,
        handle: Handle,
        taking: Taking,
        key: &[u8],
    ) -> Result<usize, Status> {
        let map = self.map(handle)?;
        let mut value = zeroes(map.user_value_size())?;
        if taking == Taking::Remove {
            // What is taken out and cannot be answered would be lost.
            self.check_room(8 + value.len())?;
            map.lookup_and_delete(key, &mut value)?;
            self.control.finish(None);
        } else {
            map.lookup(key, &mut value)?;
        }
        self.reply(&Reply::MapFindElement { value: &value })
    }

    pub(super) fn update_element(
        self,
        handle: Handle,
        option: u32,
        data: &[u8],
    ) -> Result<usize, Status> {
        let map = self.map(handle)?;
        let (key, value) = split(data, map.definition().key_size)?;
        map.update(key, value, Flags::from_number(u64::from(option))?)?;
        self.done()
    }

    /// Stores a map or a program; an invalid handle empties the slot.
    pub(super) fn update_with_handle(
        self,
        map_handle: Handle,
        value_handle: Handle,
        option: u32,
        key: &[u8],
    ) -> Result<usize, Status> {
        let map = self.map(map_handle)?;
        if Flags::from_number(u64::from(option))? != Flags::Any {
            return Err(Status::InvalidArgument);
        }
        if value_handle == Handle::INVALID {
            map.delete(key)?;
        } else {
            match self.stored(value_handle)? {
                Stored::Map(inner) => map.set_map(key, Some(inner))?,
                Stored::Program(program) => {
                    let index = key.try_into().map_err(|_| Status::InvalidArgument)?;
                    map.set_program(u32::from_ne_bytes(index), Some(program))?;
                }
            }
        }
        self.control.finish(None);
        self.done()
    }

    pub(super) fn delete_element(self, handle: Handle, key: &[u8]) -> Result<usize, Status> {
        self.map(handle)?.delete(key)?;
        self.control.finish(None);
        self.done()
    }

    pub(super) fn next_key(self, handle: Handle, previous: &[u8]) -> Result<usize, Status> {
        let map = self.map(handle)?;
        let mut next = zeroes(map.definition().key_size as usize)?;
        map.next_key(some(previous), &mut next)?;
        let next_key = &next;
        self.reply(&Reply::MapGetNextKey { handle, next_key })
    }

    /// Keys and values one after the other; stops at the first that fails.
    pub(super) fn update_batch(
        self,
        handle: Handle,
        option: u32,
        data: &[u8],
    ) -> Result<usize, Status> {
        let map = self.map(handle)?;
        let flags = Flags::from_number(u64::from(option))?;
        let key_size = map.definition().key_size;
        let pair = (key_size as usize).checked_add(map.user_value_size());
        let update = |pair: &[u8]| {
            let (key, value) = split(pair, key_size)?;
            map.update(key, value, flags)
        };
        let count = batch(data, pair.ok_or(Status::ArithmeticOverflow)?, update)?;
        self.reply(&Reply::MapUpdateElementBatch {
            count_of_elements_processed: count,
        })
    }

    pub(super) fn delete_batch(self, handle: Handle, keys: &[u8]) -> Result<usize, Status> {
        let map = self.map(handle)?;
        let count = batch(keys, map.definition().key_size as usize, |key| {
            map.delete(key)
        })?;
        self.control.finish(None);
        self.reply(&Reply::MapDeleteElementBatch {
            count_of_elements_processed: count,
        })
    }

    /// As many keys and values as the caller has room for.
    pub(super) fn next_batch(
        self,
        handle: Handle,
        taking: Taking,
        previous: &[u8],
    ) -> Result<usize, Status> {
        let map = self.map(handle)?;
        let (key_size, value_size) = (map.definition().key_size as usize, map.user_value_size());
        let pair = key_size
            .checked_add(value_size)
            .ok_or(Status::ArithmeticOverflow)?;
        let room = self.output.len().min(MESSAGE_BYTES).saturating_sub(8);
        let most = room.checked_div(pair).unwrap_or(0);
        if most == 0 {
            return Err(Status::InsufficientBuffer);
        }
        let mut data = Vec::new();
        let mut pairs = zeroes(pair)?;
        let mut last = some(previous).map(copy).transpose()?;
        for _ in 0..most {
            let (key, value) = pairs.split_at_mut(key_size);
            if !next_pair(&map, (last.as_deref(), taking), key, value)? {
                break;
            }
            last = Some(copy(key)?);
            data.try_reserve(pair).map_err(|_| Status::NoMemory)?;
            data.extend_from_slice(&pairs);
        }
        if taking == Taking::Remove {
            self.control.finish(None);
        }
        if data.is_empty() {
            return Err(Status::NoMoreKeys);
        }
        self.reply(&Reply::MapGetNextKeyValueBatch { data: &data })
    }

    /// The map of a handle.
    pub(super) fn map(&self, handle: Handle) -> Result<Shared<Map>, Status> {
        match self.stored(handle)? {
            Stored::Map(map) => Ok(map),
            Stored::Program(_) => Err(Status::InvalidFd),
        }
    }

    fn stored(&self, handle: Handle) -> Result<Stored, Status> {
        let id = self.id(handle)?;
        match &self.control.lock().get(id)?.object {
            Object::Map(map) => Ok(Stored::Map(map.clone())),
            Object::Program(program) => Ok(Stored::Program(program.clone())),
            Object::Draft(_) | Object::Link(_) | Object::Module => Err(Status::InvalidFd),
        }
    }

    pub(super) fn check_room(&self, needed: usize) -> Result<(), Status> {
        let fits = self.output.len() >= needed;
        fits.then_some(()).ok_or(Status::InsufficientBuffer)
    }
}

/// The next key after `last` with its value; false at the end. Keys that others remove meanwhile
/// are passed over.
fn next_pair(
    map: &Map,
    (last, taking): (Option<&[u8]>, Taking),
    key: &mut [u8],
    value: &mut [u8],
) -> Result<bool, Status> {
    let mut last = last.map(copy).transpose()?;
    // Each round passes over a key that was removed in between.
    for _ in 0..=map.definition().max_entries {
        match map.next_key(last.as_deref(), key) {
            Err(Status::NoMoreKeys) => return Ok(false),
            other => other?,
        }
        let found = match taking {
            Taking::Remove => map.lookup_and_delete(key, value),
            Taking::Copy => map.lookup(key, value),
        };
        match found {
            Err(Status::KeyNotFound | Status::ObjectNotFound) => last = Some(copy(key)?),
            other => return other.map(|()| true),
        }
    }
    Ok(false)
}

/// Does something with each element; the number done, or why the first one failed.
fn batch(
    data: &[u8],
    size: usize,
    mut action: impl FnMut(&[u8]) -> Result<(), Status>,
) -> Result<u32, Status> {
    if size == 0 || data.is_empty() || !data.len().is_multiple_of(size) {
        return Err(Status::InvalidArgument);
    }
    let mut count = 0;
    for element in data.chunks_exact(size) {
        match action(element) {
            Ok(()) => count += 1,
            Err(status) if count == 0 => return Err(status),
            Err(_) => break,
        }
    }
    Ok(count)
}

fn local_definition(map: &MapDefinition, name: &[u8]) -> Result<Definition, Status> {
    let row = map::by_number(Platform::Windows, map.map_type).ok_or(Status::InvalidArgument)?;
    if row.kind == MapKind::Other {
        return Err(Status::OperationNotSupported);
    }
    Ok(Definition {
        name: text(name, limits::NAME_BYTES)?,
        kind: row.kind,
        platform: Platform::Windows,
        key_size: map.key_size,
        value_size: map.value_size,
        max_entries: map.max_entries,
    })
}

/// A name as the protocol carries it: UTF-8, perhaps with a terminator.
pub(super) fn text(bytes: &[u8], most: usize) -> Result<String, Status> {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    let name = core::str::from_utf8(bytes).map_err(|_| Status::InvalidArgument)?;
    if name.len() > most || name.contains('\0') {
        return Err(Status::InvalidArgument);
    }
    let mut owned = String::new();
    owned
        .try_reserve_exact(name.len())
        .map_err(|_| Status::NoMemory)?;
    owned.push_str(name);
    Ok(owned)
}

fn split(data: &[u8], key_size: u32) -> Result<(&[u8], &[u8]), Status> {
    data.split_at_checked(key_size as usize)
        .ok_or(Status::InvalidArgument)
}

fn some(bytes: &[u8]) -> Option<&[u8]> {
    (!bytes.is_empty()).then_some(bytes)
}

pub(super) fn copy(bytes: &[u8]) -> Result<Vec<u8>, Status> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len())
        .map_err(|_| Status::NoMemory)?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

/// A buffer for a key or a value; more than fits into a message is never needed.
fn zeroes(length: usize) -> Result<Vec<u8>, Status> {
    if length > MESSAGE_BYTES {
        return Err(Status::InsufficientBuffer);
    }
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(length)
        .map_err(|_| Status::NoMemory)?;
    bytes.resize(length, 0);
    Ok(bytes)
}
