//! Counts of kinds of instructions, by the names that `show sections` has for them.

use super::instructions;
use abi::MapKind;
use abi::helper::{self, ArgKind};
use isa::{AluOp, CallTarget, Imm64, Insn, InsnIdx, Width};
use program::{Object, Program};
use std::collections::BTreeMap;

/// What is counted, in the order shown.
const NAMES: [&str; 17] = [
    "Instructions",
    "arith",
    "arith32",
    "arith64",
    "assign",
    "call_1",
    "call_mem",
    "call_nomem",
    "joins",
    "jumps",
    "load",
    "load_store",
    "map_in_map",
    "other",
    "packet_access",
    "reallocate",
    "store",
];

/// The counts of a program.
#[must_use]
pub fn statistics(object: &Object, program: &Program) -> Vec<(&'static str, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut count = |name| *counts.entry(name).or_default() += 1;
    for (_, insn) in instructions(program) {
        count("Instructions");
        count(kind(program, insn));
        if let Insn::Alu { width, .. } = insn {
            count(match width {
                Width::W32 => "arith32",
                Width::W64 => "arith64",
            });
        }
        if is_map_in_map(object, insn) {
            count("map_in_map");
        }
        if helper_of(program, insn).is_some_and(|helper| helper.reallocates_packet) {
            count("reallocate");
        }
    }
    for _ in 0..joins(program) {
        count("joins");
    }
    let counted = |name| (name, counts.get(name).copied().unwrap_or(0));
    NAMES.into_iter().map(counted).collect()
}

/// Which of the kinds that exclude each other an instruction is of.
fn kind(program: &Program, insn: &Insn) -> &'static str {
    match insn {
        Insn::Alu { op: AluOp::Mov, .. } | Insn::MovSx { .. } | Insn::LoadImm64 { .. } => "assign",
        Insn::Alu { .. } | Insn::Neg { .. } | Insn::Endian { .. } => "arith",
        Insn::Load { .. } | Insn::LoadAcquire { .. } => "load",
        Insn::Store { .. } | Insn::StoreRelease { .. } => "store",
        Insn::Atomic { .. } => "load_store",
        Insn::LoadPacket { .. } => "packet_access",
        Insn::Jump { .. } | Insn::JumpIf { .. } | Insn::MayGoto { .. } => "jumps",
        Insn::Call(_) => helper_of(program, insn).map_or("call_1", call_kind),
        Insn::Exit | Insn::Imm64High => "other",
    }
}

/// Calls with memory of a given size, calls with pointers, calls with numbers only.
fn call_kind(helper: &helper::Helper) -> &'static str {
    if helper.present_args().any(ArgKind::is_sized_memory) {
        return "call_mem";
    }
    let mut others = helper
        .present_args()
        .filter(|kind| *kind != ArgKind::Anything);
    match others.next() {
        Some(_) => "call_1",
        None => "call_nomem",
    }
}

fn helper_of(program: &Program, insn: &Insn) -> Option<&'static helper::Helper> {
    let Insn::Call(CallTarget::Helper(id)) = insn else {
        return None;
    };
    helper::lookup(program.program_type, u32::try_from(*id).ok()?)
}

fn is_map_in_map(object: &Object, insn: &Insn) -> bool {
    let Insn::LoadImm64 {
        imm: Imm64::MapFd(index),
        ..
    } = insn
    else {
        return false;
    };
    let map = usize::try_from(*index)
        .ok()
        .and_then(|index| object.maps.get(index));
    map.is_some_and(|map| MapKind::is_map_of_maps(map.kind))
}

/// Instructions that more than one way leads to.
fn joins(program: &Program) -> usize {
    let mut ways: BTreeMap<InsnIdx, usize> = BTreeMap::new();
    let mut lead = |to: Option<InsnIdx>| {
        if let Some(to) = to {
            *ways.entry(to).or_default() += 1;
        }
    };
    for (at, insn) in instructions(program) {
        let behind = match insn {
            Insn::LoadImm64 { .. } => at.jump(1),
            _ => at.jump(0),
        };
        match *insn {
            Insn::Jump { offset, .. } => lead(at.jump(offset)),
            Insn::JumpIf { offset, .. } | Insn::MayGoto { offset } => {
                lead(behind);
                lead(at.jump(i32::from(offset)));
            }
            Insn::Exit => {}
            _ => lead(behind),
        }
    }
    ways.values().filter(|ways| **ways > 1).count()
}
