//! The corpus of real programs: where it is, what it lists, and how its objects are loaded.
//!
//! The corpus is large and not part of the project: `BPF_CORPUS` names its folder, otherwise
//! `../shared/corpus` beside the workspace is tried; where it is missing, tests say that they were
//! skipped. Its `expected.csv` says which programs are safe, and what another verifier took for
//! them. For tests and benchmarks only: a malformed list is a panic.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use abi::{Platform, ProgramType, diagnostic, program_type};
use program::{LoadError, LoadOptions, Object, ProgramId, TextFunctions, Unlinkable};
use std::fs;
use std::path::{Path, PathBuf};

/// One program of `expected.csv`.
#[derive(Clone, PartialEq, PartialOrd, Debug)]
pub struct Row {
    /// Path of the object in the corpus.
    pub file: String,
    /// Section of the program.
    pub section: String,
    /// Its function; the section's name where the object does not mark functions.
    pub function: String,
    /// What is true of it.
    pub expect: Expect,
    /// Seconds that PREVAIL takes, one process per program.
    pub prevail_seconds: f64,
}

/// What is true of a program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Expect {
    /// It is safe.
    Accept,
    /// It is unsafe on purpose.
    Reject,
    /// Not settled.
    Either,
}

/// The folder of the corpus; says so on standard output where it is missing.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
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

/// The programs that the corpus lists, in the order of the list.
///
/// # Panics
///
/// When the list cannot be read.
#[must_use]
pub fn rows(folder: &Path) -> Vec<Row> {
    let text = fs::read_to_string(folder.join("expected.csv")).unwrap();
    text.lines().skip(1).map(row).collect()
}

/// `file,section,function,expect,basis,verdict,seconds,memory,instructions`; `basis` may contain
/// commas when it is quoted.
fn row(line: &str) -> Row {
    let mut cells = line.splitn(5, ',');
    let mut cell = || cells.next().unwrap().to_owned();
    let (file, section, function) = (cell(), cell(), cell());
    let expect = match cell().as_str() {
        "accept" => Expect::Accept,
        "reject" => Expect::Reject,
        "either" => Expect::Either,
        other => panic!("{other} is no expectation: {line}"),
    };
    let seconds = line.rsplit(',').nth(2).unwrap();
    Row {
        file,
        section,
        function,
        expect,
        prevail_seconds: seconds.parse().unwrap(),
    }
}

/// What a file's name says about programs whose section says nothing.
#[must_use]
pub fn fallback(file: &str) -> Option<&'static ProgramType> {
    let name = match file {
        _ if file.contains("xdp") => "xdp",
        _ if file.contains("cilium/") => "sched_cls",
        _ => "socket_filter",
    };
    program_type::by_name(Platform::Linux, name)
}

/// Loads an object of the corpus.
///
/// # Errors
///
/// As [`program::load`].
///
/// # Panics
///
/// When the file cannot be read.
pub fn load(folder: &Path, file: &str, unlinkable: Unlinkable) -> Result<Object, LoadError> {
    let bytes = fs::read(folder.join(file)).unwrap();
    let name = Path::new(file).file_stem().unwrap().to_str().unwrap();
    let mut options = LoadOptions {
        platform: Platform::Linux,
        name: name.into(),
        text: TextFunctions::Programs,
        unlinkable,
        ..LoadOptions::default()
    };
    match program::load(&bytes, &options) {
        Err(error) if error.code() == diagnostic::SECTION_TYPE_UNKNOWN => {}
        Ok(object) if object.notes.iter().any(|note| note.contains("--type")) => {}
        decided => return decided,
    }
    options.program_type = fallback(file);
    program::load(&bytes, &options)
}

/// The program of a row in its object.
#[must_use]
pub fn find(object: &Object, row: &Row) -> Option<ProgramId> {
    let is_meant = |section: &str, name: &str| {
        section == row.section && (name == row.function || row.section == row.function)
    };
    let index = object
        .programs
        .iter()
        .position(|program| is_meant(&program.section, &program.name))?;
    u16::try_from(index).ok().map(ProgramId)
}
