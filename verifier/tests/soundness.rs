//! Whatever the verifier accepts must run without a fault.
//!
//! A generator writes random programs that are mostly sensible and sometimes a little wrong: a
//! bound off by one, a forgotten check, a pointer used after the packet moved. Those that the
//! verifier accepts run on a machine that knows exactly which bytes may be touched, with many
//! inputs. A fault, or a run that does not end, is a program that must have been refused.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "soundness/generate.rs"]
mod generate;
#[path = "soundness/machine.rs"]
mod machine;

use generate::Random;
use machine::{Machine, Stop};
use program::{MapDef, ProgramId, RawProgram};
use verifier::{Options, verify};

const PROGRAMS: u64 = 6_000;
const RUNS: u64 = 24;

#[test]
fn accepted_programs_do_not_fault() {
    let (first, programs) = range();
    let mut accepted = 0;
    for seed in first..first + programs {
        let mut random = Random::new(seed);
        let text = generate::program(&mut random);
        if is_accepted(&text) {
            accepted += 1;
            run(&text, seed, &mut random);
        }
    }
    println!("accepted {accepted} of {programs}");
    // If nearly everything is refused, nothing is tested.
    assert!(
        accepted * 20 >= programs,
        "only {accepted} of {programs} accepted"
    );
}

/// `SOUNDNESS=first,count` runs other programs than every test run does.
fn range() -> (u64, u64) {
    let Ok(wish) = std::env::var("SOUNDNESS") else {
        return (1, PROGRAMS);
    };
    let (first, count) = wish.split_once(',').expect("first,count");
    (
        first.parse().expect("a number"),
        count.parse().expect("a number"),
    )
}

fn is_accepted(text: &str) -> bool {
    let insns = isa::asm::assemble(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let bytes = isa::encode::program(&insns).expect("encodable");
    let program_type = abi::program_type::by_name(abi::Platform::Windows, "xdp");
    let raw = RawProgram {
        name: "random",
        platform: abi::Platform::Windows,
        program_type: program_type.expect("xdp"),
        bytes: &bytes,
        maps: vec![map()],
    };
    let object = program::from_bytecode(raw).unwrap_or_else(|error| panic!("{error}\n{text}"));
    verify(&object, ProgramId(0), &Options::default()).is_ok()
}

fn map() -> MapDef {
    MapDef {
        name: "values".into(),
        type_number: 1,
        kind: abi::MapKind::Hash,
        key_size: machine::KEY_BYTES,
        value_size: machine::VALUE_BYTES,
        max_entries: 8,
        flags: 0,
        pin_by_name: false,
        id: 0,
        inner: None,
        initial: Vec::new(),
        frozen: false,
        spin_lock: None,
        timer: None,
    }
}

fn run(text: &str, seed: u64, random: &mut Random) {
    let insns = isa::asm::assemble(text).expect("assembled before");
    for _ in 0..RUNS {
        let mut machine = Machine::new(&insns, random);
        match machine.run() {
            Ok(_) => {}
            Err(Stop { at, why }) => panic!("program {seed} at {at}: {why}\n{}", listing(&insns)),
        }
    }
}

fn listing(insns: &[isa::Insn]) -> String {
    let lines = insns.iter().enumerate();
    lines
        .map(|(at, insn)| format!("{at:>4}: {insn}\n"))
        .collect()
}
