//! The stages' errors as diagnostics. Each stage knows what is wrong and where; here that becomes
//! one shape.

use super::{Diagnostic, PathStep, Place, SourceLine};
use crate::commands::disassemble;
use isa::InsnIdx;
use program::{LoadError, Object, Program, ProgramId};
use verifier::{Explanation, Rejected, Remark};

/// An object that cannot be loaded.
pub(crate) fn load(error: &LoadError) -> Diagnostic {
    let place = error.place();
    let mut diagnostic = Diagnostic::error(error.code(), error.message());
    diagnostic.place.section.clone_from(&place.section);
    if let Some(symbol) = &place.symbol {
        diagnostic = diagnostic.note("symbol", symbol);
    }
    match place.offset {
        Some(offset) => diagnostic.note("offset", format!("{offset:#x}")),
        None => diagnostic,
    }
}

/// Every rejection of one program; the words are the verifier's.
pub(crate) fn rejected(object: &Object, id: ProgramId, rejected: &Rejected) -> Vec<Diagnostic> {
    let program = &object.programs[usize::from(id.0)];
    let rejections = rejected.rejections.iter();
    rejections
        .map(|rejection| explained(object, program, verifier::explain(object, id, rejection)))
        .collect()
}

fn explained(object: &Object, program: &Program, explanation: Explanation) -> Diagnostic {
    let notes = explanation.notes();
    let mut diagnostic = Diagnostic::error(explanation.code, explanation.message);
    diagnostic.place = place_of(object, program, explanation.at);
    for (label, text) in notes {
        diagnostic = diagnostic.note(label, text);
    }
    diagnostic.skipped_steps = explanation.skipped;
    let step = |step: &Remark| PathStep {
        place: place_of(object, program, step.at),
        way: step.way,
        text: step.text.clone(),
    };
    diagnostic.path = explanation.path.iter().map(step).collect();
    diagnostic.help = Some(explanation.help);
    diagnostic
}

/// The place of an instruction, with its source line.
pub(crate) fn place_of(object: &Object, program: &Program, at: InsnIdx) -> Place {
    Place {
        file: None,
        section: Some(program.section.clone()).filter(|section| !section.is_empty()),
        function: program
            .function_at(at)
            .map(|function| function.name.clone()),
        insn: Some(at.0),
        insn_text: disassemble::named(object, program, at),
        source: program.line(at).map(|line| SourceLine {
            file: line.file.to_string(),
            line: line.line,
            column: line.column,
            text: line.text.to_string(),
        }),
    }
}

/// A module that cannot be made.
pub(crate) fn codegen(error: &codegen::Error) -> Diagnostic {
    Diagnostic::error(error.code(), error.to_string())
}

/// An image that cannot be linked or read.
pub(crate) fn image(error: &image::Error) -> Diagnostic {
    Diagnostic::error(error.code(), error.to_string())
}

/// A signature that cannot be made or read.
pub(crate) fn signing(error: &signing::Error) -> Diagnostic {
    Diagnostic::error(error.code(), error.to_string())
}

/// A program that cannot be loaded or run here.
pub(crate) fn run(error: &ebpfcore_sim::Error) -> Diagnostic {
    Diagnostic::error(error.code(), error.to_string())
}
