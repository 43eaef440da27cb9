//! `bpf2native disassemble FILE.o`: the bytecode with its source lines.

use crate::commands::input;
use crate::report::style;
use crate::{Response, args, pipeline};
use isa::{CallTarget, Imm64, Insn, InsnIdx};
use program::{Object, Program};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Prints the selected programs.
pub(crate) fn run(args: &args::DisassembleArgs) -> Response {
    let object = match input::object(&args.input, &args.object) {
        Ok(object) => object,
        Err(diagnostics) => return Response::failed(diagnostics),
    };
    let filter = input::Filter {
        section: args.section.as_deref(),
        program: args.program.as_deref(),
    };
    let ids = match input::select(&object, &args.input, filter) {
        Ok(ids) => ids,
        Err(diagnostics) => return Response::failed(diagnostics),
    };
    let programs: Vec<&Program> = ids
        .iter()
        .map(|id| &object.programs[usize::from(id.0)])
        .collect();
    let mut response = Response {
        text: programs
            .iter()
            .map(|program| listing(&object, program))
            .collect(),
        ..Response::default()
    };
    let json: Vec<Value> = programs
        .iter()
        .map(|program| program_json(&object, program))
        .collect();
    response.set("programs", json);
    response
}

/// All programs of an object as text (`--emit listing`).
pub(crate) fn listings(object: &Object) -> String {
    let ids = pipeline::program_ids(object);
    ids.map(|id| listing(object, &object.programs[usize::from(id.0)]))
        .collect()
}

/// One program as text: functions, source lines where they change, instructions.
fn listing(object: &Object, program: &Program) -> String {
    let (bold, dim) = (style::BOLD, style::DIM);
    let mut out = format!(
        "{}{}{} ({}, section {})\n",
        bold.render(),
        program.name,
        bold.render_reset(),
        program.program_type.name,
        program.section
    );
    let mut shown = None;
    for (slot, insn) in executable(program) {
        if let Some(function) = program.functions.iter().skip(1).find(|f| f.start == slot) {
            let _ = writeln!(
                out,
                "\n{}{}{}:",
                bold.render(),
                function.name,
                bold.render_reset()
            );
        }
        let line = program.lines.iter().find(|line| line.start == slot);
        // One source line often has several entries in a row, one per column.
        if let Some(line) = line.filter(|line| shown != Some((&line.file, line.line))) {
            shown = Some((&line.file, line.line));
            let (on, off) = (dim.render(), dim.render_reset());
            let _ = writeln!(out, "{on}; {}:{}{off}", line.file, line.line);
            let _ = writeln!(out, "{on}; {}{off}", line.text.trim_end());
        }
        let note = remark(object, program, slot, insn);
        let note = note.map_or_else(String::new, |note| {
            format!("  {}; {note}{}", dim.render(), dim.render_reset())
        });
        let _ = writeln!(out, "{:8}:\t{insn}{note}", slot.0);
    }
    out.push('\n');
    out
}

/// Instructions with their slots; the second slot of `lddw` is no instruction.
fn executable(program: &Program) -> impl Iterator<Item = (InsnIdx, &Insn)> {
    let slots = (0u32..).map(InsnIdx).zip(&program.insns);
    slots.filter(|(_, insn)| !matches!(insn, Insn::Imm64High))
}

/// An instruction as text; numbers of helpers, maps and functions with their names.
pub(crate) fn named(object: &Object, program: &Program, at: InsnIdx) -> Option<String> {
    let insn = program.insns.get(at.index())?;
    Some(match (insn, remark(object, program, at, insn)) {
        (Insn::Call(_) | Insn::LoadImm64 { .. }, Some(name)) => format!("{insn} ({name})"),
        _ => insn.to_string(),
    })
}

/// Names for the numbers in an instruction: helper, map, function, jump target.
fn remark(object: &Object, program: &Program, at: InsnIdx, insn: &Insn) -> Option<String> {
    match *insn {
        Insn::Call(CallTarget::Helper(id)) => {
            let id = u32::try_from(id).ok()?;
            Some(
                abi::helper::lookup(program.program_type, id)?
                    .name
                    .to_owned(),
            )
        }
        Insn::Call(CallTarget::Local(offset)) => {
            Some(program.function_at(at.jump(offset)?)?.name.clone())
        }
        Insn::Call(CallTarget::Btf(index)) => Some(
            object
                .btf_functions
                .get(usize::try_from(index).ok()?)?
                .name
                .clone(),
        ),
        Insn::LoadImm64 {
            imm: Imm64::MapFd(index),
            ..
        } => Some(object.maps.get(usize::try_from(index).ok()?)?.name.clone()),
        Insn::LoadImm64 {
            imm: Imm64::MapValue { fd, offset },
            ..
        } => Some(format!(
            "{} + {offset}",
            object.maps.get(usize::try_from(fd).ok()?)?.name
        )),
        Insn::Jump { offset, .. } => Some(format!("to {}", at.jump(offset)?.0)),
        Insn::JumpIf { offset, .. } | Insn::MayGoto { offset } => {
            Some(format!("to {}", at.jump(i32::from(offset))?.0))
        }
        _ => None,
    }
}

fn program_json(object: &Object, program: &Program) -> Value {
    let insns: Vec<Value> = executable(program)
        .map(|(slot, insn)| {
            let line = program.lines.iter().find(|line| line.start == slot);
            json!({
                "slot": slot.0,
                "text": insn.to_string(),
                "note": remark(object, program, slot, insn),
                "source": line.map(|line| json!({"file": &*line.file, "line": line.line, "text": &*line.text})),
            })
        })
        .collect();
    let functions: Vec<Value> = program
        .functions
        .iter()
        .map(|function| json!({"name": function.name, "start": function.start.0, "end": function.end.0}))
        .collect();
    json!({
        "name": program.name,
        "section": program.section,
        "type": program.program_type.name,
        "functions": functions,
        "instructions": insns,
    })
}
