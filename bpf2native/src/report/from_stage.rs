//! The stages' errors as diagnostics. Each stage knows what is wrong and where; here that becomes
//! one shape.

use super::{Diagnostic, Place, SourceLine};
use isa::{Insn, InsnIdx, Reg};
use program::{LoadError, Object, Program, ProgramId};
use verifier::{Rejected, Rejection, Way};

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

/// Every rejection of one program.
pub(crate) fn rejected(object: &Object, id: ProgramId, rejected: &Rejected) -> Vec<Diagnostic> {
    let program = &object.programs[usize::from(id.0)];
    rejected
        .rejections
        .iter()
        .map(|rejection| one_rejection(program, rejection))
        .collect()
}

fn one_rejection(program: &Program, rejection: &Rejection) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(rejection.code(), rejection.kind.to_string());
    diagnostic.place = place_of(program, rejection.at);
    if let Some(known) = known_registers(program, rejection) {
        diagnostic = diagnostic.note("known", known);
    }
    if let Some(path) = path(program, rejection) {
        diagnostic = diagnostic.note("path", path);
    }
    diagnostic.help = Some(rejection.kind.hint());
    diagnostic
}

/// What the registers of the instruction hold.
fn known_registers(program: &Program, rejection: &Rejection) -> Option<String> {
    let insn = program.insns.get(rejection.at.index())?;
    let used = |reg: &Reg| match insn {
        Insn::Call(_) => Reg::ARGS.contains(reg),
        Insn::Exit => *reg == Reg::R0,
        _ => mentions(&insn.to_string(), reg.number()),
    };
    let registers = rejection.registers.iter().filter(|(reg, _)| used(reg));
    let lines: Vec<String> = registers
        .map(|(reg, value)| format!("{reg} = {value}"))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Whether the text of an instruction names the register, as `r1` or `w1`.
fn mentions(text: &str, number: u8) -> bool {
    let names = [format!("r{number}"), format!("w{number}")];
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| names.iter().any(|name| name == word))
}

/// Decisions shown in a path; the last ones matter most.
const DECISIONS: usize = 8;

/// The branches that lead to the problem, with their source lines.
fn path(program: &Program, rejection: &Rejection) -> Option<String> {
    let skipped = rejection.path.len().saturating_sub(DECISIONS);
    let mut lines: Vec<String> = rejection.path[skipped..]
        .iter()
        .map(|decision| {
            let way = match decision.way {
                Way::Taken => "jumps",
                Way::FallThrough => "goes on",
            };
            let text = program
                .insns
                .get(decision.at.index())
                .map(ToString::to_string)
                .unwrap_or_default();
            let line = program.line(decision.at);
            let line = line.map_or_else(String::new, |line| {
                format!("  ; {}: {}", line.line, line.text.trim())
            });
            format!("{} {way}: {text}{line}", decision.at)
        })
        .collect();
    if skipped > 0 {
        lines.insert(0, format!("({skipped} earlier branches)"));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The place of an instruction, with its source line.
pub(crate) fn place_of(program: &Program, at: InsnIdx) -> Place {
    Place {
        file: None,
        section: Some(program.section.clone()).filter(|section| !section.is_empty()),
        function: program
            .function_at(at)
            .map(|function| function.name.clone()),
        insn: Some(at.0),
        insn_text: program.insns.get(at.index()).map(ToString::to_string),
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
