//! A driver beside the actual `ebpfcore.sys` that comes and goes while frames come in.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

#[path = "support/runtime.rs"]
mod runtime;
mod support;

use ebpfcore_sim::ModuleIdValue;
use runtime::{bring, computer, stop, udp};
use std::sync::atomic::{AtomicBool, Ordering};

const CYCLES: u32 = 200;
const ROUNDS: u64 = 50;

/// Normal frames always pass; those of the flood are dropped or pass, and none is lost. In the end the
/// pool is empty, which stopping the runtime checks.
#[test]
fn a_driver_comes_and_goes_two_hundred_times_under_traffic() {
    let Some(computer) = computer() else { return };
    let object = support::load("droppacket.o");
    let driver = support::driver(&support::verify(&object), &codegen::Options::default());
    computer.create("droppacket", &driver, &ModuleIdValue::NoKey);
    let is_over = AtomicBool::new(false);
    let (brought, dropped) = std::thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let (mut brought, mut dropped) = (0, 0);
            while !is_over.load(Ordering::Relaxed) {
                let counts = bring(&computer, &[udp(0), udp(40)], ROUNDS);
                let [flood, normal] = counts[..] else {
                    continue;
                };
                assert_eq!((normal.passed, normal.dropped), (2 * ROUNDS, 0));
                assert_eq!(flood.passed + flood.dropped, 2 * ROUNDS);
                brought += 2 * ROUNDS;
                dropped += flood.dropped;
            }
            (brought, dropped)
        });
        for _ in 0..CYCLES {
            computer.start("droppacket").unwrap();
            computer.stop("droppacket").unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        traffic.join().unwrap()
    });
    assert!(0 < dropped && dropped < brought, "{dropped} of {brought}");
    stop(&computer);
}
