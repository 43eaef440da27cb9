//! The comparison notices a state that does not contain what happens.
//!
//! The states of one program are compared with executions of another one that differs from it in a
//! single place, so that each kind of claim is wrong once.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use isa::InsnIdx;
use program::{Object, ProgramId};
use soundness::machine::Machine;
use soundness::random::Random;
use soundness::record::{Follower, Record};
use soundness::sources;
use std::path::Path;
use verifier::{Options, Verified, verify_observed};

/// What the first execution outside the states says; nothing when all are inside.
fn outside(proved: &Object, run: &Object) -> Option<String> {
    let mut record = Record::default();
    let result = verify_observed(proved, ProgramId(0), &Options::default(), &mut record);
    assert!(result.is_ok(), "{:?}", result.err());
    let verified = Verified::assume(run, ProgramId(0)).expect("a program");
    let mut random = Random::new(3);
    (0..100).find_map(|_| {
        let mut follower = Follower::new(&record, 1000);
        let mut machine = Machine::new(&verified, &mut random);
        let watch = |at: InsnIdx, machine: &Machine<'_, '_>| follower.arrive(at, machine);
        machine.run(1000, watch).err().map(|(_, why)| why)
    })
}

#[test]
fn each_wrong_claim_is_noticed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside.bpf");
    let sources = sources::file(&path).expect("cases");
    let text = std::fs::read_to_string(&path).expect("readable");
    let expected: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("; "))
        .collect();
    assert_eq!(sources.len(), 2 * expected.len(), "cases come in pairs");
    for (pair, expected) in sources.chunks(2).zip(expected) {
        let name = &pair[0].name;
        assert_eq!(outside(&pair[0].object, &pair[0].object), None, "{name}");
        let found = outside(&pair[0].object, &pair[1].object).unwrap_or_default();
        assert!(found.contains(expected), "{name}: {found}");
    }
}
