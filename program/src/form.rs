//! The form of a linked program, checked in one place whatever way it came in.
//!
//! After [`check`] the later stages may index without looking: functions partition the slots, each
//! `lddw` has its second slot, and every map, platform function and local function that an
//! instruction names exists. Jumps are not looked at: a program with a wild jump is well formed but
//! unsafe, which is the verifier's to say, with a better message.

use crate::{error::LoadError, model::Program};
use abi::{diagnostic, limits};
use alloc::format;
use isa::{CallTarget, Imm64, Insn, InsnIdx};

/// How many things of an object an instruction may refer to.
#[derive(Clone, Copy)]
pub(crate) struct Tables {
    /// Maps.
    pub(crate) maps: usize,
    /// Platform functions resolved by BTF.
    pub(crate) btf_functions: usize,
}

/// Checks that a program is in linked form.
pub(crate) fn check(program: &Program, tables: Tables) -> Result<(), LoadError> {
    check_functions(program)
        .and_then(|()| check_insns(program, tables))
        .map_err(|error| error.symbol(&program.name).section(&program.section))
}

fn check_functions(program: &Program) -> Result<(), LoadError> {
    if program.insns.len() > limits::PROGRAM_SLOTS as usize {
        let text = format!(
            "{} instructions with subprograms, the limit is {}",
            program.insns.len(),
            limits::PROGRAM_SLOTS
        );
        return Err(LoadError::new(diagnostic::BYTECODE_LIMIT, text));
    }
    let mut expected = 0;
    for function in &program.functions {
        if function.start.index() != expected || function.end <= function.start {
            return Err(at(function.start, "functions overlap or leave a gap"));
        }
        expected = function.end.index();
    }
    if expected != program.insns.len() || expected == 0 {
        return Err(LoadError::new(
            diagnostic::BYTECODE_REFERENCE,
            "the functions do not cover the instructions",
        ));
    }
    Ok(())
}

fn check_insns(program: &Program, tables: Tables) -> Result<(), LoadError> {
    let mut high = false;
    for (index, insn) in (0u32..).zip(&program.insns) {
        let here = InsnIdx(index);
        if high != matches!(insn, Insn::Imm64High) {
            return Err(at(here, "`lddw` and its second slot are torn apart"));
        }
        high = matches!(insn, Insn::LoadImm64 { .. });
        if high && is_last_of_function(program, here) {
            return Err(at(here, "`lddw` lacks its second slot"));
        }
        check_reference(program, here, insn, tables)?;
    }
    Ok(())
}

fn is_last_of_function(program: &Program, here: InsnIdx) -> bool {
    program
        .function_at(here)
        .is_none_or(|function| function.end.jump(-2) == Some(here))
}

fn check_reference(
    program: &Program,
    here: InsnIdx,
    insn: &Insn,
    tables: Tables,
) -> Result<(), LoadError> {
    match *insn {
        Insn::LoadImm64 { imm, .. } => match imm {
            Imm64::MapFd(map) | Imm64::MapValue { fd: map, .. } => {
                in_range(here, "map", map, tables.maps)
            }
            Imm64::Code(offset) => starts_function(program, here, offset),
            Imm64::MapIdx(_) | Imm64::MapIdxValue { .. } => {
                Err(at(here, "map reference by index is left unlinked"))
            }
            Imm64::Const(_) | Imm64::Var(_) => Ok(()),
        },
        Insn::Call(CallTarget::Local(offset)) => starts_function(program, here, offset),
        Insn::Call(CallTarget::Btf(index)) => {
            in_range(here, "platform function", index, tables.btf_functions)
        }
        _ => Ok(()),
    }
}

fn in_range(here: InsnIdx, what: &str, index: i32, count: usize) -> Result<(), LoadError> {
    match usize::try_from(index) {
        Ok(index) if index < count => Ok(()),
        _ => Err(at(
            here,
            &format!("{what} {index} of {count} does not exist"),
        )),
    }
}

fn starts_function(program: &Program, here: InsnIdx, offset: i32) -> Result<(), LoadError> {
    let start = here.jump(offset).filter(|target| {
        program
            .functions
            .binary_search_by_key(target, |function| function.start)
            .is_ok()
    });
    match start {
        Some(_) => Ok(()),
        None => Err(at(
            here,
            &format!("offset {offset} does not lead to the start of a function"),
        )),
    }
}

fn at(here: InsnIdx, message: &str) -> LoadError {
    LoadError::new(diagnostic::BYTECODE_REFERENCE, format!("{here}: {message}"))
        .offset(u64::from(here.0) * 8)
}
