//! Interleavings of the runtime's lock-free parts: epochs, published values, hash and LRU tables, ring
//! buffer, hooks.
//!
//! Each model runs thousands of times under a scheduler that switches threads before atomic
//! operations: at random, and with few well-placed switches (probabilistic concurrency testing,
//! Burckhardt et al. 2010). Seeds are fixed, so a failure comes again. What a lookup gives is held by
//! a helper of the test across many switches: memory that serves another key too early shows there.
#![expect(unsafe_code, reason = "runs programs and calls helpers by address")]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

use abi::{MapKind, Platform as Numbering, ProgramType, program_type};
use ebpfcore_models::{
    CONTEXT_HEADER_BYTES, Code, Core, Definition, Flags, Hook, Link, Machine, Map, Platform,
    Program, Shared, Status,
    helper::{NoExtensions, resolve},
    interpreter::{Callee, Links, translate},
    link::Capacity,
    raw::published::Published,
};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use shuttle::{Runner, thread};
use std::sync::Arc;

/// Runs of each model and scheduler.
const RUNS: usize = 3000;
/// And when `SOAK` is set.
const SOAK: usize = 100_000;
/// Switches that a bug may need, for the second scheduler.
const DEPTH: usize = 4;

fn check(model: impl Fn() + Send + Sync + Copy + 'static) {
    let runs = if std::env::var_os("SOAK").is_some() {
        SOAK
    } else {
        RUNS
    };
    let random = RandomScheduler::new_from_seed(1, runs);
    Runner::new(random, shuttle::Config::default()).run(model);
    let placed = PctScheduler::new_from_seed(1, DEPTH, runs);
    Runner::new(placed, shuttle::Config::default()).run(model);
}

struct Host;

impl Platform for Host {
    fn cpu_count(&self) -> u32 {
        2
    }
    /// Threads share processors in turn: the runtime must not rely on staying on one.
    fn current_cpu(&self) -> u32 {
        let id: usize = thread::current().id().into();
        id as u32 & 1
    }
    fn raise_irql(&self) -> u8 {
        0
    }
    fn lower_irql(&self, _level: u8) {}
    fn relax(&self) {
        thread::yield_now();
    }
    fn ktime_ns(&self) -> u64 {
        0
    }
    fn boot_ns(&self) -> u64 {
        0
    }
    fn random_u32(&self) -> u32 {
        7
    }
    fn pid_tid(&self) -> (u32, u32) {
        (1, 2)
    }
    fn logon_id(&self) -> u64 {
        0
    }
    fn is_admin(&self) -> i32 {
        0
    }
    fn process_start_key(&self) -> u64 {
        0
    }
    fn thread_create_time(&self) -> i64 {
        0
    }
    fn trace(&self, _line: &[u8]) {}
}

fn core() -> Shared<Core> {
    Core::new(&Host).unwrap()
}

fn map(
    core: &Shared<Core>,
    kind: MapKind,
    [key_size, value_size, max_entries]: [u32; 3],
) -> Shared<Map> {
    let definition = Definition {
        name: "m".into(),
        kind,
        platform: Numbering::Windows,
        key_size,
        value_size,
        max_entries,
    };
    Map::new(core, definition, None).unwrap()
}

/// A value that knows whether it was dropped.
struct Tracked(Arc<AtomicBool>);

impl Drop for Tracked {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn a_published_value_lives_while_a_reader_has_it() {
    check(|| {
        let core = core();
        let tracked = || {
            let dropped = Arc::new(AtomicBool::new(false));
            Shared::try_new(Tracked(dropped)).unwrap()
        };
        let place = Arc::new(Published::new(tracked()));
        let readers = [0, 1].map(|cpu| {
            let (core, place) = (Shared::clone(&core), Arc::clone(&place));
            thread::spawn(move || {
                for _ in 0..2 {
                    let pinned = core.epoch().pin(cpu);
                    let Some(value) = place.get(&pinned) else {
                        continue;
                    };
                    let dropped = Arc::clone(&value.0);
                    for _ in 0..3 {
                        assert!(!dropped.load(SeqCst), "dropped while it was read");
                    }
                }
            })
        });
        let writer = {
            let (core, place) = (Shared::clone(&core), Arc::clone(&place));
            thread::spawn(move || {
                drop(place.replace(&core, Some(tracked())));
                drop(place.replace(&core, None));
            })
        };
        for thread in readers.into_iter().chain([writer]) {
            thread.join().unwrap();
        }
    });
}

/// A value that names its key: whoever holds it can tell whether it became another key's.
fn value_of(key: u64, version: u64) -> [u8; 24] {
    let words = [key, version, !(key ^ version)];
    let mut bytes = [0; 24];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Reads a value word by word, with other threads in between.
///
/// Safety: a value of [`value_of`] that is valid for the call.
unsafe fn held(value: u64, key: u64) -> bool {
    let pause = AtomicBool::new(false);
    let words = [0, 8, 16].map(|offset| {
        pause.load(SeqCst);
        let mut word = [0; 8];
        // SAFETY: inside the value.
        unsafe { ebpfcore_models::read_bytes(value + offset, &mut word) };
        u64::from_le_bytes(word)
    });
    words[0] == key && words[2] == !(words[0] ^ words[1])
}

/// The helper that a reading program passes its value and key to.
unsafe extern "win64" fn check_value(
    value: u64,
    key: u64,
    _c: u64,
    _d: u64,
    _e: u64,
    _context: u64,
) -> u64 {
    // SAFETY: the program passes what a lookup gave it, which stays valid until its run ends.
    let is_whole = unsafe { held(value, key) };
    assert!(is_whole, "the value of key {key} changed under its reader");
    1
}

/// Number of the helper that the tests bring along.
const CHECK: i32 = 70_000;

struct Suite {
    map: u64,
    program_type: &'static ProgramType,
    check: unsafe extern "win64" fn(u64, u64, u64, u64, u64, u64) -> u64,
}

impl Links for Suite {
    fn map(&self, _: u32) -> Option<u64> {
        Some(self.map)
    }
    fn map_value(&self, _: u32) -> Option<u64> {
        None
    }
    fn helper(&self, id: i32) -> Option<Callee> {
        if id == CHECK {
            return Some(Callee {
                function: self.check,
                helper: None,
                tail_call: false,
            });
        }
        resolve(self.program_type, id as u32, &NoExtensions)
    }
    fn btf_function(&self, _: i32) -> Option<Callee> {
        None
    }
}

/// A program of type XDP over one map.
fn program(core: &Core, suite: &Suite, map: Option<&Shared<Map>>, text: &str) -> Shared<Program> {
    let insns = isa::asm::assemble(text).unwrap();
    let code = translate(&insns, suite).unwrap();
    let maps = map.into_iter().cloned().collect();
    let machine = Machine::new(code, maps);
    Program::new(core, "p", suite.program_type, Code::Interpreted(machine)).unwrap()
}

fn suite(map: u64) -> Suite {
    Suite {
        map,
        program_type: program_type::by_name(Numbering::Windows, "xdp").unwrap(),
        check: check_value,
    }
}

/// A program that looks a key up and lets the test look at the value.
fn reader(core: &Core, map: &Shared<Map>, key: u64) -> Shared<Program> {
    let text = format!(
        "r1 = {key} ll
        *(u64 *)(r10 - 8) = r1
        r2 = r10
        r2 += -8
        r1 = map_fd(0) ll
        call 1
        if r0 == 0 goto out
        r1 = r0
        r2 = {key} ll
        call {CHECK}
        out:
        exit"
    );
    program(core, &suite(map.address()), Some(map), &text)
}

/// Runs a program once.
fn invoke(core: &Core, program: &Program) -> u64 {
    let mut context = [0u64; CONTEXT_HEADER_BYTES / 8 + 4];
    let address = context.as_mut_ptr().expose_provenance() + CONTEXT_HEADER_BYTES;
    // SAFETY: an empty packet, a header in front; the program does not look at it.
    unsafe { core.enter().invoke(program, address as u64) }.unwrap()
}

fn put(map: &Map, key: u64, version: u64) -> Result<(), Status> {
    map.update(&key.to_le_bytes(), &value_of(key, version), Flags::Any)
}

/// Every entry has the value of its key; gives the number of entries.
fn entries(map: &Map) -> usize {
    let mut key = [0; 8];
    let mut previous: Option<[u8; 8]> = None;
    let mut count = 0;
    while map
        .next_key(previous.as_ref().map(|key| &key[..]), &mut key)
        .is_ok()
    {
        let mut value = [0; 24];
        map.lookup(&key, &mut value).unwrap();
        assert_eq!(value[..8], key, "the value of another key");
        previous = Some(key);
        count += 1;
    }
    count
}

/// Two writers exchange and delete the keys of a table while a program reads one of them.
fn table(kind: MapKind, max_entries: u32) {
    let core = core();
    let map = map(&core, kind, [8, 24, max_entries]);
    let program = reader(&core, &map, 1);
    let reading = {
        let core = Shared::clone(&core);
        thread::spawn(move || (0..2).for_each(|_| _ = invoke(&core, &program)))
    };
    let writing = [1, 2].map(|own: u64| {
        let map = Shared::clone(&map);
        thread::spawn(move || {
            for version in 0..3 {
                // Full tables refuse or evict, as their kind says.
                let _ = put(&map, own, version);
                let _ = put(&map, own + 2, version);
                let _ = map.delete(&own.to_le_bytes());
            }
            let _ = put(&map, own, 9);
        })
    });
    for thread in writing.into_iter().chain([reading]) {
        thread.join().unwrap();
    }
    let count = entries(&map);
    assert_eq!(count, map.len(), "entries and count differ");
    assert!(count <= max_entries as usize, "{count} entries");
    // Nothing was lost: the table still takes as many entries as it may.
    for key in 10..10 + u64::from(max_entries) {
        let done = put(&map, key, 0);
        assert!(done.is_ok() || kind == MapKind::Hash, "{done:?}");
    }
    assert_eq!(map.len(), max_entries as usize);
}

#[test]
fn hash_tables_keep_values_for_their_readers() {
    check(|| table(MapKind::Hash, 3));
}

#[test]
fn full_lru_tables_evict_without_harm() {
    check(|| table(MapKind::LruHash, 2));
}

/// Two writers update and delete the same keys of a table that has room for all of them, or may
/// evict: no update may be refused.
fn table_with_room(kind: MapKind, max_entries: u32) {
    let core = core();
    let map = map(&core, kind, [8, 24, max_entries]);
    let writing = [0, 1].map(|own: u64| {
        let map = Shared::clone(&map);
        thread::spawn(move || {
            for round in 0..3 {
                let key = (own + round) % 2;
                put(&map, key, round).unwrap();
                put(&map, 1 - key, round).unwrap();
                let _ = map.delete(&key.to_le_bytes());
            }
        })
    });
    for thread in writing {
        thread.join().unwrap();
    }
    assert_eq!(entries(&map), map.len(), "entries and count differ");
}

#[test]
fn writers_of_the_same_keys_never_find_a_table_full() {
    check(|| table_with_room(MapKind::Hash, 2));
}

#[test]
fn lru_tables_of_one_entry_always_take_one_more() {
    check(|| table_with_room(MapKind::LruHash, 1));
}

/// A helper of the runtime by name, called without a run.
fn helper(name: &str) -> impl Fn([u64; 5]) -> u64 {
    let xdp = program_type::by_name(Numbering::Linux, "xdp").unwrap();
    let table = abi::helper::general(Numbering::Linux);
    let id = table.iter().find(|row| row.name == name).unwrap().id;
    let function = resolve(xdp, id, &NoExtensions).unwrap().function;
    // SAFETY: the tests pass live maps and memory of the sizes they say; no run is asked for.
    move |[a, b, c, d, e]| unsafe { function(a, b, c, d, e, 0) }
}

/// Two producers whose records fill a ring several times, and a consumer.
#[test]
fn records_come_whole_in_order_and_once() {
    const SIZE: usize = 1500;
    const RECORDS: u8 = 3;
    check(|| {
        let core = core();
        let map = map(&core, MapKind::RingBuf, [0, 0, 4096]);
        let producers = [0, 1].map(|own: u8| {
            let map = Shared::clone(&map);
            thread::spawn(move || {
                let output = helper("bpf_ringbuf_output");
                for number in 0..RECORDS {
                    let record = [own << 4 | number; SIZE];
                    let data = record.as_ptr().expose_provenance() as u64;
                    while output([map.address(), data, SIZE as u64, 0, 0]) != 0 {
                        thread::yield_now();
                    }
                }
            })
        });
        let mut next = [0; 2];
        while next != [RECORDS; 2] {
            match map.take_record() {
                Ok(record) => {
                    let first = record.data[0];
                    assert!(
                        record.data.len() == SIZE && record.data.iter().all(|byte| *byte == first)
                    );
                    let (own, number) = (usize::from(first >> 4), first & 15);
                    assert_eq!(number, next[own], "a record out of order");
                    next[own] += 1;
                }
                Err(Status::NoMoreKeys) => thread::yield_now(),
                Err(other) => panic!("{other}"),
            }
        }
        producers.into_iter().for_each(|one| one.join().unwrap());
        assert_eq!(map.len(), 0);
    });
}

/// Reservations that end in another order than they began, and some thrown away.
#[test]
fn reserved_records_appear_only_when_they_are_done() {
    check(|| {
        let core = core();
        let map = map(&core, MapKind::RingBuf, [0, 0, 4096]);
        let producers = [1, 2].map(|own: u64| {
            let map = Shared::clone(&map);
            thread::spawn(move || {
                let [reserve, submit, discard] = [
                    "bpf_ringbuf_reserve",
                    "bpf_ringbuf_submit",
                    "bpf_ringbuf_discard",
                ]
                .map(helper);
                let [kept, dropped] = [0, 1].map(|_| reserve([map.address(), 24, 0, 0, 0]));
                assert!(kept != 0 && dropped != 0);
                // SAFETY: 24 reserved bytes.
                unsafe { ebpfcore_models::write_bytes(kept, &value_of(own, 1)) };
                discard([dropped, 0, 0, 0, 0]);
                submit([kept, 0, 0, 0, 0]);
            })
        });
        let mut seen = 0;
        while seen != 3 {
            match map.take_record() {
                Ok(record) => {
                    let own = u64::from(record.data[0]);
                    assert_eq!(record.data, value_of(own, 1), "a record that was not done");
                    assert_eq!(seen & own, 0, "twice");
                    seen |= own;
                }
                Err(Status::NoMoreKeys) => thread::yield_now(),
                Err(other) => panic!("{other}"),
            }
        }
        producers.into_iter().for_each(|one| one.join().unwrap());
        assert_eq!(map.take_record().err(), Some(Status::NoMoreKeys));
    });
}

/// Which programs may run, by number; set and cleared by the thread that attaches and detaches.
unsafe extern "win64" fn check_attached(
    flag: u64,
    _b: u64,
    _c: u64,
    _d: u64,
    _e: u64,
    _context: u64,
) -> u64 {
    let flag = std::ptr::with_exposed_provenance::<AtomicU32>(flag as usize);
    // SAFETY: the address of a flag that the test keeps.
    let flag = unsafe { &*flag };
    for _ in 0..3 {
        assert_eq!(flag.load(SeqCst), 1, "a program runs that is not attached");
    }
    0
}

#[test]
fn a_detached_program_does_not_run() {
    check(|| {
        let core = core();
        let attach_type = program_type::by_section(Numbering::Windows, "xdp").unwrap();
        let hook = Arc::new(Hook::new(attach_type, Capacity::Many));
        let flags = Arc::new([0, 1].map(AtomicU32::new));
        let programs = [0, 1].map(|at| {
            let flag = (&raw const flags[at]).expose_provenance();
            let links = Suite {
                check: check_attached,
                ..suite(0)
            };
            let text = format!("r1 = {flag} ll\ncall {CHECK}\nexit");
            program(&core, &links, None, &text)
        });
        let running = [0, 1].map(|_| {
            let (core, hook) = (Shared::clone(&core), Arc::clone(&hook));
            thread::spawn(move || {
                let mut context = [0u64; CONTEXT_HEADER_BYTES / 8 + 4];
                let address = context.as_mut_ptr().expose_provenance() + CONTEXT_HEADER_BYTES;
                for _ in 0..2 {
                    let mut run = core.enter();
                    // SAFETY: an empty packet, a header in front; the programs do not look at it.
                    unsafe {
                        run.invoke_hook((&hook, 0), address as u64, |_, _| {
                            std::ops::ControlFlow::Continue(())
                        });
                    }
                }
            })
        });
        let [first, second] = programs;
        flags[0].store(1, SeqCst);
        let link = Link::new(&core, attach_type, &[], first).unwrap();
        hook.attach(&core, &link).unwrap();
        flags[1].store(1, SeqCst);
        drop(hook.exchange(&core, &link, second).unwrap());
        flags[0].store(0, SeqCst);
        hook.detach(&core, &link).unwrap();
        flags[1].store(0, SeqCst);
        running.into_iter().for_each(|one| one.join().unwrap());
    });
}
