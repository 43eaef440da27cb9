//! Facts for the compiler: `facts.bpf` says what must be known, and that no more is.
//!
//! That facts are true of every execution is checked by running mutated programs (`mutants`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use isa::{Insn, InsnIdx};
use program::ProgramId;
use support::Case;
use verifier::Facts;
use verifier::facts::Memory;

#[test]
fn facts_are_as_written() {
    let mut checked = 0;
    for case in support::parse(include_str!("facts.bpf")) {
        let object = case.object();
        let verified = verifier::verify(&object, ProgramId(0), &case.options)
            .unwrap_or_else(|why| panic!("{}: {:?}", case.name, why.rejections));
        for (at, expected) in written(&case) {
            let found = describe(verified.facts(), &object.programs[0].insns, at);
            assert_eq!(found, expected, "{}: {at}", case.name);
            checked += 1;
        }
    }
    assert!(checked > 40, "only {checked} facts");
}

/// The instructions with a written fact.
fn written(case: &Case) -> Vec<(InsnIdx, String)> {
    let mut slot = 0;
    let mut facts = Vec::new();
    for line in case.text.lines() {
        if let Some((_, fact)) = line.split_once("; fact ") {
            facts.push((InsnIdx(slot), fact.trim().to_owned()));
        }
        slot += support::slots(line);
    }
    facts
}

fn describe(facts: &Facts, insns: &[Insn], at: InsnIdx) -> String {
    let fact = facts.at(at);
    if !fact.reached {
        return "dead".into();
    }
    if let Some(value) = facts.constant(at) {
        return format!("= {value}");
    }
    match (insns[at.index()], fact.taken, fact.fallthrough) {
        (Insn::Exit, ..) => return format!("stack {}", facts.worst_stack_bytes),
        (Insn::JumpIf { .. }, true, false) => return "always".into(),
        (Insn::JumpIf { .. }, false, true) => return "never".into(),
        (Insn::JumpIf { .. }, ..) => return "both ways".into(),
        _ => {}
    }
    if let Some(map) = fact.map {
        return format!("map {}", map.0);
    }
    let Some(memory) = fact.memory else {
        return "nothing".into();
    };
    let memory = match memory {
        Memory::Context => "context",
        Memory::Stack => "stack",
        Memory::Packet => "packet",
        Memory::MapValue => "map value",
        Memory::Other => "other memory",
    };
    match fact.extent {
        Some(bytes) => format!(
            "{memory} {}..{} align {}",
            bytes.low, bytes.high, bytes.align
        ),
        None => memory.into(),
    }
}
