//! Random changes to programs, and cutting instructions out of them.

use crate::random::Random;
use isa::{
    AluOp, AtomicOp, CallTarget, Cond, Endian, Imm64, Insn, InsnIdx, Operand, Reg, Size, Width,
};
use program::{Object, Program};

/// Changes one place of the object's first program; `donor` gives instructions.
pub(crate) fn mutate(object: &mut Object, donor: &Object, random: &mut Random) {
    let Some(program) = object.programs.first_mut() else {
        return;
    };
    if random.below(9) == 0 {
        let at = InsnIdx(random.below(program.insns.len() as u64) as u32);
        cut(program, at);
        return;
    }
    let insns = &mut program.insns;
    if insns.is_empty() {
        return;
    }
    let at = random.below(insns.len() as u64) as usize;
    if matches!(insns[at], Insn::Imm64High) {
        return;
    }
    if let Insn::LoadImm64 { imm, .. } = &mut insns[at] {
        match imm {
            Imm64::Const(value) => *value = random.number(),
            Imm64::MapValue { offset, .. } => *offset = random.below(20) as i32,
            _ => {}
        }
        return;
    }
    match random.below(8) {
        0 => insns[at] = any(random),
        1 => insns[at] = borrowed(donor, random),
        2 => {
            let other = random.below(insns.len() as u64) as usize;
            if insns[at].slots() == 1
                && insns[other].slots() == 1
                && insns[other] != Insn::Imm64High
            {
                insns.swap(at, other);
            }
        }
        _ => tweak(&mut insns[at], random),
    }
}

fn borrowed(donor: &Object, random: &mut Random) -> Insn {
    let insns = donor
        .programs
        .first()
        .map_or(&[][..], |program| &program.insns);
    if insns.is_empty() {
        return any(random);
    }
    match *random.pick(insns) {
        Insn::LoadImm64 { .. } | Insn::Imm64High => any(random),
        insn => insn,
    }
}

fn register(random: &mut Random) -> Reg {
    *random.pick(&Reg::ALL)
}

fn operand(random: &mut Random) -> Operand {
    match random.below(2) {
        0 => Operand::Reg(register(random)),
        _ => Operand::Imm(random.number() as i32),
    }
}

fn offset(random: &mut Random) -> i16 {
    match random.below(3) {
        0 => -(random.below(33) as i16),
        1 => random.below(33) as i16,
        _ => (random.below(9) as i16 - 4) * 8,
    }
}

fn any(random: &mut Random) -> Insn {
    let (width, size) = (*random.pick(&Width::ALL), *random.pick(&Size::ALL));
    let (dst, src) = (register(random), register(random));
    match random.below(13) {
        0..=3 => Insn::Alu {
            op: *random.pick(&AluOp::ALL),
            width,
            dst,
            src: operand(random),
        },
        4 => Insn::Load {
            size,
            signed: size != Size::Dw && random.below(3) == 0,
            dst,
            base: src,
            offset: offset(random),
        },
        5 => Insn::Store {
            size,
            base: dst,
            offset: offset(random),
            src: operand(random),
        },
        6 => Insn::JumpIf {
            cond: *random.pick(&Cond::ALL),
            width,
            dst,
            src: operand(random),
            offset: random.below(6) as i16,
        },
        7 => Insn::Neg { width, dst },
        10 => Insn::MayGoto {
            offset: random.below(12) as i16 - 4,
        },
        11 => Insn::LoadAcquire {
            size,
            dst,
            base: src,
            offset: offset(random),
        },
        12 => Insn::StoreRelease {
            size,
            base: dst,
            offset: offset(random),
            src,
        },
        8 => Insn::MovSx {
            width,
            dst,
            src,
            size: *random.pick(&[Size::B, Size::H]),
        },
        _ => Insn::Endian {
            kind: *random.pick(&Endian::ALL),
            dst,
            size: *random.pick(&[Size::H, Size::W, Size::Dw]),
        },
    }
}

/// Changes one field of an instruction.
fn tweak(insn: &mut Insn, random: &mut Random) {
    let choice = random.below(4);
    match insn {
        Insn::Alu {
            op,
            width,
            dst,
            src,
        } => match choice {
            0 => *op = *random.pick(&AluOp::ALL),
            1 => *width = *random.pick(&Width::ALL),
            2 => *dst = register(random),
            _ => *src = near(*src, random),
        },
        Insn::JumpIf {
            cond,
            width,
            dst,
            src,
            offset,
        } => match choice {
            0 => *cond = *random.pick(&Cond::ALL),
            1 => *width = *random.pick(&Width::ALL),
            2 => *offset = offset.wrapping_add(random.below(5) as i16 - 2),
            _ => match random.below(2) {
                0 => *dst = register(random),
                _ => *src = near(*src, random),
            },
        },
        Insn::Jump { offset, .. } => *offset = offset.wrapping_add(random.below(5) as i32 - 2),
        Insn::Load { .. } | Insn::Store { .. } | Insn::Atomic { .. } => {
            tweak_memory(insn, random);
        }
        other => *other = any(random),
    }
}

/// The same for an instruction that accesses memory.
fn tweak_memory(insn: &mut Insn, random: &mut Random) {
    let choice = random.below(4);
    match insn {
        Insn::Load {
            size,
            signed,
            dst,
            base,
            offset: at,
        } => match choice {
            0 => {
                *size = *random.pick(&Size::ALL);
                *signed = *size != Size::Dw && random.below(3) == 0;
            }
            1 => *dst = register(random),
            2 => *base = register(random),
            _ => *at = offset(random),
        },
        Insn::Store {
            size,
            base,
            offset: at,
            src,
        } => match choice {
            0 => *size = *random.pick(&Size::ALL),
            1 => *base = register(random),
            2 => *at = offset(random),
            _ => *src = near(*src, random),
        },
        Insn::Atomic {
            op,
            base,
            offset: at,
            src,
            ..
        } => match choice {
            0 => *op = *random.pick(&AtomicOp::ALL),
            1 => *base = register(random),
            2 => *at = offset(random),
            _ => *src = register(random),
        },
        _ => {}
    }
}

fn near(operand_before: Operand, random: &mut Random) -> Operand {
    match operand_before {
        Operand::Imm(value) if random.below(2) == 0 => {
            Operand::Imm(value.wrapping_add(random.below(9) as i32 - 4))
        }
        _ => operand(random),
    }
}

/// Takes out what no way through the program leads to: the Linux kernel refuses such code unseen.
pub fn cut_unreachable(program: &mut Program) {
    let mut reached = vec![false; program.insns.len()];
    let mut open = vec![InsnIdx(0)];
    while let Some(at) = open.pop() {
        let Some(insn) = program.insns.get(at.index()) else {
            continue;
        };
        if core::mem::replace(&mut reached[at.index()], true) {
            continue;
        }
        let next = InsnIdx(at.0 + insn.slots());
        let (target, goes_on) = match insn {
            Insn::Exit => (None, false),
            Insn::Jump { offset, .. } => (at.jump(*offset), false),
            Insn::JumpIf { offset, .. } | Insn::MayGoto { offset } => {
                (at.jump(i32::from(*offset)), true)
            }
            Insn::Call(CallTarget::Local(offset))
            | Insn::LoadImm64 {
                imm: Imm64::Code(offset),
                ..
            } => (at.jump(*offset), true),
            _ => (None, true),
        };
        open.extend(target.into_iter().chain(goes_on.then_some(next)));
    }
    for at in (0..reached.len()).rev().filter(|at| !reached[*at]) {
        cut(program, InsnIdx(at as u32));
    }
}

/// Takes an instruction out; jumps over it become shorter, jumps to it lead to the next one.
pub(crate) fn cut(program: &mut Program, at: InsnIdx) {
    let Some(insn) = program.insns.get(at.index()) else {
        return;
    };
    let slots = insn.slots();
    if *insn == Insn::Imm64High || program.insns.len() <= slots as usize {
        return;
    }
    let moved = |place: InsnIdx| match place {
        before if before <= at => before,
        inside if inside.0 < at.0 + slots => at,
        after => InsnIdx(after.0 - slots),
    };
    for (place, insn) in (0..).map(InsnIdx).zip(&mut program.insns) {
        let from = i64::from(moved(place).0);
        let aim = |offset: i32| {
            let target = place.jump(offset).unwrap_or(place);
            (i64::from(moved(target).0) - from - 1) as i32
        };
        match insn {
            Insn::Jump { offset, .. } => *offset = aim(*offset),
            Insn::JumpIf { offset, .. } | Insn::MayGoto { offset } => {
                *offset = aim(i32::from(*offset)) as i16;
            }
            Insn::Call(CallTarget::Local(offset)) => *offset = aim(*offset),
            Insn::LoadImm64 {
                imm: Imm64::Code(offset),
                ..
            } => *offset = aim(*offset),
            _ => {}
        }
    }
    program.insns.drain(at.index()..at.index() + slots as usize);
    for function in &mut program.functions {
        (function.start, function.end) = (moved(function.start), moved(function.end));
    }
    program
        .functions
        .retain(|function| function.start < function.end);
    program.lines.clear();
}
