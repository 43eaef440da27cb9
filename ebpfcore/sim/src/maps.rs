//! Maps as the user of a host sees them: entries with bytes, records, names of what they refer to.

use crate::Error;
use abi::MapKind;
use ebpfcore::{Flags, Map, Program, Record, Shared, Status};

/// Entries that a dump gives at most.
pub const DUMP_ENTRIES: usize = 1 << 20;

/// What is in a map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dump {
    /// Keys with values, ascending by the bytes of the key.
    Entries(Vec<Entry>),
    /// Elements of a queue or stack, the next one to be taken first.
    Elements(Vec<Vec<u8>>),
    /// Records of a ring buffer or perf event array, in order. Reading takes them out.
    Records {
        /// The records.
        records: Vec<Record>,
        /// Records that found no room.
        lost: u64,
    },
}

/// One key and its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Key bytes.
    pub key: Vec<u8>,
    /// Value.
    pub value: Value,
}

/// The value of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Value bytes.
    Bytes(Vec<u8>),
    /// Value bytes of each processor.
    PerCpu(Vec<Vec<u8>>),
    /// The program or map in a slot; empty slots are left out of dumps.
    Reference {
        /// Object id.
        id: u32,
        /// Its name.
        name: String,
    },
}

/// Everything in a map.
pub(crate) fn dump(map: &Map, names: &dyn Fn(u32) -> Option<String>) -> Result<Dump, Error> {
    match map.definition().kind {
        MapKind::RingBuf | MapKind::PerfEventArray => records(map),
        MapKind::Queue | MapKind::Stack => elements(map).map(Dump::Elements),
        _ => entries(map, names).map(Dump::Entries),
    }
}

fn failed(map: &Map, what: &'static str) -> impl Fn(Status) -> Error {
    let map = map.name().to_owned();
    move |status| Error::MapAccess {
        map: map.clone(),
        what,
        status,
    }
}

fn records(map: &Map) -> Result<Dump, Error> {
    let mut records = Vec::new();
    loop {
        match map.take_record() {
            Ok(record) => records.push(record),
            Err(Status::NoMoreKeys) => break,
            Err(status) => return Err(failed(map, "reading records")(status)),
        }
    }
    Ok(Dump::Records {
        records,
        lost: map.lost_records(),
    })
}

/// Takes all elements and puts them back.
fn elements(map: &Map) -> Result<Vec<Vec<u8>>, Error> {
    let mut elements = Vec::new();
    let mut element = vec![0; map.user_value_size()];
    while map.lookup_and_delete(&[], &mut element).is_ok() {
        elements.push(element.clone());
    }
    let put_back = |element: &Vec<u8>| map.update(&[], element, Flags::Any);
    let done = match map.definition().kind {
        MapKind::Stack => elements.iter().rev().try_for_each(put_back),
        _ => elements.iter().try_for_each(put_back),
    };
    done.map_err(failed(map, "reading elements"))?;
    Ok(elements)
}

fn entries(map: &Map, names: &dyn Fn(u32) -> Option<String>) -> Result<Vec<Entry>, Error> {
    let failed = failed(map, "reading entries");
    let mut entries = Vec::new();
    let mut key = vec![0; map.definition().key_size as usize];
    let mut previous: Option<Vec<u8>> = None;
    let mut raw = vec![0; map.user_value_size()];
    while entries.len() < DUMP_ENTRIES {
        match map.next_key(previous.as_deref(), &mut key) {
            Ok(()) => {}
            Err(Status::NoMoreKeys) => break,
            Err(status) => return Err(failed(status)),
        }
        match map.lookup(&key, &mut raw) {
            Ok(()) => entries.push(Entry {
                key: key.clone(),
                value: value(map, &raw, names),
            }),
            // An empty slot of a map of maps or programs.
            Err(Status::KeyNotFound | Status::ObjectNotFound) => {}
            Err(status) => return Err(failed(status)),
        }
        previous = Some(key.clone());
    }
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(entries)
}

fn value(map: &Map, raw: &[u8], names: &dyn Fn(u32) -> Option<String>) -> Value {
    let size = map.definition().value_size as usize;
    match map.definition().kind {
        MapKind::ProgArray | MapKind::ArrayOfMaps | MapKind::HashOfMaps => {
            let id = raw.try_into().map_or(0, u32::from_ne_bytes);
            Value::Reference {
                id,
                name: names(id).unwrap_or_else(|| format!("id {id}")),
            }
        }
        _ if map.is_per_cpu() => {
            let copies = raw.chunks(size.next_multiple_of(8));
            Value::PerCpu(copies.map(|copy| copy[..size].to_vec()).collect())
        }
        _ => Value::Bytes(raw.to_vec()),
    }
}

/// Sets an entry from bytes. A per-CPU value may be given once for all processors; a value of a
/// queue or stack goes with an empty key.
pub(crate) fn set(map: &Map, key: &[u8], value: &[u8]) -> Result<(), Error> {
    let size = map.definition().value_size as usize;
    let whole = map.user_value_size();
    let done = if map.is_per_cpu() && value.len() == size && size != whole {
        let mut copy = value.to_vec();
        copy.resize(size.next_multiple_of(8), 0);
        map.update(key, &copy.repeat(whole / copy.len()), Flags::Any)
    } else {
        map.update(key, value, Flags::Any)
    };
    done.map_err(failed(map, "setting an entry"))
}

/// Puts programs of one engine into the slots of program arrays that hold the same programs of the
/// other engine.
pub(crate) fn exchange_programs(
    maps: &[Shared<Map>],
    of: &dyn Fn(u32) -> Option<Shared<Program>>,
) -> Result<(), Error> {
    let arrays = maps
        .iter()
        .filter(|map| map.definition().kind == MapKind::ProgArray);
    for map in arrays {
        for index in 0..map.definition().max_entries {
            let mut id = [0; 4];
            if map.lookup(&index.to_ne_bytes(), &mut id).is_err() {
                continue;
            }
            if let Some(program) = of(u32::from_ne_bytes(id)) {
                map.set_program(index, Some(program))
                    .map_err(failed(map, "setting a program"))?;
            }
        }
    }
    Ok(())
}
