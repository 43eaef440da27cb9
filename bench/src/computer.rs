//! The whole path of a frame through the actual `ebpfcore.sys`: the platform asks its callout, the
//! runtime calls `droppacket.sys`, the verdict goes back.
//!
//! One operation is one frame on one thread, with the stand-in's own part of the platform: laying
//! the frame out, arbitration, counting. The driver is the one that `cargo xtask dist --driver` and the
//! tests of the simulator built, or the file that `EBPFCORE_SYS` names. What is left out: the network
//! stack above and below.

use crate::{harness::Bench, run::OBJECT, run::frame};
use ebpfcore_sim::ModuleIdValue;
use ebpfcore_sim::computer::{Computer, traffic::Traffic};
use program::{LoadOptions, ProgramId};
use std::path::Path;
use std::time::Duration;

/// How often each frame comes in one measured pass.
const ROUNDS: u64 = 1000;
/// Frames that come together.
const BURST: usize = 32;

pub(crate) fn register(bench: &mut Bench) {
    let Some(computer) = computer() else {
        eprintln!("ebpfcore.sys: not built; see `cargo xtask dist --driver`");
        return;
    };
    let mix = [(17, 8), (17, 40), (6, 40)].map(|(protocol, size)| frame(protocol, size));
    for (name, frames) in [("mix", &mix[..]), ("drops", &mix[..1])] {
        let traffic = Traffic {
            interface: 1,
            split: u32::MAX,
            rate: 0,
            rounds: ROUNDS,
            threads: 1,
            frames: frames.iter().cycle().take(BURST).cloned().collect(),
        };
        let name = format!("ebpfcore.sys/droppacket, {name}");
        bench.measure_timed(&name, BURST * ROUNDS as usize, || {
            let outcome = computer.bring(&traffic);
            assert_eq!(outcome.counts[0].dropped, ROUNDS, "{name}");
            Duration::from_nanos(outcome.nanoseconds)
        });
    }
}

/// The runtime with the example beside it.
fn computer() -> Option<Computer> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let built = root.join("target/windows/signed/ebpfcore.sys");
    let path = std::env::var_os("EBPFCORE_SYS").map_or(built, Into::into);
    let computer = Computer::new();
    let no_id = ModuleIdValue::NoKey;
    computer.create("ebpfcore", &std::fs::read(path).ok()?, &no_id);
    let load = LoadOptions {
        name: "droppacket".to_owned(),
        ..LoadOptions::default()
    };
    let object = program::load(OBJECT, &load).ok()?;
    let verified = verifier::verify(&object, ProgramId(0), &verifier::Options::default());
    let module = codegen::compile(&[verified.ok()?], &codegen::Options::default()).ok()?;
    computer.create("droppacket", image::link(&module).ok()?.bytes(), &no_id);
    computer.start("ebpfcore").ok()?;
    computer.start("droppacket").ok()?;
    Some(computer)
}
