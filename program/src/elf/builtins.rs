//! `memset`, `memcpy`, `memcmp` and `bcmp`, which compilers call without being asked.
//!
//! clang turns long initialisations and copies into calls of these functions, and nothing defines
//! them for eBPF. They are linked behind the program like its own subprograms, as plain bytecode:
//! the verifier checks every byte they touch, with the pointers and lengths of each call. Byte by
//! byte, because pointers need not be aligned. `memmove` is left out: which way to copy depends on
//! a comparison of unrelated pointers, which programs may not make.

use isa::{AluOp, Cond, Insn, Operand, Reg, Size, Width};

/// One of the functions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Builtin {
    /// `memset(r1, r2, r3)`
    Memset,
    /// `memcpy(r1, r2, r3)`
    Memcpy,
    /// `memcmp(r1, r2, r3)`; also `bcmp`.
    Memcmp,
}

impl Builtin {
    /// The function of a name.
    pub(super) fn by_name(name: &str) -> Option<Builtin> {
        match name {
            "memset" => Some(Builtin::Memset),
            "memcpy" => Some(Builtin::Memcpy),
            "memcmp" | "bcmp" => Some(Builtin::Memcmp),
            _ => None,
        }
    }

    /// Its name in a linked program.
    pub(super) fn name(self) -> &'static str {
        match self {
            Builtin::Memset => "memset",
            Builtin::Memcpy => "memcpy",
            Builtin::Memcmp => "memcmp",
        }
    }

    /// Its instructions.
    pub(super) fn insns(self) -> &'static [Insn] {
        match self {
            Builtin::Memset => &MEMSET,
            Builtin::Memcpy => &MEMCPY,
            Builtin::Memcmp => &MEMCMP,
        }
    }
}

const MEMSET: [Insn; 7] = [
    alu(AluOp::Mov, Reg::R0, Operand::Reg(Reg::R1)),
    jump(Cond::Eq, Reg::R3, 4),
    store(Reg::R1, Reg::R2),
    alu(AluOp::Add, Reg::R1, Operand::Imm(1)),
    alu(AluOp::Add, Reg::R3, Operand::Imm(-1)),
    jump(Cond::Ne, Reg::R3, -4),
    Insn::Exit,
];

const MEMCPY: [Insn; 9] = [
    alu(AluOp::Mov, Reg::R0, Operand::Reg(Reg::R1)),
    jump(Cond::Eq, Reg::R3, 6),
    load(Reg::R4, Reg::R2),
    store(Reg::R1, Reg::R4),
    alu(AluOp::Add, Reg::R1, Operand::Imm(1)),
    alu(AluOp::Add, Reg::R2, Operand::Imm(1)),
    alu(AluOp::Add, Reg::R3, Operand::Imm(-1)),
    jump(Cond::Ne, Reg::R3, -6),
    Insn::Exit,
];

const MEMCMP: [Insn; 11] = [
    alu(AluOp::Mov, Reg::R0, Operand::Imm(0)),
    jump(Cond::Eq, Reg::R3, 8),
    load(Reg::R0, Reg::R1),
    load(Reg::R4, Reg::R2),
    alu(AluOp::Sub, Reg::R0, Operand::Reg(Reg::R4)),
    jump(Cond::Ne, Reg::R0, 4),
    alu(AluOp::Add, Reg::R1, Operand::Imm(1)),
    alu(AluOp::Add, Reg::R2, Operand::Imm(1)),
    alu(AluOp::Add, Reg::R3, Operand::Imm(-1)),
    jump(Cond::Ne, Reg::R3, -8),
    Insn::Exit,
];

const fn alu(op: AluOp, dst: Reg, src: Operand) -> Insn {
    Insn::Alu {
        op,
        width: Width::W64,
        dst,
        src,
    }
}

const fn jump(cond: Cond, dst: Reg, offset: i16) -> Insn {
    Insn::JumpIf {
        cond,
        width: Width::W64,
        dst,
        src: Operand::Imm(0),
        offset,
    }
}

const fn load(dst: Reg, base: Reg) -> Insn {
    Insn::Load {
        size: Size::B,
        signed: false,
        dst,
        base,
        offset: 0,
    }
}

const fn store(base: Reg, src: Reg) -> Insn {
    Insn::Store {
        size: Size::B,
        base,
        offset: 0,
        src: Operand::Reg(src),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tiny machine for exactly the instructions above, over one memory.
    fn run(builtin: Builtin, memory: &mut [u8], arguments: [u64; 3]) -> u64 {
        let mut registers = [0u64; Reg::COUNT];
        registers[1..4].copy_from_slice(&arguments);
        let mut at = 0i64;
        loop {
            let insn = builtin.insns()[usize::try_from(at).unwrap()];
            at += 1;
            let value = |operand| match operand {
                Operand::Reg(reg) => registers[reg.index()],
                Operand::Imm(imm) => i64::from(imm) as u64,
            };
            match insn {
                Insn::Alu { op, dst, src, .. } => {
                    let old = registers[dst.index()];
                    registers[dst.index()] = match op {
                        AluOp::Mov => value(src),
                        AluOp::Add => old.wrapping_add(value(src)),
                        AluOp::Sub => old.wrapping_sub(value(src)),
                        other => panic!("{other:?}"),
                    };
                }
                Insn::JumpIf {
                    cond, dst, offset, ..
                } => {
                    if (registers[dst.index()] == 0) == (cond == Cond::Eq) {
                        at += i64::from(offset);
                    }
                }
                Insn::Load { dst, base, .. } => {
                    registers[dst.index()] = memory[registers[base.index()] as usize].into();
                }
                Insn::Store { base, src, .. } => {
                    memory[registers[base.index()] as usize] = value(src) as u8;
                }
                Insn::Exit => return registers[0],
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn they_do_what_c_says() {
        for len in 0..5u64 {
            let mut memory = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
            assert_eq!(run(Builtin::Memset, &mut memory, [1, 0x1aa, len]), 1);
            let expected: Vec<u8> = (1..=10)
                .map(|i| if i > 1 && i < 2 + len as u8 { 0xaa } else { i })
                .collect();
            assert_eq!(memory.as_slice(), expected, "memset {len}");
            let mut memory = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
            assert_eq!(run(Builtin::Memcpy, &mut memory, [5, 0, len]), 5);
            assert_eq!(memory[5..][..len as usize], [1, 2, 3, 4][..len as usize]);
            assert_eq!(memory[5 + len as usize], 6 + len as u8);
            let mut memory = [1, 2, 3, 4, 0, 1, 2, 3, 9, 0];
            let order = run(Builtin::Memcmp, &mut memory, [0, 5, len]) as i64;
            assert_eq!(order.signum(), if len < 4 { 0 } else { -1 }, "memcmp {len}");
        }
    }
}
