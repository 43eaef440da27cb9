//! Diagnostics and results as JSON. Field names are a contract with scripts: add, do not rename.

use super::{Diagnostic, PathStep, Severity, SourceLine};
use serde_json::{Value, json};
use verifier::Way;

/// A diagnostic as JSON.
pub(crate) fn diagnostic(diagnostic: &Diagnostic) -> Value {
    let place = &diagnostic.place;
    json!({
        "code": diagnostic.code.to_string(),
        "severity": match diagnostic.severity { Severity::Error => "error", Severity::Warning => "warning" },
        "message": diagnostic.message,
        "file": place.file.as_ref().map(|file| file.display().to_string()),
        "section": place.section,
        "function": place.function,
        "instruction": place.insn,
        "instruction_text": place.insn_text,
        "source": place.source.as_ref().map(source),
        "notes": diagnostic.notes.iter().map(|(label, text)| json!({"label": label, "text": text})).collect::<Vec<_>>(),
        "path": diagnostic.path.iter().map(step).collect::<Vec<_>>(),
        "help": diagnostic.help,
    })
}

fn source(source: &SourceLine) -> Value {
    json!({"file": source.file, "line": source.line, "column": source.column, "text": source.text})
}

fn step(step: &PathStep) -> Value {
    json!({
        "instruction": step.place.insn,
        "instruction_text": step.place.insn_text,
        "function": step.place.function,
        "source": step.place.source.as_ref().map(source),
        "branch": step.way.map(|way| match way { Way::Taken => "taken", Way::FallThrough => "not taken" }),
        "text": step.text,
    })
}

/// A list of diagnostics as JSON.
pub(crate) fn diagnostics(list: &[Diagnostic]) -> Value {
    Value::Array(list.iter().map(diagnostic).collect())
}

/// Prints one document on standard output; a closed pipe is not an error.
pub(crate) fn print(value: &Value) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = serde_json::to_writer_pretty(&mut out, value);
    let _ = writeln!(out);
}
