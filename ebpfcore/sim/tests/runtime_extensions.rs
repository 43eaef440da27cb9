//! The sample extension as a driver beside the actual `ebpfcore.sys`: programs at its hook, programs
//! of the compiler that call its function by name, and every order of coming and going.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

#[path = "support/runtime.rs"]
mod runtime;
mod support;

use ebpfcore_sim::ModuleIdValue;
use ebpfcore_sim::computer::Computer;
use ebpfcore_sim::computer::traffic::Count;
use runtime::{Process, bring, driver_file, sample_file, udp};
use sample_extension::{ATTACH_TYPE, CONTROL_CODE, HELPER, LINK, PROGRAM_TYPE};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const CORE: &str = "ebpfcore";
const SAMPLE: &str = "sample";
const MODULE: &str = "multiply";

/// A computer with the services, none of them started.
fn services() -> Option<Computer> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testkernel/extension/programs");
    // What clang made of the C text beside it, and the tools of that.
    let object = support::load_from(&folder, "multiply.o");
    let module = support::driver(&support::verify(&object), &codegen::Options::default());
    let computer = Computer::new();
    for (name, file) in [
        (CORE, driver_file()?),
        (SAMPLE, sample_file()?),
        (MODULE, &module),
    ] {
        computer.create(name, file, &ModuleIdValue::NoKey);
    }
    Some(computer)
}

/// The event of the extension: the number afterwards, and how each program ended.
fn fire(computer: &Computer, number: u64) -> (u64, Vec<(i32, u32)>) {
    let caller = computer.process(8);
    let device = caller.open(LINK).unwrap();
    let io = (&number.to_le_bytes()[..], 256);
    let reply = caller.control(device, CONTROL_CODE, io).unwrap();
    assert_eq!(reply.status, 0);
    caller.end();
    let word = |at: usize| u64::from_le_bytes(reply.bytes[at..at + 8].try_into().unwrap());
    let answers = (0..word(8) as usize).map(|index| word(16 + 8 * index));
    let answers = answers.map(|both| (both as i32, (both >> 32) as u32));
    (word(0), answers.collect())
}

/// A process whose program adds 5 at the hook of the extension.
fn plugged(computer: &Computer, id: u64) -> Process {
    let process = Process::new(computer, id);
    let program = process.create_program(PROGRAM_TYPE).unwrap();
    let text = format!("r2 = 5\ncall {HELPER}\nexit");
    process.load_code(program, &text).unwrap();
    process.link(ATTACH_TYPE, program, b"").unwrap();
    process
}

/// What becomes of a frame of 42 bytes and of a longer one.
fn verdicts(computer: &Computer) -> [bool; 2] {
    let counts = bring(computer, &[udp(0), udp(8)], 5);
    let is_dropped = |count: &Count| {
        assert_eq!(count.passed + count.dropped, 10);
        assert!(count.passed == 0 || count.dropped == 0);
        count.dropped != 0
    };
    [is_dropped(&counts[0]), is_dropped(&counts[1])]
}

#[test]
fn programs_run_at_the_hook_of_an_extension() {
    for order in [[CORE, SAMPLE], [SAMPLE, CORE]] {
        let Some(computer) = services() else { return };
        order.iter().for_each(|name| computer.start(name).unwrap());
        assert_eq!(fire(&computer, 100), (100, vec![]));
        let one = plugged(&computer, 100);
        assert_eq!(fire(&computer, 100), (105, vec![(0, 105)]));
        let two = plugged(&computer, 104);
        assert_eq!(fire(&computer, 1), (11, vec![(0, 6), (0, 11)]));
        one.caller.end();
        assert_eq!(fire(&computer, 100), (105, vec![(0, 105)]));
        two.caller.end();
        assert_eq!(fire(&computer, 100), (100, vec![]));
        // Both orders of stopping, over both of starting.
        for name in [SAMPLE, CORE] {
            computer.stop(name).unwrap();
        }
        assert_eq!(computer.faults(), [""; 0]);
        order.iter().for_each(|name| computer.start(name).unwrap());
        for name in [CORE, SAMPLE] {
            computer.stop(name).unwrap();
        }
        assert_eq!(computer.faults(), [""; 0]);
    }
}

/// The compiler's driver calls a function by name; its entry is bound to that of the extension.
#[test]
fn compiled_programs_call_functions_of_an_extension() {
    let Some(computer) = services() else { return };
    computer.start(CORE).unwrap();
    // Without the extension nobody has the function, so the module is refused.
    let started = computer.start(MODULE);
    assert_eq!(verdicts(&computer), [false, false]);
    if started.is_ok() {
        computer.stop(MODULE).unwrap();
    }
    computer.start(SAMPLE).unwrap();
    for _ in 0..3 {
        computer.start(MODULE).unwrap();
        assert_eq!(verdicts(&computer), [true, false]);
        computer.stop(MODULE).unwrap();
        assert_eq!(verdicts(&computer), [false, false]);
    }
    computer.stop(SAMPLE).unwrap();
    computer.stop(CORE).unwrap();
    assert_eq!(computer.faults(), [""; 0]);
}

/// Stops a service while `meanwhile` runs, which ends what it waits for; says whether it waited.
fn stop_waits(computer: &Computer, name: &str, meanwhile: impl FnOnce()) {
    let is_stopped = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            computer.stop(name).unwrap();
            is_stopped.store(true, Ordering::Release);
        });
        // The effect ends soon, maybe between two frames, while the code stays for those who may still
        // call it.
        while bring(computer, &[udp(0)], 5)[0].dropped != 0 {
            std::thread::yield_now();
        }
        assert!(!is_stopped.load(Ordering::Acquire), "a program uses {name}");
        meanwhile();
    });
    assert!(is_stopped.load(Ordering::Acquire));
}

#[test]
fn services_stop_in_every_order() {
    let orders = [
        [CORE, SAMPLE, MODULE],
        [CORE, MODULE, SAMPLE],
        [SAMPLE, CORE, MODULE],
        [SAMPLE, MODULE, CORE],
        [MODULE, CORE, SAMPLE],
        [MODULE, SAMPLE, CORE],
    ];
    let Some(computer) = services() else { return };
    for order in orders {
        for name in [SAMPLE, CORE, MODULE] {
            computer.start(name).unwrap();
        }
        assert_eq!(verdicts(&computer), [true, false]);
        let mut left = order.to_vec();
        while let [name, rest @ ..] = &left.clone()[..] {
            // The extension waits for the module that calls it, while the runtime is there.
            if *name == SAMPLE && left.contains(&MODULE) && left.contains(&CORE) {
                stop_waits(&computer, SAMPLE, || computer.stop(MODULE).unwrap());
                left = rest
                    .iter()
                    .copied()
                    .filter(|other| *other != MODULE)
                    .collect();
                continue;
            }
            computer.stop(name).unwrap();
            left = rest.to_vec();
            assert_eq!(
                verdicts(&computer),
                [false, false],
                "{order:?}: after {name}"
            );
        }
        assert_eq!(computer.faults(), [""; 0], "{order:?}");
    }
}

/// The extension waits for programs of processes, too.
#[test]
fn an_extension_stops_when_the_last_process_has_ended() {
    let Some(computer) = services() else { return };
    for name in [SAMPLE, CORE] {
        computer.start(name).unwrap();
    }
    let process = plugged(&computer, 100);
    assert_eq!(fire(&computer, 1).1.len(), 1);
    stop_waits(&computer, SAMPLE, || process.caller.end());
    computer.stop(CORE).unwrap();
    assert_eq!(computer.faults(), [""; 0]);
}
