//! Whatever the verifier accepts runs without a fault, inside the states of the analysis.
//!
//! The cases of the verifier's tests with many inputs, and some thousand other programs from a
//! fixed seed; `cargo xtask fuzz soundness` runs more.

use soundness::campaign::{self, Plan};
use soundness::check::{Effort, check};
use soundness::sources;
use std::time::Duration;

const PROGRAMS: u64 = 12_000;

#[test]
fn accepted_cases_run_without_a_fault() {
    let effort = Effort {
        runs: 40,
        ..Effort::SMALL
    };
    let (mut accepted, mut wrong) = (0, Vec::new());
    for source in sources::cases() {
        match check(&source.object, effort, 1) {
            Ok(None) => {}
            Ok(Some(_)) => accepted += 1,
            Err(finding) => {
                wrong.push(format!(
                    "{}: at {}: {}",
                    source.name, finding.at, finding.why
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(accepted > 60, "only {accepted} cases are accepted");
}

#[test]
fn other_accepted_programs_run_without_a_fault() {
    let plan = Plan {
        seed: 1,
        programs: PROGRAMS,
        time: Duration::MAX / 4,
        threads: 2,
    };
    let outcome = campaign::run(&plan).unwrap_or_else(|error| panic!("{error}"));
    for (finding, case) in &outcome.findings {
        println!("at {}: {}\n{case}", finding.at, finding.why);
    }
    assert!(outcome.findings.is_empty());
    // If nearly everything is refused, nothing is tested.
    let accepted = outcome.accepted;
    assert!(accepted * 10 > PROGRAMS, "only {accepted} were accepted");
}
