//! Random programs: compiled code against the reference interpreter.
//!
//! Programs always end: jumps go forward, except for loops with a counter in r9. Registers are set
//! before use, memory operands stay in the stack frame.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use codegen::{Options, compile};
use common::build::{Random, assume, object, program};
use common::{Host, Runtime, reference};
use isa::{AluOp, AtomicOp, CallTarget, Cond, Endian, Imm64, Insn, Operand, Reg, Size, Width};
use program::{Object, Program};
use verifier::Verified;
use verifier::facts::Memory;

/// Registers that random instructions write: all but r9 (loop counter) and r10.
const WRITABLE: [Reg; 9] = [
    Reg::R0,
    Reg::R1,
    Reg::R2,
    Reg::R3,
    Reg::R4,
    Reg::R5,
    Reg::R6,
    Reg::R7,
    Reg::R8,
];

struct Generator {
    random: Random,
    out: Vec<Insn>,
}

impl Generator {
    fn width(&mut self) -> Width {
        self.random.pick(&Width::ALL)
    }

    fn reg(&mut self) -> Reg {
        self.random.pick(&WRITABLE)
    }

    fn operand(&mut self) -> Operand {
        if self.random.below(2) == 0 {
            return Operand::Reg(self.reg());
        }
        let edge = self
            .random
            .pick(&[0, 1, -1, 31, 32, 63, i32::MIN, i32::MAX]);
        let any = self.random.next() as i32;
        Operand::Imm(self.random.pick(&[edge, any, any & 0xff]))
    }

    /// An offset into the frame at which 8 bytes fit.
    fn frame_offset(&mut self) -> i16 {
        -8 - self.random.below(120) as i16
    }

    fn alu(&mut self) -> Insn {
        Insn::Alu {
            op: self.random.pick(&AluOp::ALL),
            width: self.width(),
            dst: self.reg(),
            src: self.operand(),
        }
    }

    fn simple(&mut self) -> Insn {
        match self.random.below(12) {
            0 => Insn::Neg {
                width: self.width(),
                dst: self.reg(),
            },
            1 => Insn::MovSx {
                width: self.width(),
                dst: self.reg(),
                src: self.reg(),
                size: self.random.pick(&Size::ALL[..3]),
            },
            2 => Insn::Endian {
                kind: self.random.pick(&Endian::ALL),
                dst: self.reg(),
                size: self.random.pick(&Size::ALL[1..]),
            },
            3 => {
                let size = self.random.pick(&Size::ALL);
                Insn::Load {
                    size,
                    signed: size != Size::Dw && self.random.below(2) == 0,
                    dst: self.reg(),
                    base: Reg::R10,
                    offset: self.frame_offset(),
                }
            }
            4 => Insn::Store {
                size: self.random.pick(&Size::ALL),
                base: Reg::R10,
                offset: self.frame_offset(),
                src: self.operand(),
            },
            5 => {
                let op = self.random.pick(&AtomicOp::ALL);
                let always = matches!(op, AtomicOp::Xchg | AtomicOp::CmpXchg);
                Insn::Atomic {
                    op,
                    fetch: always || self.random.below(2) == 0,
                    size: self.random.pick(&Size::ALL[2..]),
                    base: Reg::R10,
                    offset: self.frame_offset() & -8,
                    src: self.reg(),
                }
            }
            _ => self.alu(),
        }
    }

    fn emit(&mut self, insn: Insn) {
        self.out.push(insn);
        if insn.slots() == 2 {
            self.out.push(Insn::Imm64High);
        }
    }

    /// Initialises registers and frame, so that both engines start equal.
    fn prologue(&mut self, arguments: &[Reg]) {
        for reg in WRITABLE {
            if !arguments.contains(&reg) {
                let value = self.random.next();
                let imm = Imm64::Const(value);
                self.emit(Insn::LoadImm64 { dst: reg, imm });
            }
        }
        for cell in 1..=16 {
            let src = Operand::Reg(self.reg());
            self.emit(Insn::Store {
                size: Size::Dw,
                base: Reg::R10,
                offset: -8 * cell,
                src,
            });
        }
    }

    fn straight(&mut self, count: usize) {
        for _ in 0..count {
            let insn = self.simple();
            self.emit(insn);
        }
    }

    /// A forward jump over `skipped`, taken or not.
    fn skip(&mut self, skipped: &[Insn]) {
        let length = skipped.len();
        let jump = match self.random.below(6) {
            0 => Insn::Jump {
                offset: length as i32,
                long: self.random.below(2) == 0,
            },
            _ => Insn::JumpIf {
                cond: self.random.pick(&Cond::ALL),
                width: self.width(),
                dst: self.reg(),
                src: self.operand(),
                offset: length as i16,
            },
        };
        self.emit(jump);
        self.out.extend_from_slice(skipped);
    }

    /// Straight code, forward jumps, counted loops.
    fn body(&mut self, depth: u32) {
        for _ in 0..1 + self.random.below(4) {
            let count = self.random.below(6);
            self.straight(count);
            if depth == 0 {
                continue;
            }
            let saved = std::mem::take(&mut self.out);
            self.body(depth - 1);
            let inner = std::mem::replace(&mut self.out, saved);
            if self.random.below(5) == 0 && !uses_counter(&inner) {
                self.counted_loop(&inner);
            } else {
                self.skip(&inner);
            }
        }
    }

    fn counted_loop(&mut self, inner: &[Insn]) {
        let rounds = 1 + self.random.below(4) as i32;
        let r9 = |op, imm| Insn::Alu {
            op,
            width: Width::W64,
            dst: Reg::R9,
            src: Operand::Imm(imm),
        };
        self.emit(r9(AluOp::Mov, rounds));
        self.out.extend_from_slice(inner);
        self.emit(r9(AluOp::Sub, 1));
        self.emit(Insn::JumpIf {
            cond: Cond::Ne,
            width: Width::W64,
            dst: Reg::R9,
            src: Operand::Imm(0),
            offset: -(inner.len() as i16) - 2,
        });
    }

    /// Mixes all registers and some of the frame into r0, and leaves.
    fn epilogue(&mut self) {
        let mix = |op, src| Insn::Alu {
            op,
            width: Width::W64,
            dst: Reg::R0,
            src,
        };
        for reg in &WRITABLE[1..] {
            self.emit(mix(AluOp::Mul, Operand::Imm(31)));
            self.emit(mix(AluOp::Add, Operand::Reg(*reg)));
        }
        for cell in 1..=16 {
            self.emit(Insn::Load {
                size: Size::Dw,
                signed: false,
                dst: Reg::R1,
                base: Reg::R10,
                offset: -8 * cell,
            });
            self.emit(mix(AluOp::Mul, Operand::Imm(37)));
            self.emit(mix(AluOp::Xor, Operand::Reg(Reg::R1)));
        }
        self.emit(Insn::Exit);
    }
}

fn uses_counter(insns: &[Insn]) -> bool {
    insns
        .iter()
        .any(|insn| matches!(insn, Insn::Alu { dst, .. } if *dst == Reg::R9))
}

/// Runs programs compiled without facts, and with the fact that every access hits the stack, which
/// lets the optimiser forward and drop stores.
fn check(programs: Vec<Program>, seed: u64) {
    let object = object(programs);
    compare(&object, &assume(&object), seed);
    let verified = assume(&object).into_iter().map(|verified| {
        let mut facts = verified.facts().clone();
        for fact in &mut facts.insns {
            fact.memory = Some(Memory::Stack);
        }
        verified.with_facts(facts)
    });
    compare(&object, &verified.collect::<Vec<_>>(), seed);
}

fn compare(object: &Object, verified: &[Verified<'_>], seed: u64) {
    let host = Host::new(compile(verified, &Options::default()).unwrap(), &|_| 0);
    let runtime = Runtime::empty();
    let mut random = Random::new(seed);
    for program in &object.programs {
        for _ in 0..4 {
            let (a, b) = (random.next(), random.next() >> random.below(64));
            let expected = reference::run(program, a, b);
            let found = host.call(&format!("bpf.{}", program.name), [a, runtime.address(), b]);
            assert_eq!(
                found, expected,
                "seed {seed}, {}: {program:#?}",
                program.name
            );
        }
    }
}

fn generator(seed: u64) -> Generator {
    Generator {
        random: Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        out: Vec::new(),
    }
}

#[test]
fn straight_line_programs() {
    for seed in 1..=20 {
        let mut programs = Vec::new();
        for number in 0..10 {
            let mut generator = generator(seed * 100 + number);
            generator.prologue(&[Reg::R1, Reg::R2]);
            let length = 10 + generator.random.below(120);
            generator.straight(length);
            generator.epilogue();
            programs.push(program(&format!("p{number}"), generator.out, &[0]));
        }
        check(programs, seed);
    }
}

#[test]
fn branching_programs() {
    for seed in 1..=20 {
        let mut programs = Vec::new();
        for number in 0..10 {
            let mut generator = generator(seed * 1000 + number);
            generator.prologue(&[Reg::R1, Reg::R2]);
            generator.body(3);
            generator.epilogue();
            programs.push(program(&format!("p{number}"), generator.out, &[0]));
        }
        check(programs, seed);
    }
}

/// Each function calls the next ones; all use the same offsets of their own frames.
#[test]
fn programs_with_subprograms() {
    for seed in 1..=20 {
        let mut programs = Vec::new();
        for number in 0..5 {
            let mut generator = generator(seed * 7919 + number);
            let functions = 2 + generator.random.below(4);
            let mut calls = Vec::new();
            let mut starts = Vec::new();
            for function in 0..functions {
                starts.push(generator.out.len() as u32);
                let arguments = if function == 0 {
                    &Reg::ARGS[..2]
                } else {
                    &Reg::ARGS[..]
                };
                generator.prologue(arguments);
                for _ in 0..generator.random.below(3) {
                    generator.body(1);
                    if function + 1 < functions {
                        let callee =
                            function + 1 + generator.random.below(functions - function - 1);
                        calls.push((generator.out.len(), callee));
                        generator.emit(Insn::Call(CallTarget::Local(0)));
                        for reg in &Reg::ARGS {
                            let value = generator.random.next() as i32;
                            generator.emit(Insn::Alu {
                                op: AluOp::Mov,
                                width: Width::W64,
                                dst: *reg,
                                src: Operand::Imm(value),
                            });
                        }
                    }
                }
                generator.epilogue();
            }
            let mut insns = generator.out;
            for (at, callee) in calls {
                let offset = starts[callee] as i32 - at as i32 - 1;
                insns[at] = Insn::Call(CallTarget::Local(offset));
            }
            programs.push(program(&format!("p{number}"), insns, &starts));
        }
        check(programs, seed);
    }
}

/// A hundred thousand instructions: no recursion trouble, acceptable time. (Most of the time goes
/// into assertions that the code generator has in debug builds.)
#[test]
fn large_programs() {
    let mut generator = generator(1);
    generator.prologue(&[Reg::R1, Reg::R2]);
    while generator.out.len() < 100_000 {
        generator.body(2);
    }
    generator.epilogue();
    let object = object(vec![program("large", generator.out, &[0])]);
    compare(&object, &assume(&object), 1);
}
