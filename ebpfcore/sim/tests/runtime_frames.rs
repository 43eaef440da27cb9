//! Programs of processes at the frame hook of the actual `ebpfcore.sys`: verified and interpreted by the
//! driver, called through its callout.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

#[path = "support/runtime.rs"]
mod runtime;

use ebpfcore_sim::computer::traffic::Count;
use runtime::{INTERFACE, Process, bring, computer, stop, udp};

const ROUNDS: u64 = 10;
/// Each frame is brought by two threads.
const FRAMES: u64 = 2 * ROUNDS;

const PASSED: Count = Count {
    passed: FRAMES,
    dropped: 0,
};
const DROPPED: Count = Count {
    passed: 0,
    dropped: FRAMES,
};

/// A frame that is sent back is gone here, and leaves with what the program wrote into it.
#[test]
fn frames_are_sent_back_as_the_program_left_them() {
    let Some(computer) = computer() else { return };
    let process = Process::new(&computer, 100);
    let text = "r2 = *(u64 *)(r1 + 0)
        r3 = *(u64 *)(r1 + 8)
        r0 = 1
        r4 = r2
        r4 += 42
        if r4 > r3 goto +4
        r5 = *(u16 *)(r2 + 38)
        if r5 != 2048 goto +2
        *(u8 *)(r2 + 0) = 0x5a
        r0 = 3
        exit";
    let program = process.load("xdp", text).unwrap();
    process.attach("xdp", program, &[]).unwrap();
    let counts = bring(&computer, &[udp(0), udp(40)], ROUNDS);
    assert_eq!(counts, [DROPPED, PASSED]);
    let (count, first) = computer.machine().injection.all_sent();
    assert_eq!(count, FRAMES);
    let mut expected = udp(0);
    expected[0] = 0x5a;
    assert!(!first.is_empty());
    for sent in first {
        assert_eq!(sent, (INTERFACE, expected.clone()));
    }
    process.caller.end();
    assert_eq!(bring(&computer, &[udp(0)], ROUNDS), [PASSED]);
    stop(&computer);
}

/// A program attached to an interface sees the frames of that one only; one for all interfaces, all.
#[test]
fn programs_belong_to_an_interface() {
    let Some(computer) = computer() else { return };
    for (interface, expected) in [(INTERFACE, DROPPED), (INTERFACE + 1, PASSED), (0, DROPPED)] {
        let process = Process::new(&computer, 100);
        let program = process.load("xdp", "r0 = 2\nexit").unwrap();
        let parameter = interface.to_le_bytes();
        process.attach("xdp", program, &parameter).unwrap();
        let counts = bring(&computer, &[udp(0)], ROUNDS);
        assert_eq!(counts, [expected], "{interface}");
        process.caller.end();
    }
    stop(&computer);
}
