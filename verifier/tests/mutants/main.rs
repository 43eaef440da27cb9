//! Soundness: whatever the verifier accepts runs without a fault.
//!
//! The programs are the cases of `tests/cases`, changed at random; what is accepted is changed
//! further. Each accepted program runs many times in a machine that knows nothing of the verifier:
//! it keeps pointers apart from numbers, tracks every byte, object and reference, and gives random
//! answers wherever a platform could answer freely. Facts for the compiler are checked as well.
//! The random numbers start from a fixed seed, so that a failure comes back.
//!
//! `SOUNDNESS_ROUNDS` changes the number of programs tried.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod callback;
mod machine;
mod mutate;
mod random;
#[path = "../support/mod.rs"]
mod support;

use machine::Machine;
use program::{Object, ProgramId};
use random::Random;

const ROUNDS: usize = 20_000;
const RUNS: usize = 12;
/// Accepted programs kept for further changes.
const POOL: usize = 3_000;

fn check(
    object: &Object,
    options: &verifier::Options,
    random: &mut Random,
) -> Result<bool, String> {
    let Ok(verified) = verifier::verify(object, ProgramId(0), options) else {
        return Ok(false);
    };
    for _ in 0..RUNS {
        let mut machine = Machine::new(&verified, random);
        if let Err((at, fault)) = machine.run() {
            let listing = object.programs[0].insns.iter().enumerate();
            let listing: Vec<_> = listing
                .map(|(at, insn)| format!("{at:4}: {insn}"))
                .collect();
            return Err(format!("{fault} at i{at}\n{}", listing.join("\n")));
        }
    }
    Ok(true)
}

#[test]
fn accepted_programs_run_without_a_fault() {
    let rounds = std::env::var("SOUNDNESS_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let options = verifier::Options {
        steps: 20_000,
        rejections: 1,
    };
    let mut pool = Vec::new();
    for (_, case) in support::all() {
        let object = case.object();
        let accepted = check(&object, &options, &mut random)
            .unwrap_or_else(|fault| panic!("{}: {fault}", case.name));
        assert!(!accepted || case.expected.is_none(), "{}", case.name);
        pool.push((case.name, object));
    }
    let cases = pool.len();
    let mut accepted = 0;
    for _ in 0..rounds {
        let (name, object) = random.pick(&pool);
        let (name, mut object) = (name.clone(), object.clone());
        let donor = random.pick(&pool).1.clone();
        for _ in 0..random.below(4) + 1 {
            mutate::mutate(&mut object, &donor, &mut random);
        }
        match check(&object, &options, &mut random) {
            Ok(false) => continue,
            Ok(true) => accepted += 1,
            Err(fault) => panic!("changed from `{name}`: {fault}"),
        }
        if pool.len() < cases + POOL {
            pool.push((name, object));
        } else {
            let index = cases + random.below(POOL as u64) as usize;
            pool[index] = (name, object);
        }
    }
    println!("{accepted} of {rounds} changed programs accepted");
    assert!(
        accepted * 20 > rounds,
        "only {accepted} of {rounds} were accepted"
    );
}
