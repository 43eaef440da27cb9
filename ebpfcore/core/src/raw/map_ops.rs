//! Operations on maps with keys and values: for programs by address, for users by slice.
//!
//! Both go through the same code; the user side first checks lengths and pins the epoch.
#![expect(unsafe_code, reason = "keys and values are reached by address")]

use super::{
    addresses::{copy_shared, pointer, read_bytes},
    shared::Shared,
    table::{Env, Mode},
};
use crate::{
    Definition, Flags, Map, Program, Record, Status,
    map::{Body, array::ArrayMap, hash::HashMap, lpm::LpmMap, slots::SlotMap},
};
use abi::{MapKind, Platform};

/// Whose copies of a per-CPU value an operation means.
#[derive(Clone, Copy)]
pub(crate) enum Scope {
    /// Those of one CPU: what programs see.
    Cpu(u32),
    /// All, each padded to 8 bytes, in CPU order: what users see.
    All,
}

/// Operations for running programs.
impl Map {
    /// Address of the value of a key, or 0.
    ///
    /// # Safety
    ///
    /// `key` is readable for the key size; the epoch is pinned while the result is used.
    pub(crate) unsafe fn find(&self, key: *const u8, cpu: u32) -> u64 {
        // SAFETY: the caller's obligations, for each of the calls.
        unsafe {
            match &self.body {
                Body::Array(array) => array.element(read_index(key)),
                Body::PerCpuArray(array) => array.element_of_cpu(read_index(key), cpu),
                Body::Hash(hash) => copy_of(hash, hash.table.find(key), cpu),
                Body::LruHash(hash) => copy_of(hash, hash.table.find_and_use(key), cpu),
                Body::Lpm(lpm) => find_prefix(lpm, slice(key, lpm.key_size)),
                Body::HashOfMaps(hash) => match hash.table.find(key) {
                    0 => 0,
                    value => read_word(value),
                },
                Body::Slots(slots) if slots.template.is_some() => {
                    slots.load(read_index(key)).unwrap_or(0)
                }
                _ => 0,
            }
        }
    }

    /// Inserts or replaces.
    ///
    /// # Safety
    ///
    /// `key` is readable for the key size, `value` for the value size of the scope; the epoch is
    /// pinned.
    pub(crate) unsafe fn put(
        &self,
        key: *const u8,
        value: *const u8,
        flags: Flags,
        scope: Scope,
    ) -> Result<(), Status> {
        // SAFETY: the caller's obligations, for each of the calls.
        unsafe {
            match &self.body {
                Body::Array(array) | Body::PerCpuArray(array) => {
                    self.put_element(array, read_index(key), value, (flags, scope))
                }
                Body::Hash(hash) | Body::LruHash(hash) if hash.cpus > 1 => {
                    self.put_copies(hash, key, value, (flags, scope))
                }
                Body::Hash(hash) | Body::LruHash(hash) => {
                    let fill = |to| copy_shared(to, value, hash.value_size);
                    // One atomic store replaces a small value as completely as a new entry does.
                    if matches!(hash.value_size, 1 | 2 | 4 | 8) && flags != Flags::NoExist {
                        let found = hash.table.find(key);
                        if found != 0 {
                            fill(pointer(found));
                            return Ok(());
                        }
                    }
                    hash.table.update(self.env(), key, mode(flags), fill)?;
                    Ok(())
                }
                Body::Lpm(lpm) => self.put_prefix(lpm, slice(key, lpm.key_size), value, flags),
                _ => Err(Status::InvalidArgument),
            }
        }
    }

    /// Removes a key.
    ///
    /// # Safety
    ///
    /// `key` is readable for the key size; the epoch is pinned.
    pub(crate) unsafe fn delete_key(&self, key: *const u8) -> Result<(), Status> {
        // SAFETY: the caller's obligations, for each of the calls.
        unsafe {
            match &self.body {
                // Windows: deleting an array element zeroes it. Linux refuses.
                Body::Array(array) | Body::PerCpuArray(array)
                    if self.definition.platform == Platform::Windows =>
                {
                    array.zero(read_index(key))
                }
                Body::Hash(hash) | Body::LruHash(hash) => {
                    hash.table.remove(self.env(), key)?;
                    Ok(())
                }
                Body::Lpm(lpm) => {
                    let key = slice(key, lpm.key_size);
                    let prefix = lpm.prefix(key)?;
                    let masked = lpm.masked(key, prefix);
                    lpm.table.remove(self.env(), masked.as_ptr())?;
                    lpm.note_removed(prefix);
                    Ok(())
                }
                _ => Err(Status::InvalidArgument),
            }
        }
    }

    /// Removes a key and gives the address of its value, valid until the epoch ends.
    ///
    /// # Safety
    ///
    /// `key` is readable for the key size; the epoch is pinned.
    pub(crate) unsafe fn take(&self, key: *const u8, cpu: u32) -> Result<u64, Status> {
        match &self.body {
            Body::Hash(hash) | Body::LruHash(hash) => {
                // SAFETY: the caller's obligations.
                let value = unsafe { hash.table.remove(self.env(), key) }?;
                Ok(copy_of(hash, value, cpu))
            }
            Body::Lpm(_) => Err(Status::OperationNotSupported),
            _ => Err(Status::InvalidArgument),
        }
    }

    /// Whether `size` bytes at an address lie in one value of this map. Only the checked
    /// interpreter asks.
    pub(crate) fn holds(&self, address: u64, size: u64) -> bool {
        match &self.body {
            Body::Array(array) | Body::PerCpuArray(array) => array.holds(address, size),
            Body::Hash(hash) | Body::LruHash(hash) => hash.table.holds(self.env(), address, size),
            Body::Lpm(lpm) => lpm.table.holds(self.env(), address, size),
            Body::Ring(ring) => ring.ring.holds(address, size),
            _ => false,
        }
    }

    /// The inner map at an address that [`Map::find`] may have returned.
    pub(crate) fn inner_holds(&self, address: u64, size: u64) -> bool {
        let mut held = false;
        self.each_reference(|inner| {
            // SAFETY: references in maps of maps are live maps; the epoch is pinned.
            held |= unsafe { Shared::<Map>::borrow_address(inner) }.holds(address, size);
        });
        held
    }

    /// Whether an address is that of a map stored in this map of maps.
    pub(crate) fn refers_to(&self, address: u64) -> bool {
        let mut found = false;
        self.each_reference(|inner| found |= inner == address);
        found
    }

    pub(crate) fn env(&self) -> Env<'_> {
        Env {
            platform: self.core.platform(),
            epoch: self.core.epoch(),
        }
    }

    /// Safety: `value` is readable for the value size of the scope.
    unsafe fn put_element(
        &self,
        array: &ArrayMap,
        index: u32,
        value: *const u8,
        (flags, scope): (Flags, Scope),
    ) -> Result<(), Status> {
        let linux = self.definition.platform == Platform::Linux;
        if index >= array.entries() {
            return Err(if linux {
                Status::OutOfSpace
            } else {
                Status::InvalidArgument
            });
        }
        if flags == Flags::NoExist {
            return Err(if linux {
                Status::KeyAlreadyExists
            } else {
                Status::InvalidArgument
            });
        }
        let size = self.definition.value_size as usize;
        let (first, last) = match scope {
            _ if array.cpus() == 1 => (0, 0),
            Scope::Cpu(cpu) => (cpu, cpu),
            Scope::All => (0, array.cpus() - 1),
        };
        for cpu in first..=last {
            let to = array.element_of_cpu(index, cpu);
            if to == 0 {
                return Err(Status::InvalidArgument);
            }
            let skip = (cpu - first) as usize * array.stride();
            // SAFETY: an element of the array; the source is readable by contract.
            unsafe { copy_shared(pointer(to), value.add(skip), size) };
        }
        Ok(())
    }

    /// Per-CPU values are written in place: each CPU owns its copy.
    ///
    /// Safety: as for [`Map::put`].
    unsafe fn put_copies(
        &self,
        hash: &HashMap,
        key: *const u8,
        value: *const u8,
        (flags, scope): (Flags, Scope),
    ) -> Result<(), Status> {
        let write = |to: *mut u8| match scope {
            // SAFETY: the value area has `cpus` copies; the source is readable by contract.
            Scope::Cpu(cpu) => unsafe {
                let skip = cpu.min(hash.cpus - 1) as usize * hash.stride;
                copy_shared(to.add(skip), value, hash.value_size);
            },
            // SAFETY: as above.
            Scope::All => unsafe {
                copy_shared(to, value, hash.stride * hash.cpus as usize);
            },
        };
        loop {
            // SAFETY: the caller's obligations.
            let found = unsafe { hash.table.find(key) };
            if found != 0 {
                if flags == Flags::NoExist {
                    return Err(Status::KeyAlreadyExists);
                }
                write(pointer(found));
                return Ok(());
            }
            if flags == Flags::Exist {
                return Err(Status::KeyNotFound);
            }
            let fill = |to: *mut u8| {
                // SAFETY: the value area has `cpus` copies.
                unsafe { core::ptr::write_bytes(to, 0, hash.stride * hash.cpus as usize) };
                write(to);
            };
            // SAFETY: the caller's obligations.
            match unsafe { hash.table.update(self.env(), key, Mode::Insert, fill) } {
                // Another CPU was faster: write into its entry.
                Err(Status::KeyAlreadyExists) if flags == Flags::Any => {}
                other => return other.map(|_| ()),
            }
        }
    }

    /// Safety: `value` is readable for the value size; the epoch is pinned.
    unsafe fn put_prefix(
        &self,
        lpm: &LpmMap,
        key: &[u8],
        value: *const u8,
        flags: Flags,
    ) -> Result<(), Status> {
        let prefix = lpm.prefix(key)?;
        let masked = lpm.masked(key, prefix);
        // SAFETY: the value area of a node has room for the value.
        let fill = |to| unsafe { copy_shared(to, value, lpm.value_size) };
        // The length is announced before the entry can be seen, and taken back if none was added.
        lpm.note_added(prefix);
        // SAFETY: `masked` is longer than any key; the epoch is pinned by contract.
        let done = unsafe {
            lpm.table
                .update(self.env(), masked.as_ptr(), mode(flags), fill)
        };
        if !matches!(done, Ok(ref replaced) if replaced.0 == 0) {
            lpm.note_removed(prefix);
        }
        done.map(|_| ())
    }

    fn each_reference(&self, mut action: impl FnMut(u64)) {
        match &self.body {
            Body::Slots(slots) if slots.template.is_some() => {
                for index in 0..slots.entries() {
                    match slots.load(index) {
                        Some(address) if address != 0 => action(address),
                        _ => {}
                    }
                }
            }
            Body::HashOfMaps(hash) => hash.table.each(|value| {
                // SAFETY: the value of a node of this table is one word.
                action(unsafe { read_word(value) });
            }),
            _ => {}
        }
    }
}

/// Operations for users: lengths are checked, per-CPU values are given whole.
impl Map {
    /// Copies the value of a key out. Queues and stacks give the next element for an empty key;
    /// maps of maps and of programs give the id.
    ///
    /// # Errors
    ///
    /// [`Status::KeyNotFound`] or (arrays) [`Status::ObjectNotFound`] when there is no such
    /// element, [`Status::InvalidArgument`] for a buffer of the wrong length.
    pub fn lookup(&self, key: &[u8], value: &mut [u8]) -> Result<(), Status> {
        self.check_key(key)?;
        if value.len() != self.user_value_size() {
            return Err(Status::InvalidArgument);
        }
        let _guard = self.core.pin();
        match &self.body {
            Body::Queue(queue) => queue.peek(self.core.platform(), value),
            Body::Slots(slots) => {
                let address = slots.load(index_of(key)).unwrap_or(0);
                copy_id(slots, address, value)
            }
            Body::PerCpuArray(array) => copy_element(array, index_of(key), value),
            Body::Array(array) => match array.element(index_of(key)) {
                0 => Err(Status::ObjectNotFound),
                address => {
                    // SAFETY: an element of the array.
                    unsafe { read_bytes(address, value) };
                    Ok(())
                }
            },
            // Users do not refresh entries of LRU maps: `Table::find`, not `find_and_use`.
            Body::Hash(hash) | Body::LruHash(hash) | Body::HashOfMaps(hash) => {
                // SAFETY: the key has the right length; the epoch is pinned.
                let address = unsafe { hash.table.find(key.as_ptr()) };
                self.copy_found(address, value)
            }
            Body::Lpm(lpm) => {
                lpm.prefix(key)?;
                self.copy_found(find_prefix(lpm, key), value)
            }
            Body::Ring(_) | Body::Perf(_) => Err(Status::OperationNotSupported),
        }
    }

    /// Sets the value of a key. Queues and stacks push for an empty key.
    ///
    /// # Errors
    ///
    /// [`Status::KeyAlreadyExists`], [`Status::KeyNotFound`], [`Status::OutOfSpace`],
    /// [`Status::NoMemory`], or [`Status::InvalidArgument`] for a buffer of the wrong length, and
    /// for maps of maps and of programs (see [`Map::set_map`], [`Map::set_program`]).
    pub fn update(&self, key: &[u8], value: &[u8], flags: Flags) -> Result<(), Status> {
        self.check_key(key)?;
        if value.len() != self.user_value_size() {
            return Err(Status::InvalidArgument);
        }
        if let Body::Queue(queue) = &self.body {
            return queue.push(self.core.platform(), value, flags);
        }
        let _guard = self.core.pin();
        // SAFETY: both buffers have the right length; the epoch is pinned.
        unsafe { self.put(key.as_ptr(), value.as_ptr(), flags, Scope::All) }
    }

    /// Removes a key (arrays on Windows: zeroes the element).
    ///
    /// # Errors
    ///
    /// [`Status::KeyNotFound`], or [`Status::InvalidArgument`].
    pub fn delete(&self, key: &[u8]) -> Result<(), Status> {
        self.check_key(key)?;
        match &self.body {
            Body::Slots(slots) if slots.template.is_none() => self.set_program(index_of(key), None),
            Body::Slots(_) | Body::HashOfMaps(_) => self.set_map(key, None),
            _ => {
                let _guard = self.core.pin();
                // SAFETY: the key has the right length; the epoch is pinned.
                unsafe { self.delete_key(key.as_ptr()) }
            }
        }
    }

    /// Copies the value of a key out and removes it; queues and stacks pop for an empty key.
    ///
    /// # Errors
    ///
    /// [`Status::KeyNotFound`]; [`Status::ObjectNotFound`] for an empty queue;
    /// [`Status::InvalidArgument`] and [`Status::OperationNotSupported`] for other kinds.
    pub fn lookup_and_delete(&self, key: &[u8], value: &mut [u8]) -> Result<(), Status> {
        self.check_key(key)?;
        if value.len() != self.user_value_size() {
            return Err(Status::InvalidArgument);
        }
        if let Body::Queue(queue) = &self.body {
            return queue.pop(self.core.platform(), value);
        }
        let _guard = self.core.pin();
        // SAFETY: the key has the right length; the epoch is pinned, so the value is still there.
        unsafe {
            let address = self.take(key.as_ptr(), 0)?;
            read_bytes(address, value);
        }
        Ok(())
    }

    /// Copies the key after `previous` into `next`; the first one when `previous` is absent or no
    /// longer in the map.
    ///
    /// # Errors
    ///
    /// [`Status::NoMoreKeys`] at the end; [`Status::OperationNotSupported`] for kinds without
    /// keys.
    pub fn next_key(&self, previous: Option<&[u8]>, next: &mut [u8]) -> Result<(), Status> {
        if next.len() != self.definition.key_size as usize {
            return Err(Status::InvalidArgument);
        }
        if let Some(previous) = previous {
            self.check_key(previous)?;
        }
        let _guard = self.core.pin();
        match &self.body {
            Body::Array(_) | Body::PerCpuArray(_) | Body::Slots(_) => {
                let last = self.definition.max_entries - 1;
                let index = match previous.map(index_of) {
                    Some(previous) if previous < last => previous + 1,
                    Some(previous) if previous == last => return Err(Status::NoMoreKeys),
                    _ => 0,
                };
                next.copy_from_slice(&index.to_ne_bytes());
                Ok(())
            }
            Body::Hash(hash) | Body::LruHash(hash) | Body::HashOfMaps(hash) => {
                hash.table.next_key(previous, next)
            }
            Body::Lpm(lpm) => lpm.table.next_key(previous, next),
            Body::Queue(_) | Body::Ring(_) | Body::Perf(_) => Err(Status::OperationNotSupported),
        }
    }

    /// Puts a program into a program array, or empties a slot. Waits for running programs when
    /// something is replaced: the caller must not be inside [`crate::Run`].
    ///
    /// # Errors
    ///
    /// [`Status::InvalidArgument`] for a bad index, [`Status::InvalidFd`] when the program is of
    /// another type than the first one, [`Status::KeyNotFound`] when an empty slot is emptied.
    pub fn set_program(&self, index: u32, program: Option<Shared<Program>>) -> Result<(), Status> {
        let Body::Slots(slots) = &self.body else {
            return Err(Status::InvalidArgument);
        };
        if slots.template.is_some() || index >= slots.entries() {
            return Err(Status::InvalidArgument);
        }
        let emptied = program.is_none();
        if let Some(program) = &program {
            slots.admit(program.program_type())?;
        }
        let old = slots.swap(index, program.map_or(0, Shared::into_address))?;
        if old != 0 {
            self.core.epoch().synchronize(self.core.platform());
            // SAFETY: the slot owned this reference, and no reader can still use it.
            drop(unsafe { Shared::<Program>::from_address(old) });
        } else if emptied {
            return Err(Status::KeyNotFound);
        }
        Ok(())
    }

    /// Puts a map into a map of maps, or removes a key. Waits for running programs when something
    /// is replaced: the caller must not be inside [`crate::Run`].
    ///
    /// # Errors
    ///
    /// [`Status::InvalidObject`] when the map does not match the template,
    /// [`Status::InvalidArgument`], [`Status::KeyNotFound`], [`Status::OutOfSpace`].
    pub fn set_map(&self, key: &[u8], inner: Option<Shared<Map>>) -> Result<(), Status> {
        self.check_key(key)?;
        let template = match &self.body {
            Body::Slots(slots) => slots.template.as_ref(),
            Body::HashOfMaps(hash) => hash.template.as_ref(),
            _ => None,
        };
        let template = template.ok_or(Status::InvalidArgument)?;
        if let Some(inner) = &inner
            && !matches_template(template, inner.definition())
        {
            return Err(Status::InvalidObject);
        }
        let old = self.swap_reference(key, inner)?;
        if old != 0 {
            self.core.epoch().synchronize(self.core.platform());
            // SAFETY: the map owned this reference, and no reader can still use it.
            drop(unsafe { Shared::<Map>::from_address(old) });
        }
        Ok(())
    }

    /// Empties maps of programs and of maps, which breaks cycles of references, and ends requests
    /// that wait for records: nobody uses the map from outside any more. The caller must not be inside [`crate::Run`].
    pub fn release_references(&self) {
        for ring in self.rings() {
            ring.waiters.abandon(&self.core);
        }
        let Body::Slots(slots) = &self.body else {
            return;
        };
        let is_used = |index: &u32| slots.load(*index).unwrap_or(0) != 0;
        for index in (0..slots.entries()).filter(is_used) {
            // Emptying a slot that is in use cannot fail.
            let _ = match slots.template {
                None => self.set_program(index, None),
                Some(_) => self.set_map(&index.to_ne_bytes(), None),
            };
        }
    }

    /// Takes programs out of a program array. The caller must not be inside [`crate::Run`].
    pub(crate) fn remove_programs(&self, is_unwanted: &dyn Fn(&Program) -> bool) {
        let Body::Slots(slots) = &self.body else {
            return;
        };
        if slots.template.is_some() {
            return;
        }
        for index in 0..slots.entries() {
            let is_unwanted = {
                let _pinned = self.core.pin();
                let address = slots.load(index).unwrap_or(0);
                // SAFETY: slots give up references only after the epoch that is pinned.
                address != 0 && is_unwanted(unsafe { Shared::<Program>::borrow_address(address) })
            };
            if is_unwanted {
                // Somebody else may have emptied the slot meanwhile.
                let _ = self.set_program(index, None);
            }
        }
    }

    /// Adds a record to the ring of an index: 0, or a processor.
    ///
    /// # Errors
    ///
    /// [`Status::InvalidArgument`] for an index or a length that cannot be, [`Status::NoMemory`]
    /// when there is no room, [`Status::OperationNotSupported`] for other kinds.
    pub fn put_record(&self, index: u64, data: &[u8]) -> Result<(), Status> {
        let _guard = self.core.pin();
        self.ring(index)?.output(self.core.platform(), [data, &[]])
    }

    /// Takes the next record of a ring buffer, or of any CPU's ring of a perf event array.
    ///
    /// # Errors
    ///
    /// [`Status::NoMoreKeys`] when there is none, [`Status::OperationNotSupported`] for other
    /// kinds.
    pub fn take_record(&self) -> Result<Record, Status> {
        let platform = self.core.platform();
        match &self.body {
            Body::Ring(ring) => Ok(Record {
                cpu: 0,
                data: ring.ring.take(platform)?,
            }),
            Body::Perf(perf) => {
                for (cpu, ring) in (0..).zip(&perf.rings) {
                    match ring.take(platform) {
                        Ok(data) => return Ok(Record { cpu, data }),
                        Err(Status::NoMoreKeys) => {}
                        Err(other) => return Err(other),
                    }
                }
                Err(Status::NoMoreKeys)
            }
            _ => Err(Status::OperationNotSupported),
        }
    }

    /// Records that found no room in the rings of this map.
    #[must_use]
    pub fn lost_records(&self) -> u64 {
        match &self.body {
            Body::Ring(ring) => ring.ring.lost(),
            Body::Perf(perf) => perf.rings.iter().map(crate::map::ring::Ring::lost).sum(),
            _ => 0,
        }
    }

    fn check_key(&self, key: &[u8]) -> Result<(), Status> {
        if key.len() == self.definition.key_size as usize {
            Ok(())
        } else {
            Err(Status::InvalidArgument)
        }
    }

    fn copy_found(&self, address: u64, value: &mut [u8]) -> Result<(), Status> {
        if address == 0 {
            return Err(Status::KeyNotFound);
        }
        // SAFETY: the value of a node, pinned by the caller; nested maps are alive while stored.
        unsafe {
            if self.definition.kind == MapKind::HashOfMaps {
                let inner = Shared::<Map>::borrow_address(read_word(address));
                value.copy_from_slice(&inner.id().to_ne_bytes());
            } else {
                read_bytes(address, value);
            }
        }
        Ok(())
    }

    /// Stores or removes a reference; gives the address of the former one, or 0.
    fn swap_reference(&self, key: &[u8], inner: Option<Shared<Map>>) -> Result<u64, Status> {
        let hash = match &self.body {
            Body::HashOfMaps(hash) => hash,
            Body::Slots(slots) => {
                let emptied = inner.is_none();
                if index_of(key) >= slots.entries() {
                    return Err(Status::InvalidArgument);
                }
                let old = slots.swap(index_of(key), inner.map_or(0, Shared::into_address))?;
                return if old == 0 && emptied {
                    Err(Status::KeyNotFound)
                } else {
                    Ok(old)
                };
            }
            _ => return Err(Status::InvalidArgument),
        };
        let _guard = self.core.pin();
        // SAFETY: the key has the right length; the epoch is pinned; values are one word.
        unsafe {
            let Some(inner) = inner else {
                let value = hash.table.remove(self.env(), key.as_ptr())?;
                return Ok(read_word(value));
            };
            let word = inner.address();
            let fill = |to: *mut u8| copy_shared(to, (&raw const word).cast(), 8);
            let replaced = hash
                .table
                .update(self.env(), key.as_ptr(), Mode::Any, fill)?;
            // The table owns the reference from here on.
            let _ = inner.into_address();
            Ok(match replaced.0 {
                0 => 0,
                value => read_word(value),
            })
        }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        let nested = matches!(&self.body, Body::HashOfMaps(_))
            || matches!(&self.body, Body::Slots(slots) if slots.template.is_some());
        if nested {
            self.each_reference(|inner| {
                // SAFETY: the map owns one reference per entry and is going away.
                drop(unsafe { Shared::<Map>::from_address(inner) });
            });
        } else if let Body::Slots(slots) = &self.body {
            for index in 0..slots.entries() {
                match slots.load(index) {
                    Some(address) if address != 0 => {
                        // SAFETY: the slot owns one reference and is going away.
                        drop(unsafe { Shared::<Program>::from_address(address) });
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Address of one CPU's copy of a value, given that of the first.
#[inline(always)]
fn copy_of(hash: &HashMap, value: u64, cpu: u32) -> u64 {
    if value == 0 || hash.cpus == 1 {
        return value;
    }
    value + u64::from(cpu.min(hash.cpus - 1)) * hash.stride as u64
}

fn find_prefix(lpm: &LpmMap, key: &[u8]) -> u64 {
    let Ok(longest) = lpm.prefix(key) else {
        return 0;
    };
    for prefix in lpm.lengths(longest) {
        let masked = lpm.masked(key, prefix);
        // SAFETY: `masked` is longer than any key; callers have pinned the epoch.
        let value = unsafe { lpm.table.find(masked.as_ptr()) };
        if value != 0 {
            return value;
        }
    }
    0
}

fn copy_element(array: &ArrayMap, index: u32, value: &mut [u8]) -> Result<(), Status> {
    for (cpu, copy) in (0..).zip(value.chunks_exact_mut(array.stride())) {
        let address = array.element_of_cpu(index, cpu);
        if address == 0 {
            return Err(Status::ObjectNotFound);
        }
        // SAFETY: an element of the array, which is padded to the stride.
        unsafe { read_bytes(address, copy) };
    }
    Ok(())
}

fn copy_id(slots: &SlotMap, address: u64, value: &mut [u8]) -> Result<(), Status> {
    if address == 0 {
        return Err(Status::ObjectNotFound);
    }
    // SAFETY: a reference in a slot is alive while the epoch is pinned by the caller.
    let id = unsafe {
        match slots.template {
            Some(_) => Shared::<Map>::borrow_address(address).id(),
            None => Shared::<Program>::borrow_address(address).id(),
        }
    };
    value.copy_from_slice(&id.to_ne_bytes());
    Ok(())
}

fn matches_template(template: &Definition, inner: &Definition) -> bool {
    template.kind == inner.kind
        && template.key_size == inner.key_size
        && template.value_size == inner.value_size
        && template.max_entries == inner.max_entries
}

fn mode(flags: Flags) -> Mode {
    match flags {
        Flags::Any => Mode::Any,
        Flags::NoExist => Mode::Insert,
        Flags::Exist => Mode::Replace,
    }
}

fn index_of(key: &[u8]) -> u32 {
    key.first_chunk()
        .map_or(u32::MAX, |bytes| u32::from_ne_bytes(*bytes))
}

/// Safety: four bytes are readable.
#[inline(always)]
pub(crate) unsafe fn read_index(key: *const u8) -> u32 {
    // SAFETY: the caller's obligation.
    unsafe { key.cast::<u32>().read_unaligned() }
}

/// Safety: eight bytes are readable.
unsafe fn read_word(address: u64) -> u64 {
    // SAFETY: the caller's obligation.
    unsafe { pointer(address).cast::<u64>().read_unaligned() }
}

/// Safety: `length` bytes are readable and not written while the slice is used.
unsafe fn slice<'a>(start: *const u8, length: usize) -> &'a [u8] {
    // SAFETY: the caller's obligation.
    unsafe { core::slice::from_raw_parts(start, length) }
}
