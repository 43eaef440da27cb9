//! Rejections as plain text, with source lines and the decisions on the way.
//!
//! The command line has its own richer form; this one serves logs, tests and the kernel's trace.

use crate::reject::{Rejected, Rejection, Way};
use alloc::string::String;
use core::fmt::{self, Write};
use program::{Object, Program};

/// Decisions shown before a problem; all of them are in the rejection.
const DECISIONS: usize = 12;

/// All problems of a refused program.
#[must_use]
pub fn text(object: &Object, rejected: &Rejected) -> String {
    let mut out = String::new();
    let program = object.programs.get(usize::from(rejected.program.0));
    for rejection in &rejected.rejections {
        // Writing to a string cannot fail.
        let _ = match program {
            Some(program) => write_rejection(&mut out, program, rejection),
            None => writeln!(out, "{rejection}"),
        };
    }
    out
}

fn write_rejection(out: &mut String, program: &Program, rejection: &Rejection) -> fmt::Result {
    writeln!(out, "{rejection}")?;
    if let Some(line) = program.line(rejection.at) {
        writeln!(out, "  --> {}:{}:{}", line.file, line.line, line.column)?;
        writeln!(out, "   |  {}", line.text.trim())?;
    }
    if let Some(insn) = program.insns.get(rejection.at.index()) {
        writeln!(out, "   =  {}: {insn}", rejection.at)?;
    }
    for (reg, value) in &rejection.registers {
        writeln!(out, "   |  {reg} = {value}")?;
    }
    let skipped = rejection.path.len().saturating_sub(DECISIONS);
    for decision in rejection.path.iter().skip(skipped) {
        let way = match decision.way {
            Way::Taken => "taken",
            Way::FallThrough => "not taken",
        };
        write!(out, "   via {} {way}", decision.at)?;
        match program.line(decision.at) {
            Some(line) => writeln!(out, " (line {}: {})", line.line, line.text.trim())?,
            None => writeln!(out)?,
        }
    }
    writeln!(out, "  help: {}", rejection.kind.hint())
}
