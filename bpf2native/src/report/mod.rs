//! Diagnostics: what went wrong, where, and what to do, independent of the output format.
//!
//! Every complaint of the tool passes through [`Diagnostic`]; the renderers beside this file
//! turn it into text, JSON or SARIF. The exit code follows from the worst diagnostic.

pub(crate) mod from_stage;
mod human;
pub(crate) mod json;
pub(crate) mod sarif;
mod terminal;

pub(crate) use human::{print, step_text};
pub(crate) use terminal::{Talk, style};

use abi::{Code, Fault};
use std::path::{Path, PathBuf};

/// Severity of a diagnostic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Severity {
    /// The job failed.
    Error,
    /// The job is done, but the user should know.
    Warning,
}

/// A source position, from the object's line information.
#[derive(Clone, Debug)]
pub(crate) struct SourceLine {
    /// Source file as the compiler recorded it.
    pub(crate) file: String,
    /// Line from 1.
    pub(crate) line: u32,
    /// Column from 1; 0 when unknown.
    pub(crate) column: u32,
    /// Text of the line.
    pub(crate) text: String,
}

/// Where something is wrong; everything that is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// Input file.
    pub(crate) file: Option<PathBuf>,
    /// ELF or PE section.
    pub(crate) section: Option<String>,
    /// Function.
    pub(crate) function: Option<String>,
    /// Instruction slot.
    pub(crate) insn: Option<u32>,
    /// Text of the instruction.
    pub(crate) insn_text: Option<String>,
    /// Source line.
    pub(crate) source: Option<SourceLine>,
}

/// One complaint.
#[derive(Clone, Debug)]
pub(crate) struct Diagnostic {
    /// Stable id.
    pub(crate) code: Code,
    /// Severity.
    pub(crate) severity: Severity,
    /// One line: what was found, what was expected.
    pub(crate) message: String,
    /// Where.
    pub(crate) place: Place,
    /// Labelled remarks, for example `known: r1 is ...`.
    pub(crate) notes: Vec<(String, String)>,
    /// The steps that lead there, in order.
    pub(crate) path: Vec<PathStep>,
    /// Earlier steps that are left out.
    pub(crate) skipped_steps: usize,
    /// What to do.
    pub(crate) help: Option<String>,
}

/// A step on the way to a problem.
#[derive(Clone, Debug)]
pub(crate) struct PathStep {
    /// Where.
    pub(crate) place: Place,
    /// For a conditional jump: which way it goes.
    pub(crate) way: Option<verifier::Way>,
    /// What it does.
    pub(crate) text: String,
}

impl Diagnostic {
    /// An error with the help text of its row.
    pub(crate) fn error(code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            place: Place::default(),
            notes: Vec::new(),
            path: Vec::new(),
            skipped_steps: 0,
            help: abi::diagnostic::row(code).map(|row| row.help.to_owned()),
        }
    }

    /// A warning with the help text of its row.
    pub(crate) fn warning(code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error(code, message)
        }
    }

    /// The same, about a file.
    pub(crate) fn in_file(mut self, file: &Path) -> Diagnostic {
        self.place.file = Some(file.to_path_buf());
        self
    }

    /// The same with another remark.
    pub(crate) fn note(mut self, label: &str, text: impl Into<String>) -> Diagnostic {
        self.notes.push((label.to_owned(), text.into()));
        self
    }

    /// Who is at fault, from the table of ids.
    pub(crate) fn fault(&self) -> Fault {
        abi::diagnostic::row(self.code).map_or(Fault::Bug, |row| row.fault)
    }
}

/// The result of a command: failures are lists of diagnostics.
pub(crate) type Outcome<T> = Result<T, Vec<Diagnostic>>;

/// Exit code for a list of diagnostics; warnings do not count. A bug of ours outweighs everything,
/// and a rejected program outweighs a file that cannot be read: whoever asks for verdicts must not
/// miss one.
pub(crate) fn exit_code(diagnostics: &[Diagnostic]) -> u8 {
    let errors = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error);
    let faults: Vec<Fault> = errors.map(Diagnostic::fault).collect();
    let codes = [
        (Fault::Bug, 3),
        (Fault::Program, 1),
        (Fault::Environment, 2),
    ];
    let worst = codes.iter().find(|(fault, _)| faults.contains(fault));
    worst.map_or(0, |(_, code)| *code)
}
