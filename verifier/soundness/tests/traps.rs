//! The machine notices what it is there for: each program in `traps.bpf` does one thing that a safe
//! program must not do, and runs into the fault that its first line names.
//!
//! The programs run without a proof. A line `; never` instead of a fault says that the program must
//! run to its end whatever the input.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use program::ProgramId;
use soundness::machine::{End, Machine};
use soundness::random::Random;
use soundness::sources;
use std::path::Path;
use verifier::Verified;

const RUNS: u64 = 200;
const STEPS: usize = 10_000;

/// The faults that the runs of a program ended with.
fn faults(object: &program::Object) -> Vec<String> {
    let verified = Verified::assume(object, ProgramId(0)).expect("a program");
    let mut random = Random::new(7);
    let mut found = Vec::new();
    for _ in 0..RUNS {
        let mut machine = Machine::new(&verified, &mut random);
        let fault = match machine.run(STEPS, |_, _| Ok(())) {
            Err((_, fault)) => fault,
            Ok(End::Stopped(_)) => "did not end".to_owned(),
            Ok(End::Exit | End::NotModelled) => continue,
        };
        if !found.contains(&fault) {
            found.push(fault);
        }
    }
    found
}

#[test]
fn each_fault_is_noticed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traps.bpf");
    let text = std::fs::read_to_string(&path).expect("readable");
    let expected: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("; "))
        .collect();
    let sources = sources::file(&path).expect("cases");
    assert_eq!(sources.len(), expected.len(), "one fault for each program");
    for (source, expected) in sources.iter().zip(expected) {
        let found = faults(&source.object);
        match expected {
            "never" => assert!(found.is_empty(), "{}: {found:?}", source.name),
            fault => assert!(
                found.iter().any(|found| found.contains(fault)),
                "{}: {found:?}",
                source.name
            ),
        }
    }
}
