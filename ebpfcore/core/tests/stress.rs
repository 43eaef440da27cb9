//! Everything at once: more threads than processors send messages, call programs, attach, exchange and
//! unload them, and read and write maps that programs use.
//!
//! What must hold: each call of a program is counted once in a map that it adds to atomically; values
//! are never torn or another key's; when the processes are gone, so is every object. Counts of
//! operations are fixed, not times.
#![expect(unsafe_code, reason = "invokes programs on contexts in memory")]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

#[path = "support/device.rs"]
mod device;
mod support;

use abi::ioctl::{Handle, Reply, Request};
use device::*;
use ebpfcore::{CONTEXT_HEADER_BYTES, Status, control::Control};
use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
};
use support::{CPUS, Random, set_cpu};

/// Rounds of each thread; those that call the hook do so until the others are done.
const ROUNDS: u32 = 16;
/// Operations on maps in each round.
const OPERATIONS: u32 = 250;

/// Adds 1 to a counter, and writes an entry whose value says which key it is for.
fn program(counter: Handle, table: Handle, key: u32) -> String {
    format!(
        "*(u32 *)(r10 - 4) = 0
         r2 = r10
         r2 += -4
         r1 = map_fd({counter}) ll
         call 1
         if r0 == 0 goto out
         r1 = 1
         lock *(u64 *)(r0 + 0) += r1
         *(u32 *)(r10 - 4) = {key}
         *(u64 *)(r10 - 24) = {key}
         *(u64 *)(r10 - 16) = {key}
         r1 = map_fd({table}) ll
         r2 = r10
         r2 += -4
         r3 = r10
         r3 += -24
         r4 = 0
         call 2
         out:
         r0 = 1
         exit",
        counter = counter.0,
        table = table.0,
    )
}

/// A handle of this process for a map of another one.
fn open_map(control: &Control, process: &Process, id: u32) -> Handle {
    let bytes = ask(control, process, &Request::GetMapHandleById { id }).unwrap();
    reply!(bytes, GetMapHandleById, handle)
}

/// Calls the hook; counts what the programs return.
fn call(control: &Control, counted: &AtomicU64, until: &AtomicBool) {
    let hook = control.hook(xdp().guid).unwrap();
    let mut context = [0u64; (CONTEXT_HEADER_BYTES + 64) / 8];
    let address = context.as_mut_ptr().expose_provenance() as u64 + CONTEXT_HEADER_BYTES as u64;
    while !until.load(Relaxed) {
        let mut run = control.core().enter();
        // SAFETY: a zeroed context with its header; an empty packet.
        unsafe {
            run.invoke_hook((hook, 7), address, |_, result| {
                counted.fetch_add(result.unwrap(), Relaxed);
                ControlFlow::Continue(())
            });
        }
    }
}

/// Loads programs, attaches them, waits for a call, and detaches them, by hand or by dying.
fn attach(control: &Control, (counter, table): (u32, u32), (own, counted): (u32, &AtomicU64)) {
    for round in 0..ROUNDS {
        let process = Process::new();
        let maps = [counter, table].map(|id| open_map(control, &process, id));
        let loaded = create_program(control, &process, xdp().program_type.guid);
        let text = program(maps[0], maps[1], own * 8 + round % 8);
        load(control, &process, loaded, &text).unwrap();
        let before = counted.load(Relaxed);
        let attached = link(control, &process, loaded).unwrap();
        while counted.load(Relaxed) == before {
            thread::yield_now();
        }
        if round % 2 == 0 {
            close(control, &process, attached).unwrap();
        }
        process.end(control);
    }
}

/// Reads, writes and deletes entries; every value must be its key's.
fn use_map(control: &Control, table: u32, seed: u64) {
    let process = Process::new();
    let handle = open_map(control, &process, table);
    let mut random = Random(seed);
    for _ in 0..ROUNDS * OPERATIONS {
        let key = random.below(64) as u32;
        let bytes = key.to_le_bytes();
        match random.below(3) {
            0 => {
                let value = [u64::from(key); 2].map(u64::to_le_bytes);
                let data = [&bytes[..], value.as_flattened()].concat();
                let request = Request::MapUpdateElement {
                    handle,
                    option: 0,
                    data: &data,
                };
                ask(control, &process, &request).unwrap();
            }
            1 => {
                let request = Request::MapDeleteElement {
                    handle,
                    key: &bytes,
                };
                let done = ask(control, &process, &request).map(drop);
                assert!(
                    matches!(done, Ok(()) | Err(Status::KeyNotFound)),
                    "{done:?}"
                );
            }
            _ => {
                let request = Request::MapFindElement {
                    handle,
                    find_and_delete: false,
                    key: &bytes,
                };
                let Ok(found) = ask(control, &process, &request) else {
                    continue;
                };
                let value = reply!(found, MapFindElement, value);
                let expected = [u64::from(key); 2].map(u64::to_le_bytes);
                assert_eq!(value, expected.as_flattened(), "the value of key {key}");
            }
        }
    }
    process.end(control);
}

/// Walks over all objects while they come and go.
fn enumerate(control: &Control, until: &AtomicBool) {
    let process = Process::new();
    while !until.load(Relaxed) {
        let mut start_id = 0;
        while let Ok(bytes) = ask(control, &process, &Request::GetNextProgramId { start_id }) {
            let id = reply!(bytes, GetNextProgramId, next_id);
            assert!(id > start_id);
            start_id = id;
            let Ok(bytes) = ask(control, &process, &Request::GetProgramHandleById { id }) else {
                continue;
            };
            let handle = reply!(bytes, GetProgramHandleById, handle);
            // A program has no information before it has code.
            let info = ask(
                control,
                &process,
                &Request::GetObjectInfo { handle, info: &[] },
            );
            assert!(
                matches!(info, Ok(_) | Err(Status::InvalidState)),
                "{info:?}"
            );
            close(control, &process, handle).unwrap();
        }
    }
    process.end(control);
}

#[test]
fn everything_at_once() {
    let control = control();
    let process = Process::new();
    // An array for the counter; a hash table and an LRU table that is too small for all keys.
    let counter = create_map(&control, &process, 2, [4, 8, 1]);
    let tables = [(1, 64), (8, 16)]
        .map(|(kind, entries)| create_map(&control, &process, kind, [4, 16, entries]));
    let id = |handle: Handle| process.handles.borrow()[&handle.0];
    let (counter_id, table_ids) = (id(counter), tables.map(id));
    let (counted, done) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let (control, counted, done) = (&control, &counted, &done);
        let mut threads = Vec::new();
        for number in 0..2 {
            scope.spawn(move || {
                set_cpu(number % CPUS);
                call(control, counted, done);
            });
            threads.push(scope.spawn(move || {
                set_cpu((number + 2) % CPUS);
                let maps = (counter_id, table_ids[number as usize]);
                attach(control, maps, (number, counted));
            }));
            for table in table_ids {
                threads.push(scope.spawn(move || use_map(control, table, u64::from(number) + 1)));
            }
        }
        scope.spawn(move || enumerate(control, done));
        let results: Vec<_> = threads
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        done.store(true, Relaxed);
        results.into_iter().for_each(|result| result.unwrap());
    });
    let request = Request::MapFindElement {
        handle: counter,
        find_and_delete: false,
        key: &[0; 4],
    };
    let value = reply!(
        ask(&control, &process, &request).unwrap(),
        MapFindElement,
        value
    );
    assert_eq!(value, counted.load(Relaxed).to_le_bytes());
    assert_ne!(counted.load(Relaxed), 0, "no program was ever called");
    process.end(&control);
    assert_eq!(control.object_count(), 0);
}
