//! Target of maps: operations on one map, compared with a model made of std's collections.
//!
//! An input says which of the fourteen kinds the map is, its sizes, and then operations of three
//! bytes each. What must hold: every operation succeeds or fails as the model does, with the same
//! value, and in the end both hold the same. Maps that evict may drop entries, but never the one
//! that was just written, and never hold more than they should. What is left out: several threads
//! (see the models of the runtime), and values that programs reach by address.

use crate::{device::MACHINE, objects};
use abi::{MapKind, Platform};
use ebpfcore::{Core, Definition, Flags, Map, Program, Shared, Status};
use std::collections::{BTreeMap, VecDeque};

/// The kinds, and how each is modelled.
const KINDS: [(MapKind, Sort); 14] = [
    (MapKind::Array, Sort::Array),
    (MapKind::PerCpuArray, Sort::Array),
    (MapKind::Hash, Sort::Keyed),
    (MapKind::PerCpuHash, Sort::Keyed),
    (MapKind::LruHash, Sort::Evicting),
    (MapKind::LruPerCpuHash, Sort::Evicting),
    (MapKind::LpmTrie, Sort::Prefixes),
    (MapKind::ProgArray, Sort::Slots),
    (MapKind::ArrayOfMaps, Sort::Slots),
    (MapKind::HashOfMaps, Sort::Nested),
    (MapKind::Queue, Sort::Queue),
    (MapKind::Stack, Sort::Queue),
    (MapKind::RingBuf, Sort::Rings),
    (MapKind::PerfEventArray, Sort::Rings),
];

/// Bytes of a ring.
const RING: u32 = 4096;
/// Processors of the machine.
const CPUS: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Array,
    Keyed,
    Evicting,
    Prefixes,
    Slots,
    Nested,
    Queue,
    Rings,
}

type Bytes = Vec<u8>;

/// A map and its model.
struct Pair {
    map: Shared<Map>,
    kind: MapKind,
    sort: Sort,
    /// Entries of everything that has keys; of prefixes the masked ones.
    entries: BTreeMap<Bytes, Bytes>,
    /// Elements of queues, records of rings.
    queues: [VecDeque<Bytes>; CPUS],
    /// What slots and nested maps may hold.
    inner: [Shared<Map>; 2],
    programs: Vec<Shared<Program>>,
}

/// One operation: what, which key, which value.
#[derive(Clone, Copy)]
struct Op {
    what: u8,
    key: u8,
    value: u8,
}

fn definition(kind: MapKind, [key_size, value_size, max_entries]: [u32; 3]) -> Definition {
    Definition {
        name: "map".to_owned(),
        kind,
        platform: Platform::Windows,
        key_size,
        value_size,
        max_entries,
    }
}

impl Pair {
    fn new(core: &Shared<Core>, which: u8, sizes: [u8; 3]) -> Result<Pair, Status> {
        let (kind, sort) = KINDS[usize::from(which) % KINDS.len()];
        let [key, value, entries] = sizes.map(u32::from);
        let (key, value, entries) = (1 + key % 12, 1 + value % 24, 1 + entries % 12);
        let sizes = match sort {
            Sort::Array => [4, value, entries],
            Sort::Keyed | Sort::Evicting => [key, value, entries],
            Sort::Prefixes => [4 + key % 5, value, entries],
            Sort::Slots => [4, 4, entries],
            Sort::Nested => [key, 4, entries],
            Sort::Queue => [0, value, entries],
            Sort::Rings => [0, 0, RING],
        };
        let template = definition(MapKind::Array, [4, 4, 1]);
        let inner = || Map::new(core, template.clone(), None);
        let inner = [inner()?, inner()?];
        let map = Map::new(core, definition(kind, sizes), Some(template.clone()))?;
        let mut pair = Pair {
            map,
            kind,
            sort,
            entries: BTreeMap::new(),
            queues: Default::default(),
            inner,
            programs: objects::small_programs(core)?,
        };
        if sort == Sort::Array {
            let zero = vec![0; pair.map.user_value_size()];
            let indices = 0..entries;
            pair.entries = indices
                .map(|i| (i.to_ne_bytes().to_vec(), zero.clone()))
                .collect();
        }
        Ok(pair)
    }

    fn most(&self) -> usize {
        self.map.definition().max_entries as usize
    }

    /// A key, often one that is there, sometimes one that cannot be.
    fn key(&self, op: Op) -> Bytes {
        let size = self.map.definition().key_size as usize;
        match self.sort {
            Sort::Array | Sort::Slots => {
                let index = usize::from(op.key) % (self.most() + 2);
                (index as u32).to_ne_bytes().to_vec()
            }
            Sort::Prefixes => {
                let bits = (size - 4) * 8;
                let prefix = usize::from(op.key) % (bits + 2);
                let mut key = (prefix as u32).to_ne_bytes().to_vec();
                key.resize(size, op.value.wrapping_mul(0x55));
                key
            }
            Sort::Queue | Sort::Rings => Vec::new(),
            _ => vec![op.key % 16; size],
        }
    }

    /// A value; the gaps between the copies of processors are zero.
    fn value(&self, op: Op) -> Bytes {
        let size = self.map.definition().value_size as usize;
        let whole = self.map.user_value_size();
        let mut value = vec![0; whole];
        let stride = if whole > size {
            size.next_multiple_of(8)
        } else {
            whole.max(1)
        };
        for copy in value.chunks_mut(stride) {
            let length = size.min(copy.len());
            copy[..length].fill(op.value);
        }
        value
    }

    /// The key as the model knows it; `None` when there cannot be such a key.
    fn known(&self, key: &[u8]) -> Option<Bytes> {
        let number = || u32::from_ne_bytes(key[..4].try_into().unwrap_or_default()) as usize;
        match self.sort {
            Sort::Array | Sort::Slots => (number() < self.most()).then(|| key.to_vec()),
            Sort::Prefixes => {
                let prefix = number();
                let mut masked = key.to_vec();
                for (index, byte) in masked[4..].iter_mut().enumerate() {
                    let kept = prefix.saturating_sub(index * 8).min(8);
                    *byte &= (0xff00u16 >> kept) as u8;
                }
                (prefix <= (key.len() - 4) * 8).then_some(masked)
            }
            _ => Some(key.to_vec()),
        }
    }

    fn run(&mut self, op: Op) {
        match (self.sort, op.what % 6) {
            (Sort::Rings, 0..=2) => self.write(op),
            (Sort::Rings, _) => self.consume(),
            (_, 0 | 1) => self.update(op),
            (_, 2) => self.delete(op),
            (_, 3) => self.lookup(op),
            (_, 4) => self.take(op),
            _ => self.compare(),
        }
    }

    fn update(&mut self, op: Op) {
        let flags = [Flags::Any, Flags::NoExist, Flags::Exist][usize::from(op.what >> 4) % 3];
        let (key, value) = (self.key(op), self.value(op));
        match self.sort {
            Sort::Queue => self.push(value, flags),
            Sort::Slots | Sort::Nested => self.refer(&key, op),
            _ => {
                let done = self.map.update(&key, &value, flags);
                let expected = self.allowed(&key, flags);
                assert_eq!(done, expected, "update {:?} {key:?} {flags:?}", self.kind);
                if done.is_ok()
                    && let Some(key) = self.known(&key)
                {
                    self.entries.insert(key, value);
                    self.forget_evicted();
                }
            }
        }
    }

    /// What an update of an entry answers.
    fn allowed(&self, key: &[u8], flags: Flags) -> Result<(), Status> {
        let known = self.known(key).ok_or(Status::InvalidArgument)?;
        let exists = self.entries.contains_key(&known);
        match flags {
            Flags::NoExist if self.sort == Sort::Array => Err(Status::InvalidArgument),
            Flags::NoExist if exists => Err(Status::KeyAlreadyExists),
            Flags::Exist if !exists => Err(Status::KeyNotFound),
            _ if exists || self.sort == Sort::Evicting => Ok(()),
            _ if self.entries.len() >= self.most() => Err(Status::OutOfSpace),
            _ => Ok(()),
        }
    }

    /// Takes out of the model what an evicting map dropped: never what was just written.
    fn forget_evicted(&mut self) {
        if self.sort != Sort::Evicting || self.entries.len() <= self.most() {
            return;
        }
        let mut value = vec![0; self.map.user_value_size()];
        let map = &self.map;
        self.entries
            .retain(|key, _| map.lookup(key, &mut value).is_ok());
        assert!(
            self.entries.len() <= self.most(),
            "{:?} holds too much",
            self.kind
        );
    }

    /// Puts a map or a program into a slot or under a key.
    fn refer(&mut self, key: &[u8], op: Op) {
        let which = usize::from(op.value) % 2;
        let (done, id) = match self.programs.get(which) {
            Some(program) if self.kind == MapKind::ProgArray => {
                let index = u32::from_ne_bytes(key.try_into().unwrap_or_default());
                let program = Shared::clone(program);
                let id = program.id();
                (self.map.set_program(index, Some(program)), id)
            }
            _ => {
                let inner = Shared::clone(&self.inner[which]);
                let id = inner.id();
                (self.map.set_map(key, Some(inner)), id)
            }
        };
        let expected = self.allowed(key, Flags::Any);
        let expected = match self.sort {
            // Slots are there from the start.
            Sort::Slots => self.known(key).map(drop).ok_or(Status::InvalidArgument),
            _ => expected,
        };
        assert_eq!(done, expected, "{:?} {key:?}", self.kind);
        if done.is_ok() {
            self.entries.insert(key.to_vec(), id.to_ne_bytes().to_vec());
        }
    }

    fn push(&mut self, value: Bytes, flags: Flags) {
        let is_full = self.queues[0].len() >= self.most();
        let expected = match flags {
            Flags::NoExist => Err(Status::InvalidArgument),
            Flags::Any if is_full => Err(Status::OutOfSpace),
            _ => Ok(()),
        };
        assert_eq!(self.map.update(&[], &value, flags), expected);
        if expected.is_ok() {
            if is_full {
                self.queues[0].pop_front();
            }
            self.queues[0].push_back(value);
        }
    }

    fn delete(&mut self, op: Op) {
        let key = self.key(op);
        let done = self.map.delete(&key);
        let known = self.known(&key);
        let expected = match (self.sort, &known) {
            (Sort::Queue, _) | (_, None) => Err(Status::InvalidArgument),
            (_, Some(known)) if self.entries.contains_key(known) => Ok(()),
            _ => Err(Status::KeyNotFound),
        };
        assert_eq!(done, expected, "delete {:?} {key:?}", self.kind);
        let Some(known) = known.filter(|_| done.is_ok()) else {
            return;
        };
        match self.sort {
            Sort::Array => {
                let zero = vec![0; self.map.user_value_size()];
                self.entries.insert(known, zero);
            }
            _ => drop(self.entries.remove(&known)),
        }
    }

    /// What is found for a key: of prefixes the longest one.
    fn found(&self, key: &[u8]) -> Option<Bytes> {
        match self.sort {
            Sort::Queue if self.kind == MapKind::Stack => self.queues[0].back().cloned(),
            Sort::Queue => self.queues[0].front().cloned(),
            Sort::Prefixes => {
                self.known(key)?;
                let longest = u32::from_ne_bytes(key[..4].try_into().unwrap_or_default());
                (0..=longest).rev().find_map(|prefix| {
                    let shorter = [&prefix.to_ne_bytes()[..], &key[4..]].concat();
                    self.entries.get(&self.known(&shorter)?).cloned()
                })
            }
            _ => self.entries.get(key).cloned(),
        }
    }

    fn lookup(&self, op: Op) {
        let key = self.key(op);
        let mut value = vec![0; self.map.user_value_size()];
        let done = self.map.lookup(&key, &mut value);
        let found = done.is_ok().then_some(value);
        assert_eq!(
            found,
            self.found(&key),
            "lookup {:?} {key:?} {done:?}",
            self.kind
        );
        // A key of another length is none.
        let longer = [&key[..], &[0]].concat();
        let mut value = vec![0; self.map.user_value_size()];
        assert_eq!(
            self.map.lookup(&longer, &mut value),
            Err(Status::InvalidArgument)
        );
    }

    fn take(&mut self, op: Op) {
        let key = self.key(op);
        let mut value = vec![0; self.map.user_value_size()];
        let done = self.map.lookup_and_delete(&key, &mut value);
        let can = matches!(self.sort, Sort::Keyed | Sort::Evicting | Sort::Queue);
        let found = self.found(&key).filter(|_| can);
        let taken = done.is_ok().then_some(value);
        assert_eq!(taken, found, "take {:?} {key:?} {done:?}", self.kind);
        if taken.is_some() {
            self.entries.remove(&key);
            match self.kind {
                MapKind::Stack => drop(self.queues[0].pop_back()),
                _ => drop(self.queues[0].pop_front()),
            }
        }
    }

    /// Walks all keys; everything the model has is there, and nothing else.
    fn compare(&self) {
        if !matches!(
            self.sort,
            Sort::Keyed | Sort::Evicting | Sort::Prefixes | Sort::Nested
        ) {
            return;
        }
        let mut next = vec![0; self.map.definition().key_size as usize];
        let mut previous: Option<Bytes> = None;
        let mut keys = Vec::new();
        while self.map.next_key(previous.as_deref(), &mut next).is_ok() {
            assert!(
                keys.len() < self.most(),
                "{:?}: keys without end",
                self.kind
            );
            keys.push(next.clone());
            previous = Some(next.clone());
        }
        keys.sort();
        let known: Vec<Bytes> = self.entries.keys().cloned().collect();
        assert_eq!(keys, known, "{:?}", self.kind);
        assert_eq!(self.map.len(), known.len(), "{:?}", self.kind);
    }

    fn write(&mut self, op: Op) {
        let rings = if self.kind == MapKind::PerfEventArray {
            CPUS
        } else {
            1
        };
        let index = usize::from(op.key) % (rings + 1);
        let data = vec![op.value; usize::from(op.value) * 8 + usize::from(op.key % 8)];
        let done = self.map.put_record(index as u64, &data);
        let Some(queue) = self.queues.get(index).filter(|_| index < rings) else {
            assert_eq!(done, Err(Status::InvalidArgument));
            return;
        };
        let bytes = |record: &Bytes| 8 + record.len().next_multiple_of(8);
        let used: usize = queue.iter().map(bytes).sum();
        let fits = used + bytes(&data) <= RING as usize;
        assert_eq!(
            done.is_ok(),
            fits && !data.is_empty(),
            "{used} and {}: {done:?}",
            data.len()
        );
        if done.is_ok() {
            self.queues[index].push_back(data);
        }
    }

    fn consume(&mut self) {
        let taken = self
            .map
            .take_record()
            .map(|record| (record.cpu as usize, record.data));
        let first = self.queues.iter().position(|queue| !queue.is_empty());
        match first.and_then(|at| Some((at, self.queues.get_mut(at)?.pop_front()?))) {
            Some(expected) => assert_eq!(taken, Ok(expected)),
            None => assert_eq!(taken, Err(Status::NoMoreKeys)),
        }
    }

    /// Everything that the model holds is in the map.
    fn end(mut self) {
        self.compare();
        let mut value = vec![0; self.map.user_value_size()];
        if self.sort != Sort::Prefixes {
            for (key, expected) in &self.entries {
                assert_eq!(self.map.lookup(key, &mut value), Ok(()), "{:?}", self.kind);
                assert_eq!(value, *expected, "{:?} {key:?}", self.kind);
            }
        }
        while self.sort == Sort::Rings && self.queues.iter().any(|queue| !queue.is_empty()) {
            self.consume();
        }
        self.map.release_references();
    }
}

/// The target.
pub(crate) fn maps(data: &[u8]) -> String {
    let Some((&[which, key, value, entries], operations)) = data.split_first_chunk() else {
        return "no head".to_owned();
    };
    let Ok(core) = Core::new(&MACHINE) else {
        return "no memory".to_owned();
    };
    let mut pair = match Pair::new(&core, which, [key, value, entries]) {
        Ok(pair) => pair,
        Err(status) => return format!("{status:?}"),
    };
    for [what, key, value] in operations.as_chunks().0.iter().copied() {
        pair.run(Op { what, key, value });
    }
    let text = format!("{:?} {}", pair.kind, pair.map.len());
    pair.end();
    text
}

/// For each kind a few dozen operations of all sorts.
pub(crate) fn seeds() -> Result<Vec<Vec<u8>>, String> {
    let mut all = Vec::new();
    for which in 0..14u8 {
        for step in [1u8, 3, 7] {
            let mut seed = vec![which, 3, 7, 5];
            for number in 0..40u8 {
                let what = number.wrapping_mul(step);
                seed.extend([what, number.wrapping_mul(5), number.wrapping_mul(11)]);
            }
            all.push(seed);
        }
    }
    Ok(all)
}
