//! The actual `ebpfcore.sys` in this process, with the page protections of HVCI: it starts, serves,
//! has native modules beside it and programs of its own, and leaves nothing when it stops.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

#[path = "support/runtime.rs"]
mod runtime;
mod support;

use abi::Guid;
use abi::ioctl::{Handle, Request};
use ebpfcore_sim::ModuleIdValue;
use ebpfcore_sim::computer::Computer;
use ebpfcore_sim::computer::traffic::Count;
use ebpfcore_sim::raw::mapping::Protection;
use runtime::{INTERFACE, Process, bring, computer, field, stop, udp};
use sha2::{Digest as _, Sha256};
use std::time::{Duration, Instant};
use testkernel::registry::service_key;

fn droppacket() -> Vec<u8> {
    let object = support::load("droppacket.o");
    support::driver(&support::verify(&object), &codegen::Options::default())
}

#[test]
fn the_runtime_starts_and_stops_again_and_again() {
    for _ in 0..3 {
        let Some(computer) = computer() else { return };
        let process = Process::new(&computer, 100);
        process.caller.end();
        stop(&computer);
        computer.start("ebpfcore").unwrap();
        stop(&computer);
    }
}

/// The life of the tutorial: frames without data are dropped and counted while the service runs.
#[test]
fn droppacket_runs_beside_the_runtime() {
    let Some(computer) = computer() else { return };
    let frames = [udp(0), udp(40), udp(1200)];
    let passed = |passed| Count { passed, dropped: 0 };
    computer.create("droppacket", &droppacket(), &ModuleIdValue::NoKey);
    for round in 1..=5u64 {
        assert_eq!(bring(&computer, &frames, 10), [passed(20); 3]);
        computer.start("droppacket").unwrap();
        let dropped = Count {
            passed: 0,
            dropped: 200 * round,
        };
        let rest = passed(200 * round);
        assert_eq!(
            bring(&computer, &frames, 100 * round),
            [dropped, rest, rest]
        );
        let process = Process::new(&computer, 100);
        let map = process.map("dropcnt_map").unwrap();
        assert_eq!(process.number(map, 0), 200 * round);
        process.caller.end();
        computer.stop("droppacket").unwrap();
        assert_eq!(bring(&computer, &frames, 10), [passed(20); 3]);
    }
    stop(&computer);
}

/// A driver decides about frames that lie in one piece without memory from the pool, as the interpreter
/// does (`runtime_frames.rs`); those in pieces are put together there.
#[test]
fn a_driver_sees_frames_in_one_piece_without_memory() {
    let Some(computer) = computer() else { return };
    let pool = &computer.machine().pool;
    let allocated = |frames: &[Vec<u8>]| {
        let before = pool.allocations();
        let dropped = bring(&computer, frames, 1000)
            .iter()
            .map(|count| count.dropped)
            .sum::<u64>();
        (pool.allocations() - before, dropped)
    };
    computer.create("droppacket", &droppacket(), &ModuleIdValue::NoKey);
    computer.start("droppacket").unwrap();
    assert_eq!(allocated(&[udp(0), udp(40), udp(900)]), (0, 2000));
    assert!(allocated(&[udp(1200)]).0 > 0);
    computer.stop("droppacket").unwrap();
    stop(&computer);
}

const ID: Guid = Guid::from_u128(0x00112233_4455_4677_8899_aabbccddeeff);

/// Lets a process load the module of a service by messages; gives the handles of its programs.
fn load_module(process: &Process, service: &str, file: &[u8]) -> Result<Vec<Handle>, u32> {
    process.ask(&Request::AuthorizeNativeModule {
        module_id: ID,
        module_hash: Sha256::digest(file).into(),
    })?;
    let path: Vec<u8> = service_key(service)
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    process.ask(&Request::LoadNativeModule {
        module_id: ID,
        data: &path,
    })?;
    let reply = process.ask(&Request::LoadNativePrograms {
        module_id: ID,
        pin_root_path: &[],
    })?;
    let maps = field!(reply, LoadNativePrograms, map_handle_count) as usize;
    let handles = match abi::ioctl::Reply::decode(&reply).unwrap() {
        abi::ioctl::Reply::LoadNativePrograms { handles, .. } => handles.iter().map(Handle),
        other => panic!("{other:?}"),
    };
    Ok(handles.skip(maps).collect())
}

/// The runtime stops a service that nobody uses any more, from a thread of the system.
fn goes(computer: &Computer, service: &str) {
    let since = Instant::now();
    while computer.page(service, Protection::ReadExecute).is_some() {
        assert!(since.elapsed() < Duration::from_secs(60), "it stays");
        std::thread::yield_now();
    }
}

/// A driver is loaded by messages, its program attached by hand; it goes with its last user.
#[test]
fn a_module_is_loaded_by_message_and_goes_with_its_process() {
    let Some(computer) = computer() else { return };
    let file = droppacket();
    computer.create("module", &file, &ModuleIdValue::of(ID));
    let frames = [udp(0), udp(40)];
    let (passed, dropped) = (
        Count {
            passed: 20,
            dropped: 0,
        },
        Count {
            passed: 0,
            dropped: 20,
        },
    );
    for round in 0..3 {
        let process = Process::new(&computer, 100 + round * 4);
        // Another file than the one that is loaded: the driver runs and is not let in.
        assert!(load_module(&process, "module", b"another file").is_err());
        computer.stop("module").unwrap();
        let programs = load_module(&process, "module", &file).unwrap();
        assert_eq!(programs.len(), 1);
        assert_eq!(bring(&computer, &frames, 10), [passed; 2]);
        let parameter = INTERFACE.to_le_bytes();
        process.attach("xdp", programs[0], &parameter).unwrap();
        assert_eq!(bring(&computer, &frames, 10), [dropped, passed]);
        process.caller.end();
        assert_eq!(bring(&computer, &frames, 10), [passed; 2]);
        goes(&computer, "module");
    }
    let nobody = Process::new(&computer, 200);
    assert!(load_module(&nobody, "nobody", &file).is_err());
    nobody.caller.end();
    stop(&computer);
}
