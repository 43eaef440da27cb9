//! Real programs: those that must be refused are, and which safe ones are not accepted yet is
//! written down.
//!
//! Where the corpus is missing the test says so. `corpus-not-accepted.csv` lists the safe programs that are
//! refused, with the code of the reason; a program on the list that is accepted fails the test, so
//! that the list stays true. `BLESS=1` writes the list anew; `BPF_CORPUS_REPORT=file` writes all
//! rejections in full.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use abi::diagnostic;
use corpus::{Expect, Row};
use program::{LoadError, Object, ProgramId, Unlinkable};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

const INVENTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus-not-accepted.csv");
const HEADER: &str = "file,section,function,code,reason";

/// A code with its title.
fn reason(code: abi::Code) -> String {
    let title = diagnostic::row(code).map_or("", |row| row.title);
    format!("{code},{title}")
}

/// The verdict on one program: nothing when it is accepted, else the code of the reason.
fn judge(object: &Result<Object, LoadError>, row: &Row, report: &mut String) -> Option<String> {
    let object = match object {
        Ok(object) => object,
        Err(error) => return Some(reason(error.code())),
    };
    let Some(id) = corpus::find(object, row) else {
        return Some("not linked".into());
    };
    // A function that programs call is judged in them: its arguments come from there.
    let is_program = |id: &ProgramId| object.programs[usize::from(id.0)].section != ".text";
    let users: Vec<_> = match row.section.as_str() {
        ".text" => object.users_of(&row.function).filter(is_program).collect(),
        _ => Vec::new(),
    };
    if !users.is_empty() {
        let verdicts = users
            .into_iter()
            .map(|id| judge_one(object, (id, row), report));
        return verdicts.collect::<Vec<_>>().into_iter().flatten().next();
    }
    judge_one(object, (id, row), report)
}

/// The verdict on one program by itself.
fn judge_one(object: &Object, (id, row): (ProgramId, &Row), report: &mut String) -> Option<String> {
    let place = format!("{},{},{}", row.file, row.section, row.function);
    let start = std::time::Instant::now();
    let result = verifier::verify(object, id, &verifier::Options::default());
    let time = start.elapsed();
    match result {
        Ok(verified) => {
            let steps = verified.facts().steps;
            writeln!(report, "OK {place}: {steps} steps, {time:?}").unwrap();
            None
        }
        Err(rejected) => {
            let text = verifier::render::text(object, &rejected);
            let (expect, steps) = (row.expect, rejected.steps);
            writeln!(
                report,
                "NO {place} [{expect:?}]: {steps} steps, {time:?}\n{text}"
            )
            .unwrap();
            Some(reason(rejected.code()))
        }
    }
}

#[test]
fn unsafe_programs_are_refused_and_safe_ones_accepted_but_for_the_listed() {
    let Some(folder) = corpus::folder() else {
        return;
    };
    let mut objects = BTreeMap::new();
    let mut report = String::new();
    let mut wrong = Vec::new();
    let mut refused = Vec::new();
    let mut accepted = 0;
    for row in corpus::rows(&folder) {
        let object = objects
            .entry(row.file.clone())
            .or_insert_with(|| corpus::load(&folder, &row.file, Unlinkable::LeaveOut));
        let place = format!("{},{},{}", row.file, row.section, row.function);
        match (judge(object, &row, &mut report), row.expect) {
            (None, Expect::Reject) => wrong.push(format!("{place} is unsafe but was accepted")),
            (Some(code), Expect::Accept) => refused.push(format!("{place},{code}")),
            (None, Expect::Accept) => accepted += 1,
            _ => {}
        }
    }
    if let Some(path) = std::env::var_os("BPF_CORPUS_REPORT") {
        fs::write(path, report).unwrap();
    }
    refused.sort();
    let list = format!("{HEADER}\n{}\n", refused.join("\n"));
    if std::env::var_os("BLESS").is_some() {
        fs::write(INVENTORY, &list).unwrap();
    }
    println!(
        "{accepted} safe programs accepted, {} not yet",
        refused.len()
    );
    let known = fs::read_to_string(INVENTORY).unwrap_or_default();
    wrong.extend(
        list.lines()
            .filter(|line| !known.lines().any(|known| known == *line))
            .map(|line| format!("{line}: safe, but newly refused or refused for another reason")),
    );
    wrong.extend(
        known
            .lines()
            .filter(|line| !list.lines().any(|now| now == *line))
            .map(|line| format!("{line}: listed as refused, but it is not refused like that")),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
