//! Instructions as the verifier of eBPF for Windows writes them.
//!
//! What differs from the notation of clang are references: maps, helpers with the kinds of their
//! arguments, and the targets of jumps.

use abi::helper::{ArgKind, Helper};
use isa::{CallTarget, Imm64, Insn, InsnIdx};
use program::{Line, Object, Program};
use std::fmt::Write as _;

/// The instructions of a program, with the lines of its source where they are known.
#[must_use]
pub fn listing(object: &Object, program: &Program) -> String {
    let mut out = String::new();
    let mut shown: Option<&Line> = None;
    for (at, insn) in instructions(program) {
        let function = program.functions.iter().skip(1).find(|one| one.start == at);
        if let Some(function) = function {
            let _ = writeln!(out, "{}:", function.name);
        }
        let line = program.lines.iter().find(|line| line.start == at);
        let same = |line: &&Line| shown.is_some_and(|old| is_same_place(old, line));
        if let Some(line) = line.filter(|line| !same(line)) {
            shown = Some(line);
            out += &source(line);
        }
        let _ = writeln!(out, "{:8}:\t{}", at.0, text(object, program, at, insn));
    }
    out
}

/// Instructions with their slots; the second slot of `lddw` is no instruction.
pub fn instructions(program: &Program) -> impl Iterator<Item = (InsnIdx, &Insn)> {
    let slots = (0u32..).map(InsnIdx).zip(&program.insns);
    slots.filter(|(_, insn)| !matches!(insn, Insn::Imm64High))
}

fn is_same_place(a: &Line, b: &Line) -> bool {
    a.file == b.file && a.line == b.line
}

/// Where in the source an instruction comes from.
#[must_use]
pub fn source(line: &Line) -> String {
    format!(
        "; {}:{}\n; {}\n",
        line.file,
        line.line,
        line.text.trim_end()
    )
}

fn text(object: &Object, program: &Program, at: InsnIdx, insn: &Insn) -> String {
    match *insn {
        Insn::LoadImm64 { dst, imm } => format!("{dst} = {}", constant(imm)),
        Insn::Call(CallTarget::Helper(id)) => call(program, id),
        Insn::Call(CallTarget::Local(offset)) => {
            let callee = at.jump(offset).and_then(|to| program.function_at(to));
            callee.map_or_else(
                || insn.to_string(),
                |callee| format!("call {}", callee.name),
            )
        }
        Insn::Call(CallTarget::Btf(index)) => {
            let index = usize::try_from(index).ok();
            let function = index.and_then(|index| object.btf_functions.get(index));
            function.map_or_else(|| insn.to_string(), |one| format!("r0 = {}()", one.name))
        }
        Insn::Jump { offset, .. } => jump(insn, at.jump(offset)),
        Insn::JumpIf { offset, .. } => jump(insn, at.jump(i32::from(offset))),
        _ => insn.to_string(),
    }
}

/// A jump with the number of the instruction it leads to.
fn jump(insn: &Insn, to: Option<InsnIdx>) -> String {
    let to = to.map_or_else(String::new, |to| format!(" <{}>", to.0));
    format!("{insn}{to}")
}

fn constant(imm: Imm64) -> String {
    match imm {
        Imm64::Const(value) => format!("{value} ll"),
        // Maps have the numbers that they get when they are loaded, from 1.
        Imm64::MapFd(index) => format!("map_fd {}", i64::from(index) + 1),
        Imm64::MapValue { fd, offset } => format!("map_val({}) + {offset}", i64::from(fd) + 1),
        other => format!("{other} ll"),
    }
}

/// A call of a helper with the kinds of its arguments.
fn call(program: &Program, id: i32) -> String {
    let found = u32::try_from(id).ok();
    let Some(helper) = found.and_then(|id| abi::helper::lookup(program.program_type, id)) else {
        return format!("r0 = unknown:{id}()");
    };
    format!("r0 = {}:{id}({})", helper.name, parameters(helper))
}

fn parameters(helper: &Helper) -> String {
    let mut out = String::new();
    let mut arguments = (1..).zip(helper.present_args()).peekable();
    while let Some((number, kind)) = arguments.next() {
        let gap = if out.is_empty() { "" } else { ", " };
        let _ = write!(out, "{gap}{} r{number}", kind_name(kind));
        // Memory and its size are one argument of two registers.
        if kind.is_sized_memory() && arguments.next_if(|(_, next)| next.is_size()).is_some() {
            let _ = write!(out, "[{}], uint64_t r{}", number + 1, number + 1);
        }
    }
    out
}

fn kind_name(kind: ArgKind) -> &'static str {
    match kind {
        ArgKind::Context => "ctx",
        ArgKind::ContextOrNull => "ctx?",
        ArgKind::Map => "map_fd",
        ArgKind::MapOfPrograms => "map_fd_programs",
        ArgKind::MapKey => "map_key",
        ArgKind::MapValue | ArgKind::MapValueOut | ArgKind::MapValueOrNull => "map_value",
        ArgKind::ReadableMem | ArgKind::FixedMem(_) => "mem",
        ArgKind::ReadableMemOrNull => "mem?",
        ArgKind::WritableMem | ArgKind::InOutMem | ArgKind::FixedMemOut(_) => "out",
        ArgKind::WritableMemOrNull => "out?",
        ArgKind::Stack => "stack",
        ArgKind::Callback => "func",
        _ => "uint64_t",
    }
}
