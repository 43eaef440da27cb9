//! Programs in assembler text with the verdict they must get.
//!
//! `programs/unsafe.bpf` must be refused and `programs/safe.bpf` accepted, without exception.
//! A file is a list of cases: `case TITLE`, then optionally `type PLATFORM NAME` (default
//! `windows xdp`) and `map KIND KEY VALUE ENTRIES [inner INDEX | frozen]` lines, then instructions. A frozen map is
//! a constant section of zeros. Lines that start with
//! `#` before the first case are remarks.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use program::ProgramId;
use support::Case;
use verifier::{Options, Rejected, render::text, verify};

/// The verdict; a refusal in one line and explained.
fn verdict(case: &Case) -> Result<(), (String, String)> {
    let object = case.object();
    let refused = |rejected: Rejected| (rejected.to_string(), text(&object, &rejected));
    verify(&object, ProgramId(0), &Options::default())
        .map(drop)
        .map_err(refused)
}

#[test]
fn unsafe_programs_are_refused() {
    let mut accepted = Vec::new();
    let (mut reasons, mut explanations) = (String::new(), String::new());
    for case in support::programs("unsafe.bpf") {
        match verdict(&case) {
            Ok(()) => accepted.push(case.name),
            Err((why, explained)) => {
                reasons += &format!("{}: {why}\n", case.name);
                explanations += &format!("case {}\n{explained}\n", case.name);
            }
        }
    }
    assert!(accepted.is_empty(), "accepted: {accepted:#?}");
    compare("unsafe.expected", &reasons);
    compare("unsafe.explained", &explanations);
}

/// Refused for the right reason: the messages are part of the test.
fn compare(name: &str, found: &str) {
    let path = format!("{}/tests/programs/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, found).expect("writable");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected, "see {path}; BLESS=1 accepts new reasons");
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "{path}");
}

#[test]
fn safe_programs_are_accepted() {
    let mut refused = Vec::new();
    for case in support::programs("safe.bpf") {
        if let Err((why, _)) = verdict(&case) {
            refused.push(format!("{}: {why}", case.name));
        }
    }
    assert!(refused.is_empty(), "refused: {refused:#?}");
}
