//! Real programs: those that must be refused are, and which safe ones are not accepted yet is
//! written down.
//!
//! The corpus is large and not part of the project: `BPF_CORPUS` names its folder, otherwise
//! `../shared/corpus` beside the workspace is tried; where it is missing the test says so. Its
//! `expected.csv` says what is safe. `corpus-not-accepted.csv` lists the safe programs that are
//! refused, with the code of the reason; a program on the list that is accepted fails the test, so
//! that the list stays true. `BLESS=1` writes the list anew; `BPF_CORPUS_REPORT=file` writes all
//! rejections in full.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use abi::{Platform, ProgramType, diagnostic, program_type};
use program::{LoadError, LoadOptions, Object, ProgramId, TextFunctions, Unlinkable};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const INVENTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus-not-accepted.csv");
const HEADER: &str = "file,section,function,code,reason";

/// One program of `expected.csv`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Row {
    file: String,
    section: String,
    function: String,
    expect: String,
}

fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let folder = std::env::var_os("BPF_CORPUS").map_or(beside, PathBuf::from);
    let found = folder.join("expected.csv").is_file();
    if !found {
        println!(
            "SKIPPED: no corpus at {} (set BPF_CORPUS)",
            folder.display()
        );
    }
    found.then_some(folder)
}

fn rows(folder: &Path) -> Vec<Row> {
    let text = fs::read_to_string(folder.join("expected.csv")).unwrap();
    let rows = text.lines().skip(1).map(|line| {
        let mut cells = line.split(',').map(str::to_owned);
        let mut cell = || cells.next().unwrap();
        Row {
            file: cell(),
            section: cell(),
            function: cell(),
            expect: cell(),
        }
    });
    rows.collect()
}

/// What a file's name says about programs whose section says nothing.
fn fallback(file: &str) -> &'static ProgramType {
    let name = match file {
        _ if file.contains("xdp") => "xdp",
        _ if file.contains("cilium/") => "sched_cls",
        _ => "socket_filter",
    };
    program_type::by_name(Platform::Linux, name).unwrap()
}

fn load(folder: &Path, file: &str) -> Result<Object, LoadError> {
    let bytes = fs::read(folder.join(file)).unwrap();
    let mut options = LoadOptions {
        platform: Platform::Linux,
        name: "corpus".into(),
        text: TextFunctions::Programs,
        unlinkable: Unlinkable::LeaveOut,
        ..LoadOptions::default()
    };
    match program::load(&bytes, &options) {
        Err(error) if error.code() == diagnostic::SECTION_TYPE_UNKNOWN => {}
        Ok(object) if !object.notes.iter().any(|note| note.contains("--type")) => {
            return Ok(object);
        }
        Ok(_) => {}
        Err(error) => return Err(error),
    }
    options.program_type = Some(fallback(file));
    program::load(&bytes, &options)
}

/// Old objects do not mark functions; the inventory then lists the section's name as function.
fn find(object: &Object, row: &Row) -> Option<ProgramId> {
    let index = object.programs.iter().position(|program| {
        program.section == row.section
            && (program.name == row.function || row.section == row.function)
    })?;
    Some(ProgramId(u16::try_from(index).unwrap()))
}

/// A code with its title.
fn reason(code: abi::Code) -> String {
    let title = diagnostic::row(code).map_or("", |row| row.title);
    format!("{code},{title}")
}

/// The verdict on one program: nothing when it is accepted, else the code of the reason.
fn judge(object: &Result<Object, LoadError>, row: &Row, report: &mut String) -> Option<String> {
    let place = format!("{},{},{}", row.file, row.section, row.function);
    let object = match object {
        Ok(object) => object,
        Err(error) => return Some(reason(error.code())),
    };
    let Some(id) = find(object, row) else {
        return Some("not linked".into());
    };
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
            let (expect, steps) = (&row.expect, rejected.steps);
            writeln!(
                report,
                "NO {place} [{expect}]: {steps} steps, {time:?}\n{text}"
            )
            .unwrap();
            Some(reason(rejected.code()))
        }
    }
}

#[test]
fn unsafe_programs_are_refused_and_safe_ones_accepted_but_for_the_listed() {
    let Some(folder) = corpus() else { return };
    let mut objects = BTreeMap::new();
    let mut report = String::new();
    let mut wrong = Vec::new();
    let mut refused = Vec::new();
    let mut accepted = 0;
    for row in rows(&folder) {
        let object = objects
            .entry(row.file.clone())
            .or_insert_with(|| load(&folder, &row.file));
        let place = format!("{},{},{}", row.file, row.section, row.function);
        match (judge(object, &row, &mut report), row.expect.as_str()) {
            (None, "reject") => wrong.push(format!("{place} is unsafe but was accepted")),
            (Some(code), "accept") => refused.push(format!("{place},{code}")),
            (None, "accept") => accepted += 1,
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
