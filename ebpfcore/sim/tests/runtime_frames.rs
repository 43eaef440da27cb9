//! Programs of processes at the frame hook of the actual `ebpfcore.sys`: verified and interpreted by the
//! driver, called through its callout.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

#[path = "support/runtime.rs"]
mod runtime;

use abi::ioctl::Request;
use ebpfcore_sim::computer::traffic::Count;
use runtime::{INTERFACE, Process, bring, computer, stop, udp};

const ROUNDS: u64 = 10;
/// Each frame is brought by two threads.
const FRAMES: u64 = 2 * ROUNDS;

/// `BPF_MAP_TYPE_HASH` on Windows.
const HASH: u32 = 1;

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

/// A program that counts frames in a hash map decides about them without memory from the pool.
#[test]
fn deciding_about_frames_takes_no_memory() {
    let Some(computer) = computer() else { return };
    let process = Process::new(&computer, 100);
    let map = process.create_map(HASH, [4, 8, 4]).unwrap();
    let text = format!(
        "r6 = *(u64 *)(r1 + 0)
         r7 = *(u64 *)(r1 + 8)
         r0 = 1
         r2 = r6
         r2 += 42
         if r2 > r7 goto out
         r8 = *(u16 *)(r6 + 38)
         *(u32 *)(r10 - 4) = 1
         r1 = map_fd({map}) ll
         r2 = r10
         r2 += -4
         call 1
         if r0 == 0 goto decide
         r1 = 1
         lock *(u64 *)(r0 + 0) += r1
decide:
         r0 = 2
         if r8 == 2048 goto out
         r0 = 1
out:
         exit",
        map = map.0
    );
    let program = process.load("xdp", &text).unwrap();
    process.attach("xdp", program, &[]).unwrap();
    let key = 1u32.to_le_bytes();
    let request = Request::MapUpdateElement {
        handle: map,
        option: 0,
        data: &[&key[..], &[0; 8]].concat(),
    };
    process.ask(&request).unwrap();
    let frames = [udp(0), udp(40)];
    assert_eq!(bring(&computer, &frames, ROUNDS), [DROPPED, PASSED]);
    let pool = &computer.machine().pool;
    let before = pool.allocations();
    assert_eq!(bring(&computer, &frames, ROUNDS), [DROPPED, PASSED]);
    assert_eq!(pool.allocations(), before);
    assert_eq!(process.number(map, 1), 4 * FRAMES);
    process.caller.end();
    stop(&computer);
}
