//! A platform over the host for tests, and a small deterministic random source.
#![allow(clippy::unwrap_used, reason = "a test may stop")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use ebpfcore::{Core, Definition, Map, Platform, RingMemory, Shared, Status};
use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

pub(crate) const CPUS: u32 = 4;

/// A request that was completed, and how.
pub(crate) type Completed = (u64, Result<Vec<u8>, Status>);

pub(crate) struct TestPlatform {
    pub(crate) lines: Mutex<Vec<String>>,
    random: AtomicU32,
    /// Requests that were completed, events that were set, events that were given up.
    pub(crate) completed: Mutex<Vec<Completed>>,
    pub(crate) signals: Mutex<Vec<u64>>,
    pub(crate) forgotten: Mutex<Vec<u64>>,
    /// Memory for rings; none on a host that has none.
    pub(crate) rings: Mutex<Option<Rings>>,
}

/// How often to repeat something: less under Miri, which is slow.
pub(crate) fn turns(usual: u64) -> u64 {
    let few = (usual / 200).max(100);
    if cfg!(miri) { few } else { usual }
}

thread_local! {
    static CPU: Cell<u32> = const { Cell::new(0) };
    /// What happens when the runtime sets memory aside, and with 0 when it gives the rest back.
    pub(crate) static ON_RESERVE: Cell<fn(usize) -> bool> = const { Cell::new(|_| true) };
}

/// Says on which CPU the calling thread is.
pub(crate) fn set_cpu(cpu: u32) {
    CPU.set(cpu);
}

impl Platform for TestPlatform {
    fn cpu_count(&self) -> u32 {
        CPUS
    }
    fn current_cpu(&self) -> u32 {
        CPU.get()
    }
    fn raise_irql(&self) -> u8 {
        0
    }
    fn lower_irql(&self, _level: u8) {}
    fn relax(&self) {
        std::thread::yield_now();
    }
    fn ktime_ns(&self) -> u64 {
        5_000_000_123
    }
    fn boot_ns(&self) -> u64 {
        7_000_000_456
    }
    fn random_u32(&self) -> u32 {
        self.random.fetch_add(0x9e37_79b9, Ordering::Relaxed)
    }
    fn pid_tid(&self) -> (u32, u32) {
        (11, 22)
    }
    fn logon_id(&self) -> u64 {
        0x3e7
    }
    fn is_admin(&self) -> i32 {
        -1
    }
    fn process_start_key(&self) -> u64 {
        77
    }
    fn thread_create_time(&self) -> i64 {
        88
    }
    fn reserve(&self, bytes: usize) -> bool {
        ON_RESERVE.get()(bytes)
    }
    fn release(&self) {
        ON_RESERVE.get()(0);
    }
    fn trace(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line).into_owned();
        self.lines.lock().unwrap().push(line);
    }
    fn complete(&self, ticket: u64, reply: Result<&[u8], Status>) {
        let reply = reply.map(<[u8]>::to_vec);
        self.completed.lock().unwrap().push((ticket, reply));
    }
    fn signal(&self, event: u64) {
        self.signals.lock().unwrap().push(event);
    }
    fn forget_event(&self, event: u64) {
        self.forgotten.lock().unwrap().push(event);
    }
    fn take_ring(&self, bytes: u64) -> Result<Option<RingMemory>, Status> {
        let mut guard = self.rings.lock().unwrap();
        let Some(rings) = guard.as_mut() else {
            return Ok(None);
        };
        rings.left = rings.left.checked_sub(1).ok_or(Status::NoMemory)?;
        rings.last += 1;
        // Two pages and the records twice, and what brings it to a multiple of a page.
        let mut memory = vec![0; 3 * 4096 + 2 * bytes as usize];
        let start = memory.as_mut_ptr().expose_provenance();
        rings.given.insert(rings.last, memory);
        Ok(Some(RingMemory {
            address: start.next_multiple_of(4096) as u64,
            id: rings.last,
        }))
    }
    fn give_ring(&self, id: u64) {
        let mut rings = self.rings.lock().unwrap();
        let given = rings.as_mut().and_then(|rings| rings.given.remove(&id));
        assert!(given.is_some(), "given back once");
    }
}

/// Memory of rings that the host gives.
#[derive(Default)]
pub(crate) struct Rings {
    /// Blocks that may still be given.
    pub(crate) left: u32,
    /// What is given: its bytes by its name.
    pub(crate) given: BTreeMap<u64, Vec<u8>>,
    last: u64,
}

impl TestPlatform {
    /// Takes what was completed.
    pub(crate) fn take_completed(&self) -> Vec<Completed> {
        std::mem::take(&mut *self.completed.lock().unwrap())
    }
}

/// A runtime with a platform of its own.
pub(crate) fn core() -> (Shared<Core>, &'static TestPlatform) {
    /// Never given back, which is not a leak while they can be reached.
    static ALL: Mutex<Vec<&TestPlatform>> = Mutex::new(Vec::new());
    let platform: &'static TestPlatform = Box::leak(Box::new(TestPlatform {
        lines: Mutex::default(),
        random: AtomicU32::new(12345),
        completed: Mutex::default(),
        signals: Mutex::default(),
        forgotten: Mutex::default(),
        rings: Mutex::default(),
    }));
    ALL.lock().unwrap().push(platform);
    (Core::new(platform).unwrap(), platform)
}

pub(crate) fn definition(kind: abi::MapKind, key: u32, value: u32, max: u32) -> Definition {
    Definition {
        name: "m".into(),
        kind,
        platform: abi::Platform::Windows,
        key_size: key,
        value_size: value,
        max_entries: max,
    }
}

pub(crate) fn map(core: &Shared<Core>, kind: abi::MapKind, sizes: [u32; 3]) -> Shared<Map> {
    try_map(core, kind, sizes).unwrap()
}

pub(crate) fn try_map(
    core: &Shared<Core>,
    kind: abi::MapKind,
    [key, value, max]: [u32; 3],
) -> Result<Shared<Map>, Status> {
    Map::new(core, definition(kind, key, value, max), None)
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
