//! What the runtime costs a program: an empty call, lookups, updates, records; as ratios where the goal
//! is one.
//!
//! Each program does one operation in each invocation, on one hot entry of a table of 1024; what the
//! empty program costs is taken off. The yardstick for lookups is hashbrown's table under a read lock
//! that nobody else takes, with its default hash function.

use crate::harness::Bench;
use ebpfcore_sim::{Engine, Host, Input, Options};
use hashbrown::HashMap;
use program::{MapDef, Object, ProgramId, RawProgram};
use std::hint::black_box;
use std::sync::RwLock;
use std::time::Instant;

/// Entries of the tables.
const ENTRIES: u64 = 1024;
/// Invocations of a pass; the fastest of some passes counts.
const INVOCATIONS: u64 = 400_000;
const PASSES: usize = 7;
/// The entry that is used.
const KEY: u64 = 77;
/// Lookups of each program that several threads run, of keys all over the table.
const LOOKUPS: u64 = 32;
/// Room for all records of a pass.
const RING_BYTES: u32 = 64 << 20;

/// A map under test: its type, its sizes, and the operation on it.
struct Subject {
    name: &'static str,
    map: (abi::MapKind, [u32; 3]),
    text: String,
}

pub(crate) fn register(bench: &mut Bench) {
    bench.report("runtime (ratios)", || {
        if let Err(problem) = report() {
            eprintln!("runtime: {problem}");
        }
    });
}

fn report() -> Result<(), String> {
    let empty = "r0 = 1\nexit";
    let none = (abi::MapKind::Array, [4, 8, 1]);
    let direct = ns(none, empty, Engine::Native)?;
    println!("empty program, native                {direct:>8.2} ns per invocation (goal 15)");
    let interpreted = ns(none, empty, Engine::Interpreter)?;
    println!("empty program, interpreter           {interpreted:>8.2} ns per invocation (goal 30)");
    let mut costs = Vec::new();
    for Subject { name, map, text } in subjects() {
        let cost = ns(map, &text, Engine::Native)? - direct;
        println!("{name:<36} {cost:>8.2} ns");
        costs.push(cost);
    }
    let yardstick = hashbrown_lookup();
    println!("hashbrown under a read lock          {yardstick:>8.2} ns");
    let [lookup, _, update, lru, record] = costs.as_slice() else {
        return Err("another number of subjects".to_owned());
    };
    println!(
        "hash lookup / hashbrown              {:>8.2} (goal 1.0)",
        lookup / yardstick
    );
    println!(
        "LRU update / hash update             {:>8.2} (goal 3)",
        lru / update
    );
    println!(
        "records of 64 bytes                  {:>8.2} M/s (goal 10)",
        1e3 / record
    );
    together()
}

/// Hash lookups by threads that share the map: more threads must not get less done.
fn together() -> Result<(), String> {
    let entries = ENTRIES as u32;
    let mut text = "r6 = 0\n".to_owned();
    for at in 0..LOOKUPS {
        let key = at * (ENTRIES / LOOKUPS);
        text += &format!(
            "r1 = {key} ll\n*(u64 *)(r10 - 8) = r1\nr1 = map_fd(0) ll\nr2 = r10\nr2 += -8\ncall 1\n\
             if r0 == 0 goto +2\nr0 = *(u64 *)(r0 + 0)\nr6 += r0\n"
        );
    }
    text += "r0 = 1\nexit";
    let object = object((abi::MapKind::Hash, [8, 16, entries]), &text)?;
    let image = compiled(&object)?;
    let host = Host::from_image(image.bytes(), &Options::default());
    let host = host.map_err(|error| error.to_string())?;
    fill(&host)?;
    let most = std::thread::available_parallelism().map_or(1, usize::from);
    let rates = crate::hook::lookups_together(&host, most);
    let first = rates.first().copied().unwrap_or(f64::NAN);
    for (threads, rate) in (1..).zip(&rates) {
        println!(
            "hash lookups by {threads} thread{}            {:>8.1} M/s, {:.2} times one thread's",
            if threads == 1 { " " } else { "s" },
            rate * LOOKUPS as f64 / 1e6,
            rate / first
        );
    }
    Ok(())
}

/// A program that calls with a map and a key; the key lies at r10 - 8, what is written at r10 - 72.
fn keyed(call: &str) -> String {
    format!(
        "r1 = {KEY} ll
        *(u64 *)(r10 - 8) = r1
        *(u64 *)(r10 - 72) = r1
        *(u64 *)(r10 - 64) = r1
        r1 = map_fd(0) ll
        r2 = r10
        r2 += -8
        {call}
        r0 = 1
        exit"
    )
}

fn subjects() -> [Subject; 5] {
    let update = keyed("r3 = r10\nr3 += -72\nr4 = 0\ncall 2");
    let entries = ENTRIES as u32;
    let filled: String = (1..=8)
        .map(|at| format!("*(u64 *)(r10 - {}) = 7\n", at * 8))
        .collect();
    let record = format!(
        "{filled}r1 = map_fd(0) ll\nr2 = r10\nr2 += -64\nr3 = 64\nr4 = 0\ncall 11\nr0 = 1\nexit"
    );
    let subject = |name, kind, sizes, text| Subject {
        name,
        map: (kind, sizes),
        text,
    };
    [
        subject(
            "hash lookup, 8-byte key",
            abi::MapKind::Hash,
            [8, 16, entries],
            keyed("call 1"),
        ),
        subject(
            "array lookup, inlined (goal 2)",
            abi::MapKind::Array,
            [4, 16, entries],
            keyed("call 1"),
        ),
        subject(
            "hash update",
            abi::MapKind::Hash,
            [8, 16, entries],
            update.clone(),
        ),
        subject(
            "LRU update",
            abi::MapKind::LruHash,
            [8, 16, entries],
            update,
        ),
        subject(
            "ring buffer record",
            abi::MapKind::RingBuf,
            [0, 0, RING_BYTES],
            record,
        ),
    ]
}

/// Nanoseconds per invocation in the fastest pass, each on maps of its own.
fn ns(map: (abi::MapKind, [u32; 3]), text: &str, engine: Engine) -> Result<f64, String> {
    let object = object(map, text)?;
    let image = compiled(&object)?;
    let programs = [verified(&object)?];
    let input = [Input::packet(&[0; 60])];
    let mut best = f64::INFINITY;
    for _ in 0..PASSES {
        let mut host = match engine {
            Engine::Native => Host::from_image(image.bytes(), &Options::default()),
            Engine::Interpreter => Host::from_object(&object, &programs, &Options::default()),
        }
        .map_err(|error| error.to_string())?;
        if matches!(map.0, abi::MapKind::Hash | abi::MapKind::LruHash) {
            fill(&host)?;
        }
        let measured = host.measure("bench", engine, (&input, INVOCATIONS));
        best = best.min(
            measured
                .map_err(|error| error.to_string())?
                .ns_per_invocation(),
        );
    }
    Ok(best)
}

fn verified(object: &Object) -> Result<verifier::Verified<'_>, String> {
    verifier::verify(object, ProgramId(0), &verifier::Options::default())
        .map_err(|rejected| verifier::render::text(object, &rejected))
}

fn compiled(object: &Object) -> Result<image::Image, String> {
    // Newest, so that array lookups are inlined.
    let options = codegen::Options::default().with_abi(abi::native::VERSION_ARRAY_DATA);
    let module = codegen::compile(&[verified(object)?], &options);
    image::link(&module.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}

/// Fills the map.
fn fill(host: &Host) -> Result<(), String> {
    for key in 0..ENTRIES {
        let set = host.set("m", &key.to_le_bytes(), &[0; 16]);
        set.map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn object((kind, sizes): (abi::MapKind, [u32; 3]), text: &str) -> Result<Object, String> {
    let insns = isa::asm::assemble(text).map_err(|error| error.to_string())?;
    let bytes = isa::encode::program(&insns).map_err(|error| format!("{error:?}"))?;
    let program_type = abi::program_type::by_name(abi::Platform::Windows, "xdp");
    let row = kind.row(abi::Platform::Windows);
    let number = row.and_then(|row| row.number(abi::Platform::Windows));
    program::from_bytecode(RawProgram {
        name: "bench",
        platform: abi::Platform::Windows,
        program_type: program_type.ok_or("no XDP")?,
        bytes: &bytes,
        maps: vec![MapDef::sized(
            "m".into(),
            kind,
            number.ok_or("no such map")?,
            sizes,
        )],
    })
    .map_err(|error| error.to_string())
}

fn hashbrown_lookup() -> f64 {
    let table: HashMap<u64, [u8; 16]> = (0..ENTRIES).map(|key| (key, [0; 16])).collect();
    let table = RwLock::new(table);
    let pass = || {
        let start = Instant::now();
        for _ in 0..INVOCATIONS {
            let guard = table.read();
            let found = guard
                .as_ref()
                .ok()
                .and_then(|table| table.get(&black_box(KEY)));
            black_box(found);
        }
        start.elapsed().as_nanos() as f64 / INVOCATIONS as f64
    };
    (0..PASSES).map(|_| pass()).fold(f64::INFINITY, f64::min)
}
