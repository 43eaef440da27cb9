//! Each allocation of the pool fails once, in turn, over a life of the actual `ebpfcore.sys`: nothing
//! crashes, nothing is lost, and what fails says that memory is short.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

#[path = "support/runtime.rs"]
mod runtime;
mod support;

use abi::ioctl::{Handle, LINK, Request};
use ebpfcore_sim::computer::Computer;
use ebpfcore_sim::{Error, ModuleIdValue};
use runtime::{INTERFACE, Process, bring, udp};

/// `STATUS_NO_MEMORY` and `STATUS_INSUFFICIENT_RESOURCES`.
const SHORT: [u32; 2] = [0xc000_0017, 0xc000_009a];

/// Frames that the program sees, if nothing fails.
const FRAMES: u64 = 8;

/// How the steps ended, by name, and how many frames the program saw.
#[derive(Default)]
struct Steps {
    ended: Vec<(&'static str, Result<(), u32>)>,
    seen: u64,
}

impl Steps {
    fn note<T>(&mut self, name: &'static str, result: Result<T, u32>) -> Option<T> {
        self.ended
            .push((name, result.as_ref().map(|_| ()).map_err(|status| *status)));
        result.ok()
    }
}

fn status(error: &Error) -> u32 {
    match error {
        Error::Entry { status } => *status,
        other => panic!("{other}"),
    }
}

/// A program that counts what it sees under the key 0.
fn counting(map: Handle) -> String {
    format!(
        "*(u32 *)(r10 - 4) = 0
         r2 = r10
         r2 += -4
         r1 = map_fd({}) ll
         call 1
         if r0 == 0 goto +2
         r1 = 1
         lock *(u64 *)(r0 + 0) += r1
         r0 = 1
         exit",
        map.0 as i32
    )
}

/// A process: a map, a program that counts frames, its link, the other's removal.
fn process(computer: &Computer, steps: &mut Steps) {
    let caller = computer.process(100);
    let Some(device) = steps.note("open", caller.open(LINK)) else {
        return;
    };
    let process = Process { caller, device };
    let map = steps.note("map", process.create_map(1, [4, 8, 16]));
    let map = map.unwrap_or(Handle::INVALID);
    for key in 0..3u32 {
        let data = [&key.to_le_bytes()[..], &[0; 8]].concat();
        let request = Request::MapUpdateElement {
            handle: map,
            option: 0,
            data: &data,
        };
        steps.note("update", process.ask(&request));
    }
    let text = counting(map);
    if map != Handle::INVALID
        && let Some(program) = steps.note("load", process.load("xdp", &text))
    {
        let link = process.attach("xdp", program, &INTERFACE.to_le_bytes());
        let link = steps.note("attach", link);
        let before = process.number_or(map);
        let _ = bring(computer, &[udp(8), udp(2000)], 2);
        let after = process.number_or(map);
        if let (Some(_), Some(before), Some(after)) = (link, before, after) {
            // A frame in two pieces needs memory to be seen whole.
            assert!((FRAMES - 1..=FRAMES).contains(&(after - before)));
            steps.seen = after - before;
        }
        let pin = Request::UpdatePinning {
            handle: map,
            path: b"m",
        };
        steps.note("pin", process.ask(&pin));
    }
    process.caller.end();
}

impl Process {
    /// The first number of a map, when there is memory to ask for it.
    fn number_or(&self, map: Handle) -> Option<u64> {
        let request = Request::MapFindElement {
            handle: map,
            find_and_delete: false,
            key: &[0; 4],
        };
        let value = runtime::field!(self.ask(&request).ok()?, MapFindElement, value);
        Some(u64::from_le_bytes(value[..8].try_into().unwrap()))
    }
}

/// A life with a failure after so many allocations; the steps, and whether it came.
fn life(droppacket: &[u8], after: Option<u64>) -> Option<(Steps, bool)> {
    let computer = Computer::new();
    computer.create("ebpfcore", runtime::driver_file()?, &ModuleIdValue::NoKey);
    computer.create("droppacket", droppacket, &ModuleIdValue::NoKey);
    let pool = &computer.machine().pool;
    if let Some(after) = after {
        pool.fail_after(after);
    }
    let mut steps = Steps::default();
    let started = computer.start("ebpfcore").map_err(|error| status(&error));
    if steps.note("start", started).is_some() {
        process(&computer, &mut steps);
        let started = computer.start("droppacket");
        if started.is_ok() {
            let _ = bring(&computer, &[udp(0)], 2);
            computer.stop("droppacket").unwrap();
        }
        computer.stop("ebpfcore").unwrap();
    }
    let is_open = pool.stop_failing();
    assert_eq!(
        computer.faults(),
        [""; 0],
        "after {after:?} allocations: {:?}",
        steps.ended
    );
    Some((steps, !is_open))
}

#[test]
fn each_allocation_fails_once() {
    let object = support::load("droppacket.o");
    let droppacket = support::driver(&support::verify(&object), &codegen::Options::default());
    let Some((calm, _)) = life(&droppacket, None) else {
        return;
    };
    assert!(
        calm.ended.iter().all(|(_, result)| result.is_ok()),
        "{:?}",
        calm.ended
    );
    assert_eq!(calm.seen, FRAMES);
    let mut failures = 0;
    for after in 0.. {
        let (steps, was_hit) = life(&droppacket, Some(after)).unwrap();
        if !was_hit {
            assert!(after > 100, "only {after} allocations");
            // The reserve of a message serves what fails within it; the rest is told.
            assert!(failures > 10, "{failures} of {after} failures are told");
            return;
        }
        let bad = steps.ended.iter().find(|(_, result)| result.is_err());
        failures += u64::from(bad.is_some());
        if let Some((name, Err(status))) = bad {
            assert!(SHORT.contains(status), "after {after}: {name}: {status:#x}");
        }
    }
}

/// Verifying cannot say that memory is short, so it has a reserve: with nothing left in the pool a
/// program is verified and loaded out of that, runs, and gives all of it back.
#[test]
fn a_program_is_loaded_out_of_the_reserve() {
    let Some(computer) = runtime::computer() else {
        return;
    };
    let process = Process::new(&computer, 100);
    let map = process.create_map(1, [4, 8, 16]).unwrap();
    let text = counting(map);
    let pool = &computer.machine().pool;
    let before = pool.allocations();
    process.load("xdp", &text).unwrap();
    let calm = pool.allocations() - before;
    let xdp = runtime::attach_type("xdp").program_type.guid;
    let mut left = 0;
    let program = loop {
        let program = process.create_program(xdp).unwrap();
        pool.dry_up_after(left);
        let loaded = process.load_code(program, &text);
        pool.refill();
        match loaded {
            Ok(()) => break program,
            Err(status) => assert!(SHORT.contains(&status), "{status:#x}"),
        }
        left += 1;
    };
    // The message and the reserve itself are all that the pool has to give.
    assert!(
        (2..=4).contains(&left) && calm > 4 * left,
        "{left} of {calm}"
    );
    process
        .attach("xdp", program, &INTERFACE.to_le_bytes())
        .unwrap();
    let key = 0u32.to_le_bytes();
    let data = [&key[..], &[0; 8]].concat();
    let update = Request::MapUpdateElement {
        handle: map,
        option: 0,
        data: &data,
    };
    process.ask(&update).unwrap();
    let _ = bring(&computer, &[udp(8)], 2);
    assert_eq!(process.number(map, 0), FRAMES / 2);
    process.caller.end();
    runtime::stop(&computer);
}
