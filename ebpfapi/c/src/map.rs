//! Maps: elements, keys, batches.

use crate::error::{Fault, done, number};
use crate::exports;
use crate::fd::{self, Item};
use crate::raw::{Input, Output, Text};
use abi::MapKind;
use client::{Map, MapSpec, Update};
use std::ffi::c_int;
use std::mem::offset_of;

/// `struct bpf_map_create_opts` of libbpf, as far as it has a meaning here.
#[repr(C)]
pub(crate) struct MapCreateOpts {
    sz: usize,
    btf_fd: u32,
    btf_key_type_id: u32,
    btf_value_type_id: u32,
    btf_vmlinux_value_type_id: u32,
    inner_map_fd: u32,
    map_flags: u32,
}

/// `struct bpf_map_batch_opts` of libbpf.
#[repr(C)]
pub(crate) struct MapBatchOpts {
    sz: usize,
    elem_flags: u64,
    flags: u64,
}

/// A map to make.
#[derive(Default)]
pub(crate) struct New {
    pub(crate) map_type: c_int,
    /// Bytes of key and value, entries.
    pub(crate) sizes: [u32; 3],
    /// Descriptor of the template of maps inside, 0 for none.
    pub(crate) inner: c_int,
    /// `map_flags`. The runtime has none, as that of eBPF for Windows has none.
    pub(crate) flags: u32,
}

/// Makes a map; gives its descriptor.
pub(crate) fn create(name: Text, new: &New) -> Result<c_int, Fault> {
    let name = name.optional()?.unwrap_or_default();
    if new.flags != 0 {
        let flags = new.flags;
        let message = format!("cannot create map {name}: map_flags {flags:#x}: Windows has none");
        return Err(Fault::invalid(message));
    }
    let inner = match new.inner {
        0 => None,
        inner => Some(fd::map(inner)?),
    };
    let [key_size, value_size, max_entries] = new.sizes;
    let map = fd::client()?.create_map(&MapSpec {
        name,
        map_type: u32::try_from(new.map_type).map_err(|_| Fault::INVALID)?,
        key_size,
        value_size,
        max_entries,
        inner: inner.as_ref(),
    })?;
    fd::insert(Item::Map(map))
}

fn update_of(flags: u64) -> Result<Update, Fault> {
    match flags {
        0 => Ok(Update::Any),
        1 => Ok(Update::NoExist),
        2 => Ok(Update::Exist),
        _ => Err(Fault::INVALID),
    }
}

fn kind(map: &Map) -> Option<MapKind> {
    map.definition().row().map(|row| row.kind)
}

/// Stores a value; maps of maps and of programs take descriptors.
fn store(map: &Map, key: Input, value: Input, flags: u64) -> Result<(), Fault> {
    let update = update_of(flags)?;
    let key = key.bytes(map.key_size())?;
    match kind(map) {
        Some(MapKind::ProgArray) => {
            map.set_program(&key, &fd::program(value.number()? as c_int)?)?;
        }
        Some(MapKind::HashOfMaps | MapKind::ArrayOfMaps) => {
            map.set_map(&key, &fd::map(value.number()? as c_int)?)?;
        }
        _ => map.update(&key, &value.bytes(map.value_size())?, update)?,
    }
    Ok(())
}

fn next_key(map: &Map, previous: Input, next: Output) -> Result<(), Fault> {
    let previous = match previous.is_null() {
        true => None,
        false => Some(previous.bytes(map.key_size())?),
    };
    let key = map.next_key(previous.as_deref())?;
    next.write(&key.ok_or(Fault::MISSING)?)
}

/// How a batch is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taking {
    Copy,
    Remove,
}

/// Where a batch begins and ends: keys of the map.
struct Range {
    after: Input,
    last: Output,
}

/// Where a batch goes.
struct Room<'a> {
    keys: Output,
    values: Output,
    count: &'a mut u32,
}

/// Keys and values after a key, as many as there is room for. The number of those found is stored; at
/// the end of the map it is `ENOENT`.
fn read_batch(map: &Map, range: &Range, room: Room<'_>, taking: Taking) -> Result<(), Fault> {
    let Room {
        keys,
        values,
        count,
    } = room;
    let wanted = std::mem::take(count) as usize;
    let mut after = match range.after.is_null() {
        true => None,
        false => Some(range.after.bytes(map.key_size())?),
    };
    let mut done = 0;
    while done < wanted {
        let batch = match taking {
            Taking::Copy => map.next_entries(after.as_deref(), wanted - done)?,
            Taking::Remove => map.take_next(None, wanted - done)?,
        };
        if batch.is_empty() {
            break;
        }
        for (key, value) in batch {
            keys.write_at(done * map.key_size(), &key)?;
            values.write_at(done * map.value_size(), &value)?;
            done += 1;
            after = Some(key);
        }
    }
    *count = u32::try_from(done).unwrap_or(u32::MAX);
    match after {
        Some(last) if done > 0 => range.last.write(&last)?,
        _ => {}
    }
    match done < wanted {
        true => Err(Fault::MISSING),
        false => Ok(()),
    }
}

fn split(bytes: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    bytes.chunks_exact(size.max(1))
}

/// Has a batch done in parts: the runtime says only how many elements it took, and why one was refused
/// when it is the first. The number of those that were done is stored.
fn in_parts(
    count: &mut u32,
    wanted: usize,
    mut part: impl FnMut(usize) -> Result<usize, client::Error>,
) -> Result<(), Fault> {
    let mut done = 0;
    while done < wanted {
        match part(done)? {
            0 => return Err(Fault::INVALID),
            more => done = done.saturating_add(more),
        }
        *count = u32::try_from(done).unwrap_or(u32::MAX);
    }
    Ok(())
}

fn write_batch(
    map: &Map,
    (keys, values): (Input, Input),
    count: &mut u32,
    flags: u64,
) -> Result<(), Fault> {
    let wanted = std::mem::take(count) as usize;
    let length = |size: usize| size.checked_mul(wanted).ok_or(Fault::INVALID);
    let keys = keys.bytes(length(map.key_size())?)?;
    let values = values.bytes(length(map.value_size())?)?;
    let update = update_of(flags)?;
    let pairs = || split(&keys, map.key_size()).zip(split(&values, map.value_size()));
    in_parts(count, wanted, |done| {
        map.update_batch(pairs().skip(done), update)
    })
}

fn delete_batch(map: &Map, keys: Input, count: &mut u32) -> Result<(), Fault> {
    let wanted = std::mem::take(count) as usize;
    let length = map.key_size().checked_mul(wanted).ok_or(Fault::INVALID)?;
    let keys = keys.bytes(length)?;
    in_parts(count, wanted, |done| {
        map.delete_batch(split(&keys, map.key_size()).skip(done))
    })
}

fn batch_flags(opts: Option<&MapBatchOpts>) -> u64 {
    opts.map_or(0, |opts| opts.elem_flags)
}

exports! {
    /// Makes a map; gives its descriptor.
    fn bpf_map_create(map_type: c_int, name: Text, key_size: u32, value_size: u32, max_entries: u32, opts: Option<&MapCreateOpts>) -> c_int {
        // What the caller's structure ends before is not read.
        let field = |offset: usize, read: fn(&MapCreateOpts) -> u32| {
            let opts = opts.filter(|opts| opts.sz >= offset + size_of::<u32>());
            opts.map_or(0, read)
        };
        number(create(name, &New {
            map_type,
            sizes: [key_size, value_size, max_entries],
            inner: field(offset_of!(MapCreateOpts, inner_map_fd), |opts| opts.inner_map_fd) as c_int,
            flags: field(offset_of!(MapCreateOpts, map_flags), |opts| opts.map_flags),
        }))
    }

    /// Makes a map without a name.
    fn bpf_create_map(map_type: c_int, key_size: c_int, value_size: c_int, max_entries: c_int, flags: u32) -> c_int {
        let sizes = [key_size as u32, value_size as u32, max_entries as u32];
        number(create(Text::NONE, &New { map_type, sizes, flags, inner: 0 }))
    }

    /// Makes a map of maps; the inner map is the template.
    fn bpf_create_map_in_map(map_type: c_int, name: Text, key_size: c_int, inner_map_fd: c_int, max_entries: c_int, flags: u32) -> c_int {
        let sizes = [key_size as u32, 4, max_entries as u32];
        // 0 is a descriptor too, of something else.
        let inner = fd::map(inner_map_fd).map(|_| inner_map_fd);
        number(inner.and_then(|inner| create(name, &New { map_type, sizes, inner, flags })))
    }

    /// The value of a key. Per-CPU maps give one for each processor, padded to 8 bytes.
    fn bpf_map_lookup_elem(fd: c_int, key: Input, value: Output) -> c_int {
        done(fd::map(fd).and_then(|map| {
            let found = map.lookup(&key.bytes(map.key_size())?)?;
            value.write(&found)
        }))
    }

    /// Takes the value of a key out.
    fn bpf_map_lookup_and_delete_elem(fd: c_int, key: Input, value: Output) -> c_int {
        done(fd::map(fd).and_then(|map| {
            if value.is_null() {
                return Err(Fault::INVALID);
            }
            let found = map.take(&key.bytes(map.key_size())?)?;
            value.write(&found)
        }))
    }

    /// Stores a value.
    fn bpf_map_update_elem(fd: c_int, key: Input, value: Input, flags: u64) -> c_int {
        done(fd::map(fd).and_then(|map| store(&map, key, value, flags)))
    }

    /// Removes a key.
    fn bpf_map_delete_elem(fd: c_int, key: Input) -> c_int {
        done(fd::map(fd).and_then(|map| Ok(map.delete(&key.bytes(map.key_size())?)?)))
    }

    /// The key after another; NULL asks for the first one.
    fn bpf_map_get_next_key(fd: c_int, previous_key: Input, next_key: Output) -> c_int {
        done(fd::map(fd).and_then(|map| self::next_key(&map, previous_key, next_key)))
    }

    /// Keys and values after a key, as many as `count` says.
    fn bpf_map_lookup_batch(fd: c_int, in_batch: Input, out_batch: Output, keys: Output, values: Output, count: Option<&mut u32>, _opts: Option<&MapBatchOpts>) -> c_int {
        let range = Range { after: in_batch, last: out_batch };
        done(fd::map(fd).and_then(|map| {
            let count = count.ok_or(Fault::INVALID)?;
            read_batch(&map, &range, Room { keys, values, count }, Taking::Copy)
        }))
    }

    /// The same, and takes them out.
    fn bpf_map_lookup_and_delete_batch(fd: c_int, in_batch: Input, out_batch: Output, keys: Output, values: Output, count: Option<&mut u32>, _opts: Option<&MapBatchOpts>) -> c_int {
        let range = Range { after: in_batch, last: out_batch };
        done(fd::map(fd).and_then(|map| {
            let count = count.ok_or(Fault::INVALID)?;
            read_batch(&map, &range, Room { keys, values, count }, Taking::Remove)
        }))
    }

    /// Stores several values; `count` says how many were stored.
    fn bpf_map_update_batch(fd: c_int, keys: Input, values: Input, count: Option<&mut u32>, opts: Option<&MapBatchOpts>) -> c_int {
        let flags = batch_flags(opts);
        done(fd::map(fd).and_then(|map| {
            write_batch(&map, (keys, values), count.ok_or(Fault::INVALID)?, flags)
        }))
    }

    /// Removes several keys; `count` says how many were removed.
    fn bpf_map_delete_batch(fd: c_int, keys: Input, count: Option<&mut u32>, _opts: Option<&MapBatchOpts>) -> c_int {
        done(fd::map(fd).and_then(|map| {
            self::delete_batch(&map, keys, count.ok_or(Fault::INVALID)?)
        }))
    }
}
