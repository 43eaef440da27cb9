//! Every instruction form over edge values: compiled code against `isa::semantics`.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use codegen::{Options, compile};
use common::build::{assume, object, program, slots};
use common::{Host, Runtime, reference};
use isa::{AluOp, AtomicOp, Cond, Endian, Imm64, Insn, Operand, Reg, Size, Width};
use program::Program;

const VALUES: &[u64] = &[
    0,
    1,
    2,
    7,
    31,
    32,
    33,
    63,
    64,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0x0123_4567_89ab_cdef,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0x8000_0000_8000_0000,
    0xffff_ffff_0000_0000,
    0xffff_ffff_7fff_ffff,
    0xffff_ffff_ffff_ff80,
    0xffff_ffff_ffff_fffe,
    u64::MAX,
];
const IMMEDIATES: &[i32] = &[
    0,
    1,
    2,
    3,
    7,
    31,
    32,
    63,
    64,
    100,
    -1,
    -2,
    -7,
    i32::MAX,
    i32::MIN,
    i32::MIN + 1,
];
/// Compiles all cases into one module and compares each with the reference for all pairs of
/// values. A case gets its operands in r1 and r2 and leaves its result in r0.
fn check(cases: &[Vec<Insn>]) {
    let programs: Vec<Program> = cases
        .iter()
        .enumerate()
        .map(|(number, case)| program(&format!("case{number}"), slots(case), &[0]))
        .collect();
    let object = object(programs);
    let verified = assume(&object);
    let host = Host::new(compile(&verified, &Options::default()).unwrap(), &|_| 0);
    let runtime = Runtime::empty();
    for (program, case) in object.programs.iter().zip(cases) {
        let name = format!("bpf.{}", program.name);
        for &a in VALUES {
            for &b in VALUES {
                let expected = reference::run(program, a, b);
                let found = host.call(&name, [a, runtime.address(), b]);
                assert_eq!(found, expected, "{case:?} with {a:#x}, {b:#x}");
            }
        }
    }
}

fn mov(dst: Reg, src: Reg) -> Insn {
    Insn::Alu {
        op: AluOp::Mov,
        width: Width::W64,
        dst,
        src: Operand::Reg(src),
    }
}

fn mov_imm(dst: Reg, imm: i32) -> Insn {
    Insn::Alu {
        op: AluOp::Mov,
        width: Width::W64,
        dst,
        src: Operand::Imm(imm),
    }
}

#[test]
fn arithmetic_with_registers() {
    let mut cases = Vec::new();
    for op in AluOp::ALL {
        for width in Width::ALL {
            let alu = Insn::Alu {
                op,
                width,
                dst: Reg::R1,
                src: Operand::Reg(Reg::R2),
            };
            cases.push(vec![alu, mov(Reg::R0, Reg::R1), Insn::Exit]);
            // Both operands in one register.
            let same = Insn::Alu {
                op,
                width,
                dst: Reg::R1,
                src: Operand::Reg(Reg::R1),
            };
            cases.push(vec![same, mov(Reg::R0, Reg::R1), Insn::Exit]);
        }
    }
    check(&cases);
}

#[test]
fn arithmetic_with_immediates() {
    let mut cases = Vec::new();
    for op in AluOp::ALL {
        for width in Width::ALL {
            for &imm in IMMEDIATES {
                let alu = Insn::Alu {
                    op,
                    width,
                    dst: Reg::R1,
                    src: Operand::Imm(imm),
                };
                cases.push(vec![alu, mov(Reg::R0, Reg::R1), Insn::Exit]);
            }
        }
    }
    check(&cases);
}

#[test]
fn unary_operations() {
    let mut cases = Vec::new();
    let mut unary = |insn| cases.push(vec![insn, mov(Reg::R0, Reg::R1), Insn::Exit]);
    for width in Width::ALL {
        unary(Insn::Neg {
            width,
            dst: Reg::R1,
        });
        for size in [Size::B, Size::H, Size::W] {
            unary(Insn::MovSx {
                width,
                dst: Reg::R1,
                src: Reg::R2,
                size,
            });
        }
    }
    for kind in Endian::ALL {
        for size in [Size::H, Size::W, Size::Dw] {
            unary(Insn::Endian {
                kind,
                dst: Reg::R1,
                size,
            });
        }
    }
    for value in [0, 1, u64::MAX, 0x8000_0000, 0xdead_beef_cafe_f00d] {
        unary(Insn::LoadImm64 {
            dst: Reg::R1,
            imm: Imm64::Const(value),
        });
    }
    check(&cases);
}

#[test]
fn conditional_jumps() {
    let mut cases = Vec::new();
    for cond in Cond::ALL {
        for width in Width::ALL {
            let sources = IMMEDIATES.iter().map(|&imm| Operand::Imm(imm));
            for src in sources.chain([Operand::Reg(Reg::R2)]) {
                cases.push(vec![
                    mov_imm(Reg::R0, 1),
                    Insn::JumpIf {
                        cond,
                        width,
                        dst: Reg::R1,
                        src,
                        offset: 1,
                    },
                    mov_imm(Reg::R0, 2),
                    Insn::Exit,
                ]);
            }
        }
    }
    check(&cases);
}

#[test]
fn unconditional_jumps() {
    let jump = |long| {
        vec![
            mov_imm(Reg::R0, 1),
            Insn::Jump { offset: 1, long },
            mov_imm(Reg::R0, 2),
            Insn::Exit,
        ]
    };
    check(&[jump(false), jump(true)]);
}

/// Stores both operands on the stack, runs `middle`, and mixes r0 with what is on the stack.
fn on_stack(middle: &[Insn]) -> Vec<Insn> {
    let store = |offset, src| Insn::Store {
        size: Size::Dw,
        base: Reg::R10,
        offset,
        src: Operand::Reg(src),
    };
    let mut case = vec![
        store(-8, Reg::R1),
        store(-16, Reg::R2),
        mov(Reg::R0, Reg::R1),
    ];
    case.extend_from_slice(middle);
    for (offset, factor) in [(-8, 3), (-16, 5)] {
        case.extend([
            Insn::Load {
                size: Size::Dw,
                signed: false,
                dst: Reg::R3,
                base: Reg::R10,
                offset,
            },
            Insn::Alu {
                op: AluOp::Mul,
                width: Width::W64,
                dst: Reg::R0,
                src: Operand::Imm(factor),
            },
            Insn::Alu {
                op: AluOp::Add,
                width: Width::W64,
                dst: Reg::R0,
                src: Operand::Reg(Reg::R3),
            },
            Insn::Alu {
                op: AluOp::Xor,
                width: Width::W64,
                dst: Reg::R0,
                src: Operand::Reg(Reg::R2),
            },
        ]);
    }
    case.push(Insn::Exit);
    case
}

#[test]
fn loads_and_stores() {
    let mut cases = Vec::new();
    for size in Size::ALL {
        for signed in [false, true] {
            if signed && size == Size::Dw {
                continue;
            }
            // Aligned, unaligned, across both cells.
            for offset in [-8, -16, -13, -11] {
                cases.push(on_stack(&[Insn::Load {
                    size,
                    signed,
                    dst: Reg::R0,
                    base: Reg::R10,
                    offset,
                }]));
            }
        }
        for src in [
            Operand::Reg(Reg::R2),
            Operand::Imm(0),
            Operand::Imm(-2),
            Operand::Imm(i32::MIN),
        ] {
            for offset in [-8, -13] {
                cases.push(on_stack(&[Insn::Store {
                    size,
                    base: Reg::R10,
                    offset,
                    src,
                }]));
            }
        }
    }
    check(&cases);
}

#[test]
fn atomics() {
    let mut cases = Vec::new();
    let ops = [
        (AtomicOp::Add, false),
        (AtomicOp::Add, true),
        (AtomicOp::Or, false),
        (AtomicOp::Or, true),
        (AtomicOp::And, false),
        (AtomicOp::And, true),
        (AtomicOp::Xor, false),
        (AtomicOp::Xor, true),
        (AtomicOp::Xchg, true),
        (AtomicOp::CmpXchg, true),
    ];
    for (op, fetch) in ops {
        for size in [Size::W, Size::Dw] {
            for (offset, src) in [(-8, Reg::R2), (-16, Reg::R1), (-16, Reg::R2)] {
                cases.push(on_stack(&[Insn::Atomic {
                    op,
                    fetch,
                    size,
                    base: Reg::R10,
                    offset,
                    src,
                }]));
            }
        }
    }
    check(&cases);
}

#[test]
fn ordered_accesses() {
    let mut cases = Vec::new();
    for size in Size::ALL {
        for (dst, offset) in [(Reg::R2, -8), (Reg::R1, -16), (Reg::R0, -8)] {
            let (base, src) = (Reg::R10, dst);
            let load = Insn::LoadAcquire {
                size,
                dst,
                base,
                offset,
            };
            let store = Insn::StoreRelease {
                size,
                base,
                offset,
                src,
            };
            cases.push(on_stack(&[load]));
            cases.push(on_stack(&[store, load]));
        }
    }
    check(&cases);
}
