//! Explanations as plain text without colours, for logs, tests and the kernel's trace.
//!
//! The words are those of [`explain`](mod@crate::explain); the command line lays them out with source
//! snippets.

use crate::explain::{Explanation, explain};
use crate::reject::{Rejected, Way};
use crate::slice::Remark;
use alloc::string::String;
use core::fmt::{self, Write};
use program::{Object, Program};

/// All problems of a refused program.
#[must_use]
pub fn text(object: &Object, rejected: &Rejected) -> String {
    let mut out = String::new();
    let program = object.programs.get(usize::from(rejected.program.0));
    for rejection in &rejected.rejections {
        let explanation = explain(object, rejected.program, rejection);
        // Writing to a string cannot fail.
        let _ = match program {
            Some(program) => write_explanation(&mut out, program, &explanation),
            None => writeln!(out, "{rejection}"),
        };
    }
    out
}

fn write_explanation(out: &mut String, program: &Program, about: &Explanation) -> fmt::Result {
    writeln!(out, "{}: {}", about.code, about.message)?;
    write_place(out, program, about.at)?;
    for (label, text) in about.notes() {
        for line in text.lines() {
            writeln!(out, "  {label}: {line}")?;
        }
    }
    for step in &about.path {
        writeln!(out, "  path: {}", step_text(step))?;
        write_place(out, program, step.at)?;
    }
    writeln!(out, "  help: {}", about.help)
}

/// What a step did, with the way that a branch took.
#[must_use]
pub fn step_text(step: &Remark) -> String {
    let way = match step.way {
        Some(Way::Taken) => "jumps: ",
        Some(Way::FallThrough) => "goes on: ",
        None => "",
    };
    alloc::format!("{way}{}", step.text)
}

fn write_place(out: &mut String, program: &Program, at: isa::InsnIdx) -> fmt::Result {
    write!(out, "    {at}")?;
    if let Some(insn) = program.insns.get(at.index()) {
        write!(out, ": {insn}")?;
    }
    if let Some(line) = program.line(at) {
        write!(out, "  ; {}:{}: {}", line.file, line.line, line.text.trim())?;
    }
    writeln!(out)
}
