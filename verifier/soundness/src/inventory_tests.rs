//! What `BLESS=1` does to rows of other kernels.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

fn one(program: &str) -> Disagreement {
    Disagreement {
        program: program.into(),
        ours: ACCEPTED.into(),
        kernel: "invalid".into(),
    }
}

fn row(program: &str, kernels: &[&str]) -> Row {
    Row {
        what: one(program),
        kernels: kernels.iter().map(|one| (*one).to_owned()).collect(),
        why: "because".into(),
    }
}

#[test]
fn blessing_touches_only_the_running_version() {
    let rows = vec![
        row("a", &["6.1", "6.18"]),
        row("b", &["6.18"]),
        row("c", &["6.1"]),
    ];
    let found = [one("c"), one("d")];
    let blessed = blessed(&found, rows, "6.18");
    let expected = [
        row("a", &["6.1"]),
        row("c", &["6.1", "6.18"]),
        row("d", &["6.18"]),
    ];
    assert_eq!(blessed, expected);
}

#[test]
fn rows_survive_reading_and_writing() {
    let row = row("a", &["6.1", "6.18"]);
    assert_eq!(Row::read(row.line().trim_end()), Some(row));
    assert_eq!(Row::read("four\tcells\tare\tnot enough"), None);
    assert!(!read().unwrap().is_empty());
}
