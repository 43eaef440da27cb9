//! Maps: definition, creation, and what every kind has in common.
//!
//! One file per storage: [`array`], [`slots`] (arrays of programs or maps), [`queue`], [`ring`],
//! [`lpm`]; hash-like kinds share `raw::table`. Operations with keys and values, for programs (by
//! address) and for users (by slice), are in `raw::map_ops`.

pub(crate) mod array;
pub(crate) mod hash;
pub(crate) mod lpm;
pub(crate) mod queue;
pub(crate) mod ring;
pub(crate) mod slots;
pub(crate) mod waiters;

use crate::atomic::{AtomicU32, Ordering};
use crate::{Core, Shared, Status};
use abi::{MapKind, Platform};
use alloc::string::String;
use array::ArrayMap;
use hash::HashMap;
use lpm::LpmMap;
use queue::QueueMap;
use ring::{PerfMap, RingMap};
use slots::SlotMap;

pub use ring::Record;

/// What a map is made from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Definition {
    /// Name, at most 63 bytes.
    pub name: String,
    /// What the type does.
    pub kind: MapKind,
    /// Whose rules and error numbers apply.
    pub platform: Platform,
    /// Key bytes.
    pub key_size: u32,
    /// Value bytes (of one CPU).
    pub value_size: u32,
    /// Entries; ring buffers: bytes.
    pub max_entries: u32,
}

/// How an update treats an existing or missing key (`BPF_ANY`, `BPF_NOEXIST`, `BPF_EXIST`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Flags {
    /// Insert or replace.
    #[default]
    Any,
    /// Insert only.
    NoExist,
    /// Replace only; for queues and stacks: drop the oldest element when full.
    Exist,
}

impl Flags {
    /// The flags of a number, as helpers receive it.
    ///
    /// # Errors
    ///
    /// [`Status::InvalidArgument`] above 2.
    pub const fn from_number(number: u64) -> Result<Flags, Status> {
        match number {
            0 => Ok(Flags::Any),
            1 => Ok(Flags::NoExist),
            2 => Ok(Flags::Exist),
            _ => Err(Status::InvalidArgument),
        }
    }
}

/// A map.
pub struct Map {
    pub(crate) body: Body,
    pub(crate) definition: Definition,
    pub(crate) core: Shared<Core>,
    id: u32,
    /// Id of the map that those in a map of maps are made like, or 0.
    template_id: AtomicU32,
}

/// Storage by kind.
pub(crate) enum Body {
    Array(ArrayMap),
    PerCpuArray(ArrayMap),
    Hash(HashMap),
    LruHash(HashMap),
    HashOfMaps(HashMap),
    Lpm(LpmMap),
    Slots(SlotMap),
    Queue(QueueMap),
    Ring(RingMap),
    Perf(PerfMap),
}

/// Largest array storage: 2^37 bytes, as in eBPF for Windows.
const MAX_ARRAY_BYTES: u64 = 1 << 37;

impl Map {
    /// Makes an empty map.
    ///
    /// Map-in-map kinds need the definition of their inner maps; others ignore it.
    ///
    /// # Errors
    ///
    /// [`Status::InvalidArgument`] for sizes against the rules of the kind,
    /// [`Status::OperationNotSupported`] for kinds that the runtime does not have, and
    /// [`Status::NoMemory`].
    pub fn new(
        core: &Shared<Core>,
        definition: Definition,
        inner: Option<Definition>,
    ) -> Result<Shared<Map>, Status> {
        check(&definition)?;
        let body = Body::new(core, &definition, inner)?;
        Shared::try_new(Map {
            body,
            definition,
            core: Shared::clone(core),
            id: core.take_id(),
            template_id: AtomicU32::new(0),
        })
    }

    /// What the map was made from.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// What the maps in a map of maps are made like.
    #[must_use]
    pub fn template(&self) -> Option<&Definition> {
        match &self.body {
            Body::Slots(slots) => slots.template.as_ref(),
            Body::HashOfMaps(hash) => hash.template.as_ref(),
            _ => None,
        }
    }

    /// Id of the map whose definition is the [`Map::template`], or 0. That map may be gone by now;
    /// its id is not given to another one.
    #[must_use]
    pub fn template_id(&self) -> u32 {
        self.template_id.load(Ordering::Relaxed)
    }

    /// Says which map the template was taken from; a second map is not noted.
    pub(crate) fn note_template(&self, inner: &Map) {
        let (none, id) = (0, inner.id());
        // Loses against whoever noted one before.
        let _ = self
            .template_id
            .compare_exchange(none, id, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Its id, unique among the objects of the runtime.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether values have one copy per CPU.
    #[must_use]
    pub fn is_per_cpu(&self) -> bool {
        matches!(
            self.definition.kind,
            MapKind::PerCpuArray | MapKind::PerCpuHash | MapKind::LruPerCpuHash
        )
    }

    /// Bytes of a value as users see it: per-CPU kinds give all copies, each padded to 8 bytes, in
    /// CPU order; maps of maps and of programs give the 4-byte id.
    #[must_use]
    pub fn user_value_size(&self) -> usize {
        match self.definition.kind {
            MapKind::HashOfMaps | MapKind::ArrayOfMaps | MapKind::ProgArray => 4,
            _ if self.is_per_cpu() => {
                padded(self.definition.value_size) * self.core.platform().cpu_count() as usize
            }
            _ => self.definition.value_size as usize,
        }
    }

    /// Address of the value of element 0 of an array map: globals live there.
    #[must_use]
    pub fn array_data(&self) -> Option<u64> {
        match &self.body {
            Body::Array(array) => Some(array.data()),
            _ => None,
        }
    }

    /// Number of entries in use; for arrays the number of elements, for ring buffers the bytes
    /// not yet consumed.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.body {
            Body::Array(_) | Body::PerCpuArray(_) => self.definition.max_entries as usize,
            Body::Hash(hash) | Body::LruHash(hash) | Body::HashOfMaps(hash) => hash.table.len(),
            Body::Lpm(lpm) => lpm.table.len(),
            Body::Slots(slots) => slots.used(),
            Body::Queue(queue) => queue.len(self.core.platform()),
            Body::Ring(ring) => ring.ring.pending(),
            Body::Perf(perf) => perf.rings.iter().map(ring::Ring::pending).sum(),
        }
    }

    /// One of its rings: that of a ring buffer, or of a processor.
    pub(crate) fn ring(&self, index: u64) -> Result<&ring::Ring, Status> {
        let index = usize::try_from(index).map_err(|_| Status::InvalidArgument)?;
        self.rings().get(index).ok_or(match self.rings() {
            [] => Status::OperationNotSupported,
            _ => Status::InvalidArgument,
        })
    }

    /// Its rings.
    pub(crate) fn rings(&self) -> &[ring::Ring] {
        match &self.body {
            Body::Ring(ring) => core::slice::from_ref(&ring.ring),
            Body::Perf(perf) => &perf.rings,
            _ => &[],
        }
    }

    /// Whether nothing is in the map.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A failure as a program of the map's platform sees it: a negative number.
    pub(crate) fn failure(&self, status: Status) -> i64 {
        match self.definition.platform {
            Platform::Windows => -i64::from(status.number()),
            Platform::Linux => -i64::from(status.errno()),
        }
    }
}

impl Body {
    fn new(
        core: &Shared<Core>,
        definition: &Definition,
        inner: Option<Definition>,
    ) -> Result<Body, Status> {
        let platform = core.platform();
        let cpus = platform.cpu_count();
        let seed = || {
            let high = u64::from(core.platform().random_u32());
            (high << 32) | u64::from(core.platform().random_u32()) | 1
        };
        Ok(match definition.kind {
            MapKind::Array => Body::Array(ArrayMap::new(definition, 1)?),
            MapKind::PerCpuArray => Body::PerCpuArray(ArrayMap::new(definition, cpus)?),
            MapKind::Hash | MapKind::Other => Body::Hash(HashMap::new(definition, 1, seed())?),
            MapKind::PerCpuHash => Body::Hash(HashMap::new(definition, cpus, seed())?),
            MapKind::LruHash => Body::LruHash(HashMap::new(definition, 1, seed())?),
            MapKind::LruPerCpuHash => Body::LruHash(HashMap::new(definition, cpus, seed())?),
            MapKind::LpmTrie => Body::Lpm(LpmMap::new(definition, seed())?),
            MapKind::ProgArray => Body::Slots(SlotMap::new(definition, None)?),
            MapKind::ArrayOfMaps => Body::Slots(SlotMap::new(definition, Some(need(inner)?))?),
            MapKind::HashOfMaps => {
                let mut hash = HashMap::new(definition, 1, seed())?;
                hash.template = Some(need(inner)?);
                Body::HashOfMaps(hash)
            }
            MapKind::Queue => Body::Queue(QueueMap::new(definition, queue::Order::Fifo)?),
            MapKind::Stack => Body::Queue(QueueMap::new(definition, queue::Order::Lifo)?),
            MapKind::RingBuf => Body::Ring(RingMap::new(definition, platform)?),
            MapKind::PerfEventArray => Body::Perf(PerfMap::new(definition, platform)?),
        })
    }
}

fn need(inner: Option<Definition>) -> Result<Definition, Status> {
    inner.ok_or(Status::InvalidObject)
}

/// Bytes of a value, padded so that the next one is aligned.
pub(crate) fn padded(size: u32) -> usize {
    (size as usize).next_multiple_of(8)
}

/// The rules of sizes, by kind.
fn check(definition: &Definition) -> Result<(), Status> {
    let Definition {
        key_size,
        value_size,
        max_entries,
        ..
    } = *definition;
    let linux = definition.platform == Platform::Linux;
    let valid = match definition.kind {
        MapKind::Array | MapKind::PerCpuArray => {
            let bytes = u64::from(max_entries) * padded(value_size) as u64;
            key_size == 4 && value_size != 0 && bytes <= MAX_ARRAY_BYTES
        }
        MapKind::ProgArray | MapKind::ArrayOfMaps => key_size == 4 && value_size == 4,
        MapKind::HashOfMaps => key_size != 0 && value_size == 4,
        MapKind::LpmTrie => key_size >= 4 && value_size != 0 && key_size <= lpm::MAX_KEY_BYTES,
        MapKind::Queue | MapKind::Stack => key_size == 0 && value_size != 0,
        MapKind::RingBuf => key_size == 0 && value_size == 0 && ring::is_ring_size(max_entries),
        MapKind::PerfEventArray if linux => key_size <= 4 && value_size <= 4,
        MapKind::PerfEventArray => {
            key_size == 0 && value_size == 0 && ring::is_ring_size(max_entries)
        }
        _ => key_size != 0 && value_size != 0,
    };
    let sized = max_entries != 0 || (linux && definition.kind == MapKind::PerfEventArray);
    if valid && sized && definition.name.len() <= abi::limits::NAME_BYTES {
        Ok(())
    } else {
        Err(Status::InvalidArgument)
    }
}
