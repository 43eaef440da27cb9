//! The actual `ebpfcore.sys` in this process, with the page protections of HVCI: it starts, serves,
//! has native modules beside it and programs of its own, and leaves nothing when it stops.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

#[path = "support/runtime.rs"]
mod runtime;
mod support;

use ebpfcore_sim::ModuleIdValue;
use ebpfcore_sim::computer::traffic::Count;
use runtime::{Process, bring, computer, stop, udp};

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
